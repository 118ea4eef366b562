"""Counts per item and action."""

from __future__ import annotations

import pyarrow as pa

from pipelines.prepare.examples import TRAIN, VALIDATION
from pipelines.prepare.responses import CountsFn, count_responses
from recsys.contracts.events import ACTION_CODES

LIKE, DISLIKE = ACTION_CODES["like"], ACTION_CODES["dislike"]


def rows(*of: tuple[int, int, int]) -> pa.Table:
    """Rows of (item_index, action, period)."""
    items, actions, periods = zip(*of, strict=True)
    columns = {
        "item_index": pa.array(items, pa.int32()),
        "action": pa.array(actions, pa.int8()),
        "period": pa.array(periods, pa.int8()),
    }
    return pa.table(columns)


def counted(table: pa.Table) -> list[tuple[int, int, int, int]]:
    return [tuple(row.values()) for row in table.to_pylist()]


def test_each_pair_is_counted_in_the_training_period_and_in_the_whole_log() -> None:
    table = count_responses(rows((2, LIKE, TRAIN), (1, LIKE, TRAIN), (2, LIKE, VALIDATION), (2, DISLIKE, VALIDATION)))
    assert counted(table) == sorted([(1, LIKE, 1, 1), (2, LIKE, 1, 2), (2, DISLIKE, 0, 1)])


def test_sums_do_not_depend_on_how_the_rows_were_divided() -> None:
    parts = [rows((2, LIKE, TRAIN), (1, DISLIKE, TRAIN)), rows((2, LIKE, VALIDATION)), rows((1, DISLIKE, TRAIN))]
    whole = count_responses(pa.concat_tables(parts))
    combine = CountsFn()
    one = combine.create_accumulator()
    for part in parts:
        one = combine.add_input(one, count_responses(part))
    others = [combine.add_input(combine.create_accumulator(), count_responses(part)) for part in reversed(parts)]
    assert combine.extract_output(one).equals(whole)
    assert combine.extract_output(combine.merge_accumulators(others)).equals(whole)


def test_nothing_counted_is_an_empty_table() -> None:
    assert counted(CountsFn().merge_accumulators([])) == []
