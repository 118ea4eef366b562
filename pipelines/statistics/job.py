"""The stage as one Beam pipeline.

        events/part-*.parquet
                 │  whole users, training period (or all), positives
         count pairs of items ─────────────────────┐
                 │  (kind, block of sources)       │
          add up (Combine)                  items, added up
            │          │                           │
            │     whole matrix ── EASE ──────┐     │
            └─ weigh, keep the strongest ◀───│─────┘
                       └──── parts ──────────┴─────▶ item_to_item.parquet

Counts are integers, so the sums, and the rows, are the same whatever the batches, workers and runner.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import apache_beam as beam
import pyarrow.parquet as pq
from apache_beam.pvalue import AsSingleton, TaggedOutput

from pipelines.metering import Metered
from pipelines.prepare.layout import EVENTS, REPORT, VOCABULARY, remove_leftovers, write_json, write_part
from pipelines.prepare.statistics import SumFn
from pipelines.runner import run
from pipelines.statistics import pairs, weights
from pipelines.statistics.histories import keep_distinct, read_histories
from pipelines.statistics.pairs import PairCounts
from recsys.config.cloud import StatisticsSettings
from recsys.contracts.arrays import Int64Array
from recsys.contracts.bundle import ITEM_TO_ITEM_FILE
from recsys.features.item_to_item import CO_OCCURRENCE, EASE, ITEM_TO_ITEM_SCHEMA, KINDS, TRANSITIONS

BATCH_ROWS: Final = 131_072
"""Rows of examples that are read at once."""

BLOCK_ITEMS: Final = 1_024
"""Sources whose counts are added up together."""

ITEMS: Final = "items"
"""Tag of the item counts beside the pairs."""

Block: TypeAlias = tuple[tuple[str, int], PairCounts]
"""(kind, number of the block) and its counts."""


class CountPairs(beam.DoFn):
    """Turns a part of the examples into the counts of its users."""

    def __init__(self, width: int, settings: StatisticsSettings, batch_rows: int, whole: bool) -> None:
        """Keeps the number of item indexes, the settings of the stage, the size of a batch, and what is read."""
        self._width = width
        self._settings = settings
        self._batch_rows = batch_rows
        self._whole = whole

    def process(self, element: str) -> Iterator[Block | TaggedOutput]:
        """Yields the counts of each batch of whole users by kind and block, and its item counts (tag `ITEMS`)."""
        settings = self._settings
        for histories in read_histories(Path(element), self._batch_rows, self._whole):
            distinct = keep_distinct(histories, settings.max_items_per_user)
            yield TaggedOutput(ITEMS, pairs.count_items(histories, distinct, self._width))
            followed = pairs.count_transitions(histories, self._width, settings.window, settings.decay)
            for kind, counts in (
                (TRANSITIONS, followed),
                (CO_OCCURRENCE, pairs.count_co_occurrences(distinct, self._width)),
            ):
                for block, part in pairs.split_by_source(counts, self._width, BLOCK_ITEMS):
                    yield (kind, block), part


class MergeFn(beam.CombineFn):
    """Adds up counts; what comes is gathered until there is as much of it as of the sum."""

    def create_accumulator(self) -> list[PairCounts]:
        """Starts with nothing."""
        return []

    def add_input(self, mutable_accumulator: list[PairCounts], element: PairCounts) -> list[PairCounts]:
        """Gathers one more."""
        mutable_accumulator.append(element)
        if sum(map(len, mutable_accumulator[1:])) > len(mutable_accumulator[0]):
            return [pairs.merge(mutable_accumulator)]
        return mutable_accumulator

    def merge_accumulators(self, accumulators: Iterable[list[PairCounts]]) -> list[PairCounts]:
        """Adds up the accumulators."""
        return [pairs.merge([part for parts in accumulators for part in parts])]

    def compact(self, accumulator: list[PairCounts]) -> list[PairCounts]:
        """Adds up before the shuffle."""
        return [pairs.merge(accumulator)]

    def extract_output(self, accumulator: list[PairCounts]) -> PairCounts:
        """Returns the sum."""
        return pairs.merge(accumulator)


def count_statistics(
    examples_dir: Path,
    output_dir: Path,
    settings: StatisticsSettings,
    flags: Sequence[str] = (),
    batch_rows: int = BATCH_ROWS,
    whole: bool = False,
) -> None:
    """Writes `item_to_item.parquet`, rows by kind and source, and counters and timings to `report.json`.

    Args:
      examples_dir: What the prepare stage wrote.
      output_dir: Where to write; it exists and is empty.
      settings: Of the stage.
      flags: Beam's own flags (see `pipelines.runner.run`).
      batch_rows: Rows of examples that are read at once; makes no difference to what is written.
      whole: Whether to count the validation period, too; the models that learn from the counts must not.
    """
    # Workers of a cluster stand in folders of their own.
    examples_dir, output_dir = examples_dir.absolute(), output_dir.absolute()
    num_items = pq.read_metadata(examples_dir / VOCABULARY).num_rows
    width = num_items + 1
    events = [str(path) for path in sorted((examples_dir / EVENTS).glob("*.parquet"))]
    count = CountPairs(width, settings, batch_rows, whole)

    def construct(pipeline: beam.Pipeline) -> None:
        counted = (
            pipeline
            | "Parts" >> beam.Create(events)
            | "Spread" >> beam.Reshuffle()
            | "Count pairs" >> beam.ParDo(Metered("count pairs", count)).with_outputs(ITEMS, main="pairs")
        )
        items = counted[ITEMS] | "Sum items" >> beam.CombineGlobally(SumFn((2, width)))
        blocks = counted.pairs | "Sum pairs" >> beam.CombinePerKey(MergeFn())
        writing = Metered("write blocks", write_block)
        blocks | "Write blocks" >> beam.ParDo(writing, AsSingleton(items), output_dir, settings)
        if num_items <= settings.ease_max_items:
            (
                blocks
                | "Co-occurrence" >> beam.Filter(lambda block: block[0][0] == CO_OCCURRENCE)
                | "One matrix" >> beam.Map(lambda block: (EASE, block[1]))
                | "Gather" >> beam.GroupByKey()
                | "Write EASE" >> beam.ParDo(Metered("write EASE", write_ease), width, output_dir, settings)
            )

    figures = run(construct, flags)
    remove_leftovers(output_dir)
    _join_parts(output_dir)
    write_json({"items": num_items, "steps": figures}, output_dir / REPORT)


def write_block(block: Block, num_items: Int64Array, output_dir: Path, settings: StatisticsSettings) -> None:
    """Weighs the counts of a block and writes its rows.

    Args:
      block: Whole counts of some sources.
      num_items: `[2, width]` int64, what `count_items` counted, all of it.
      output_dir: Where to write.
      settings: Of the stage.
    """
    (kind, number), counts = block
    if kind == TRANSITIONS:
        values = weights.weigh_transitions(counts, num_items[0], settings.popularity_exponent)
    else:
        values = weights.weigh_co_occurrences(counts, num_items[1])
    width = num_items.shape[1]
    table = weights.keep_strongest(kind, counts.keys, values, width, settings.targets_per_item)
    write_part(table, _part(output_dir, kind, number))


def write_ease(
    gathered: tuple[str, Iterable[PairCounts]], width: int, output_dir: Path, settings: StatisticsSettings
) -> None:
    """Solves EASE from all blocks of the co-occurrences and writes its rows."""
    gram = pairs.merge(list(gathered[1]))
    items, values = weights.solve_ease(gram, width, settings.ease_regularisation)
    for start in range(0, len(items), BLOCK_ITEMS):
        part = slice(start, start + BLOCK_ITEMS)
        keys = (items[part, None] * width + items).ravel()
        table = weights.keep_strongest(EASE, keys, values[part].ravel(), width, settings.ease_targets_per_item)
        write_part(table, _part(output_dir, EASE, start // BLOCK_ITEMS))


def _join_parts(output_dir: Path) -> None:
    """Puts the parts into one file, block after block."""
    with pq.ParquetWriter(
        output_dir / ITEM_TO_ITEM_FILE,
        ITEM_TO_ITEM_SCHEMA,
        compression="zstd",
        use_dictionary=["kind"],
        column_encoding={
            "source": "DELTA_BINARY_PACKED",
            "targets.list.item": "DELTA_BINARY_PACKED",
            "weights.list.item": "BYTE_STREAM_SPLIT",
        },
    ) as writer:
        for kind in KINDS:
            for path in sorted(output_dir.glob(f"{kind}-*.parquet")):
                writer.write_table(pq.read_table(path, schema=ITEM_TO_ITEM_SCHEMA))
                path.unlink()


def _part(output_dir: Path, kind: str, block: int) -> Path:
    return output_dir / f"{kind}-{block:08d}.parquet"
