from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from recsys.errors import ContractError
from recsys.features.item_to_item import ITEM_TO_ITEM_SCHEMA, PROFILES, ItemToItem, Profile

NUM_ITEMS = 5
COLUMN = {name: column for column, name in enumerate(PROFILES)}


def table(*rows: tuple[str, int, dict[int, float]]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {"kind": kind, "source": source, "targets": list(tied), "weights": list(tied.values())}
            for kind, source, tied in rows
        ],
        schema=ITEM_TO_ITEM_SCHEMA,
    )


TABLE = table(
    ("transitions", 1, {2: 0.5, 3: 0.25}),
    ("transitions", 2, {3: 1.0}),
    ("co_occurrence", 1, {4: 0.5}),
    ("ease", 2, {3: 2.0, 4: -1.0}),
    ("ease", 5, {3: 1.0}),
)


@pytest.fixture
def statistics() -> ItemToItem:
    return ItemToItem.from_table(TABLE, NUM_ITEMS)


def test_recency_halves_the_weight_of_an_item_and_a_floor_bounds_it():
    assert Profile("transitions", floor=0.0, half_life_items=2.0).weights(5).tolist() == pytest.approx(
        [0.25, 2**-1.5, 0.5, 2**-0.5, 1.0]
    )
    assert Profile("ease", floor=0.5, half_life_items=1.0).weights(3).tolist() == [0.625, 0.75, 1.0]
    assert Profile("ease", floor=1.0).weights(3).tolist() == [1.0, 1.0, 1.0]


def test_items_too_long_ago_to_matter_are_left_out():
    assert len(Profile("transitions", floor=0.0, half_life_items=2.0).weights(1000)) == 33  # 2^(-32/2) = 2^-16
    assert len(Profile("ease", floor=0.05, half_life_items=3.0).weights(1000)) == 1000


def test_a_score_adds_what_each_item_of_the_history_says(statistics):
    history = np.asarray([[0, 0, 1, 2]], np.int32)
    scores = statistics.score(history, np.asarray([[3, 4, 2, 5]], np.int32))[0]
    one_back = 2**-0.5
    assert scores[:, COLUMN["transitions"]] == pytest.approx([1.0 + 0.25 * one_back, 0, 0.5 * one_back, 0])
    assert scores[:, COLUMN["co_occurrence"]].tolist() == [0, 0.5, 0, 0]
    assert scores[:, COLUMN["ease"]].tolist() == [2, -1, 0, 0]
    assert scores[:, COLUMN["recent_ease"]].tolist() == [2, -1, 0, 0]


def test_an_older_item_counts_less_where_recency_does(statistics):
    score = statistics.score(np.asarray([[5, 1]], np.int32), np.asarray([[3]], np.int32))[0, 0]
    assert score[COLUMN["ease"]] == 1.0
    assert score[COLUMN["recent_ease"]] == pytest.approx(0.05 + 0.95 * 2 ** (-1 / 3))


def test_lists_are_scored_as_if_alone_and_padding_scores_zero(statistics):
    histories = np.asarray([[0, 1, 2], [0, 0, 0], [5, 2, 1]], np.int32)
    candidates = np.asarray([[3, 4, 0], [3, 1, 2], [2, 3, 3]], np.int32)
    together = statistics.score(histories, candidates)
    for row in range(3):
        alone = statistics.score(histories[row : row + 1], candidates[row : row + 1])
        assert np.array_equal(together[row], alone[0])
    assert not together[0, 2].any()
    assert not together[1].any()
    assert np.array_equal(together[2, 1], together[2, 2])


def test_the_whole_catalogue_is_scored_as_a_list_of_it(statistics):
    history = np.asarray([5, 1, 2], np.int32)
    every = np.arange(NUM_ITEMS + 1, dtype=np.int32)
    listed = statistics.score(history[None], every[None])[0]
    for name, column in COLUMN.items():
        assert statistics.score_all(history, name) == pytest.approx(listed[:, column])


def test_many_lists_equal_dense_matrices():
    rng = np.random.default_rng(5)
    dense = {kind: rng.normal(size=(21, 21)).astype(np.float32) for kind in ("transitions", "co_occurrence", "ease")}
    rows = [
        (kind, source, {target: float(weights[source, target]) for target in range(1, 21)})
        for kind, weights in dense.items()
        for source in range(1, 21)
    ]
    statistics = ItemToItem.from_table(table(*rows), 20)
    histories = rng.integers(1, 21, size=(8, 40)).astype(np.int32)
    candidates = np.stack([rng.permutation(20)[:7] + 1 for _ in range(8)]).astype(np.int32)
    scores = statistics.score(histories, candidates)
    for name, profile in PROFILES.items():
        age = np.arange(39, -1, -1)
        weights = profile.floor + (1 - profile.floor) * 2.0 ** (-age / profile.half_life_items)
        expected = np.einsum("h,rhc->rc", weights, dense[profile.kind][histories[:, :, None], candidates[:, None, :]])
        np.testing.assert_allclose(scores[:, :, COLUMN[name]], expected, atol=1e-3)


def test_a_kind_that_is_absent_scores_zero(statistics):
    without = ItemToItem.from_table(table(("transitions", 1, {2: 0.5})), NUM_ITEMS)
    history, candidates = np.asarray([[1]], np.int32), np.asarray([[2, 3]], np.int32)
    assert without.score(history, candidates)[0, :, COLUMN["ease"]].tolist() == [0, 0]
    assert without.score_all(history[0], "ease").tolist() == [0] * 6
    assert without.score_all(history[0], "transitions").tolist() == [0, 0, 0.5, 0, 0, 0]
    nothing = ItemToItem.from_table(table(), NUM_ITEMS)
    assert not nothing.score(history, candidates).any()


def test_other_columns_are_refused():
    with pytest.raises(ContractError, match=r"Expected item-to-item statistics with columns .* got \['source'\]"):
        ItemToItem.from_table(pa.table({"source": [1]}), NUM_ITEMS)


@pytest.mark.parametrize(
    "rows",
    [
        [("ease", 6, {1: 1.0})],
        [("ease", 1, {6: 1.0})],
        [("ease", 1, {0: 1.0})],
        [("ease", 2, {1: 1.0}), ("ease", 1, {2: 1.0})],
        [("ease", 1, {2: 1.0}), ("ease", 1, {3: 1.0})],
    ],
)
def test_indexes_outside_the_catalogue_and_disorder_are_refused(rows):
    with pytest.raises(ContractError, match="of rising sources, with indexes from 1 to 5, got others"):
        ItemToItem.from_table(table(*rows), NUM_ITEMS)


def test_weights_that_are_not_finite_or_not_one_per_target_are_refused():
    with pytest.raises(ContractError, match="Expected finite weights in item-to-item statistics, got NaN or infinity"):
        ItemToItem.from_table(table(("ease", 1, {2: float("nan")})), NUM_ITEMS)
    uneven = [{"kind": "ease", "source": 1, "targets": [1, 2], "weights": [1.0]}]
    with pytest.raises(ContractError, match="Expected as many weights as targets in each row"):
        ItemToItem.from_table(pa.Table.from_pylist(uneven, schema=ITEM_TO_ITEM_SCHEMA), NUM_ITEMS)
