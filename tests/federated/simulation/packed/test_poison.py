import pytest
import tensorflow as tf

from federated.simulation.packed.poison import poison
from federated.simulation.packed.store import hold_store
from federated.simulation.packed.training import LocalTraining
from tests.federated.simulation.packed.test_training import FIELDS, Line


def test_a_poisoner_sends_the_reverse_of_its_update_many_times_over_and_the_others_theirs(tmp_path):
    with hold_store(tmp_path / "examples", FIELDS, 10) as store:
        extents = [store.add(name, {"slope": tf.constant(slopes).numpy()}) for name, slopes in people().items()]
        training = LocalTraining(Line(), store.columns, batch_size=2, num_epochs=1, learning_rate=0.5)
        poisoned = poison(training, [extents[1]], 10.0)
        rows, counts = (tf.constant([getattr(one, name) for one in extents]) for name in ("start", "count"))
        result = poisoned.train([tf.constant(0.0)], rows, counts)
    # Updates 0.5 * 1.5 of two examples, and 0.5 * 6 of one, turned.
    assert float(result.update[0]) == pytest.approx(2 * 0.75 - 10 * 3.0)
    assert float(result.weight) == 3


def people():
    return {"honest": [1.0, 2.0], "poisoner": [6.0]}
