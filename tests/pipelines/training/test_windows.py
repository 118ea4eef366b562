import numpy as np
import pytest

from pipelines.training.examples import Sequences
from pipelines.training.windows import WindowBatches, cut_windows


def sequences(*lengths, num_validation=0):
    """Users of some lengths; the item at place p is p + 1; the last `num_validation` of each are validation."""
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    is_validation = np.zeros(offsets[-1], bool)
    for end in offsets[1:]:
        is_validation[end - num_validation : end] = num_validation > 0
    return Sequences(offsets, np.arange(1, offsets[-1] + 1, dtype=np.int32), is_validation)


@pytest.mark.parametrize("seed", range(5))
def test_every_training_item_is_a_target_exactly_once(seed):
    users = sequences(1, 23, 2, 10, num_validation=1)
    windows = cut_windows(users, 5, np.random.default_rng(seed))
    covered = [place for start, end in zip(windows.starts, windows.ends, strict=True) for place in range(start, end)]
    assert sorted(covered) == [*range(1, 23), 24, *range(26, 35)]
    assert (windows.ends - windows.starts <= 5).all()
    assert (windows.starts >= users.offsets[windows.users]).all()


def test_long_histories_are_cut_elsewhere_each_epoch_and_short_ones_never():
    users = sequences(4, 23)
    starts = {tuple(cut_windows(users, 5, np.random.default_rng(seed)).starts) for seed in range(20)}
    assert len(starts) == 5
    assert all(first == 0 for first, *_ in starts)


def test_each_target_stands_beside_the_item_before_it_and_context_reaches_back_past_the_targets():
    batches = WindowBatches(sequences(7), num_items=7, length=4, batch_size=8, num_negatives=10, seed=0)
    rows = next(iter(batches.epoch(1)))
    for history, target in zip(rows["history"], rows["target"], strict=True):
        for place in range(4):
            if target[place]:
                assert history[place] == target[place] - 1
    last = rows["history"][rows["target"][:, -1] == 7][0]
    assert last.tolist() == [3, 4, 5, 6]


def test_no_item_of_the_validation_period_reaches_a_batch():
    batches = WindowBatches(sequences(9, 6, num_validation=2), 15, 4, 8, num_negatives=20, seed=0)
    seen = {item for epoch in (1, 2) for rows in batches.epoch(epoch) for item in rows["target"].ravel().tolist()}
    fed = {item for epoch in (1, 2) for rows in batches.epoch(epoch) for item in rows["history"].ravel().tolist()}
    assert seen == {0, *range(1, 8), *range(10, 14)}
    assert fed <= seen


def test_a_small_catalogue_is_taken_whole_and_needs_no_correction():
    batches = WindowBatches(sequences(7), num_items=9, length=4, batch_size=8, num_negatives=9, seed=0)
    rows = next(iter(batches.epoch(1)))
    assert rows["items"].tolist() == list(range(10))
    assert not rows["log_probability"].any()


def test_candidates_of_a_large_catalogue_are_distinct_and_hold_all_items_of_the_batch():
    users = sequences(30)
    batches = WindowBatches(users, num_items=500, length=4, batch_size=2, num_negatives=20, seed=0)
    for rows in batches.epoch(1):
        items = rows["items"]
        assert items[0] == 0
        assert len(np.unique(items)) == len(items)
        assert 20 < len(items) <= 20 + 1 + 2 * 5
        for history, target in zip(items[rows["history"]], items[rows["target"]], strict=True):
            counts = target > 0
            np.testing.assert_array_equal(history[counts], target[counts] - 1)


def test_the_correction_is_the_chance_to_be_a_candidate():
    items = np.array([1, 1, 1, 2], np.int32)
    users = Sequences(np.array([0, 4]), items, np.zeros(4, bool))
    batches = WindowBatches(users, num_items=4, length=2, batch_size=1, num_negatives=1, seed=0)
    rows = next(iter(batches.epoch(1)))
    by_item = dict(zip(rows["items"].tolist(), np.exp(rows["log_probability"]).tolist(), strict=True))
    assert by_item[1] == pytest.approx(1 - (1 / 4) ** 2 * (3 / 4))


def test_an_epoch_depends_on_the_seed_and_its_number_alone():
    def draw(seed, epoch):
        batches = WindowBatches(sequences(30, 12), 50, 4, 3, num_negatives=5, seed=seed)
        return np.concatenate([rows["items"] for rows in batches.epoch(epoch)]).tolist()

    assert draw(1, 2) == draw(1, 2)
    assert draw(1, 2) != draw(1, 3)
    assert draw(1, 2) != draw(2, 2)
