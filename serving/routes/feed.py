"""Candidates, and their order for clients that run no model."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Final

from fastapi import APIRouter, Request
from msgspec import convert
from starlette.responses import Response

from recsys.contracts.feed import FeedRequest, FeedResponse
from recsys.errors import ContractError
from serving.histories import Known
from serving.observation import Stopwatch
from serving.problems import problems
from serving.reasons import Reason, rerank_explained
from serving.service import Service, ServiceParameter
from serving.shortcuts import Shortcut, send_json
from serving.wire.answers import write_recommended, write_reranked, write_retrieved
from serving.wire.feed import (
    RecommendAnswer,
    RecommendRequest,
    RerankAnswer,
    RerankRequest,
    RetrieveAnswer,
    RetrieveRequest,
)
from serving.wire.given import GIVEN_LIST, GivenList

router = APIRouter(prefix="/v1", tags=["feed"])

FAILURES: Final = problems(400, 413, 422, 429, 500, 503, 504)

SHORT: Final = 1_000
"""Candidates of the longest list that is re-ranked on the event loop."""


@router.post("/recommend", summary="Candidates for a person", response_model=RecommendAnswer, responses=FAILURES)
async def recommend(body: RecommendRequest, request: Request, service: ServiceParameter) -> Response:
    """Retrieves and ranks candidates for a person, who is described by exactly one of three.

    `query_vector`: what the device's query tower gave over the private history. `history`: item ids, from a client
    that runs no model. `user_id`: somebody whose consented history the server holds; a person without one is treated
    as a newcomer and gets a plain 200. What the person has seen already is proposed again unless `exclude_ids` names
    it. On the surface `live` only streamers are proposed whose room is open at `now_ms`.
    """
    return send_json(await _recommend(body, request, service))


async def _recommend(body: RecommendRequest, request: Request, service: Service) -> bytes:
    wish = _read_wish(body, service)
    engine = service.deployment.engine

    def work(stopwatch: Stopwatch) -> tuple[FeedResponse, bool]:
        known = _consented(wish, service, stopwatch)
        return engine.recommend(wish, known.item_ids, stopwatch), known.degraded

    return write_recommended(*await service.compute(request, work))


@router.post("/retrieve", summary="The nearest items of a vector", response_model=RetrieveAnswer, responses=FAILURES)
async def retrieve(body: RetrieveRequest, request: Request, service: ServiceParameter) -> Response:
    """Returns candidates by the query vector alone, unranked: the path of a device that runs its own query tower.

    The device ranks them itself by the vectors that it keeps (`/v1/embeddings`). On the surface `live` only streamers
    are proposed whose room is open at `now_ms`.
    """
    return send_json(await _retrieve(body, request, service))


async def _retrieve(body: RetrieveRequest, request: Request, service: Service) -> bytes:
    _check_count(body.count, service)
    engine = service.deployment.engine
    now_ms = _now_ms() if body.now_ms is None else body.now_ms

    def work(stopwatch: Stopwatch) -> FeedResponse:
        return engine.retrieve(body.query_vector, body.surface, body.count, now_ms, body.exclude_ids, stopwatch)

    return write_retrieved(await service.compute(request, work))


@router.post("/rerank", summary="A list in a new order", response_model=RerankAnswer, responses=FAILURES)
async def rerank(body: RerankRequest, request: Request, service: ServiceParameter) -> Response:
    """Orders candidates anew by the device tower, for clients that cannot run it themselves.

    Known items come first, by falling score. Items that the served catalogue does not have are kept: they stand at the
    end in the order they came, with `known` false and no score. With `explain` each known item tells what moved it.
    """
    return send_json(await _rerank(convert(body.model_dump(), GivenList), request, service))


async def _rerank(given: GivenList, request: Request, service: Service) -> bytes:
    candidates, limit = given.candidates, service.settings.max_candidates
    if len(candidates) > limit:
        raise ContractError(f"Expected at most {limit} candidates, got {len(candidates)}. Send the best of them.")
    engine = service.deployment.engine
    listed = given.listed()
    reasons: Mapping[int, Reason] = {}
    if given.explain or len(candidates) > SHORT:
        ranked, reasons = await service.compute(request, partial(rerank_explained, engine, listed, given.explain))
    else:
        ranked = await service.rerank(request, engine, listed)
    return write_reranked(engine.manifest, candidates, ranked, reasons)


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


SHORTCUTS: Final = {
    shortcut.path: shortcut
    for shortcut in (
        Shortcut("/v1/recommend", RecommendRequest.model_validate_json, _recommend),
        Shortcut("/v1/retrieve", RetrieveRequest.model_validate_json, _retrieve),
        Shortcut("/v1/rerank", GIVEN_LIST.decode, _rerank),
    )
}
"""By path."""
