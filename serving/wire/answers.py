"""Answers with long lists, written as JSON without a model for every item.

The models in `feed` say what an answer looks like, and the tests that what is written here is that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct
from msgspec.json import Encoder

from recsys.contracts.bundle import Manifest
from recsys.contracts.feed import FeedResponse
from serving.engine import Ranked
from serving.reasons import Reason
from serving.wire.given import GivenCandidate

_encode: Final = Encoder().encode


# Without `gc` the collector does not count them: they hold no cycles.
class _Reranked(Struct, gc=False):
    """As `RerankedAnswer`."""

    item_id: str
    score: float | None
    room_id: str | None
    known: bool
    reason: dict[str, Any] | None


def write_retrieved(response: FeedResponse) -> bytes:
    """Returns a `RetrieveAnswer`."""
    return _encode(_describe(response))


def write_recommended(response: FeedResponse, degraded: bool) -> bytes:
    """Returns a `RecommendAnswer`."""
    return _encode({**_describe(response), "degraded": degraded})


def write_reranked(
    manifest: Manifest, given: Sequence[GivenCandidate], ranked: Ranked, reasons: Mapping[int, Reason]
) -> bytes:
    """Returns a `RerankAnswer`.

    Args:
      manifest: Of the bundle that gave the order.
      given: The candidates as they came.
      ranked: Their new order.
      reasons: What moved them, by the row in which they came, where that was asked for.
    """
    rows = [
        _Reranked((one := given[row]).item_id, score, one.room_id, True, None)
        for row, score in zip(ranked.known, ranked.scores, strict=True)
    ]
    if reasons:
        for rank, (row, answer) in enumerate(zip(ranked.known, rows, strict=True)):
            answer.reason = _explain(reasons[row], row, rank) if row in reasons else None
    rows += [_Reranked((one := given[row]).item_id, None, one.room_id, False, None) for row in ranked.unknown]
    return _encode(
        {"candidates": rows, "bundle_version": manifest.version, "embedding_version": manifest.embedding_version}
    )


def _describe(response: FeedResponse) -> dict[str, Any]:
    # `Candidate` has the fields of a `CandidateAnswer`, in their order.
    return {
        "candidates": response.candidates,
        "bundle_version": response.bundle_version,
        "embedding_version": response.embedding_version,
    }


def _explain(reason: Reason, row: int, rank: int) -> dict[str, Any]:
    return {
        "cloud_rank": row,
        "rank": rank,
        "cloud_score": reason.cloud_score,
        "own_score": reason.own_score,
        "history_effect": reason.history_effect,
        "behaviours": reason.behaviours,
    }
