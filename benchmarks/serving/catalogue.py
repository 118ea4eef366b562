"""A bundle of any size without training: `python -m benchmarks.serving.catalogue FOLDER NUM_ITEMS SEED`.

The towers are real LiteRT models with the sizes of `pipelines/cloud.toml`, as they are initialised: what they say is
of no use, what they cost is what trained ones cost. Vectors are drawn as a tower's (`benchmarks.vectors`), and the
index is the one that `tandem train` chooses for so many. A process of its own, for TensorFlow is in it.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.vectors import draw_clustered
from recsys.config.cloud import CloudSettings
from recsys.config.federated import DeviceSettings
from recsys.contracts import bundle as names
from recsys.contracts.arrays import Float32Array, Int64Array
from recsys.contracts.embeddings import EmbeddingSnapshot
from recsys.contracts.schema import arrow_schema
from recsys.exchange.rounding import round_to_float16
from recsys.features.catalogue import VOCABULARY_SCHEMA
from recsys.features.item_to_item import CO_OCCURRENCE, ITEM_TO_ITEM_SCHEMA, TRANSITIONS
from recsys.index.building import build_in_shards
from recsys.index.planning import count_cells, plan_index
from recsys.models import export
from recsys.models.device_export import export_device_files
from recsys.models.device_tower import build_device_tower
from recsys.models.query_tower import QueryTower
from recsys.models.ranker import Ranker
from recsys.storage.registry import Bundle, BundleRegistry
from recsys.storage.snapshot import write_snapshot
from recsys.storage.workspace import Workspace

NUM_CATEGORIES: Final = 50
_MOST_POSITIVES: Final = 50_000
"""Of the most popular item; those of the others fall with their rank."""


def publish_catalogue(workspace: Workspace, num_items: int, seed: int) -> Bundle:
    """Publishes a bundle of `num_items` items of the feed, `item_name(0)` the most popular."""
    settings = CloudSettings()
    vectors = round_to_float16(draw_clustered(num_items, 1, settings.retrieval.dim, seed)[0])
    item_ids = tuple(item_name(place) for place in range(num_items))
    positives = np.maximum(1, _MOST_POSITIVES // np.arange(1, num_items + 1))
    snapshot = EmbeddingSnapshot(item_ids, vectors[1:])
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / names.INDEX_FILE
        _index(vectors, settings, index)
        return BundleRegistry(workspace).publish(
            {
                names.ROOMS_FILE: _parquet(arrow_schema("room").empty_table()),
                names.VOCABULARY_FILE: _parquet(_vocabulary(item_ids, positives, seed)),
                names.ITEM_TO_ITEM_FILE: _parquet(_statistics(positives, settings.statistics.targets_per_item, seed)),
                names.EMBEDDINGS_FILE: write_snapshot(snapshot),
                names.INDEX_FILE: index,
                **_towers(settings, seed),
            },
            dataset=f"drawn-{num_items}",
            split_fingerprint="none",
            embedding_version=snapshot.version,
            dim=snapshot.dim,
            history_length=settings.retrieval.history_length,
            num_items=num_items,
        )


def item_name(place: int) -> str:
    """Returns the id of the item at a place by popularity, from 0."""
    return f"item-{place:07d}"


def _index(vectors: Float32Array, settings: CloudSettings, path: Path) -> None:
    num_items, dim = len(vectors) - 1, vectors.shape[1]
    sample = settings.index.sample_per_cell * count_cells(num_items)
    factory = plan_index(num_items, dim, settings.index.memory_mb * 2**20).factory
    build_in_shards(vectors, factory, sample, settings.index.shard_items, os.cpu_count() or 1).save(path)


def _vocabulary(item_ids: tuple[str, ...], positives: Int64Array, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    categories = rng.integers(1, NUM_CATEGORIES + 1, (len(item_ids), 2)).astype(np.int32)
    columns = {
        "item_id": item_ids,
        "surface": np.zeros(len(item_ids), np.int8),
        "category_indexes": [sorted(set(row)) for row in categories.tolist()],
        "num_impressions": 4 * positives,
        "num_positives": positives,
        "num_recent": positives // 10,
    }
    table = pa.Table.from_pydict(columns, schema=VOCABULARY_SCHEMA)
    return table.replace_schema_metadata({"num_categories": str(NUM_CATEGORIES)})


def _statistics(positives: Int64Array, most: int, seed: int) -> pa.Table:
    """Two kinds, as a catalogue has that is too large for EASE: as many targets as positives, up to `most`."""
    rng = np.random.default_rng(seed + 1)
    lengths = np.minimum(np.minimum(positives, most), len(positives) - 1)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    parts = []
    for kind in (TRANSITIONS, CO_OCCURRENCE):
        # Strides from a drawn start: distinct without a draw each, and rising once they are sorted row by row.
        starts = rng.integers(0, len(positives), len(positives)).repeat(lengths)
        steps = np.arange(offsets[-1]) - offsets[:-1].repeat(lengths)
        targets = (starts + steps * (len(positives) // most or 1)) % len(positives) + 1
        rows = np.arange(len(positives)).repeat(lengths)
        targets = targets[np.lexsort((targets, rows))].astype(np.int32)
        weights = rng.random(len(targets), np.float32)
        lists = [pa.ListArray.from_arrays(offsets, values) for values in (targets, weights)]
        sources = np.arange(1, len(positives) + 1, dtype=np.int32)
        kinds = pa.array([kind] * len(positives))
        columns = [kinds, pa.array(sources), *lists]
        parts.append(pa.table(columns, names=ITEM_TO_ITEM_SCHEMA.names).cast(ITEM_TO_ITEM_SCHEMA))
    return pa.concat_tables(parts)


def _towers(settings: CloudSettings, seed: int) -> dict[str, bytes]:
    retrieval = settings.retrieval
    query_tower = QueryTower(retrieval.dim, retrieval.history_length, retrieval.num_blocks, retrieval.num_heads)
    device_tower = build_device_tower(retrieval.dim, DeviceSettings(), seed)
    return {
        names.QUERY_TOWER_FILE: export.export_query_tower(query_tower),
        names.RANKER_FILE: export.export_ranker(Ranker(retrieval.dim, settings.ranker)),
        **export_device_files(device_tower, DeviceSettings()),
    }


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


if __name__ == "__main__":
    publish_catalogue(Workspace(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3]))
