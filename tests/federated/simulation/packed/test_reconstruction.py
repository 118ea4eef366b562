"""Reconstruction on numbers that can be checked on paper: a weight of the server, and one of each person."""

import numpy as np
import pytest
import tensorflow as tf

from federated.simulation.packed.reconstruction import Reconstruction
from federated.simulation.packed.store import hold_store
from federated.simulation.packed.training import mean_per_user

FIELDS = {"target": (np.float32, ())}


class Sum:
    """The loss of an example is half the square of what both weights, the person's own one first, miss it by."""

    weight_shapes = ((), ())

    def __init__(self):
        self.shared = {}

    def differentiate(self, weights, batch, shared, present):
        miss = (weights[0] + weights[1])[:, None] - batch["target"]
        gradient = mean_per_user(miss, present)
        return mean_per_user(tf.square(miss) / 2, present), [gradient, gradient]


def reconstruct(tmp_path, people, run, **options):
    with hold_store(tmp_path / "examples", FIELDS, 100) as store:
        extents = [store.add(str(place), {"target": np.float32(targets)}) for place, targets in enumerate(people)]
        settings = {"batch_size": 2, "num_epochs": 1, "learning_rate": 0.5, "local": frozenset({0})}
        settings |= {"reconstruction_epochs": 1, "reconstruction_rate": 1.0} | options
        training = Reconstruction(Sum(), store.columns, **settings)
        rows, counts = (tf.constant([getattr(one, name) for one in extents]) for name in ("start", "count"))
        return run(training, [tf.constant(3.0), tf.constant(1.0)], rows, counts)  # the server's, the person's own


def test_the_own_weight_is_made_from_even_batches_and_the_servers_trained_on_odd_ones(tmp_path):
    # Batch (6, 8) takes the own weight from 1 by 7 - 4 to 4; on (4, 5) the server's 3 misses 4.5 by 2.5: 1.25 less.
    own = reconstruct(tmp_path, [[6, 8, 4, 5]], lambda training, *given: training.train_each(*given))
    np.testing.assert_allclose(own.update[0], [1.25])
    assert len(own.update) == 1
    np.testing.assert_allclose(own.weight, [2])
    np.testing.assert_allclose(own.loss, [(3**2 + 2**2) / 2])


def test_only_examples_of_odd_batches_count(tmp_path):
    # Of 5, 3 and 1 examples in batches of two: 2, 1 and none, twice over.
    people = [[6, 8, 4, 5, 9], [6, 8, 4], [6]]
    own = reconstruct(tmp_path, people, lambda training, *given: training.train_each(*given), num_epochs=2)
    np.testing.assert_allclose(own.weight, [4, 2, 0])
    assert float(own.update[0][2]) == 0


def test_the_tower_of_a_person_has_the_servers_weights_and_their_own_in_its_order(tmp_path):
    weights = reconstruct(tmp_path, [[6, 8, 4, 5]], lambda training, *given: training.reconstruct(*given))
    np.testing.assert_allclose(weights, [[4], [3]])


def test_on_a_device_that_trains_nothing_else_all_examples_serve(tmp_path):
    # After 4 the second batch takes the own weight on to 4.5 - 3.
    weights = reconstruct(tmp_path, [[6, 8, 4, 5]], lambda training, *given: training.reconstruct(*given, True))
    np.testing.assert_allclose(weights, [[1.5], [3]])


def test_a_pack_sends_nothing_of_the_own_weights(tmp_path):
    result = reconstruct(tmp_path, [[6, 8, 4, 5], [1, 2, 3]], lambda training, *given: training.train(*given))
    assert [part.shape.as_list() for part in result.update] == [[]]
    assert float(result.weight) == pytest.approx(3)
