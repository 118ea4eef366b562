"""The steps of the stage as Beam transforms: tables in, tables out, counters on the side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.pvalue import TaggedOutput

from data.dataset import raw_event_schema
from pipelines.prepare import examples, layout
from pipelines.prepare.catalogue import read_items
from pipelines.prepare.deduplication import deduplicate
from pipelines.prepare.responses import RESPONSE_COLUMNS
from pipelines.prepare.source import ROW
from pipelines.prepare.statistics import training_part
from pipelines.prepare.validation import REASON, validate
from recsys.config.cloud import PrepareSettings
from recsys.contracts.arrays import Int8Array

COUNTS: Final = "counts"
"""Tag of (name, number) pairs beside the main output."""

TRAINING: Final = "training"
"""Tag of the training rows, for the item counts."""

RESPONSES: Final = "responses"
"""Tag of all rows that were written, for the counts per action."""

RAW_COLUMNS: Final = raw_event_schema().names

Output = pa.Table | TaggedOutput


def count(name: str, number: int) -> TaggedOutput:
    """Returns a counter's increment for the side output."""
    return TaggedOutput(COUNTS, (name, number))


class Validate(beam.DoFn):
    """Passes lawful rows on and writes the others to `dead_letters/`, each with its reason."""

    def __init__(self, items: Path, output_dir: Path) -> None:
        """Keeps the paths; the catalogue is read where the work is done."""
        self._items = items
        self._output_dir = output_dir
        self._item_ids: pa.Array | None = None

    def setup(self) -> None:
        """Reads the ids of the catalogue, once per worker."""
        self._item_ids = read_items(self._items).column("item_id").combine_chunks()

    def process(self, element: pa.Table) -> Iterator[Output]:
        """Yields the lawful rows of a table of raw events."""
        lawful, others = validate(element, self._item_ids)
        yield count("rows_in", element.num_rows)
        if others.num_rows:
            first_row = element.column(ROW)[0].as_py()
            yield from write_dead_letters(others, self._output_dir, f"read-{first_row:016d}")
        if lawful.num_rows:
            yield lawful


class Deduplicate(beam.DoFn):
    """Passes one row per event_id on and writes the others to `duplicates/`."""

    def __init__(self, output_dir: Path) -> None:
        """Keeps where to write."""
        self._output_dir = output_dir

    def process(self, element: tuple[int, Iterable[pa.Table]]) -> Iterator[Output]:
        """Yields the kept rows of a shard by event_id."""
        shard, tables = element
        kept, dropped = deduplicate(pa.concat_tables(tables))
        if dropped.num_rows:
            path = self._output_dir / layout.DUPLICATES / f"part-{shard:05d}.parquet"
            layout.write_part(dropped.select(RAW_COLUMNS), path)
            yield count("duplicates", dropped.num_rows)
        yield kept


class WriteExamples(beam.DoFn):
    """Writes the examples of whole users to `events/`."""

    def __init__(self, output_dir: Path, settings: PrepareSettings) -> None:
        """Keeps where to write, and the settings of the stage."""
        self._output_dir = output_dir
        self._settings = settings

    def process(self, element: tuple[int, Iterable[pa.Table]]) -> Iterator[Output]:
        """Yields the training rows (tag `TRAINING`) and all (tag `RESPONSES`) of a shard by user."""
        shard, tables = element
        limit = self._settings.max_events_per_user
        ordered = examples.order_by_user(pa.concat_tables(tables))
        table, others = examples.limit_users(ordered, limit)
        if others.num_rows:
            reason = pa.repeat(
                f"user_id: expected at most {limit} events of one user, the latest are kept", len(others)
            )
            yield from write_dead_letters(others.append_column(REASON, reason), self._output_dir, f"user-{shard:05d}")
        periods = self._assign_periods(table)
        encoded = examples.encode(table, periods)
        layout.write_part(encoded, self._output_dir / layout.EVENTS / f"part-{shard:05d}.parquet")
        yield count("accepted", encoded.num_rows)
        yield count("train", int((periods == examples.TRAIN).sum()))
        yield count("validation", int((periods == examples.VALIDATION).sum()))
        yield count("users", examples.count_users(table))
        yield TaggedOutput(TRAINING, training_part(encoded))
        yield TaggedOutput(RESPONSES, encoded.select(RESPONSE_COLUMNS))

    def _assign_periods(self, table: pa.Table) -> Int8Array:
        settings = self._settings
        if settings.validation_from_ms:
            return examples.assign_periods_by_time(table, settings.validation_from_ms)
        return examples.assign_periods(table, settings.validation_fraction, settings.max_validation_positives)


def write_dead_letters(table: pa.Table, output_dir: Path, name: str) -> Iterator[TaggedOutput]:
    """Writes the raw columns and the reason of rows that are set aside, and yields their counters."""
    letters = table.select([*RAW_COLUMNS, REASON])
    layout.write_part(letters, output_dir / layout.DEAD_LETTERS / f"part-{name}.parquet")
    reasons, numbers = np.unique(letters.column(REASON).to_numpy(zero_copy_only=False), return_counts=True)
    for reason, number in zip(reasons, numbers, strict=True):
        yield count(f"dead_letters/{reason}", int(number))


def write_counters(counters: dict[str, Any], output_dir: Path) -> None:
    """Writes the sums of all counters."""
    layout.write_json(counters, output_dir / layout.COUNTERS)
