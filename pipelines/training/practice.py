"""Lists of other kinds than the cloud proposes when it knows all: they teach the ranker, and judge nothing.

Where a device sends the query vector of a private history, the cloud knows an older part of it, or none; and lists may
come from elsewhere, with items that differ more than those that retrieval thinks best.
"""

from __future__ import annotations

import numpy as np

from pipelines.training.examples import Sequences
from pipelines.training.lists import CandidateLists, ListMaker
from pipelines.training.requests import Requests
from recsys.config.cloud import RankerSettings
from recsys.contracts.arrays import Int32Array, Int64Array

_UNKNOWN_SHARE = 0.25
"""Of the histories that the cloud knows less of than the query vector, those of which it knows nothing."""


def make_practice(
    maker: ListMaker, requests: Requests, sequences: Sequences, settings: RankerSettings, seed: int
) -> tuple[CandidateLists, ...]:
    """Returns lists of each kind, for a drawn share of the requests each.

    Args:
      maker: What is known of items.
      requests: What the ranker is to foresee.
      sequences: The histories.
      settings: The shares, and the length of a list.
      seed: Draws requests, and what is special to their lists.
    """
    rng = np.random.default_rng(seed)
    lagging = requests.take(rng.random(len(requests)) < settings.lagging_share)
    elsewhere = requests.take(rng.random(len(requests)) < settings.drawn_share)
    made = []
    if len(lagging):
        made.append(maker.propose(lagging, sequences, settings, known=_draw_known(lagging, sequences, rng)))
    if len(elsewhere):
        items = _draw_items(elsewhere, maker.catalogue.num_items, settings.num_candidates - 1, rng)
        made.append(maker.propose(elsewhere, sequences, settings, drawn=items))
    return tuple(made)


def _draw_known(requests: Requests, sequences: Sequences, rng: np.random.Generator) -> Int64Array:
    """Places up to which the cloud knows the histories, `[num_requests]`: anywhere before the request's own."""
    kept = rng.random(len(requests)) * (rng.random(len(requests)) >= _UNKNOWN_SHARE)
    begins = sequences.offsets[requests.users]
    return begins + np.floor(kept * (requests.places - begins)).astype(np.int64)


def _draw_items(requests: Requests, num_items: int, count: int, rng: np.random.Generator) -> Int32Array:
    """`[num_requests, count]` items; one that is drawn twice counts once."""
    return rng.integers(1, num_items + 1, (len(requests), count), np.int32)
