"""What the cloud's ranker knows of each candidate beside the vectors."""

from __future__ import annotations

from typing import Final

import numpy as np

from recsys.contracts.arrays import Float32Array, Int32Array
from recsys.features.catalogue import Catalogue
from recsys.features.history import history_mask, standardise
from recsys.features.item_to_item import PROFILES, ItemToItem
from recsys.features.responses import RESPONSE_FEATURES, Responses

RANKING_FEATURES: Final = (
    "retrieval_score",
    "log_positives",
    "log_recent",
    "click_rate",
    "category_affinity",
    "recent_category_affinity",
    "max_similarity",
    "recent_similarity",
    "log_transitions",
    "raw_recent_ease",
    *PROFILES,
    *RESPONSE_FEATURES,
)
"""Names of the last axis of `ranking_features`, in order; those of `PROFILES` are standardised within the list.

New ones are added at the end: a ranker that was published before them reads as many as it knows.
"""

_FAINT_TRANSITION: Final = 1e-4
"""Added to the transitions, so that their logarithm is finite: about what one distant pair of two rare items weighs."""

_HALF_LIFE_ITEMS: Final = 5.0
"""How many items back a behaviour counts half in the recency-weighted features."""


def ranking_features(
    candidates: Int32Array,
    scores: Float32Array,
    histories: Int32Array,
    catalogue: Catalogue,
    vectors: Float32Array,
    statistics: ItemToItem,
    responses: Responses,
) -> Float32Array:
    """Returns `[num_requests, num_candidates, len(RANKING_FEATURES)]` float32.

    Args:
      candidates: `[num_requests, num_candidates]` int32 item indexes.
      scores: `[num_requests, num_candidates]` float32 retrieval scores.
      histories: `[num_requests, history_length]` int32, padded on the left (see `pad_history`); `HISTORY_LENGTH` of
        `recsys.features.item_to_item` is worth passing.
      catalogue: Counts and categories.
      vectors: `[num_items + 1, dim]` float32 item vectors, row 0 zero.
      statistics: What follows what, and what is chosen together; it must not have counted the choices that the
        features are to predict.
      responses: Likewise.
    """
    mask = history_mask(histories)
    recency = _recency_weights(mask)
    similarity = _unit(vectors[candidates]) @ _unit(vectors[histories]).transpose(0, 2, 1)
    positives = catalogue.positives[candidates]
    tied = dict(zip(PROFILES, np.moveaxis(statistics.score(histories, candidates), 2, 0), strict=True))
    features = (
        standardise(scores),
        np.log1p(positives),
        np.log1p(catalogue.recent[candidates]),
        (positives + 1.0) / (catalogue.impressions[candidates] + positives + 10.0),
        _category_affinity(candidates, histories, mask / np.maximum(mask.sum(1, keepdims=True), 1.0), catalogue),
        _category_affinity(candidates, histories, recency, catalogue),
        np.where(mask[:, None, :] > 0, similarity, -1.0).max(axis=2),
        np.einsum("bnh,bh->bn", similarity, recency),
        np.log(tied["transitions"] + _FAINT_TRANSITION),
        tied["recent_ease"],
        *map(standardise, tied.values()),
    )
    return np.concatenate([np.stack(features, axis=-1), responses.features[candidates]], axis=-1).astype(np.float32)


def _unit(vectors: Float32Array) -> Float32Array:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6)


def _recency_weights(mask: Float32Array) -> Float32Array:
    """Weights that halve every few items back and sum to 1 over each history, `[num_requests, history_length]`."""
    age = np.arange(mask.shape[1] - 1, -1, -1, dtype=np.float32)
    weights = mask * np.exp2(-age / _HALF_LIFE_ITEMS)
    return (weights / np.maximum(weights.sum(1, keepdims=True), 1e-6)).astype(np.float32)


def _category_affinity(
    candidates: Int32Array, histories: Int32Array, weights: Float32Array, catalogue: Catalogue
) -> Float32Array:
    """Share of the (weighted) history that bears the candidate's categories, meaned over these."""
    num_requests = len(histories)
    profile = np.zeros((num_requests, catalogue.num_categories + 1), np.float32)
    rows = np.arange(num_requests)[:, None, None]
    np.add.at(profile, (rows, catalogue.categories[histories]), weights[:, :, None])
    profile[:, 0] = 0.0
    labels = catalogue.categories[candidates]
    num_labels = np.maximum((labels > 0).sum(axis=2), 1)
    return (profile[rows, labels].sum(axis=2) / num_labels).astype(np.float32)
