import numpy as np
import pytest

from federated.device.examples import Choice
from federated.device.gate import Order
from federated.device.personal import PersonalTower, split_choices
from recsys.config.federated import DeviceSettings, PersonalSettings
from recsys.models.device_export import export_device_training
from recsys.models.device_tower import build_device_tower

DIM, NUM_ITEMS = 8, 60
DEVICE = DeviceSettings(history_length=5, hidden_units=(7, 4), num_candidates=6, batch_size=4)
PERSONAL = PersonalSettings(learning_rate=0.3, local_epochs=10, margin=0.5, fallback="cloud")


@pytest.fixture(scope="module")
def vectors():
    drawn = np.random.default_rng(1).normal(size=(NUM_ITEMS + 1, DIM)).astype(np.float32)
    drawn[0] = 0
    return drawn


@pytest.fixture(scope="module")
def model():
    return export_device_training(build_device_tower(DIM, DEVICE, seed=3), DEVICE)


@pytest.fixture
def tower(model, vectors):
    return PersonalTower(model, vectors, DEVICE, PERSONAL)


def contrarian_choices(count, vectors, seed=0):
    """Of a person who always takes what the cloud puts last."""
    rng = np.random.default_rng(seed)
    choices = []
    for _ in range(count):
        items = rng.permutation(np.arange(1, NUM_ITEMS + 1))[:12].astype(np.int32)
        scores = np.linspace(2, -2, 12).astype(np.float32)
        query = rng.normal(size=DIM).astype(np.float32)
        choices.append(Choice(int(items[-1]), items, scores, query, rng.integers(1, NUM_ITEMS, 5).astype(np.int32)))
    return choices


def scores_of(reranker, choice, vectors):
    return reranker.rerank(vectors[choice.candidates], choice.cloud_scores, choice.query, vectors[choice.history])


def test_the_own_tower_serves_a_person_whom_the_others_do_not(tower, vectors):
    tower.train(contrarian_choices(30, vectors), np.random.default_rng(0))
    assert tower.decide(contrarian_choices(20, vectors, seed=1)) is Order.PERSONAL


def test_where_the_cloud_is_always_right_its_order_stays(tower, vectors):
    tower.train(contrarian_choices(30, vectors), np.random.default_rng(0))
    right = [
        Choice(int(choice.candidates[0]), choice.candidates, choice.cloud_scores, choice.query, choice.history)
        for choice in contrarian_choices(20, vectors, seed=1)
    ]
    assert tower.decide(right) is Order.CLOUD


def test_training_moves_the_own_tower_and_leaves_the_global_one(tower, vectors):
    (probe,) = contrarian_choices(1, vectors, seed=4)
    before = scores_of(tower.general, probe, vectors)
    np.testing.assert_array_equal(scores_of(tower.own, probe, vectors), before)
    tower.train(contrarian_choices(8, vectors), np.random.default_rng(0))
    assert np.abs(scores_of(tower.own, probe, vectors) - before).max() > 0.1
    np.testing.assert_array_equal(scores_of(tower.general, probe, vectors), before)


def test_the_next_person_starts_from_the_global_tower(tower, model, vectors):
    tower.train(contrarian_choices(8, vectors), np.random.default_rng(0))
    update = tower.train(contrarian_choices(5, vectors, seed=7), np.random.default_rng(1))
    fresh = PersonalTower(model, vectors, DEVICE, PERSONAL)
    expected = fresh.train(contrarian_choices(5, vectors, seed=7), np.random.default_rng(1))
    np.testing.assert_array_equal(update.weights, expected.weights)


def test_a_person_without_choices_keeps_the_global_tower_and_the_clouds_order(tower, vectors):
    (probe,) = contrarian_choices(1, vectors)
    tower.train([], np.random.default_rng(0))
    np.testing.assert_array_equal(scores_of(tower.own, probe, vectors), scores_of(tower.general, probe, vectors))
    assert tower.decide([]) is Order.CLOUD


def test_lists_that_lack_the_choice_prove_nothing(tower, vectors):
    tower.train(contrarian_choices(30, vectors), np.random.default_rng(0))
    missed = [
        Choice(
            NUM_ITEMS,
            choice.candidates[choice.candidates != NUM_ITEMS][:5],
            choice.cloud_scores[:5],
            choice.query,
            choice.history,
        )
        for choice in contrarian_choices(20, vectors, seed=1)
    ]
    assert tower.decide(missed) is Order.CLOUD


def test_the_towers_own_sizes_count(model, vectors):
    tower = PersonalTower(model, vectors, DeviceSettings(), PERSONAL)
    assert np.isfinite(tower.train(contrarian_choices(5, vectors), np.random.default_rng(0)).weights).all()


@pytest.mark.parametrize(
    ("count", "share", "trained"), [(0, 0.5, 0), (1, 0.5, 1), (4, 0.5, 2), (5, 0.5, 3), (9, 0.25, 7)]
)
def test_the_earlier_choices_are_trained_on(count, share, trained):
    assert split_choices(count, share) == trained
