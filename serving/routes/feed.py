"""Candidates, and their order for clients that run no model."""

from __future__ import annotations

import time
from collections.abc import Sequence

from fastapi import APIRouter, Request

from recsys.contracts.feed import FeedRequest, FeedResponse
from recsys.errors import ContractError
from serving.engine import Engine, Reranked
from serving.observation import Stopwatch
from serving.problems import problems
from serving.service import Service, ServiceParameter
from serving.wire import RecommendAnswer, RecommendRequest, RerankAnswer, RerankedAnswer, RerankRequest

router = APIRouter(prefix="/v1", tags=["feed"])


@router.post("/recommend", summary="Candidates for a person", responses=problems(400, 413, 422, 429, 500, 503))
async def recommend(body: RecommendRequest, request: Request, service: ServiceParameter) -> RecommendAnswer:
    """Retrieves and ranks candidates for a person, who is described by exactly one of three.

    `query_vector`: what the device's query tower gave over the private history. `history`: item ids, from a client
    that runs no model. `user_id`: somebody whose consented history the server holds; a person without one is treated
    as a newcomer and gets a plain 200. What the person has seen already is proposed again unless `exclude_ids` names
    it. On the surface `live` only streamers are proposed whose room is open at `now_ms`.
    """
    wish = _read_wish(body, service)
    engine = service.deployment.engine

    def work(stopwatch: Stopwatch) -> FeedResponse:
        return engine.recommend(wish, _consented(wish, service, stopwatch), stopwatch)

    return RecommendAnswer.from_contract(await service.compute(request, work))


@router.post("/rerank", summary="A list in a new order", responses=problems(400, 413, 422, 429, 500, 503))
async def rerank(body: RerankRequest, request: Request, service: ServiceParameter) -> RerankAnswer:
    """Orders candidates anew by the device tower, for clients that cannot run it themselves.

    Known items come first, by falling score. Items that the served catalogue does not have are kept: they stand at the
    end in the order they came, with `known` false and no score.
    """
    limit = service.settings.max_candidates
    if len(body.candidates) > limit:
        raise ContractError(f"Expected at most {limit} candidates, got {len(body.candidates)}. Send the best of them.")
    engine = service.deployment.engine
    item_ids = [candidate.item_id for candidate in body.candidates]
    scores = [candidate.score for candidate in body.candidates]

    def work(stopwatch: Stopwatch) -> Sequence[Reranked]:
        return engine.rerank(body.history, item_ids, scores, stopwatch)

    return give_order(engine, body, await service.compute(request, work))


def give_order(engine: Engine, body: RerankRequest, ranked: Sequence[Reranked]) -> RerankAnswer:
    """Returns the answer that puts the candidates of `body` into the order of `ranked`."""
    return RerankAnswer(
        candidates=[
            RerankedAnswer(
                item_id=body.candidates[place.row].item_id,
                score=place.score,
                room_id=body.candidates[place.row].room_id,
                known=place.score is not None,
            )
            for place in ranked
        ],
        bundle_version=engine.manifest.version,
        embedding_version=engine.manifest.embedding_version,
    )


def _read_wish(body: RecommendRequest, service: Service) -> FeedRequest:
    if body.count > service.settings.max_candidates:
        raise ContractError(f"Expected `count` from 1 to {service.settings.max_candidates}, got {body.count}.")
    return FeedRequest(
        surface=body.surface,
        count=body.count,
        now_ms=time.time_ns() // 1_000_000 if body.now_ms is None else body.now_ms,
        user_id=body.user_id,
        history=None if body.history is None else tuple(body.history),
        query_vector=None if body.query_vector is None else tuple(body.query_vector),
        exclude_ids=tuple(body.exclude_ids),
    )


def _consented(wish: FeedRequest, service: Service, stopwatch: Stopwatch) -> Sequence[str]:
    """Returns the item ids that the server may know of the person, oldest first."""
    if wish.user_id is not None:
        with stopwatch.stage("session"):
            return service.histories.recent(wish.user_id)
    return wish.history or ()
