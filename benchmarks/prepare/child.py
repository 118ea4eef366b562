"""One way of preparing a log, in a process of its own: `python -m benchmarks.prepare.child WAY FOLDER`.

Reads `events/` and `items.parquet` in the folder, writes below its `WAY/` and tells what it cost in `WAY.json`. The
clock runs from the first byte read to the last one written; imports are done before.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.start import read_peak_bytes
from recsys.config.cloud import PrepareSettings

STAGE: Final = "prepare"
PANDAS: Final = "pandas"

_KIB: Final = 1024


def main(way: str, folder: Path) -> None:
    """Prepares the log of a folder in one way."""
    run = _load(way)
    output_dir = folder / way
    output_dir.mkdir()
    begin = time.perf_counter()
    counters = run(folder / "events", folder / "items.parquet", output_dir, PrepareSettings())
    seconds = time.perf_counter() - begin
    told = {"counters": counters, "seconds": seconds, "peak_bytes": _read_peak()}
    (folder / f"{way}.json").write_text(json.dumps(told), encoding="utf-8")


def _load(way: str) -> Callable[..., dict[str, Any]]:
    if way == PANDAS:
        from benchmarks.prepare.pandas_pass import run_pandas

        return run_pandas
    from pipelines.prepare.job import prepare

    return prepare


def _read_peak() -> int:
    """Returns the peak of this process, or of a child that it waited for, if that is more.

    `ru_maxrss` of the process itself would not do: it begins with the memory of whoever started it.
    """
    return max(read_peak_bytes("self"), _KIB * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
