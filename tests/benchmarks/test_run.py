from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.run import Bench, hash_code
from recsys.config.cloud import CloudSettings
from tests.benchmarks.tasks import make_task

HISTORIES = [[0, 1, 2, 3], [3, 2, 1], [1, 2, 3]]


class Listener:
    """Keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def stage(self, name: str, total: int | None = None) -> None:
        """Not kept."""

    def advance(self, done: int, **figures: float) -> None:
        """Not kept."""

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_finished_arm_is_kept_for_the_same_task_and_made_anew_for_another(tmp_path: Path) -> None:
    listener = Listener()
    bench = Bench(make_task(HISTORIES, 4), tmp_path, CloudSettings(), listener)
    first = bench.run("popularity", 0)
    again = bench.run("popularity", 0)
    assert first.ranks.tolist() == again.ranks.tolist()
    assert (first.fit_seconds, first.score_seconds) == (again.fit_seconds, again.score_seconds)
    Bench(make_task([*HISTORIES, [0, 1, 2]], 4), tmp_path, CloudSettings(), listener).run("popularity", 0)
    assert [note.split(",")[0] for note in listener.notes] == [
        "popularity: done",
        "popularity: kept from an earlier run",
        "popularity: done",
    ]


def test_another_seed_or_arm_is_another_result(tmp_path: Path) -> None:
    bench = Bench(make_task(HISTORIES, 4), tmp_path, CloudSettings(), Listener())
    for name, seed in (("popularity", 0), ("popularity", 1), ("transitions", 0)):
        bench.run(name, seed)
    assert len(list((tmp_path / "arms").iterdir())) == 3


def test_what_a_killed_run_had_begun_is_begun_anew(tmp_path: Path) -> None:
    listener = Listener()
    bench = Bench(make_task(HISTORIES, 4), tmp_path, CloudSettings(), listener)
    whole = bench.run("popularity", 0)
    (folder,) = (tmp_path / "arms").iterdir()
    (folder / "stage.json").unlink()
    assert bench.run("popularity", 0).ranks.tolist() == whole.ranks.tolist()
    assert [note.split(",")[0] for note in listener.notes] == ["popularity: done"] * 2


def test_other_code_is_another_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).resolve().parents[2]
    shutil.copytree(root / "benchmarks", tmp_path / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    same = hash_code("benchmarks")
    monkeypatch.setattr("benchmarks.run._ROOT", tmp_path)
    assert hash_code("benchmarks") == same
    module = tmp_path / "benchmarks" / "baselines" / "ease.py"
    module.write_text(module.read_text() + "\n# Another.\n")
    assert hash_code("benchmarks") != same
