"""Candidates, and their order for clients that run no model."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from recsys.contracts.feed import FeedRequest, FeedResponse
from recsys.errors import ContractError
from serving.engine import Reranked
from serving.histories import Known
from serving.observation import Stopwatch
from serving.problems import problems
from serving.reasons import Reason, explain
from serving.routes.posted import JSON, PostedJson
from serving.service import Service, ServiceParameter
from serving.wire.answers import write_recommended, write_reranked, write_retrieved
from serving.wire.feed import (
    RecommendAnswer,
    RecommendRequest,
    RerankAnswer,
    RerankRequest,
    RetrieveAnswer,
    RetrieveRequest,
)

router = APIRouter(prefix="/v1", tags=["feed"], route_class=PostedJson)

FAILURES: Final = problems(400, 413, 422, 429, 500, 503, 504)


@router.post("/recommend", summary="Candidates for a person", response_model=RecommendAnswer, responses=FAILURES)
async def recommend(body: RecommendRequest, request: Request, service: ServiceParameter) -> Response:
    """Retrieves and ranks candidates for a person, who is described by exactly one of three.

    `query_vector`: what the device's query tower gave over the private history. `history`: item ids, from a client
    that runs no model. `user_id`: somebody whose consented history the server holds; a person without one is treated
    as a newcomer and gets a plain 200. What the person has seen already is proposed again unless `exclude_ids` names
    it. On the surface `live` only streamers are proposed whose room is open at `now_ms`.
    """
    wish = _read_wish(body, service)
    engine = service.deployment.engine

    def work(stopwatch: Stopwatch) -> tuple[FeedResponse, bool]:
        known = _consented(wish, service, stopwatch)
        return engine.recommend(wish, known.item_ids, stopwatch), known.degraded

    return _send(write_recommended(*await service.compute(request, work)))


@router.post("/retrieve", summary="The nearest items of a vector", response_model=RetrieveAnswer, responses=FAILURES)
async def retrieve(body: RetrieveRequest, request: Request, service: ServiceParameter) -> Response:
    """Returns candidates by the query vector alone, unranked: the path of a device that runs its own query tower.

    The device ranks them itself by the vectors that it keeps (`/v1/embeddings`). On the surface `live` only streamers
    are proposed whose room is open at `now_ms`.
    """
    _check_count(body.count, service)
    engine = service.deployment.engine
    now_ms = _now_ms() if body.now_ms is None else body.now_ms

    def work(stopwatch: Stopwatch) -> FeedResponse:
        return engine.retrieve(body.query_vector, body.surface, body.count, now_ms, body.exclude_ids, stopwatch)

    return _send(write_retrieved(await service.compute(request, work)))


@router.post("/rerank", summary="A list in a new order", response_model=RerankAnswer, responses=FAILURES)
async def rerank(body: RerankRequest, request: Request, service: ServiceParameter) -> Response:
    """Orders candidates anew by the device tower, for clients that cannot run it themselves.

    Known items come first, by falling score. Items that the served catalogue does not have are kept: they stand at the
    end in the order they came, with `known` false and no score. With `explain` each known item tells what moved it.
    """
    limit = service.settings.max_candidates
    if len(body.candidates) > limit:
        raise ContractError(f"Expected at most {limit} candidates, got {len(body.candidates)}. Send the best of them.")
    engine = service.deployment.engine
    item_ids = [candidate.item_id for candidate in body.candidates]
    scores = [candidate.score for candidate in body.candidates]

    def work(stopwatch: Stopwatch) -> tuple[Sequence[Reranked], Mapping[int, Reason]]:
        ranked = engine.rerank(body.history, item_ids, scores, stopwatch)
        return ranked, explain(engine, body.history, item_ids, scores, stopwatch) if body.explain else {}

    ranked, reasons = await service.compute(request, work)
    return _send(write_reranked(engine.manifest, body.candidates, ranked, reasons))


def _send(content: bytes) -> Response:
    return Response(content, media_type=JSON)


def _check_count(count: int, service: Service) -> None:
    if count > service.settings.max_candidates:
        raise ContractError(f"Expected `count` from 1 to {service.settings.max_candidates}, got {count}.")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _read_wish(body: RecommendRequest, service: Service) -> FeedRequest:
    _check_count(body.count, service)
    return FeedRequest(
        surface=body.surface,
        count=body.count,
        now_ms=_now_ms() if body.now_ms is None else body.now_ms,
        user_id=body.user_id,
        history=None if body.history is None else tuple(body.history),
        query_vector=None if body.query_vector is None else tuple(body.query_vector),
        exclude_ids=tuple(body.exclude_ids),
    )


def _consented(wish: FeedRequest, service: Service, stopwatch: Stopwatch) -> Known:
    """Returns the item ids that the server may know of the person, oldest first."""
    if wish.user_id is not None:
        with stopwatch.stage("session"):
            return service.histories.recent(wish.user_id)
    return Known(wish.history or ())
