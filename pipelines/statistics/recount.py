"""What is counted anew before serving: over the whole log, the validation period too.

The models must not have counted what they are judged by, so they learn from counts of the training period. Once they
are trained nothing forbids the latest events, and it is these that say what is chosen now.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.pvalue import AsSingleton

from pipelines.metering import Metered
from pipelines.prepare.layout import EVENTS, REPORT, VOCABULARY, write_json, write_part
from pipelines.prepare.statistics import COUNTED_COLUMNS, SumFn, TimeRangeFn, count_items
from pipelines.runner import run
from pipelines.statistics.job import BATCH_ROWS, count_statistics
from recsys.config.cloud import StatisticsSettings
from recsys.contracts.arrays import Int64Array
from recsys.features.catalogue import COUNTS


def recount(examples_dir: Path, output_dir: Path, settings: StatisticsSettings, flags: Sequence[str] = ()) -> None:
    """Writes `item_to_item.parquet` and `vocabulary.parquet` with counts of all examples, and `report.json`.

    Args:
      examples_dir: What the prepare stage wrote.
      output_dir: Where to write; it exists and is empty.
      settings: Of the item-to-item statistics.
      flags: Beam's own flags (see `pipelines.runner.run`).
    """
    examples_dir, output_dir = examples_dir.absolute(), output_dir.absolute()
    count_statistics(examples_dir, output_dir, settings, flags, whole=True)
    vocabulary = pq.read_table(examples_dir / VOCABULARY)
    num_items = vocabulary.num_rows
    parts = [str(path) for path in sorted((examples_dir / EVENTS).glob("*.parquet"))]

    def write(counts: Int64Array) -> None:
        write_part(replace_counts(vocabulary, counts), output_dir / VOCABULARY)

    def construct(pipeline: beam.Pipeline) -> None:
        rows = pipeline | "Parts" >> beam.Create(parts) | "Spread" >> beam.Reshuffle() | "Read" >> beam.FlatMap(_read)
        period = rows | "Period" >> beam.CombineGlobally(TimeRangeFn())
        (
            rows
            | "Count items" >> beam.ParDo(Metered("count items", count_items), AsSingleton(period), num_items)
            | "Sum items" >> beam.CombineGlobally(SumFn((len(COUNTS), num_items + 1)))
            | "Write vocabulary" >> beam.Map(write)
        )

    figures = run(construct, flags)
    report = json.loads((output_dir / REPORT).read_text(encoding="utf-8"))
    write_json({**report, "steps": {**report["steps"], **figures}}, output_dir / REPORT)


def replace_counts(vocabulary: pa.Table, counts: Int64Array) -> pa.Table:
    """Returns a vocabulary with other counts, `[len(COUNTS), num_items + 1]` int64 by item index."""
    columns = dict(zip(COUNTS, (pa.array(row[1:]) for row in counts), strict=True))
    arrays = [columns.get(name, vocabulary.column(name)) for name in vocabulary.column_names]
    return pa.table(arrays, schema=vocabulary.schema)


def _read(part: str) -> Iterator[pa.Table]:
    with pq.ParquetFile(part) as file:
        for batch in file.iter_batches(BATCH_ROWS, columns=COUNTED_COLUMNS):
            yield pa.Table.from_batches([batch])
