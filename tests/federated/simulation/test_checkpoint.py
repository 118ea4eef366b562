import resource

import numpy as np
import pytest

from federated.simulation.checkpoint import RoundMetrics, RunFolder
from recsys.errors import FederationError, WorkspaceError

LEAVES = [np.arange(6, dtype=np.float32).reshape(2, 3), np.asarray(7, np.int64), np.zeros((0, 2), np.float32)]


def rounds(count):
    return [RoundMetrics(number, 5, 20, 1.5, 0.25, 0.5, 100.0) for number in range(1, count + 1)]


def test_what_is_loaded_is_what_was_saved(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.save(rounds(1), LEAVES)
    checkpoint = folder.load(10)
    assert checkpoint.rounds == tuple(rounds(1))
    for loaded, leaf in zip(checkpoint.leaves, LEAVES, strict=True):
        assert loaded.dtype == leaf.dtype
        np.testing.assert_array_equal(loaded, leaf)


def test_a_new_run_has_no_checkpoint(tmp_path):
    assert RunFolder(tmp_path / "run").load(10) is None


def test_the_latest_round_within_the_plan_is_loaded(tmp_path):
    folder = RunFolder(tmp_path)
    for count in (1, 2, 3):
        folder.save(rounds(count), [np.asarray(count)])
    assert folder.load(10).leaves == (3,)
    assert folder.load(2).leaves == (2,)
    assert folder.load(2).rounds == tuple(rounds(2))


def test_a_round_whose_state_was_not_written_did_not_finish(tmp_path):
    folder = RunFolder(tmp_path)
    for count in (1, 2):
        folder.save(rounds(count), [np.asarray(count)])
    (tmp_path / "state-00002.npz").unlink()  # killed between the two files
    assert folder.load(10).rounds == tuple(rounds(1))


def test_on_a_full_disk_the_run_stays_as_it_was(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.save(rounds(1), LEAVES)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, hard))  # holds the lines of two rounds, and not this state
    try:
        with pytest.raises(WorkspaceError, match=r"state-00002.npz, got: File too large. Nothing was changed. Free"):
            folder.save(rounds(2), [np.zeros(1_000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert folder.load(10).rounds == tuple(rounds(1))
    assert sorted(path.name for path in folder.root.iterdir()) == ["rounds.jsonl", "state-00001.npz"]


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 cut off", b"no zip"])
def test_a_damaged_state_is_named(tmp_path, damage):
    folder = RunFolder(tmp_path)
    folder.save(rounds(1), LEAVES)
    (tmp_path / "state-00001.npz").write_bytes(damage)
    with pytest.raises(FederationError, match=r"state of finished rounds in .* Remove the folder to start over"):
        folder.load(10)


@pytest.mark.parametrize("text", ["", "{}\n", "nonsense\n", '{"round_number": 2}\n'])
def test_damaged_metrics_are_named(tmp_path, text):
    folder = RunFolder(tmp_path)
    folder.save(rounds(1), LEAVES)
    (tmp_path / "rounds.jsonl").write_text(text)
    with pytest.raises(FederationError, match="Remove the folder to start over"):
        folder.load(10)
