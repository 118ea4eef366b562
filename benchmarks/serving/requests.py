"""Whole HTTP requests with drawn people and lists, out of a bundle's own catalogue."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq

from benchmarks.serving.floor import PATH as CONSTANT
from recsys.contracts.arrays import Float64Array, Int64Array
from recsys.contracts.bundle import VOCABULARY_FILE
from recsys.contracts.events import SURFACE_CODES, Surface
from recsys.errors import ConfigError
from recsys.features.catalogue import Catalogue
from recsys.storage.registry import Bundle

HISTORY_LENGTH: Final = 50
"""Items of each person's history: as many as the query tower of the defaults reads."""

RECOMMENDED: Final = 100
"""Candidates that are asked for."""

_NUM_PEOPLE: Final = 256
"""Different requests; they are sent in turn."""


@dataclass(frozen=True)
class Endpoint:
    """What is measured: an endpoint with requests of one kind."""

    name: str
    requests: tuple[bytes, ...]


def draw_endpoints(bundle: Bundle, lengths: Sequence[int], seed: int) -> list[Endpoint]:
    """Returns the constant, `/v1/rerank` with lists of each length, and `/v1/recommend`.

    Histories are drawn by popularity, candidates evenly, each with a score as the ranker gives it. The constant gets
    the requests of the shortest list.

    Args:
      bundle: That is served.
      lengths: Of the lists to re-rank.
      seed: Of the draws.

    Raises:
      ConfigError: If the catalogue has fewer items on the feed than the longest list.
    """
    item_ids, popularity = _read_feed(bundle)
    if len(item_ids) < max(lengths):
        raise ConfigError(
            f"Expected a catalogue with at least {max(lengths)} items on the feed, got {len(item_ids)}. "
            "Name shorter lists, or let a catalogue be drawn."
        )
    rng = np.random.default_rng(seed)
    histories = [_draw(rng, item_ids, min(HISTORY_LENGTH, len(item_ids)), popularity) for _ in range(_NUM_PEOPLE)]
    lists = {length: [_list(rng, history, _draw(rng, item_ids, length)) for history in histories] for length in lengths}
    wishes = [{"surface": "feed", "count": RECOMMENDED, "history": history} for history in histories]
    return [
        Endpoint("constant", _posts(CONSTANT, lists[min(lengths)])),
        *(Endpoint(f"rerank {length}", _posts("/v1/rerank", bodies)) for length, bodies in lists.items()),
        Endpoint("recommend", _posts("/v1/recommend", wishes)),
    ]


def draw_mixture(bundle: Bundle, seed: int) -> tuple[bytes, ...]:
    """Returns requests of all kinds in a drawn order: of 20, 12 lists to re-rank, 6 wishes, 1 by id, 1 with an event.

    Lists have `RECOMMENDED` candidates, or as many as the feed has. Events are liked items of people with ids.

    Args:
      bundle: That is served.
      seed: Of the draws.
    """
    item_ids, popularity = _read_feed(bundle)
    rng = np.random.default_rng(seed)
    posts: list[bytes] = []
    for person in range(_NUM_PEOPLE):
        history = _draw(rng, item_ids, min(HISTORY_LENGTH, len(item_ids)), popularity)
        user_id, kind = f"soak-{person}", person % 20
        if kind < 12:
            body = _list(rng, history, _draw(rng, item_ids, min(RECOMMENDED, len(item_ids))))
            posts += _posts("/v1/rerank", [body])
        elif kind < 18:
            posts += _posts("/v1/recommend", [{"surface": "feed", "count": RECOMMENDED, "history": history}])
        elif kind == 18:
            posts += _posts("/v1/recommend", [{"surface": "feed", "count": RECOMMENDED, "user_id": user_id}])
        else:
            posts += _posts("/v1/events", [{"consent": True, "events": [_like(user_id, history[0])]}])
    return tuple(posts[place] for place in rng.permutation(len(posts)))


def _like(user_id: str, item_id: str) -> dict[str, Any]:
    return {
        "event_id": f"like-{user_id}",
        "user_id": user_id,
        "item_id": item_id,
        "action": "like",
        "surface": "feed",
        "timestamp_ms": 1_700_000_000_000,
    }


def _read_feed(bundle: Bundle) -> tuple[Sequence[str], Float64Array]:
    """Ids of the feed's items, and the chance of each to be in a history."""
    catalogue = Catalogue.from_vocabulary(pq.read_table(io.BytesIO(bundle.read_bytes(VOCABULARY_FILE))))
    indexes = np.flatnonzero(catalogue.surfaces == SURFACE_CODES[Surface.FEED]).astype(np.int32)
    weights = catalogue.positives[indexes].astype(np.float64) + 1.0
    return catalogue.ids_of(indexes), weights / weights.sum()


def _draw(
    rng: np.random.Generator, item_ids: Sequence[str], count: int, popularity: Float64Array | None = None
) -> list[str]:
    places: Int64Array = rng.choice(len(item_ids), count, replace=False, p=popularity)
    return [item_ids[place] for place in places]


def _list(rng: np.random.Generator, history: Sequence[str], candidates: Sequence[str]) -> dict[str, Any]:
    scores = np.sort(rng.normal(size=len(candidates)).astype(np.float32))[::-1].tolist()
    given = [
        {"item_id": item_id, "score": score, "room_id": None} for item_id, score in zip(candidates, scores, strict=True)
    ]
    return {"history": history, "candidates": given}


def _posts(path: str, bodies: Sequence[Any]) -> tuple[bytes, ...]:
    contents = [json.dumps(body, separators=(",", ":")).encode() for body in bodies]
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: "
    return tuple(head.encode() + b"%d\r\n\r\n" % len(content) + content for content in contents)
