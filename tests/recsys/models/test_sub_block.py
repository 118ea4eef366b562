from __future__ import annotations

import numpy as np
import pytest

from recsys.cascade.rerank import Reranker
from recsys.config.federated import DeviceSettings
from recsys.contracts.bundle import DEVICE_TOWER_FILE, DEVICE_TRAINING_FILE
from recsys.models.device_export import export_device_files
from recsys.models.device_tower import build_device_tower
from recsys.models.sub_block import cut_tower, cut_weights, mask_weights, shrink

DIM = 4
SETTINGS = DeviceSettings(history_length=3, hidden_units=(8, 6), num_candidates=5, batch_size=2)


@pytest.fixture(scope="module")
def tower():
    rng = np.random.default_rng(0)
    tower = build_device_tower(DIM, SETTINGS)
    for variable in tower.trainable_weights:
        variable.assign(variable + 0.3 * rng.standard_normal(variable.shape))
    return tower


def test_a_size_is_a_share_of_each_hidden_layer_rounded_up():
    assert [shrink(SETTINGS, size).hidden_units for size in (0.01, 0.25, 0.5, 1.0)] == [(1, 1), (2, 2), (4, 3), (8, 6)]


def test_a_block_is_the_leading_units_with_all_inputs_and_all_outputs():
    sharpness, recency, kernel, bias, deeper, _, prior, correction = mask_weights(DIM, SETTINGS, 0.5)
    assert (sharpness, recency.tolist(), prior.tolist()) == (1, [1, 1, 1], [[1], [1]])
    assert kernel.sum(axis=0).tolist() == [5 + 2 * DIM] * 4 + [0] * 4
    assert bias.tolist() == [1] * 4 + [0] * 4
    assert deeper[:4, :3].all()
    assert deeper.sum() == 12
    assert correction[:, 0].tolist() == [1] * 3 + [0] * 3


def test_the_whole_size_is_all_weights(tower):
    weights = tower.get_weights()
    assert all(mask.all() for mask in mask_weights(DIM, SETTINGS, 1.0))
    for own, whole in zip(cut_weights(weights, DIM, SETTINGS, 1.0), weights, strict=True):
        np.testing.assert_array_equal(own, whole)


@pytest.mark.parametrize("size", [0.25, 0.5])
def test_an_exported_block_scores_as_the_whole_tower_whose_rest_is_zero(tower, size):
    rng = np.random.default_rng(1)
    block, smaller = cut_tower(tower, DIM, SETTINGS, size)
    zeroed = build_device_tower(DIM, SETTINGS)
    for variable, whole, mask in zip(
        zeroed.trainable_weights, tower.trainable_weights, mask_weights(DIM, SETTINGS, size), strict=True
    ):
        variable.assign(whole * mask)
    lists = [rng.standard_normal(shape).astype(np.float32) for shape in ((5, DIM), (5,), (DIM,), (3, DIM))]
    small, large = export_device_files(block, smaller), export_device_files(zeroed, SETTINGS)
    expected = Reranker(large[DEVICE_TOWER_FILE]).rerank(*lists)
    assert len(small[DEVICE_TOWER_FILE]) < len(large[DEVICE_TOWER_FILE])
    np.testing.assert_allclose(Reranker(small[DEVICE_TOWER_FILE]).rerank(*lists), expected, atol=1e-5)
    np.testing.assert_allclose(Reranker(small[DEVICE_TRAINING_FILE], "infer").rerank(*lists), expected, atol=1e-5)
