"""Packed training of submodels beside one person at a time with whole tables, and how hot rows are."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from federated.device.sequence import NUM_TABLES, score_all
from federated.simulation.algorithms.fed_sub_avg import correct
from federated.simulation.packed.store import hold_store
from federated.simulation.strict.sequence_tower import PackedSequenceTower, ask_each, submodel_fields
from federated.simulation.strict.submodels import SubmodelTraining, expect_heat
from federated.simulation.strict.tower_rounds import draw_cohort, to_fields
from recsys.config.federated import StrictTowerSettings
from tests.federated.simulation.strict.tower_rehearsal import NUM_ITEMS, draw_histories, draw_weights, train_alone

SETTINGS = StrictTowerSettings(
    dim=4, history_length=5, num_heads=2, head_dim=3, num_negatives=3, local_epochs=3, learning_rate=0.3
)


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def test_each_choice_asks_as_a_device_would_that_had_chosen_no_more(rng):
    people = [draw_weights(rng, SETTINGS) for _ in range(2)]
    histories = rng.integers(0, NUM_ITEMS, (2, SETTINGS.history_length)).astype(np.int32)
    weights = type(people[0])(*(tf.stack(parts) for parts in zip(*people, strict=True)))
    vectors = tf.gather(weights.rows, histories, batch_dims=1)
    asked = ask_each(weights, vectors).numpy()
    for person, (own, history) in enumerate(zip(people, histories, strict=True)):
        for length in range(1, len(history) + 1):
            scores = own.rows @ asked[person, length - 1] * np.exp(own.sharpness) + own.biases
            np.testing.assert_allclose(scores, score_all(own, history[:length]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("clip_norm", [0.0, 0.5])
def test_a_pack_gives_the_sum_of_what_people_with_whole_tables_do_alone(clip_norm, rng, tmp_path):
    start = draw_weights(rng, SETTINGS)
    submodels = dict(draw_cohort(draw_histories(), NUM_ITEMS, SETTINGS, seed=3, round_number=1))
    with hold_store(tmp_path / "store", submodel_fields(SETTINGS), len(submodels)) as store:
        extents = [store.add(str(name), to_fields(submodel)) for name, submodel in submodels.items()]
        training = SubmodelTraining(
            PackedSequenceTower([part.shape for part in start]),
            store.columns,
            1,
            SETTINGS.local_epochs,
            SETTINGS.learning_rate,
            clip_norm,
            num_tables=NUM_TABLES,
        )
        rows = tf.constant([extent.start for extent in extents], tf.int32)
        result = tf.function(training.train)([tf.constant(part) for part in start], rows, tf.ones_like(rows))
    alone = [train_alone(start, submodel, SETTINGS, clip_norm) for submodel in submodels.values()]
    for together, parts in zip(result.update, zip(*alone, strict=True), strict=True):
        np.testing.assert_allclose(together, np.sum(parts, axis=0), atol=1e-5)
    assert float(result.weight) == len(alone)
    assert float(result.num_examples) == 3 * len(alone)
    assert float(result.num_clipped) > 0 if clip_norm else float(result.num_clipped) == 0


def test_rows_are_touched_by_who_chose_them_and_by_who_is_likely_to_draw_them():
    # Ten people draw one of four items each: everybody who did not choose an item touches it one time in four.
    heat = expect_heat(np.int64([10, 0, 2, 6]), 10, 1)
    assert heat.tolist() == [10, 2.5, 4, 7]
    np.testing.assert_allclose(correct(heat, 10), [1, 4, 2.5, 10 / 7], rtol=1e-6)


def test_where_everybody_draws_all_items_each_row_is_touched_by_all():
    assert expect_heat(np.int64([1, 3]), 5, 7).tolist() == [5, 5]
