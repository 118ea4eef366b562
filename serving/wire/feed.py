"""Candidates: recommended, retrieved and re-ranked."""

from __future__ import annotations

from pydantic import Field, field_validator

from recsys.contracts.events import MAX_ID_LENGTH, MAX_TIMESTAMP_MS, MIN_TIMESTAMP_MS, Surface
from serving.wire.shape import MAX_DIM, MAX_EXCLUDED, MAX_HISTORY, Component, ItemId, Score, Wire


class RecommendRequest(Wire):
    """A wish for candidates. Describe the person by exactly one of `user_id`, `history` and `query_vector`."""

    surface: Surface = Field(description="Where they will be shown: `feed` (items) or `live` (streamers on air).")
    count: int = Field(strict=True, ge=1, description="How many are wanted at most.")
    now_ms: int | None = Field(
        None,
        strict=True,
        ge=MIN_TIMESTAMP_MS,
        lt=MAX_TIMESTAMP_MS,
        description="The moment, in milliseconds since 1970 (UTC), at which rooms must be open. "
        "Absent: the server's clock.",
    )
    user_id: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_ID_LENGTH,
        description="A person whose consented history the server holds. Somebody unknown gets what a newcomer gets.",
    )
    history: list[ItemId] | None = Field(
        None,
        max_length=MAX_HISTORY,
        description="Item ids the person liked, oldest first, for clients that run no model. Unknown ids are ignored.",
    )
    query_vector: list[Component] | None = Field(
        None,
        max_length=MAX_DIM,
        description="The vector that the device's query tower gave; nothing else of the person leaves the device. "
        "Its length is `dim` of the manifest.",
    )
    exclude_ids: list[ItemId] = Field([], max_length=MAX_EXCLUDED, description="Item ids that must not be proposed.")


class CandidateAnswer(Wire):
    """One item that the cloud proposes."""

    item_id: str = Field(description="The item; on the live surface the streamer.")
    score: float = Field(description="The ranker's score; higher is better, comparable within one answer only.")
    room_id: str | None = Field(description="The open room on the live surface; null on the feed.")


class RecommendAnswer(Wire):
    """Candidates, best first, and the versions that a device needs in order to re-rank them."""

    candidates: list[CandidateAnswer] = Field(description="Distinct, by falling score; fewer where fewer are eligible.")
    bundle_version: str = Field(description="The bundle that gave the answer.")
    embedding_version: str = Field(description="The item vectors that the device must hold to re-rank it.")
    degraded: bool = Field(
        False, description="True where what the person did since the last training could not be asked for."
    )


class RetrieveRequest(Wire):
    """A wish for the nearest items of a query vector, unranked: for devices that run their own query tower."""

    surface: Surface = Field(description="Where they will be shown: `feed` (items) or `live` (streamers on air).")
    count: int = Field(strict=True, ge=1, description="How many are wanted at most.")
    query_vector: list[Component] = Field(
        max_length=MAX_DIM,
        description="The vector that the device's query tower gave. Its length is `dim` of the manifest.",
    )
    now_ms: int | None = Field(
        None,
        strict=True,
        ge=MIN_TIMESTAMP_MS,
        lt=MAX_TIMESTAMP_MS,
        description="The moment, in milliseconds since 1970 (UTC), at which rooms must be open. "
        "Absent: the server's clock.",
    )
    exclude_ids: list[ItemId] = Field([], max_length=MAX_EXCLUDED, description="Item ids that must not be proposed.")


class RetrievedAnswer(Wire):
    """One item that the index found."""

    item_id: str = Field(description="The item; on the live surface the streamer.")
    score: float = Field(description="Its vector's inner product with the query vector, as the index has it.")
    room_id: str | None = Field(description="The open room on the live surface; null on the feed.")


class RetrieveAnswer(Wire):
    """The nearest items, nearest first."""

    candidates: list[RetrievedAnswer] = Field(description="Distinct, by falling score; fewer where fewer are eligible.")
    bundle_version: str = Field(description="The bundle that gave the answer.")
    embedding_version: str = Field(description="The item vectors that the device must hold to re-rank it.")


class CandidateGiven(Wire):
    """One item to re-rank, as `/v1/recommend` gave it."""

    item_id: ItemId = Field(description="The item.")
    score: Score = Field(description="The cloud's score; only its place within the list matters.")
    room_id: str | None = Field(None, max_length=MAX_ID_LENGTH, description="Given back as it came.")


class RerankRequest(Wire):
    """A list to re-rank for a client that runs no model."""

    history: list[ItemId] = Field(
        max_length=MAX_HISTORY,
        description="Item ids of the person's recent behaviour, oldest first; may be empty. Unknown ids are ignored.",
    )
    candidates: list[CandidateGiven] = Field(description="The list in the cloud's order; ids must be distinct.")
    explain: bool = Field(
        False,
        strict=True,
        description="Whether each item's `reason` is wanted; it costs a run per item of the history.",
    )

    @field_validator("candidates")
    @classmethod
    def _check_distinct(cls, candidates: list[CandidateGiven]) -> list[CandidateGiven]:
        if len({candidate.item_id for candidate in candidates}) < len(candidates):
            seen: set[str] = set()
            for position, candidate in enumerate(candidates):
                if candidate.item_id in seen:
                    raise ValueError(f"Expected distinct candidates, got an item id again at position {position}.")
                seen.add(candidate.item_id)
        return candidates


class BehaviourAnswer(Wire):
    """An item of the history, and what it did to a candidate."""

    item_id: str = Field(description="The item of the history.")
    effect: float = Field(
        description="The candidate's score less its score without this behaviour, relative to the list's mean: above 0 "
        "it lifted the candidate over the others."
    )


class ReasonAnswer(Wire):
    """What moved an item, in numbers of the device tower itself."""

    cloud_rank: int = Field(description="Its place in the list that came, from 0.")
    rank: int = Field(description="Its place now, from 0.")
    cloud_score: float = Field(description="The cloud's score as the tower reads it: standardised within the list.")
    own_score: float = Field(
        description="The inner product with the query vector of the history, standardised within the list."
    )
    history_effect: float = Field(description="What the whole history did, relative to the list's mean.")
    behaviours: list[BehaviourAnswer] = Field(description="The behaviours with the strongest effects, strongest first.")


class RerankedAnswer(Wire):
    """One re-ranked item."""

    item_id: str = Field(description="The item.")
    score: float | None = Field(description="The device tower's score; higher is better. Null where `known` is false.")
    room_id: str | None = Field(description="As it came.")
    known: bool = Field(description="Whether the item is in the served catalogue; if not, it stands at the end.")
    reason: ReasonAnswer | None = Field(None, description="Where `explain` asked for it and the item is known.")


class RerankAnswer(Wire):
    """The same candidates in a new order: known ones by falling score, then unknown ones in the order they came."""

    candidates: list[RerankedAnswer] = Field(description="As many as were sent.")
    bundle_version: str = Field(description="The bundle that gave the answer.")
    embedding_version: str = Field(description="The item vectors that were used.")
