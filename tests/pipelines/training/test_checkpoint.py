import numpy as np
import pytest
import tensorflow as tf

from pipelines.training.checkpoint import CHECKPOINT_FILE, Checkpoint, Course, Point
from recsys.errors import WorkspaceError

POINT = Point(loss=0.1, validation=1 / 3, learning_rate=0.01, seconds=2.5)


def variables(*values):
    return [tf.Variable(value) for value in values]


def course():
    return Course(1 / 3, [np.array([7.0], np.float32), np.array(8, np.int64)], 1, [POINT])


def test_what_was_saved_comes_back_to_the_bit(tmp_path):
    saved = variables(np.array([[0.1, -0.0], [np.float32(1e-45), 3.0]], np.float32), np.int64(2**40))
    Checkpoint(tmp_path / "fit", saved).save(course())
    fresh = variables(np.zeros((2, 2), np.float32), np.int64(0))
    found = Checkpoint(tmp_path / "fit", fresh).restore()
    assert [variable.numpy().tobytes() for variable in fresh] == [variable.numpy().tobytes() for variable in saved]
    assert (found.best_value, found.best_epoch, found.points) == (1 / 3, 1, [POINT])
    assert (found.epoch, found.seconds) == (1, 2.5)
    assert [(array.dtype, array.tolist()) for array in found.best_weights] == [(np.float32, [7.0]), (np.int64, 8)]


def test_more_than_ten_variables_keep_their_order(tmp_path):
    Checkpoint(tmp_path, variables(*map(float, range(12)))).save(course())
    fresh = variables(*[0.0] * 12)
    Checkpoint(tmp_path, fresh).restore()
    assert [float(variable) for variable in fresh] == list(map(float, range(12)))


def test_nothing_saved_is_nothing_to_take_up(tmp_path):
    assert Checkpoint(tmp_path / "absent", variables(1.0)).restore() is None


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_a_damaged_file_is_nothing_to_take_up(tmp_path, content):
    Checkpoint(tmp_path, variables(5.0)).save(course())
    path = tmp_path / CHECKPOINT_FILE
    path.write_bytes(path.read_bytes()[:-40] if content is None else content)
    fresh = variables(1.0)
    assert Checkpoint(tmp_path, fresh).restore() is None
    assert float(fresh[0]) == 1.0


@pytest.mark.parametrize("others", [[1.0, 2.0], [np.zeros(2, np.float32)], [np.int64(1)]])
def test_the_state_of_another_structure_is_not_taken_up(tmp_path, others):
    Checkpoint(tmp_path, variables(5.0)).save(course())
    fresh = variables(*others)
    assert Checkpoint(tmp_path, fresh).restore() is None
    assert [variable.numpy().tolist() for variable in fresh] == [np.asarray(other).tolist() for other in others]


def test_what_a_killed_writer_left_is_cleared(tmp_path):
    (tmp_path / f".{CHECKPOINT_FILE}.0123456789ab.partial").write_bytes(b"half")
    assert Checkpoint(tmp_path, variables(1.0)).restore() is None
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match=rf"Expected to write .* bytes to .*{CHECKPOINT_FILE}"):
        Checkpoint(tmp_path / "file", variables(1.0)).save(course())
