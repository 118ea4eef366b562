"""Examples out of the served catalogue: ids that exist, a moment at which rooms are open, and real answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec import convert

from recsys.contracts.bundle import DEVICE_TOWER_FILE
from recsys.contracts.events import Action, Surface
from recsys.contracts.feed import FeedRequest, FeedResponse
from serving.engine import Engine
from serving.observation import Stopwatch
from serving.reasons import rerank_explained
from serving.routes.bundle import describe_bundle
from serving.wire.answers import write_recommended, write_reranked, write_retrieved
from serving.wire.feed import CandidateGiven, RecommendRequest, RerankRequest, RetrieveRequest
from serving.wire.given import GivenList
from serving.wire.operation import HealthAnswer, ReadyAnswer
from serving.wire.people import EventGiven, EventsAnswer, EventsRequest, ForgottenAnswer
from serving.wire.shape import Wire

NEWCOMER = "a-newcomer"
"""The user of the examples. No real id: the document is for everybody's eyes."""

_LENGTH = 5


@dataclass(frozen=True)
class Examples:
    """What the OpenAPI document shows.

    Attributes:
      bodies: Path to request bodies, each by a name; all of them answer 200 when posted.
      answers: Path to an answer as the engine gives it.
      parameters: Path to query and path parameters that work.
    """

    bodies: Mapping[str, Mapping[str, dict[str, Any]]]
    answers: Mapping[str, dict[str, Any]]
    parameters: Mapping[str, Mapping[str, str]]


def build_examples(engine: Engine) -> Examples:
    """Returns examples that work against the engine."""
    recommend, rerank, retrieve = _recommend_requests(engine), _rerank_requests(engine), _retrieve_requests(engine)
    manifest, events = engine.manifest, _events_requests(engine)
    ready = ReadyAnswer(status="ready", bundle_version=manifest.version, embedding_version=manifest.embedding_version)
    return Examples(
        bodies={
            "/v1/recommend": _dump(recommend),
            "/v1/rerank": _dump(rerank),
            "/v1/retrieve": _dump(retrieve),
            "/v1/events": _dump(events),
        },
        answers={
            "/v1/recommend": json.loads(write_recommended(_recommend(engine, recommend["history"]), degraded=False)),
            "/v1/rerank": _rerank(engine, rerank["history"]),
            "/v1/retrieve": _retrieve(engine, retrieve["query_vector"]),
            "/v1/events": EventsAnswer(accepted=1, duplicates=0, degraded=False).model_dump(mode="json"),
            "/v1/users/{user_id}": ForgottenAnswer(status="forgotten").model_dump(mode="json"),
            "/v1/bundle": describe_bundle(engine).model_dump(mode="json"),
            "/healthz": HealthAnswer(status="up").model_dump(mode="json"),
            "/readyz": ready.model_dump(mode="json"),
        },
        parameters={
            "/v1/embeddings/snapshot": {"codec": "float16"},
            "/v1/embeddings/delta": {"base": manifest.embedding_version, "codec": "float16"},
            "/v1/bundle/files/{name}": {"name": DEVICE_TOWER_FILE},
            "/v1/users/{user_id}": {"user_id": NEWCOMER},
        },
    )


def _recommend_requests(engine: Engine) -> dict[str, RecommendRequest]:
    liked = _first_items(engine, Surface.FEED)
    rounded = _query_vector(engine, liked)
    requests = {
        "history": RecommendRequest(surface=Surface.FEED, count=3, history=liked, exclude_ids=liked),
        "query_vector": RecommendRequest(surface=Surface.FEED, count=3, query_vector=rounded),
        "user_id": RecommendRequest(surface=Surface.FEED, count=3, user_id=NEWCOMER),
    }
    starts = engine.cloud.rooms.start_ms
    if len(starts):
        now_ms = int(starts.max())
        requests["live"] = RecommendRequest(surface=Surface.LIVE, count=3, now_ms=now_ms, history=liked)
    return requests


def _rerank_requests(engine: Engine) -> dict[str, RerankRequest]:
    liked = _first_items(engine, Surface.FEED)
    wish = RecommendRequest(surface=Surface.FEED, count=_LENGTH, history=liked[:1])
    proposed = _recommend(engine, wish).candidates
    candidates = [CandidateGiven(item_id=candidate.item_id, score=round(candidate.score, 4)) for candidate in proposed]
    return {
        "history": RerankRequest(history=liked, candidates=candidates, explain=True),
        "newcomer": RerankRequest(history=[], candidates=candidates),
    }


def _retrieve_requests(engine: Engine) -> dict[str, RetrieveRequest]:
    vector = _query_vector(engine, _first_items(engine, Surface.FEED))
    return {"query_vector": RetrieveRequest(surface=Surface.FEED, count=3, query_vector=vector)}


def _events_requests(engine: Engine) -> dict[str, EventsRequest]:
    (item_id, *_) = _first_items(engine, Surface.FEED)
    event = EventGiven(
        event_id="a-newcomer-1",
        user_id=NEWCOMER,
        item_id=item_id,
        action=Action.CLICK,
        surface=Surface.FEED,
        timestamp_ms=1_700_000_000_000,
        position=0,
    )
    return {"click": EventsRequest(consent=True, events=[event])}


def _query_vector(engine: Engine, liked: Sequence[str]) -> list[float]:
    vector = engine.cloud.encode(engine.cloud.catalogue.index_of(liked))
    return [round(component, 4) for component in vector.tolist()]


def _retrieve(engine: Engine, body: RetrieveRequest) -> Any:
    found = engine.retrieve(body.query_vector, body.surface, body.count, 0, body.exclude_ids, Stopwatch())
    return json.loads(write_retrieved(found))


def _recommend(engine: Engine, body: RecommendRequest) -> FeedResponse:
    history = tuple(body.history or ())
    wish = FeedRequest(
        surface=body.surface, count=body.count, now_ms=0, history=history, exclude_ids=tuple(body.exclude_ids)
    )
    return engine.recommend(wish, history, Stopwatch())


def _rerank(engine: Engine, body: RerankRequest) -> Any:
    given = convert(body.model_dump(), GivenList)
    ranked, reasons = rerank_explained(engine, given.listed(), given.explain, Stopwatch())
    return json.loads(write_reranked(engine.manifest, given.candidates, ranked, reasons))


def _first_items(engine: Engine, surface: Surface) -> list[str]:
    catalogue = engine.cloud.catalogue
    return catalogue.ids_of(np.flatnonzero(catalogue.on_surface(surface))[:3].astype(np.int32))


def _dump(requests: Mapping[str, Wire]) -> dict[str, dict[str, Any]]:
    return {
        name: request.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        for name, request in requests.items()
    }
