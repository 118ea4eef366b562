from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipelines.prepare.statistics import SumFn, TimeRangeFn, count_items, training_part
from recsys.contracts.events import ACTION_CODES


def training(*cells: tuple[int, str, int]) -> pa.Table:
    items, actions, times = zip(*cells, strict=True)
    return pa.table(
        {
            "item_index": pa.array(items, pa.int32()),
            "action": pa.array([ACTION_CODES[action] for action in actions], pa.int8()),
            "timestamp_ms": pa.array(times, pa.int64()),
        }
    )


def test_items_are_counted_by_impression_positive_and_positive_of_the_last_tenth() -> None:
    table = training(
        (1, "impression", 0),
        (1, "click", 89),
        (1, "like", 90),
        (2, "rating", 100),
        (2, "dislike", 100),
        (1, "gift", 95),
    )
    assert count_items(table, (0, 100), num_items=3).tolist() == [[0, 1, 0, 0], [0, 3, 1, 0], [0, 2, 1, 0]]


def test_the_last_tenth_is_of_the_whole_period_not_of_the_table() -> None:
    table = training((1, "click", 50), (1, "click", 91))
    assert count_items(table, (0, 1000), 1)[2].tolist() == [0, 0]
    assert count_items(table, (0, 100), 1)[2].tolist() == [0, 1]


def test_a_period_of_one_moment_is_all_recent() -> None:
    assert count_items(training((1, "click", 5)), (5, 5), 1).tolist() == [[0, 0], [0, 1], [0, 1]]


def test_only_rows_of_the_training_period_are_counted() -> None:
    table = training((1, "click", 5), (2, "click", 6)).append_column("period", pa.array([0, 1], pa.int8()))
    assert training_part(table) == training((1, "click", 5))


def test_the_time_range_covers_all_tables_in_any_order_of_merging() -> None:
    combine = TimeRangeFn()
    left = combine.add_input(combine.create_accumulator(), training((1, "click", 5), (1, "click", 3)))
    right = combine.add_input(combine.create_accumulator(), training((1, "click", 9)))
    none = combine.add_input(combine.create_accumulator(), training((1, "click", 1)).slice(1))
    for order in ([left, right, none], [none, right, left]):
        assert combine.extract_output(combine.merge_accumulators(order)) == (3, 9)


def test_sums_add_arrays_and_start_at_zero() -> None:
    combine = SumFn((2,))
    one = combine.add_input(combine.create_accumulator(), np.array([1, 2]))
    two = combine.add_input(combine.add_input(combine.create_accumulator(), np.array([10, 0])), np.array([5, 5]))
    assert combine.extract_output(combine.merge_accumulators([one, two, combine.create_accumulator()])).tolist() == [
        16,
        7,
    ]
