import tensorflow as tf

from pipelines.training.checkpoint import Point
from pipelines.training.curves import Curves

FIRST = Point(loss=4.0, validation=0.25, learning_rate=0.5, seconds=1.0)
SECOND = Point(loss=2.0, validation=0.5, learning_rate=0.25, seconds=2.0)


def read(folder):
    """Returns (step, name, value) of all that a run holds."""
    found = []
    for path in sorted(folder.iterdir()):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            found += [(event.step, value.tag, float(tf.make_ndarray(value.tensor))) for value in event.summary.value]
    return found


def told(epoch, point):
    names = ("loss", "validation", "learning_rate", "seconds")
    return [(epoch, name, getattr(point, name)) for name in names]


def test_each_epoch_can_be_seen_at_once(tmp_path):
    curves = Curves(tmp_path / "run", [])
    curves.add(1, FIRST)
    assert read(tmp_path / "run") == told(1, FIRST)
    curves.add(2, SECOND)
    assert read(tmp_path / "run") == told(1, FIRST) + told(2, SECOND)
    curves.close()


def test_a_run_that_is_taken_up_holds_each_epoch_once(tmp_path):
    cut_off = Curves(tmp_path / "run", [])
    cut_off.add(1, FIRST)
    cut_off.add(2, FIRST)
    cut_off.close()
    resumed = Curves(tmp_path / "run", [FIRST])
    resumed.add(2, SECOND)
    resumed.close()
    assert read(tmp_path / "run") == told(1, FIRST) + told(2, SECOND)
