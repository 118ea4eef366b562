"""What a device asks and what the cloud answers."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from recsys.contracts.events import Surface
from recsys.errors import ContractError


@dataclass(frozen=True)
class FeedRequest:
    """A wish for candidates.

    The person is described by exactly one of: `query_vector` (the device ran its query tower; nothing else leaves
    it), `history` (item ids, oldest first, for thin clients that consent), or `user_id` (whose consented history
    the cloud already holds).

    Law: exactly one description; `count` from 1 to 500.
    """

    surface: Surface
    count: int
    now_ms: int
    user_id: str | None = None
    history: tuple[str, ...] | None = None
    query_vector: tuple[float, ...] | None = None
    exclude_ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Checks the law.

        Raises:
          ContractError: If the person is described by none or several of the three, or `count` is out of range.
        """
        given = [name for name in ("user_id", "history", "query_vector") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ContractError(f"Expected exactly one of `user_id`, `history`, `query_vector`, got {given or 'none'}.")
        if not 1 <= self.count <= 500:
            raise ContractError(f"Expected `count` from 1 to 500, got {self.count}.")


@dataclass(frozen=True)
class Candidate:
    """One item that the cloud proposes: its score (higher is better) and, on the live surface, the open room."""

    item_id: str
    score: float
    room_id: str | None = None


@dataclass(frozen=True)
class FeedResponse:
    """Candidates, best first, and the versions that the device needs in order to re-rank them.

    Law: candidates are distinct and sorted by falling score; on the live surface each names an open room.
    """

    candidates: tuple[Candidate, ...]
    bundle_version: str
    embedding_version: str

    def __post_init__(self) -> None:
        """Checks the law.

        Raises:
          ContractError: If candidates repeat or are out of order.
        """
        ids = [candidate.item_id for candidate in self.candidates]
        if len(set(ids)) != len(ids):
            raise ContractError("Expected distinct candidates, got repeated item ids.")
        scores = [candidate.score for candidate in self.candidates]
        if any(left < right for left, right in itertools.pairwise(scores)):
            raise ContractError("Expected candidates by falling score, got them out of order.")
