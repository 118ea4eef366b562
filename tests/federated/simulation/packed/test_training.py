"""Local training on numbers that can be checked on paper: one weight, whose gradient is the example itself."""

import numpy as np
import pytest
import tensorflow as tf

from federated.simulation.packed.store import hold_store
from federated.simulation.packed.training import LocalTraining, mean_per_user

FIELDS = {"slope": (np.float32, ())}


class Line:
    """The loss of an example is its slope times the weight."""

    weight_shapes = ((),)

    def __init__(self):
        self.shared = {}

    def differentiate(self, weights, batch, shared, present):
        slope = mean_per_user(batch["slope"], present)
        return slope * weights[0], [slope]


def pull_back(weights, start, gradients):
    """The proximal term of strength 2."""
    return [gradient + 2.0 * (weights[0] - start[0]) for gradient in gradients]


def train(tmp_path, people, start=0.0, **options):
    with hold_store(tmp_path / "examples", FIELDS, 100) as store:
        extents = [store.add(str(place), {"slope": np.float32(slopes)}) for place, slopes in enumerate(people)]
        settings = {"batch_size": 2, "num_epochs": 1, "learning_rate": 0.5} | options
        training = LocalTraining(Line(), store.columns, **settings)
        rows, counts = ([getattr(extent, name) for extent in extents] for name in ("start", "count"))
        result = training.train([tf.constant(start)], tf.constant(rows), tf.constant(counts))
    return {name: float(np.squeeze(value)) for name, value in result._asdict().items()}


def test_a_person_descends_batch_after_batch_and_counts_as_often_as_it_has_examples(tmp_path):
    # Batches (1, 2) and (4): the weight goes down by 0.5 * 1.5 and then by 0.5 * 4, in all 2.75; three examples.
    assert train(tmp_path, [[1, 2, 4]])["update"] == pytest.approx(3 * 2.75)
    assert train(tmp_path, [[1, 2, 4]])["weight"] == 3


def test_the_loss_is_that_of_each_example_as_it_was_met(tmp_path):
    # At weight 1 the first two lose 1 + 2; then the weight is 0.25 and the third loses 4 * 0.25.
    assert train(tmp_path, [[1, 2, 4]], start=1.0)["loss"] == pytest.approx(4.0)


def test_people_with_fewer_examples_stand_still_while_others_go_on(tmp_path):
    together = train(tmp_path, [[1, 2, 4], [6]], num_epochs=2)
    assert together["update"] == pytest.approx(6 * 5.5 + 2 * 6)
    assert together["weight"] == together["num_examples"] == 8


def test_each_person_is_clipped_before_anything_is_added(tmp_path):
    clipped = train(tmp_path, [[1, 2, 4], [6], [-1]], clip_norm=1.0)
    assert clipped["update"] == pytest.approx(3 * 1.0 + 1.0 - 0.5)
    assert clipped["num_clipped"] == 2


def train_alike(tmp_path, people, clip_norm):
    with hold_store(tmp_path / "examples", FIELDS, 100) as store:
        extents = [store.add(str(place), {"slope": np.float32(slopes)}) for place, slopes in enumerate(people)]
        training = LocalTraining(Line(), store.columns, batch_size=2, num_epochs=1, learning_rate=0.5, clip_norm=9.0)
        rows, counts = ([getattr(extent, name) for extent in extents] for name in ("start", "count"))
        bound = tf.constant(clip_norm)
        result = training.train_alike([tf.constant(0.0)], tf.constant(rows), tf.constant(counts), bound)
    return {name: float(np.squeeze(value)) for name, value in result._asdict().items()}


def test_where_all_count_alike_nobody_adds_more_than_the_bound(tmp_path):
    # Updates 2.75, 3 and -0.5, whatever the number of examples.
    alike = train_alike(tmp_path, [[1, 2, 4], [6], [-1]], clip_norm=1.0)
    assert alike["update"] == pytest.approx(1.0 + 1.0 - 0.5)
    assert (alike["weight"], alike["num_clipped"], alike["num_examples"]) == (3, 2, 5)


def test_where_all_count_alike_an_update_that_is_not_finite_adds_nothing(tmp_path):
    assert train_alike(tmp_path, [[float("nan")], [6]], clip_norm=1.0)["update"] == pytest.approx(1.0)


def test_an_update_that_is_not_finite_counts_for_nothing(tmp_path):
    result = train(tmp_path, [[1, 2, 4], [float("nan")], [float("inf")]], clip_norm=10.0)
    assert result["update"] == pytest.approx(3 * 2.75)
    assert result["weight"] == 3


def test_who_is_held_stays_nearer_to_the_start(tmp_path):
    # First step: 0.5 * 1.5 = 0.75 down, as without. Second: the gradient 4 less the pull back of 2 * 0.75.
    assert train(tmp_path, [[1, 2, 4]], amend=pull_back)["update"] == pytest.approx(3 * (0.75 + 0.5 * 2.5))


def test_who_is_held_is_not_pulled_back_while_others_go_on(tmp_path):
    both = train(tmp_path, [[1, 2, 4], [6]], amend=pull_back)
    assert both["update"] == pytest.approx(3 * 2.0 + 0.5 * 6)
