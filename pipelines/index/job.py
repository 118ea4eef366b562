"""The stage: build the index, measure it against exact search, and refuse it below its floor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow.parquet as pq

from pipelines.histories import read_histories
from pipelines.prepare.layout import VOCABULARY
from recsys.cascade.rerank import QueryEncoder
from recsys.config import IndexSettings
from recsys.contracts.arrays import Float32Array
from recsys.contracts.bundle import INDEX_FILE
from recsys.errors import TrainingError
from recsys.features.catalogue import Catalogue
from recsys.index.exact import ExactIndex
from recsys.index.faiss_index import FaissIndex
from recsys.index.measure import recall
from recsys.storage.snapshot import read_snapshot

METRICS_FILE: Final = "metrics.json"
MAX_QUERIES: Final = 512
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
      settings: Factory and floor.
      output_dir: Where to write; it exists.

    Returns:
      `index_recall_at_100` (of as many as there are, in a smaller catalogue), `index_queries`,
      `index_bytes_per_item`.

    Raises:
      TrainingError: If no user has a history to measure with, or the index finds less than `recall_floor` of what
        exact search finds.
      ConfigError: If FAISS does not know the factory, or cannot train it on so few vectors.
      BundleError: If vectors or tower are none.
    """
    catalogue = Catalogue.from_vocabulary(pq.read_table(examples_dir / VOCABULARY))
    vectors = catalogue.align(read_snapshot(embeddings))
    index = FaissIndex.build(vectors, settings.factory)
    queries = encode_queries(examples_dir, vectors, QueryEncoder(query_tower.read_bytes()))
    found = recall(index, ExactIndex(vectors), queries, min(RECALL_COUNT, catalogue.num_items))
    if found < settings.recall_floor:
        raise TrainingError(
            f"Expected the index {settings.factory!r} to find at least {settings.recall_floor:.3f} of the best "
            f"{RECALL_COUNT} items of {len(queries)} users, got {found:.3f}. Nothing is published. Choose a more "
            "exact `index.factory` (such as Flat or HNSW64), or lower `index.recall_floor`."
        )
    index.save(output_dir / INDEX_FILE)
    size_bytes = (output_dir / INDEX_FILE).stat().st_size
    metrics = {
        "index_recall_at_100": found,
        "index_queries": float(len(queries)),
        "index_bytes_per_item": size_bytes / catalogue.num_items,
    }
    (output_dir / METRICS_FILE).write_text(json.dumps(metrics, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return metrics


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
