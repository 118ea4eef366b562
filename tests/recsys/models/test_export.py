"""The law of the cloud's exported towers: each equals the Keras tower, for any length, with built-in operations."""

import numpy as np
import pytest
import tensorflow as tf

from recsys.features.catalogue import MAX_CATEGORIES
from recsys.features.ranking import RANKING_FEATURES
from recsys.features.tasks import TASKS
from recsys.models.export import INT8_BOUND, export_item_tower, export_query_tower, export_ranker
from recsys.models.item_tower import ItemTower
from recsys.models.query_tower import QueryTower
from recsys.models.ranker import Ranker
from recsys.runtime.tower import Tower
from tests.recsys.models.conftest import DIM, HISTORY_LENGTH, NUM_CATEGORIES, NUM_ITEMS, RANKER


def normal(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def mask(length, seen):
    return (np.arange(length) >= length - seen).astype(np.float32)[None]


def item_inputs(rng, count):
    items = rng.integers(0, NUM_ITEMS + 1, count).astype(np.int32)
    return {
        "item_index": items,
        "categories": rng.integers(0, NUM_CATEGORIES + 1, (count, MAX_CATEGORIES)).astype(np.int32),
    }


def query_inputs(rng, count):
    seen = count % (HISTORY_LENGTH + 1)
    return {"history": normal(rng, 1, HISTORY_LENGTH, DIM), "history_mask": mask(HISTORY_LENGTH, seen)}


def ranker_inputs(rng, count):
    features = normal(rng, 1, count, len(RANKING_FEATURES))
    return {"query": normal(rng, 1, DIM), "candidates": normal(rng, 1, count, DIM), "features": features}


CASES = {
    "item_tower": (export_item_tower, "embed", "vector", item_inputs, lambda tower, given: tower(**given)),
    "query_tower": (
        export_query_tower,
        "encode",
        "query",
        query_inputs,
        lambda tower, given: tower.encode_last(**given),
    ),
    "ranker": (export_ranker, "rank", "score", ranker_inputs, lambda ranker, given: ranker(given)),
    "multi_task_ranker": (export_ranker, "rank", "score", ranker_inputs, lambda ranker, given: ranker(given)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_exported_tower_equals_the_keras_tower(name, request, shuffle_weights, rng):
    export, signature, output, draw, expected = CASES[name]
    model = shuffle_weights(request.getfixturevalue(name))
    exported = Tower(export(model), signature)
    for count in (1, 7, 20, 0 if name in ("item_tower", "query_tower") else 2):
        given = draw(rng, count)
        outputs = exported(**given)
        assert set(outputs) == {output, *getattr(model, "tasks", ())}
        np.testing.assert_allclose(outputs[output], expected(model, given), atol=1e-4)


def test_the_exported_ranker_gives_the_probability_of_each_task(multi_task_ranker, shuffle_weights, rng):
    multi_task_ranker.calibrate(np.linspace(0.5, 2.0, len(TASKS)), np.linspace(-1.0, 1.0, len(TASKS)))
    given = ranker_inputs(rng, 7)
    outputs = Tower(export_ranker(shuffle_weights(multi_task_ranker)), "rank")(**given)
    probabilities = tf.sigmoid(multi_task_ranker.log_odds(given)).numpy()
    for place, task in enumerate(TASKS):
        np.testing.assert_allclose(outputs[task], probabilities[:, :, place], atol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_equal_towers_give_equal_bytes(name, request):
    export = CASES[name][0]
    build = {
        "item_tower": lambda: ItemTower(NUM_ITEMS, NUM_CATEGORIES, DIM),
        "query_tower": lambda: QueryTower(DIM, HISTORY_LENGTH, num_blocks=1, num_heads=2),
        "ranker": lambda: Ranker(DIM, RANKER),
        "multi_task_ranker": lambda: Ranker(DIM, RANKER, TASKS),
    }[name]
    exports = []
    for _ in range(2):
        tf.keras.utils.set_random_seed(3)
        exports.append(export(build()))
    assert exports[0] == exports[1]


def test_the_int8_query_tower_keeps_within_its_bound_and_takes_less_than_half_the_bytes(shuffle_weights, rng):
    dim, length = 64, 20
    tower = shuffle_weights(QueryTower(dim, length, num_blocks=2, num_heads=2))
    exact, coarse = export_query_tower(tower), export_query_tower(tower, int8=True)
    assert len(coarse) < len(exact) / 2
    encode = Tower(coarse, "encode")
    distances = []
    for seen in (0, 1, 5, length):
        given = {"history": normal(rng, 1, length, dim), "history_mask": mask(length, seen)}
        expected = tower.encode_last(**given).numpy()[0]
        distances.append(np.linalg.norm(encode(**given)["query"][0] - expected) / np.linalg.norm(expected))
    assert max(distances) < INT8_BOUND
    assert max(distances) > 1e-4  # or nothing was rounded


def test_equal_towers_give_equal_int8_bytes():
    exports = []
    for _ in range(2):
        tf.keras.utils.set_random_seed(3)
        exports.append(export_query_tower(QueryTower(64, HISTORY_LENGTH, num_blocks=1, num_heads=2), int8=True))
    assert exports[0] == exports[1]
