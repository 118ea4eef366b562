"""A list to re-rank as plain records: the same shape as `RerankRequest`, for the way that every request takes.

msgspec reads bytes straight into records, in a third of the time that pydantic takes for dictionaries. What is refused
here is read once more as a `RerankRequest`, which finds the words for it.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct
from msgspec.json import Decoder

from recsys.contracts.events import MAX_ID_LENGTH
from serving.engine import Listed
from serving.wire.shape import MAX_HISTORY, MAX_SCORE

_ItemId = Annotated[str, Meta(min_length=1, max_length=MAX_ID_LENGTH)]
_RoomId = Annotated[str, Meta(max_length=MAX_ID_LENGTH)]


# Without `gc` the collector does not count them: they hold no cycles.
class GivenCandidate(Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    """As `CandidateGiven`."""

    item_id: _ItemId
    score: Annotated[float, Meta(ge=-MAX_SCORE, le=MAX_SCORE)]
    room_id: _RoomId | None = None


class GivenList(Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    """As `RerankRequest`."""

    history: Annotated[list[_ItemId], Meta(max_length=MAX_HISTORY)]
    candidates: list[GivenCandidate]
    explain: bool = False

    def __post_init__(self) -> None:
        """Refuses a list that names an item twice."""
        if len({candidate.item_id for candidate in self.candidates}) < len(self.candidates):
            raise ValueError("Expected distinct candidates, got an item id again.")

    def listed(self) -> Listed:
        """Returns it as the engine reads it."""
        return Listed(self.history, [one.item_id for one in self.candidates], [one.score for one in self.candidates])


GIVEN_LIST: Final = Decoder(GivenList)
"""Reads one: `GIVEN_LIST.decode(content)`; raises ValueError where it is not right."""
