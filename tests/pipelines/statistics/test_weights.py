from __future__ import annotations

import numpy as np
import pytest

from pipelines.statistics.pairs import UNIT, PairCounts
from pipelines.statistics.weights import keep_strongest, solve_ease, weigh_co_occurrences, weigh_transitions
from recsys.features.item_to_item import ITEM_TO_ITEM_SCHEMA

WIDTH = 4


def counts(cells: dict[tuple[int, int], int]) -> PairCounts:
    keys = [source * WIDTH + target for source, target in cells]
    return PairCounts(np.array(keys, np.int64), np.array(list(cells.values()), np.int64))


def test_a_transition_is_divided_by_its_source_and_discounted_by_its_target() -> None:
    weights = weigh_transitions(counts({(1, 2): 3 * UNIT, (2, 1): UNIT // 2}), np.array([0, 4, 16, 0]), 0.5)
    assert weights.tolist() == [3 / (4 * 4), 0.5 / (16 * 2)]


def test_co_occurrence_is_the_cosine_and_nothing_on_the_diagonal() -> None:
    weights = weigh_co_occurrences(counts({(1, 1): 4, (1, 2): 3, (2, 1): 3, (2, 2): 9}), np.array([0, 4, 9, 0]))
    assert weights.tolist() == [0.0, 0.5, 0.5, 0.0]


def test_ease_is_the_ridge_regression_of_each_item_on_the_others() -> None:
    # People who chose items (1, 2), (1, 2), (1) and (3); item i is predicted by the others, ridge 1, no intercept.
    chosen = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 0], [0, 0, 1]], np.float64)
    gram = counts({(1, 1): 3, (1, 2): 2, (2, 1): 2, (2, 2): 2, (3, 3): 1})
    items, weights = solve_ease(gram, WIDTH, 1.0)
    assert items.tolist() == [1, 2, 3]
    for item in range(3):
        others = [other for other in range(3) if other != item]
        inputs = chosen[:, others]
        ridge = np.linalg.solve(inputs.T @ inputs + np.eye(2), inputs.T @ chosen[:, item])
        assert weights[others, item] == pytest.approx(ridge)
        assert weights[item, item] == 0.0
    assert weights[0, 1] == pytest.approx(2 / 4)  # item 2 is predicted by item 1 alone: 2 / (3 + 1)


def test_ease_leaves_out_items_that_nobody_chose() -> None:
    items, weights = solve_ease(counts({(1, 1): 1, (1, 3): 1, (3, 1): 1, (3, 3): 1}), WIDTH, 1.0)
    assert items.tolist() == [1, 3]
    assert weights.tolist() == [[0.0, pytest.approx(0.5)], [pytest.approx(0.5), 0.0]]


def test_each_source_keeps_the_strongest_of_either_sign_and_the_lowest_of_equal_ones() -> None:
    keys = np.array([1 * WIDTH + 1, 1 * WIDTH + 2, 1 * WIDTH + 3, 3 * WIDTH + 1, 3 * WIDTH + 2, 3 * WIDTH + 3])
    table = keep_strongest("ease", keys, np.array([0.25, -0.5, 0.125, 0.5, 0.5, 0.5]), WIDTH, 2)
    assert table.schema == ITEM_TO_ITEM_SCHEMA
    assert table.to_pylist() == [
        {"kind": "ease", "source": 1, "targets": [1, 2], "weights": [0.25, -0.5]},
        {"kind": "ease", "source": 3, "targets": [1, 2], "weights": [0.5, 0.5]},
    ]


def test_zeros_are_left_out_and_a_source_of_zeros_with_them() -> None:
    table = keep_strongest("ease", np.array([WIDTH + 1, 2 * WIDTH + 1]), np.array([0.0, 1.0]), WIDTH, 2)
    assert table.column("source").to_pylist() == [2]
    assert keep_strongest("ease", np.array([WIDTH + 1]), np.zeros(1), WIDTH, 2).num_rows == 0


def test_weights_keep_twelve_significant_bits() -> None:
    (row,) = keep_strongest("ease", np.array([5, 6]), np.array([1 / 3, -1e-9 / 3]), WIDTH, 2).to_pylist()
    assert row["weights"] == pytest.approx([1 / 3, -1e-9 / 3], rel=2**-12)
    assert row["weights"][0] == round(4096 * 2 / 3) / 8192  # 1/3 = 0.101010... in binary: its exponent is -1
