"""The candidate index beside exact search: recall@100, throughput on one thread, bytes a vector, build time.

Exact search is the same class over a FAISS `IndexFlatIP`. Each index is measured at rising efforts up to the one that
`tandem train` would choose: half of the queries choose it, the other half are judged. Queries are timed one by one, as
a server gets them, and in one batch; the two indexes take turns every few queries, so that a busy moment of the machine
hits both, but none finds the caches full of what the other left at each query.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from benchmarks.vectors import WORLDS
from recsys.config.cloud import IndexSettings
from recsys.contracts.arrays import BoolArray, Float32Array
from recsys.errors import ConfigError
from recsys.index.building import build_in_shards, draw_sample, tune_effort
from recsys.index.faiss_index import FaissIndex
from recsys.index.faiss_rows import use_threads
from recsys.index.measure import share_found
from recsys.index.planning import AUTO, count_cells, plan_index
from recsys.progress import Progress

COUNT: Final = 100
ALLOWED_SHARES: Final = (0.5, 0.1, 0.001)
REPLACED_SHARE: Final = 0.01
_ROUNDS: Final = 3
_TURN_QUERIES: Final = 20
"""Queries that an index is asked one by one before it is the other's turn."""


def bench_index(
    num_items: int,
    dim: int,
    worlds: Sequence[str],
    factories: Sequence[str],
    *,
    num_queries: int,
    seed: int,
    progress: Progress,
    settings: IndexSettings | None = None,
) -> dict[str, Any]:
    """Builds and measures every index in every world; returns a result that is JSON-ready.

    Args:
      num_items: Size of the catalogue, at least `COUNT`.
      dim: Length of a vector.
      worlds: Out of `WORLDS`.
      factories: As in `IndexSettings.factory`; auto stands for what is chosen by size.
      num_queries: Half of them choose the effort, half are judged.
      seed: Of vectors and queries.
      progress: Told what is under way.
      settings: Memory, shards, sample and target; the defaults where it is None.

    Raises:
      ConfigError: If a world is unknown, an index does not fit into memory, or FAISS cannot train it.
    """
    unknown = [name for name in worlds if name not in WORLDS]
    if unknown:
        raise ConfigError(f"Expected worlds out of {', '.join(WORLDS)}, got {', '.join(unknown)}.")
    settings = settings or IndexSettings()
    num_threads = os.cpu_count() or 1
    results = {}
    for name in worlds:
        progress.stage(f"drawing {num_items:,} {name} vectors")
        vectors, queries = WORLDS[name](num_items, num_queries, dim, seed)
        trial = _Trial(vectors, queries, settings, num_threads)
        indexes = []
        for factory in factories:
            progress.stage(f"{name}: building and searching {factory}")
            indexes.append(trial.measure(factory))
        results[name] = {"indexes": indexes}
    size = {"num_items": num_items, "dim": dim, "num_queries": num_queries, "seed": seed}
    return {**size, "count": COUNT, "build_threads": num_threads, "search_threads": 1, "worlds": results}


