"""The exported item tower as a model of Beam's RunInference."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apache_beam.ml.inference.base import ModelHandler

from pipelines.metering import Meter
from recsys.contracts.arrays import Float32Array, Int32Array
from recsys.exchange.rounding import round_to_float16
from recsys.runtime.tower import Tower


@dataclass(frozen=True, eq=False)
class ItemBatch:
    """Consecutive items of the catalogue.

    Attributes:
      item_index: `[num]` int32.
      trained_index: `[num]` int32, the same, or 0 where training knew nothing of the item but its content.
      categories: `[num, MAX_CATEGORIES]` int32, 0 is padding.
    """

    item_index: Int32Array
    trained_index: Int32Array
    categories: Int32Array


@dataclass(frozen=True, eq=False)
class VectorBatch:
    """Vectors of consecutive items: `[num]` int32 and `[num, dim]` float32, each value one that float16 can hold."""

    item_index: Int32Array
    vectors: Float32Array


class ItemTowerHandler(ModelHandler[ItemBatch, VectorBatch, Tower]):
    """Runs the tower on whole batches: an element of the pipeline is a batch, not an item."""

    def __init__(self, tower: Path) -> None:
        """Keeps the path of `item_tower.tflite`."""
        super().__init__(max_batch_size=1)
        self._tower = tower
        self._meter = Meter("embed")

    def load_model(self) -> Tower:
        """Loads the tower, once per worker.

        Raises:
          BundleError: If the file is no item tower.
        """
        return Tower(self._tower.read_bytes(), "embed")

    def run_inference(
        self, batch: Sequence[ItemBatch], model: Tower, inference_args: dict[str, Any] | None = None
    ) -> Iterator[VectorBatch]:
        """Yields the vectors of each batch of items."""
        for items in batch:
            self._meter.begin_call(len(items.item_index))
            begin = time.perf_counter_ns()
            vectors = model(item_index=items.trained_index, categories=items.categories)["vector"]
            rounded = round_to_float16(vectors)
            self._meter.add_time(begin)
            yield VectorBatch(items.item_index, rounded)

    def get_num_bytes(self, batch: Sequence[ItemBatch]) -> int:
        """Returns the size of the inputs, for Beam's metrics."""
        return sum(items.item_index.nbytes + items.trained_index.nbytes + items.categories.nbytes for items in batch)

    def get_metrics_namespace(self) -> str:
        """The name under which Beam keeps the metrics."""
        return "item_tower"
