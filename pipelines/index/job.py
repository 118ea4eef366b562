"""The stage: build the index, measure it against exact search, and refuse it below its floor."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow.parquet as pq

from pipelines.histories import read_histories
from pipelines.prepare.layout import VOCABULARY
from recsys.cascade.rerank import QueryEncoder
from recsys.config.cloud import IndexSettings
from recsys.contracts.arrays import Float32Array, Int32Array
from recsys.contracts.bundle import INDEX_FILE
from recsys.errors import TrainingError
from recsys.features.catalogue import Catalogue
from recsys.index.building import build_in_shards, tune_effort
from recsys.index.exact import ExactIndex
from recsys.index.faiss_index import FaissIndex
from recsys.index.measure import share_found
from recsys.index.planning import AUTO, count_cells, plan_index
from recsys.storage.snapshot import read_snapshot

METRICS_FILE: Final = "metrics.json"
MAX_QUERIES: Final = 1_024
RECALL_COUNT: Final = 100


def build_index(
    examples_dir: Path,
    embeddings: Path,
    query_tower: Path,
    settings: IndexSettings,
    output_dir: Path,
) -> dict[str, float]:
    """Writes `index.faiss` and what was measured of it.

    Args:
      examples_dir: What the prepare stage wrote; its users' histories are the queries.
      embeddings: `embeddings.parquet`.
      query_tower: `query_tower.tflite`.
      settings: Factory, memory, target and floor.
      output_dir: Where to write; it exists.

    Returns:
      `index_recall_at_100` (of as many as there are, in a smaller catalogue), `index_queries` (which it was measured
      with, not those that chose the effort), `index_effort`, `index_bytes_per_item`.

    Raises:
      TrainingError: If no user has a history to measure with, or the index finds less than `recall_floor` of what
        exact search finds.
      ConfigError: If FAISS does not know the factory, or cannot train it on so few vectors, or none fits into memory.
      BundleError: If vectors or tower are none.
    """
    catalogue = Catalogue.from_vocabulary(pq.read_table(examples_dir / VOCABULARY))
    vectors = catalogue.align(read_snapshot(embeddings))
    queries = encode_queries(examples_dir, vectors, QueryEncoder(query_tower.read_bytes()))
    wanted = ExactIndex(vectors).search(queries, min(RECALL_COUNT, catalogue.num_items))[1]
    factory = choose_factory(settings, catalogue.num_items, vectors.shape[1])
    index = build_in_shards(
        vectors,
        factory,
        settings.sample_per_cell * count_cells(catalogue.num_items),
        settings.shard_items,
        num_threads=os.cpu_count() or 1,
    )
    if settings.factory == AUTO:
        tune_effort(index, lambda: _find(index, queries[::2], wanted[::2]), settings.recall_target)
    judged = slice(1 if len(queries) > 1 else 0, None, 2)  # Not those that the effort was chosen by.
    found = _find(index, queries[judged], wanted[judged])
    if found < settings.recall_floor:
        raise TrainingError(
            f"Expected the index {factory!r} to find at least {settings.recall_floor:.3f} of the best "
            f"{RECALL_COUNT} items of {len(queries)} users, got {found:.3f}. Nothing is published. Choose a more "
            "exact `index.factory` (such as Flat or HNSW64), or lower `index.recall_floor`."
        )
    index.save(output_dir / INDEX_FILE)
    size_bytes = (output_dir / INDEX_FILE).stat().st_size
    metrics = {
        "index_recall_at_100": found,
        "index_queries": float(len(wanted[judged])),
        "index_effort": index.effort,
        "index_bytes_per_item": size_bytes / catalogue.num_items,
    }
    (output_dir / METRICS_FILE).write_text(json.dumps(metrics, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return metrics


def choose_factory(settings: IndexSettings, num_items: int, dim: int) -> str:
    """Returns the factory of the settings, or the one that suits the catalogue where they say auto.

    Raises:
      ConfigError: If no index of so many items fits into `memory_mb`.
    """
    if settings.factory != AUTO:
        return settings.factory
    return plan_index(num_items, dim, settings.memory_mb * 2**20).factory


def encode_queries(examples_dir: Path, vectors: Float32Array, encoder: QueryEncoder) -> Float32Array:
    """Returns the query vectors of up to `MAX_QUERIES` users, evenly spread over their ids, `[num, dim]` float32.

    Raises:
      TrainingError: If no user has a history.
    """
    histories = {user_id: items for part in read_histories(examples_dir) for user_id, items in part.items()}
    if not histories:
        raise TrainingError(f"Expected users with positive events in {examples_dir}, got none to measure with.")
    users = sorted(histories)
    chosen = np.unique(np.linspace(0, len(users) - 1, MAX_QUERIES).astype(np.int64))
    return np.stack([encoder.encode(vectors[histories[users[row]]]) for row in chosen])


def _find(index: FaissIndex, queries: Float32Array, wanted: Int32Array) -> float:
    return share_found(index.search(queries, wanted.shape[1])[1], wanted)
