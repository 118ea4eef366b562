"""The device's half of the cascade: a query vector from the private history, and a new order of the candidates.

Runs wherever a device runs, and on the server for thin clients. Knows no index and no catalogue: vectors come from
the caller's cache.
"""

from __future__ import annotations

import numpy as np

from recsys.contracts.arrays import Float32Array
from recsys.errors import ContractError
from recsys.features.history import standardise
from recsys.runtime.tower import Tower


class QueryEncoder:
    """Encodes a history of item vectors into a query vector."""

    def __init__(self, model: bytes) -> None:
        """Loads the query tower, which says itself how many items it reads.

        Args:
          model: LiteRT flatbuffer with the signature `encode`.

        Raises:
          BundleError: If the bytes are no query tower.
        """
        self._tower = Tower(model, "encode")
        self.history_length = self._tower.input_shape("history")[1]

    def encode(self, history: Float32Array) -> Float32Array:
        """Returns the query vector, `[dim]` float32.

        Args:
          history: `[num_items, dim]` float32, oldest first; the last `history_length` rows are read.

        Raises:
          ContractError: If `history` is no matrix.
        """
        padded, mask = pad_vectors(history, self.history_length)
        return self.encode_batch(padded[None], mask[None])[0]

    def encode_batch(self, histories: Float32Array, masks: Float32Array) -> Float32Array:
        """Returns query vectors, `[batch, dim]` float32, each as it would be alone.

        Args:
          histories: `[batch, length, dim]` float32, oldest first, zeros on the left; the last `history_length` rows of
            each are read, and there must be as many.
          masks: `[batch, length]` float32, 1 where there is an item.
        """
        length = self.history_length
        return self._tower(history=histories[:, -length:], history_mask=masks[:, -length:])["query"]


class Reranker:
    """Scores the cloud's candidates anew with the device re-ranking tower."""

    def __init__(self, model: bytes, signature: str = "rerank") -> None:
        """Loads the device tower, which says itself how many recent items it attends to.

        Args:
          model: LiteRT flatbuffer of the device tower.
          signature: The one that scores: `rerank`, or `infer` of the tower that can be trained.

        Raises:
          BundleError: If the bytes are no device tower.
        """
        self._tower = Tower(model, signature)
        self.history_length = self._tower.input_shape("history")[1]

    def restore(self, weights: Float32Array) -> None:
        """Takes the weights that a device made of the tower, `[num_weights]` float32.

        Raises:
          BundleError: If the tower cannot take weights, or has another number of them.
        """
        self._tower.restore(weights)

    def rerank(
        self, candidates: Float32Array, cloud_scores: Float32Array, query: Float32Array, history: Float32Array
    ) -> Float32Array:
        """Returns a score per candidate, `[num_candidates]` float32, higher is better.

        Args:
          candidates: `[num_candidates, dim]` float32 item vectors.
          cloud_scores: `[num_candidates]` float32, as the cloud sent them (any scale).
          query: `[dim]` float32, the device's own query vector.
          history: `[num_items, dim]` float32 vectors of private behaviour, oldest first.

        Raises:
          ContractError: If shapes do not fit each other.
        """
        if candidates.ndim != 2 or cloud_scores.shape != candidates.shape[:1] or query.shape != candidates.shape[1:]:
            raise ContractError(
                "Expected `candidates` [num, dim], `cloud_scores` [num] and `query` [dim], "
                f"got {list(candidates.shape)}, {list(cloud_scores.shape)} and {list(query.shape)}."
            )
        padded, mask = pad_vectors(history, self.history_length)
        return self.rerank_batch(
            candidates[None].astype(np.float32, copy=False),
            cloud_scores[None].astype(np.float32, copy=False),
            query[None].astype(np.float32, copy=False),
            padded[None],
            mask[None],
        )[0]

    def rerank_batch(
        self,
        candidates: Float32Array,
        cloud_scores: Float32Array,
        queries: Float32Array,
        histories: Float32Array,
        masks: Float32Array,
    ) -> Float32Array:
        """Returns a score per candidate, `[batch, num_candidates]` float32, of lists that are equally long.

        Each is scored as it would be alone.

        Args:
          candidates: `[batch, num_candidates, dim]` float32 item vectors.
          cloud_scores: `[batch, num_candidates]` float32, as the cloud sent them (any scale).
          queries: `[batch, dim]` float32.
          histories: `[batch, length, dim]` float32, as of `QueryEncoder.encode_batch`.
          masks: `[batch, length]` float32, 1 where there is an item.
        """
        if candidates.size == 0:
            return np.zeros(candidates.shape[:2], np.float32)
        length = self.history_length
        return self._tower(
            candidates=candidates,
            cloud_scores=standardise(cloud_scores),
            query=queries,
            history=histories[:, -length:],
            history_mask=masks[:, -length:],
        )["score"]


def pad_vectors(history: Float32Array, length: int) -> tuple[Float32Array, Float32Array]:
    """Returns the last `length` rows as `[length, dim]` float32, zero rows on the left, and their mask `[length]`.

    Raises:
      ContractError: If `history` is not `[num_items, dim]`.
    """
    if history.ndim != 2:
        raise ContractError(f"Expected `history` [num_items, dim], got {list(history.shape)}.")
    recent = history[-length:]
    if len(recent) == length:
        return recent, np.ones(length, np.float32)
    padded = np.zeros((length, history.shape[1]), np.float32)
    mask = np.zeros(length, np.float32)
    if len(recent):
        padded[-len(recent) :] = recent
        mask[-len(recent) :] = 1.0
    return padded, mask
