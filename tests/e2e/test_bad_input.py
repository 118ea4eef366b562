"""Data that is not what it claims to be ends with a message that says what to do, and exit code 3."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, run_tandem

pytestmark = pytest.mark.e2e

EXAMPLE = (ROOT / "data" / "example_events.csv").read_bytes()

BAD_FILES = {
    "empty": ("events.csv", b"", "Expected a whole table in events.csv"),
    "truncated gzip": ("events.csv.gz", gzip.compress(EXAMPLE)[:200], "ended before the end-of-stream marker"),
    "gzip in name only": ("events.csv.gz", EXAMPLE, "Not a gzipped file"),
    "empty parquet": ("events.parquet", b"", "Expected a whole table in events.parquet"),
    "other columns": ("events.csv", b"who,what\nada,i1\n", "Expected the column 'event_id' in events.csv"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_refused_with_its_reason(case: str, tmp_path: Path) -> None:
    name, content, reason = BAD_FILES[case]
    (tmp_path / name).write_bytes(content)
    run = run_tandem("ingest", "--data", "events", "--from", name, "--json", cwd=tmp_path)
    assert run.returncode == 3
    error = json.loads(run.stdout)["error"]
    assert (error["kind"], error["exit_code"]) == ("DatasetError", 3)
    assert reason in error["message"]
    assert "Traceback" not in run.stderr
    assert not (tmp_path / ".tandem" / "dataset.json").exists()


def test_a_workspace_with_another_dataset_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_bytes(EXAMPLE)
    first = run_tandem("ingest", "--data", "events", "--from", "events.csv", "--json", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    card = (tmp_path / ".tandem" / "dataset.json").read_bytes()
    second = run_tandem("train", "--data", "synthetic", cwd=tmp_path)
    assert second.returncode == 4
    assert "--workspace" in second.stderr.splitlines()[-1]
    assert (tmp_path / ".tandem" / "dataset.json").read_bytes() == card
