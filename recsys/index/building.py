"""Builds an index of a large catalogue: learned from a sample, filled shard by shard, tuned to a recall."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np

from recsys.contracts.arrays import Float32Array, Int32Array
from recsys.index.exact import check_vectors
from recsys.index.faiss_index import FaissIndex
from recsys.index.faiss_rows import use_threads

MAX_EFFORT: Final = 64.0
MIN_EFFORT: Final = 0.25
_STEPS_BACK: Final = (2**0.5, 2**0.25)
"""What bisects the last doubling: of twice the effort much would often be too much."""


def build_in_shards(
    vectors: Float32Array, factory: str, sample_items: int, shard_items: int, num_threads: int, seed: int = 0
) -> FaissIndex:
    """Trains on a sample, fills shards beside each other and merges them in order; a graph is filled in one piece.

    The result depends on the length of a shard, but not on the number of threads.

    Args:
      vectors: `[num_items + 1, dim]` float32, finite; row 0 is padding and stays out.
      factory: See `FaissIndex.train`.
      sample_items: Items to train on at most.
      shard_items: Items of a shard.
      num_threads: Shards under way at once.
      seed: Of the sample.

    Raises:
      ContractError: If the vectors have another shape.
      ConfigError: If FAISS does not know the factory or cannot train it on so many vectors.
    """
    check_vectors(vectors)
    rows = vectors[1:]
    trained = FaissIndex.train(rows[draw_sample(len(rows), sample_items, seed)], factory)
    if not trained.can_merge or len(rows) <= shard_items:
        trained.add(rows)
    else:
        _fill(trained, rows, shard_items, num_threads)
    trained.pack()
    return trained


def draw_sample(num_rows: int, sample_rows: int, seed: int) -> Int32Array:
    """Returns `[min(num_rows, sample_rows)]` int32 distinct rows, rising."""
    if num_rows <= sample_rows:
        return np.arange(num_rows, dtype=np.int32)
    chosen = np.random.default_rng(seed).choice(num_rows, sample_rows, replace=False)
    return np.sort(chosen).astype(np.int32)


def tune_effort(index: FaissIndex, measure: Callable[[], float], wanted: float) -> float:
    """Sets the least effort at which the index finds enough; returns the share found.

    It is doubled until it suffices, and then lowered by fourth roots of two as far as it still does.

    Args:
      index: Its effort is set.
      measure: Returns recall at the effort of the moment.
      wanted: Recall to reach; where none does, the greatest effort stays.
    """

    def find(effort: float) -> float:
        index.effort = effort
        return measure()

    enough = MIN_EFFORT
    found = find(enough)
    while found < wanted and enough < MAX_EFFORT:
        enough *= 2
        found = find(enough)
    if found < wanted or enough == MIN_EFFORT:
        return found
    for step in _STEPS_BACK:
        less = find(enough / step)
        if less >= wanted:
            enough, found = enough / step, less
    index.effort = enough
    return found


def _fill(trained: FaissIndex, rows: Float32Array, shard_items: int, num_threads: int) -> None:
    empty = trained.to_bytes()

    def fill(start: int) -> FaissIndex:
        use_threads(1)  # Of this worker: shards that share the cores wait for each other's threads.
        shard = FaissIndex.from_bytes(empty)
        shard.add(rows[start : start + shard_items])
        return shard

    with ThreadPoolExecutor(num_threads) as threads:
        for shard in threads.map(fill, range(0, len(rows), shard_items)):
            trained.merge(shard)
