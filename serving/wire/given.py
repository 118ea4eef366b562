"""A list to re-rank as plain dictionaries: the same shape as `RerankRequest`, for the way that every request takes.

A model for each of 100 candidates takes as long to make as all that is checked of them. What is refused here is read
once more as a `RerankRequest`, which finds the words for it.
"""

from __future__ import annotations

from typing import Annotated, Final, NotRequired

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, with_config

# pydantic reads the one of `typing` from Python 3.12 on only.
from typing_extensions import TypedDict

from recsys.contracts.events import MAX_ID_LENGTH
from serving.wire.shape import MAX_HISTORY, ItemId, Score

_RoomId = Annotated[str, Field(max_length=MAX_ID_LENGTH)]


@with_config(ConfigDict(extra="forbid"))
class GivenCandidate(TypedDict):
    """As `CandidateGiven`."""

    item_id: ItemId
    score: Score
    room_id: NotRequired[_RoomId | None]


def _check_distinct(candidates: list[GivenCandidate]) -> list[GivenCandidate]:
    if len({candidate["item_id"] for candidate in candidates}) < len(candidates):
        raise ValueError("Expected distinct candidates, got an item id again.")
    return candidates


@with_config(ConfigDict(extra="forbid"))
class GivenList(TypedDict):
    """As `RerankRequest`."""

    history: Annotated[list[ItemId], Field(max_length=MAX_HISTORY)]
    candidates: Annotated[list[GivenCandidate], AfterValidator(_check_distinct)]
    explain: NotRequired[Annotated[bool, Field(strict=True)]]


GIVEN_LIST: Final = TypeAdapter(GivenList)
"""Reads one: `GIVEN_LIST.validate_json(content)`."""
