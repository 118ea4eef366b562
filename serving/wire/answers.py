"""Answers with long lists, written as JSON without a model for every item.

The models in `feed` say what an answer looks like, and the tests that what is written here is that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_json

from recsys.contracts.bundle import Manifest
from recsys.contracts.feed import FeedResponse
from serving.engine import Reranked
from serving.reasons import Reason
from serving.wire.feed import CandidateGiven


def write_retrieved(response: FeedResponse) -> bytes:
    """Returns a `RetrieveAnswer`."""
    return to_json(_describe(response))


def write_recommended(response: FeedResponse, degraded: bool) -> bytes:
    """Returns a `RecommendAnswer`."""
    return to_json({**_describe(response), "degraded": degraded})


def write_reranked(
    manifest: Manifest, given: Sequence[CandidateGiven], ranked: Sequence[Reranked], reasons: Mapping[int, Reason]
) -> bytes:
    """Returns a `RerankAnswer`.

    Args:
      manifest: Of the bundle that gave the order.
      given: The candidates as they came.
      ranked: Their new order.
      reasons: What moved them, by the row in which they came, where that was asked for.
    """
    rows = [
        {
            "item_id": given[row].item_id,
            "score": score,
            "room_id": given[row].room_id,
            "known": score is not None,
            "reason": _explain(reasons[row], row, rank) if row in reasons else None,
        }
        for rank, (row, score) in enumerate(ranked)
    ]
    versions = {"bundle_version": manifest.version, "embedding_version": manifest.embedding_version}
    return to_json({"candidates": rows, **versions})


def _describe(response: FeedResponse) -> dict[str, Any]:
    return {
        "candidates": [
            {"item_id": candidate.item_id, "score": candidate.score, "room_id": candidate.room_id}
            for candidate in response.candidates
        ],
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
        "behaviours": [{"item_id": one.item_id, "effect": one.effect} for one in reason.behaviours],
    }
