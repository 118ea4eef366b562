"""The stage as a Beam pipeline: ranges of the catalogue → RunInference with the item tower → one snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq
from apache_beam.ml.inference.base import RunInference

from pipelines.embed.handler import ItemBatch, ItemTowerHandler, VectorBatch
from pipelines.metering import Metered
from pipelines.prepare.layout import REPORT, write_json
from pipelines.runner import run
from recsys.contracts.bundle import EMBEDDINGS_FILE
from recsys.contracts.embeddings import EmbeddingSnapshot
from recsys.features.catalogue import Catalogue
from recsys.storage.atomic import write_file
from recsys.storage.snapshot import write_snapshot

BATCH_ITEMS: Final = 4096
"""Items per call of the tower. Part of the result: kernels may round another way at another size."""


class ReadItems(beam.DoFn):
    """Turns the first index of a range into the items of that range."""

    def __init__(self, vocabulary: Path, batch_items: int) -> None:
        """Keeps where the vocabulary lies, and the length of a range."""
        self._vocabulary = vocabulary
        self._batch_items = batch_items
        self._catalogue: Catalogue | None = None

    def setup(self) -> None:
        """Reads the vocabulary, once per worker."""
        self._catalogue = Catalogue.from_vocabulary(pq.read_table(self._vocabulary))

    def process(self, element: int) -> list[ItemBatch]:
        """Returns the batch of items that begins at an item index."""
        catalogue = self._catalogue
        indexes = np.arange(element, min(element + self._batch_items, catalogue.num_items + 1), dtype=np.int32)
        return [ItemBatch(indexes, catalogue.trained_indexes[indexes], catalogue.categories[indexes])]


def embed(
    vocabulary: Path, tower: Path, output_dir: Path, flags: Sequence[str] = (), batch_items: int = BATCH_ITEMS
) -> EmbeddingSnapshot:
    """Writes the vectors of all items to `embeddings.parquet`; what training never saw is placed by its content.

    Counters and timings go to `report.json`.

    Args:
      vocabulary: `vocabulary.parquet` of the prepare stage.
      tower: `item_tower.tflite`.
      output_dir: Where to write; it exists.
      flags: Beam's own flags (see `pipelines.runner.run`).
      batch_items: Items per call of the tower.

    Raises:
      BundleError: If the tower is none.
      ContractError: If the vocabulary is none, or a vector is not finite.
    """
    # Workers of a cluster stand in folders of their own.
    vocabulary, tower, output_dir = (path.absolute() for path in (vocabulary, tower, output_dir))
    item_ids = Catalogue.from_vocabulary(pq.read_table(vocabulary)).item_ids
    starts = range(1, len(item_ids) + 1, batch_items)

    def write(batch: VectorBatch) -> None:
        write_file(_part(output_dir, int(batch.item_index[0])), batch.vectors.tobytes())

    def construct(pipeline: beam.Pipeline) -> None:
        (
            pipeline
            | "Ranges" >> beam.Create(starts)
            | "Spread" >> beam.Reshuffle()
            | "Read items" >> beam.ParDo(Metered("read items", ReadItems(vocabulary, batch_items)))
            | "Embed" >> RunInference(ItemTowerHandler(tower))
            | "Write vectors" >> beam.ParDo(Metered("write vectors", write))
        )

    figures = run(construct, flags)
    parts = [_part(output_dir, start) for start in starts]
    vectors = np.frombuffer(b"".join(part.read_bytes() for part in parts), np.float32)
    order = sorted(range(len(item_ids)), key=item_ids.__getitem__)
    sorted_ids = tuple(item_ids[row] for row in order)
    snapshot = EmbeddingSnapshot(sorted_ids, vectors.reshape(len(item_ids), -1)[order])
    write_file(output_dir / EMBEDDINGS_FILE, write_snapshot(snapshot))
    for part in parts:
        part.unlink()
    write_json({"items": len(item_ids), "steps": figures}, output_dir / REPORT)
    return snapshot


def _part(output_dir: Path, start: int) -> Path:
    return output_dir / f"vectors-{start:012d}.f32"
