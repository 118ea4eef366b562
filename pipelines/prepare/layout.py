"""Names of what the stage writes, and how a part gets there."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from recsys.contracts.bundle import RESPONSES_FILE

EVENTS: Final = "events"
DEAD_LETTERS: Final = "dead_letters"
DUPLICATES: Final = "duplicates"
VOCABULARY: Final = "vocabulary.parquet"
RESPONSES: Final = RESPONSES_FILE
COUNTERS: Final = "counters.json"
REPORT: Final = "report.json"

_BEGUN: Final = ".begun-"


def write_part(table: pa.Table, path: Path) -> None:
    """Writes a Parquet file beside its place and moves it there: a worker that is run again does no harm."""
    partial = _beside(path)
    pq.write_table(table, partial, compression="zstd")
    os.replace(partial, path)


def write_json(value: Mapping[str, Any], path: Path) -> None:
    """Writes JSON with sorted keys beside its place and moves it there."""
    partial = _beside(path)
    partial.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(partial, path)


def remove_leftovers(output_dir: Path) -> None:
    """Removes what workers that were killed had begun to write."""
    for path in output_dir.rglob(f"{_BEGUN}*"):
        path.unlink()


def _beside(path: Path) -> Path:
    return path.with_name(f"{_BEGUN}{path.name}.{uuid.uuid4().hex}")