class _Trial:
    """One world, and the exact answers in it."""

    def __init__(self, vectors: Float32Array, queries: Float32Array, settings: IndexSettings, num_threads: int) -> None:
        self._vectors, self._queries = vectors, queries
        self._settings, self._num_threads = settings, num_threads
        self._exact = FaissIndex.build(vectors, "Flat")
        use_threads(num_threads)
        self._wanted = self._exact.search(queries, COUNT)[1]

    def measure(self, factory: str) -> dict[str, Any]:
        """Builds one index, raises its effort until it finds enough, and goes on with that."""
        num_items, dim = self._exact.num_items, self._exact.dim
        if factory == AUTO:
            factory = plan_index(num_items, dim, self._settings.memory_mb * 2**20).factory
        use_threads(self._num_threads)
        begin = time.perf_counter()
        index = build_in_shards(
            self._vectors,
            factory,
            self._settings.sample_per_cell * count_cells(num_items),
            self._settings.shard_items,
            self._num_threads,
        )
        build_s = time.perf_counter() - begin
        use_threads(1)
        try:
            efforts = self._raise_effort(index)
            return {
                "factory": factory,
                "build_s": build_s,
                "bytes_per_item": len(index.to_bytes()) / num_items,
                "efforts": efforts,
                "filtered": [self._filter(index, share) for share in ALLOWED_SHARES],
                "replaced": self._replace(index),
            }
        finally:
            use_threads(self._num_threads)

    def _raise_effort(self, index: FaissIndex) -> list[dict[str, float]]:
        """Returns what was measured at each effort up to the one that is chosen, which stays."""
        rows = []

        def measure() -> float:
            rows.append({"effort": index.effort, **_compare(index, self._exact, self._queries[1::2])})
            return share_found(index.search(self._queries[::2], COUNT)[1], self._wanted[::2])

        tune_effort(index, measure, self._settings.recall_target)
        return sorted((row for row in rows if row["effort"] <= index.effort), key=lambda row: row["effort"])

    def _filter(self, index: FaissIndex, share: float) -> dict[str, float]:
        num_items = self._exact.num_items
        allowed = np.zeros(num_items + 1, np.bool_)
        allowed[draw_sample(num_items, max(1, round(share * num_items)), seed=1) + 1] = True
        return {"allowed_share": share, **_compare(index, self._exact, self._queries[1::2], allowed)}

    def _replace(self, index: FaissIndex) -> dict[str, float]:
        """Moves some items to where others are, and measures against an index of the new vectors."""
        rng = np.random.default_rng(2)
        num_replaced = max(1, int(REPLACED_SHARE * self._exact.num_items))
        items = rng.permutation(self._exact.num_items)[:num_replaced].astype(np.int32) + 1
        changed = self._vectors.copy()
        changed[items] = self._vectors[rng.permutation(items)]
        begin = time.perf_counter()
        index.replace(items, changed[items])
        seconds = time.perf_counter() - begin
        return {
            "replaced_share": REPLACED_SHARE,
            "replace_s": seconds,
            **_compare(index, FaissIndex.build(changed, "Flat"), self._queries[1::2]),
        }


@dataclass(frozen=True)
class _Timing:
    """Seconds a query of one index, one by one and in a batch: medians."""

    one_s: float
    batch_s: float


def _compare(
    index: FaissIndex, exact: FaissIndex, queries: Float32Array, allowed: BoolArray | None = None
) -> dict[str, float]:
    wanted, found = (part.search(queries, COUNT, allowed)[1] for part in (exact, index))
    slow, fast = _time([exact, index], queries, allowed)
    return {
        "recall_at_100": share_found(found, wanted),
        "one_ms": 1e3 * fast.one_s,
        "one_speedup": slow.one_s / fast.one_s,
        "batch_ms": 1e3 * fast.batch_s,
        "batch_speedup": slow.batch_s / fast.batch_s,
        "exact_one_ms": 1e3 * slow.one_s,
        "exact_batch_ms": 1e3 * slow.batch_s,
    }


def _time(indexes: Sequence[FaissIndex], queries: Float32Array, allowed: BoolArray | None) -> list[_Timing]:
    batches: list[list[float]] = [[] for _ in indexes]
    singles: list[list[float]] = [[] for _ in indexes]
    for _ in range(_ROUNDS):
        for taken, index in zip(batches, indexes, strict=True):
            taken.append(_clock(index, queries, allowed) / len(queries))
    for start in range(0, len(queries), _TURN_QUERIES):
        for taken, index in zip(singles, indexes, strict=True):
            taken += [_clock(index, query[None], allowed) for query in queries[start : start + _TURN_QUERIES]]
    medians = zip(singles, batches, strict=True)
    return [_Timing(float(np.median(one)), float(np.median(batch))) for one, batch in medians]


def _clock(index: FaissIndex, queries: Float32Array, allowed: BoolArray | None) -> float:
    begin = time.perf_counter()
    index.search(queries, COUNT, allowed)
    return time.perf_counter() - begin
