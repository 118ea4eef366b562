from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.stages import RECORD_FILE, Stage, checkpoints_of, find_stages, key_of, run_stage
from recsys.errors import TrainingError, WorkspaceError

REPOSITORY = Path(__file__).resolve().parents[2]

SLOW_BUILD = """
import sys, time
from pathlib import Path
from pipelines.stages import run_stage

def build(folder):
    (folder / "deep").mkdir()
    (folder / "deep" / "one").write_text("half")
    print("begun", flush=True)
    time.sleep(60)

run_stage(Path(sys.argv[1]), "name", 1, {"n": 1}, build)
"""


def build(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "one").write_text("whole")
    (folder / "two").write_text("2")


def never(folder: Path) -> None:
    raise AssertionError(f"{folder} was to be reused")


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != RECORD_FILE}


def make(parent: Path) -> Stage:
    return run_stage(parent, "name", 1, {"n": 1}, build)


def test_a_stage_is_made_once_and_found_again(tmp_path: Path) -> None:
    made = make(tmp_path)
    found = run_stage(tmp_path, "name", 1, {"n": 1}, never)
    assert (made.reused, found.reused) == (False, True)
    assert (found.folder, found.key, found.seconds, found.files) == (made.folder, made.key, made.seconds, made.files)
    assert made.folder == tmp_path / made.key
    assert sorted(made.files) == ["deep/one", "two"]
    assert json.loads((made.folder / RECORD_FILE).read_text())["inputs"] == {"n": 1}


@pytest.mark.parametrize(
    ("name", "version", "inputs"), [("other", 1, {"n": 1}), ("name", 2, {"n": 1}), ("name", 1, {"n": 2})]
)
def test_another_name_version_or_input_is_another_stage(
    tmp_path: Path, name: str, version: int, inputs: dict[str, int]
) -> None:
    made = make(tmp_path)
    other = run_stage(tmp_path, name, version, inputs, build)
    assert not other.reused
    assert other.folder != made.folder


def test_the_order_of_inputs_does_not_matter(tmp_path: Path) -> None:
    run_stage(tmp_path, "name", 1, {"a": 1, "b": {"c": 2, "d": 3}}, build)
    assert run_stage(tmp_path, "name", 1, {"b": {"d": 3, "c": 2}, "a": 1}, never).reused


def test_what_a_build_raises_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        build(folder)
        raise TrainingError("no examples")

    with pytest.raises(TrainingError, match="no examples"):
        run_stage(tmp_path, "name", 1, {"n": 1}, fail)
    assert list(tmp_path.iterdir()) == []


def test_a_build_killed_in_the_middle_is_begun_anew_and_ends_the_same(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_BUILD, str(tmp_path / "killed")], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGKILL)
    (remains,) = (tmp_path / "killed").iterdir()
    assert remains.name.endswith(".partial")
    again, whole = make(tmp_path / "killed"), make(tmp_path / "whole")
    assert not again.reused
    assert (again.key, again.files) == (whole.key, whole.files)
    assert snapshot(again.folder) == snapshot(whole.folder)
    assert list((tmp_path / "killed").iterdir()) == [again.folder]


def test_what_a_build_kept_outlives_its_end_and_goes_when_the_stage_is_complete(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        checkpoints_of(folder).mkdir()
        (checkpoints_of(folder) / "epoch").write_text("1")
        raise TrainingError("cut off")

    def go_on(folder: Path) -> None:
        assert (checkpoints_of(folder) / "epoch").read_text() == "1"
        build(folder)

    with pytest.raises(TrainingError, match="cut off"):
        run_stage(tmp_path, "name", 1, {"n": 1}, fail)
    other = run_stage(tmp_path, "name", 1, {"n": 2}, lambda folder: (folder / "kept").mkdir(exist_ok=False))
    stage = run_stage(tmp_path, "name", 1, {"n": 1}, go_on)
    assert set(tmp_path.iterdir()) == {stage.folder, other.folder}
    assert sorted(stage.files) == ["deep/one", "two"]


def test_a_run_killed_between_the_stage_and_its_checkpoints_is_tidied(tmp_path: Path) -> None:
    stage = make(tmp_path)
    (tmp_path / f"{stage.key}.checkpoints").mkdir()
    assert make(tmp_path).reused
    assert list(tmp_path.iterdir()) == [stage.folder]


def test_checkpoints_bear_the_key_of_their_stage(tmp_path: Path) -> None:
    assert key_of(tmp_path / "0a1b.partial") == "0a1b"
    assert checkpoints_of(tmp_path / "0a1b.partial") == tmp_path / "0a1b.checkpoints"


@pytest.mark.parametrize("name", ["two", RECORD_FILE])
def test_a_stage_that_lost_a_file_is_made_again(tmp_path: Path, name: str) -> None:
    (make(tmp_path).folder / name).unlink()
    again = make(tmp_path)
    assert not again.reused
    assert snapshot(again.folder) == {"one": b"whole", "two": b"2"}


def test_a_stage_with_a_file_cut_short_is_made_again(tmp_path: Path) -> None:
    (make(tmp_path).folder / "deep" / "one").write_text("wh")
    assert not make(tmp_path).reused


def test_checksums_name_the_files_that_match(tmp_path: Path) -> None:
    stage = make(tmp_path)
    assert stage.checksums("deep/*") == {"deep/one": stage.files["deep/one"].sha256}
    assert sorted(stage.checksums("two", "deep/*")) == ["deep/one", "two"]
    with pytest.raises(WorkspaceError, match=r"Expected three in .*, got \['deep/one', 'two'\]. Remove the folder"):
        stage.checksums("three")


def test_stages_are_found_by_what_they_wrote(tmp_path: Path) -> None:
    first = make(tmp_path)
    second = run_stage(tmp_path, "name", 1, {"n": 2}, build)
    run_stage(tmp_path, "other", 1, {"n": 1}, build)
    run_stage(tmp_path, "name", 1, {"n": 3}, lambda folder: (folder / "two").write_text("3"))
    wanted = {"two": first.files["two"].sha256}
    found = find_stages(tmp_path, "name", wanted)
    assert {(stage.key, inputs["n"]) for stage, inputs in found} == {(first.key, 1), (second.key, 2)}
    (first.folder / "two").unlink()
    assert [stage.key for stage, _ in find_stages(tmp_path, "name", wanted)] == [second.key]
    assert find_stages(tmp_path, "name", {"two": "0" * 64}) == []
    assert find_stages(tmp_path / "absent", "name", wanted) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match=r"Expected to write .*file"):
        make(tmp_path / "file" / "below")


def test_seconds_are_those_of_the_build(tmp_path: Path) -> None:
    stage = run_stage(tmp_path, "name", 1, {}, lambda folder: time.sleep(0.05))
    assert 0.05 <= stage.seconds < 5
