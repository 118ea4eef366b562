"""Rates out of counts, on a catalogue of three items: `a` and `b` of category 1, `b` of 2 as well, `s` of none."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from recsys.contracts.events import ACTION_CODES
from recsys.errors import ContractError
from recsys.features.responses import RESPONSE_FEATURES, RESPONSES_SCHEMA, Period, Responses
from tests.recsys.features.test_catalogue import build_catalogue


def table(*rows: tuple[int, str, int, int]) -> pa.Table:
    """Rows of (item_index, action, num_trained, num_known)."""
    columns = zip(*((item, ACTION_CODES[action], *counts) for item, action, *counts in rows), strict=True)
    return pa.table([pa.array(column) for column in columns], names=RESPONSES_SCHEMA.names).cast(RESPONSES_SCHEMA)


def read(responses: Responses, item: int, name: str) -> float:
    return float(responses.features[item, RESPONSE_FEATURES.index(name)])


SHOWN = table((1, "impression", 15, 15), (1, "like", 5, 9), (2, "impression", 5, 5), (3, "dislike", 1, 1))


def test_a_share_is_drawn_to_that_of_all_items() -> None:
    responses = Responses.from_table(SHOWN, build_catalogue(), Period.TRAINED)
    overall = 5 / 21  # of 15 + 5 impressions, and one dislike without any
    assert read(responses, 1, "like_share") == pytest.approx((5 + 5 * overall) / (15 + 5))
    assert read(responses, 2, "like_share") == pytest.approx((0 + 5 * overall) / (5 + 5))
    assert read(responses, 3, "dislike_share") == pytest.approx((1 + 5 / 21) / (1 + 5))


def test_counts_are_those_of_the_period_that_is_asked_for() -> None:
    for period, likes in ((Period.TRAINED, 5), (Period.KNOWN, 9)):
        responses = Responses.from_table(SHOWN, build_catalogue(), period)
        assert read(responses, 1, "log_likes") == pytest.approx(np.log1p(likes))


def test_a_category_speaks_for_its_items_and_all_items_for_one_without() -> None:
    responses = Responses.from_table(SHOWN, build_catalogue(), Period.TRAINED)
    overall = 5 / 21
    first = (5 + 5 * overall) / (20 + 5)  # both items with impressions bear category 1
    second = (0 + 5 * overall) / (5 + 5)
    assert read(responses, 1, "category_like_share") == pytest.approx(first)
    assert read(responses, 2, "category_like_share") == pytest.approx((first + second) / 2)
    assert read(responses, 3, "category_like_share") == pytest.approx(overall)


def test_who_likes_without_a_click_was_interested_all_the_same() -> None:
    responses = Responses.from_table(SHOWN, build_catalogue(), Period.TRAINED)
    assert read(responses, 1, "click_share") == read(responses, 1, "like_share")


def test_without_any_count_all_items_are_alike() -> None:
    features = Responses.unknown(build_catalogue()).features
    assert features.shape == (4, len(RESPONSE_FEATURES))
    assert not features.any()


@pytest.mark.parametrize("item", [0, 4, -1])
def test_a_count_of_no_item_is_refused(item: int) -> None:
    with pytest.raises(ContractError, match="Expected responses to items from 1 to 3 with actions below"):
        Responses.from_table(table((item, "like", 1, 1)), build_catalogue(), Period.KNOWN)


def test_other_columns_are_refused() -> None:
    with pytest.raises(ContractError, match="Expected responses with columns"):
        Responses.from_table(SHOWN.drop_columns(["num_known"]), build_catalogue(), Period.KNOWN)
