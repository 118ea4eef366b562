"""What travels over HTTP: JSON bodies of requests and answers, with their limits.

The contract types of `recsys.contracts` state the laws; the types here state the shapes, and refuse what no law could
be asked about: unknown keys, NaN, numbers as text, lists without end.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from recsys.contracts.bundle import Manifest
from recsys.contracts.events import MAX_ID_LENGTH, MAX_TIMESTAMP_MS, MIN_TIMESTAMP_MS, Surface
from recsys.contracts.feed import FeedResponse

MAX_HISTORY = 1_000
"""Items of a history in one request; the towers read far fewer."""

MAX_EXCLUDED = 10_000
MAX_DIM = 4_096

ItemId = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH)]
Score = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-1e9, le=1e9)]
Component = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-1e4, le=1e4)]
"""One entry of a query vector. The bound is far above what a tower gives and keeps float32 from overflowing."""


class Wire(BaseModel):
    """A JSON object; an unknown key is an error, not a silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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

    @classmethod
    def from_contract(cls, response: FeedResponse) -> RecommendAnswer:
        """Returns the JSON shape of a feed response."""
        return cls(
            candidates=[
                CandidateAnswer(item_id=candidate.item_id, score=candidate.score, room_id=candidate.room_id)
                for candidate in response.candidates
            ],
            bundle_version=response.bundle_version,
            embedding_version=response.embedding_version,
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

    @classmethod
    def from_contract(cls, response: FeedResponse) -> RetrieveAnswer:
        """Returns the JSON shape of a feed response."""
        return cls(
            candidates=[
                RetrievedAnswer(item_id=candidate.item_id, score=candidate.score, room_id=candidate.room_id)
                for candidate in response.candidates
            ],
            bundle_version=response.bundle_version,
            embedding_version=response.embedding_version,
        )


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


class FileAnswer(Wire):
    """A file of the bundle."""

    sha256: str = Field(description="Checksum of its bytes, in hexadecimal.")
    size_bytes: int = Field(description="Its length.")


class DeviceFileAnswer(FileAnswer):
    """A file that a device downloads."""

    name: str = Field(description="Its name in the manifest.")
    url: str = Field(description="Where to get it, relative to the server.")


class ManifestAnswer(Wire):
    """What the bundle holds, as it was signed."""

    version: str = Field(description="Name of the bundle.")
    created_ms: int = Field(description="When it was published, in milliseconds since 1970 (UTC).")
    dataset: str = Field(description="What it was trained on.")
    split_fingerprint: str = Field(description="Names the split of the data.")
    embedding_version: str = Field(description="Names the item vectors by their content.")
    dim: int = Field(description="Length of item and query vectors.")
    history_length: int = Field(description="Items that the query tower reads.")
    num_items: int = Field(description="Items in the catalogue.")
    files: dict[str, FileAnswer] = Field(description="Every file of the bundle, those that stay on the server too.")
    parent: str | None = Field(description="The bundle that it was derived from, if any.")
    metrics: dict[str, float] = Field(description="What was measured when it was made.")
    schema_version: int = Field(description="Version of this manifest's layout.")

    @classmethod
    def from_contract(cls, manifest: Manifest) -> ManifestAnswer:
        """Returns the JSON shape of a manifest."""
        files = {
            name: FileAnswer(sha256=entry.sha256, size_bytes=entry.size_bytes) for name, entry in manifest.files.items()
        }
        names = set(cls.model_fields) - {"files", "metrics"}
        return cls(files=files, metrics=dict(manifest.metrics), **{name: getattr(manifest, name) for name in names})


class BundleAnswer(Wire):
    """The served bundle: its manifest, and what a device downloads of it."""

    manifest: ManifestAnswer = Field(description="The signed manifest.")
    signature: str = Field(
        description="Ed25519 signature (base64) of the manifest's canonical text: JSON with sorted keys, an indent "
        "of one space and a newline at the end."
    )
    device_files: list[DeviceFileAnswer] = Field(description="The towers that run on a device.")


class HealthAnswer(Wire):
    """The process is up."""

    status: str = Field(description="Always `up`.")


class ReadyAnswer(Wire):
    """A bundle is loaded and answers."""

    status: str = Field(description="Always `ready`.")
    bundle_version: str = Field(description="The bundle that is served.")
    embedding_version: str = Field(description="Its item vectors.")


class Fault(Wire):
    """One place of a request that was refused."""

    detail: str = Field(description="What is wrong there.")
    pointer: str = Field(description="JSON pointer into the body, or `query/NAME` and the like for other places.")


class Problem(Wire):
    """An error, as RFC 9457 has it."""

    type: str = Field(description="The kind of error: `urn:tandem:problem:KIND`; `about:blank` for plain HTTP ones.")
    title: str = Field(description="The kind in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What was expected, what came and what to do.")
    errors: list[Fault] | None = Field(None, description="The places that were refused, where there are several.")
    request_id: str | None = Field(None, description="Names the request in the server's log.")

    def to_json(self) -> dict[str, Any]:
        """Returns the object without absent keys."""
        return self.model_dump(exclude_none=True)
