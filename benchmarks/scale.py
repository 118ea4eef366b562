"""What grows with the catalogue, beside the index: `python -m benchmarks.scale 100000 1000000`.

A step of the retrieval model's training touches every row of the id table (Adam's moments decay and the average moves,
whether an item is in the batch or not); the embed stage calls the item tower once per item.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.embed.job import embed
from pipelines.training.examples import Sequences
from pipelines.training.retrieval_stage import build_retrieval, fit_retrieval
from recsys.config.cloud import RetrievalSettings
from recsys.features.catalogue import VOCABULARY_SCHEMA, Catalogue
from recsys.models.export import export_item_tower
from recsys.progress import Silent

_NUM_CATEGORIES: Final = 100
_NUM_STEPS: Final = 32


def measure_growth(num_items: int, settings: RetrievalSettings) -> dict[str, float]:
    """Returns what a catalogue costs, JSON-ready.

    Args:
      num_items: Size of the catalogue; each item has one category, and everybody has chosen at random.
      settings: Sizes of model and batch.

    Returns:
      `num_items`, `step_s` (of a training step, with its share of the validation), `embed_items_per_s` (of the whole
      stage, on all cores) and `tower_bytes_per_item`.
    """
    vocabulary = _draw_vocabulary(num_items)
    catalogue = Catalogue.from_vocabulary(vocabulary)
    settings = settings.model_copy(update={"max_epochs": 2, "patience": 2})
    model, clock = build_retrieval(catalogue, settings, seed=0), _Clock()
    fit_retrieval(model, _draw_sequences(num_items, settings), catalogue, settings, seed=0, progress=clock)
    tower = export_item_tower(model.item_tower)
    with tempfile.TemporaryDirectory() as folder:
        vocabulary_path, tower_path = Path(folder, "vocabulary.parquet"), Path(folder, "item_tower.tflite")
        pq.write_table(vocabulary, vocabulary_path)
        tower_path.write_bytes(tower)
        begin = time.perf_counter()
        embed(vocabulary_path, tower_path, Path(folder))
        embed_s = time.perf_counter() - begin
    return {
        "num_items": num_items,
        "step_s": (clock.ends[1] - clock.ends[0]) / _NUM_STEPS,  # The first pass traces the graph, too.
        "embed_items_per_s": num_items / embed_s,
        "tower_bytes_per_item": len(tower) / num_items,
    }


def _draw_vocabulary(num_items: int) -> pa.Table:
    counts = np.ones(num_items, np.int64)
    categories = pa.array(np.arange(num_items + 1, dtype=np.int32))
    columns = {
        "item_id": [f"item-{row:010d}" for row in range(num_items)],
        "surface": np.zeros(num_items, np.int8),
        "category_indexes": pa.ListArray.from_arrays(
            categories, np.arange(num_items, dtype=np.int32) % _NUM_CATEGORIES + 1
        ),
        "num_impressions": counts,
        "num_positives": counts,
        "num_recent": counts,
    }
    metadata = {"num_categories": str(_NUM_CATEGORIES)}
    return pa.table(columns, schema=VOCABULARY_SCHEMA.with_metadata(metadata))


def _draw_sequences(num_items: int, settings: RetrievalSettings) -> Sequences:
    """As many full windows as `_NUM_STEPS` batches have; the last item is all that is validated with."""
    num_users, length = settings.batch_size * _NUM_STEPS, settings.history_length
    items = np.random.default_rng(0).integers(1, num_items + 1, num_users * length).astype(np.int32)
    offsets = np.arange(num_users + 1, dtype=np.int64) * length
    return Sequences(offsets, items, np.arange(len(items)) == len(items) - 1)


class _Clock(Silent):
    """Notes when each pass ends."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def advance(self, done: int, **figures: float) -> None:
        self.ends.append(time.perf_counter())


def main(*sizes: str) -> None:
    """Prints what catalogues of these sizes cost, with the default settings."""
    for size in sizes:
        print(measure_growth(int(size), RetrievalSettings()), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
