"""Answers with long lists, written as JSON without a model for every item.

The models in `feed` say what an answer looks like, and the tests that what is written here is that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring as _quote
from typing import Any

from pydantic_core import to_json

from recsys.contracts.bundle import Manifest
from recsys.contracts.feed import FeedResponse
from serving.engine import Ranked
from serving.reasons import Reason
from serving.wire.given import GivenCandidate


def write_retrieved(response: FeedResponse) -> bytes:
    """Returns a `RetrieveAnswer`."""
    return to_json(_describe(response))


def write_recommended(response: FeedResponse, degraded: bool) -> bytes:
    """Returns a `RecommendAnswer`."""
    return to_json({**_describe(response), "degraded": degraded})


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
    numbers = to_json(ranked.scores).decode()[1:-1].split(",")
    known = [given[row] for row in ranked.known]
    if reasons:
        told = [
            to_json(_explain(reasons[row], row, rank)).decode() if row in reasons else "null"
            for rank, row in enumerate(ranked.known)
        ]
    else:
        told = ["null"] * len(known)
    # One expression: the calls that functions of their own would take are as long as the work itself.
    rows = [
        f'{{"item_id":{_quote(one["item_id"])},"score":{number},"room_id":'
        f'{"null" if (room_id := one.get("room_id")) is None else _quote(room_id)},"known":true,"reason":{reason}}}'
        for one, number, reason in zip(known, numbers, told, strict=False)
    ]
    rows += [
        f'{{"item_id":{_quote(one["item_id"])},"score":null,"room_id":'
        f'{"null" if (room_id := one.get("room_id")) is None else _quote(room_id)},"known":false,"reason":null}}'
        for one in (given[row] for row in ranked.unknown)
    ]
    return (
        f'{{"candidates":[{",".join(rows)}],"bundle_version":{_quote(manifest.version)},'
        f'"embedding_version":{_quote(manifest.embedding_version)}}}'
    ).encode()


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
