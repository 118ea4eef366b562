from __future__ import annotations

import pytest

from recsys.contracts.events import Surface
from recsys.contracts.feed import Candidate, FeedRequest, FeedResponse
from recsys.errors import ContractError


@pytest.mark.parametrize(
    ("person", "message"),
    [
        ({}, "exactly one of .*, got none"),
        ({"user_id": "u", "history": ()}, r"exactly one of .*, got \['user_id', 'history'\]"),
    ],
)
def test_a_request_describes_the_person_in_exactly_one_way(person, message):
    with pytest.raises(ContractError, match=message):
        FeedRequest(Surface.FEED, 10, 0, **person)


@pytest.mark.parametrize("count", [0, 501])
def test_a_request_asks_for_one_to_five_hundred_candidates(count):
    with pytest.raises(ContractError, match=f"`count` from 1 to 500, got {count}"):
        FeedRequest(Surface.FEED, count, 0, user_id="u")


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ((Candidate("a", 2.0), Candidate("a", 1.0)), "distinct candidates"),
        ((Candidate("a", 1.0), Candidate("b", 2.0)), "by falling score"),
    ],
)
def test_a_response_lists_distinct_candidates_by_falling_score(candidates, message):
    with pytest.raises(ContractError, match=message):
        FeedResponse(candidates, "v1", "e1")
