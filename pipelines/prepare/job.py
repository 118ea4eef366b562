"""The stage as one Beam pipeline.

              events/*.parquet
                     │  row groups, as Arrow tables
                  validate ────────────────────────▶ dead_letters/
                     │  shuffle by event_id
                deduplicate ───────────────────────▶ duplicates/
                     │  shuffle by user_id
       order, limit, assign periods, encode ───────▶ events/, dead_letters/
                     │  training rows
          time range ─▶ count by item (Combine) ───▶ vocabulary.parquet
                     │  all rows
               count by item and action (Combine) ─▶ responses.parquet

Two shuffles, because both ids must be whole in one place: copies of an event may bear different users.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import AsSingleton

from pipelines.metering import Metered
from pipelines.prepare import layout, steps
from pipelines.prepare.catalogue import build_vocabulary, read_items
from pipelines.prepare.responses import CountsFn, count_responses
from pipelines.prepare.routing import Route
from pipelines.prepare.source import ReadRowGroup, list_row_groups
from pipelines.prepare.statistics import SumFn, TimeRangeFn, count_items
from pipelines.runner import run
from recsys.config.cloud import PrepareSettings
from recsys.contracts.arrays import Int64Array


def prepare(
    events: Path, items: Path, output_dir: Path, settings: PrepareSettings, flags: Sequence[str] = ()
) -> dict[str, Any]:
    """Turns the consented log into examples.

    Args:
      events: Folder of Parquet files of raw events.
      items: The catalogue.
      output_dir: Where to write; it exists and is empty.
      settings: Of the stage.
      flags: Beam's own flags (see `pipelines.runner.run`).

    Returns:
      What `report.json` holds: `rows_in`, `accepted`, `duplicates`, `dead_letters` (reason to number), `train`,
      `validation`, `users`, `items`, `steps` (see `pipelines.metering`), `seconds`, `rows_per_second`. Law: every row
      of the log is accepted, a duplicate or a dead letter, and exactly one of them.

    Raises:
      WorkspaceError: If there are no events or no catalogue.
      DatasetError: If a file is broken; the message names it.
    """
    begin = time.perf_counter()
    # Workers of a cluster stand in folders of their own.
    events, items, output_dir = (path.absolute() for path in (events, items, output_dir))
    num_items = read_items(items).num_rows
    groups = list_row_groups(events)
    for folder in (layout.EVENTS, layout.DEAD_LETTERS, layout.DUPLICATES):
        (output_dir / folder).mkdir(parents=True, exist_ok=True)

    def construct(pipeline: beam.Pipeline) -> None:
        row_groups = pipeline | "Row groups" >> beam.Create(groups) | "Spread" >> beam.Reshuffle()
        log = row_groups | "Read" >> beam.ParDo(Metered("read", ReadRowGroup(settings.batch_rows)))
        valid = log | "Validate" >> _with_counts("validate", steps.Validate(items, output_dir))
        kept = (
            valid.main
            | "By event" >> Route("event_id", settings.num_shards)
            | "Deduplicate" >> _with_counts("deduplicate", steps.Deduplicate(output_dir))
        )
        written = (
            kept.main
            | "By user" >> Route("user_id", settings.num_shards)
            | "Write examples"
            >> _with_counts(
                "write examples", steps.WriteExamples(output_dir, settings), steps.TRAINING, steps.RESPONSES
            )
        )
        _write_counters([valid.counts, kept.counts, written.counts], output_dir)
        _write_vocabulary(pipeline, written[steps.TRAINING], items, num_items, output_dir)
        _write_responses(written[steps.RESPONSES], output_dir)

    figures = run(construct, flags)
    layout.remove_leftovers(output_dir)
    return _report(output_dir, num_items, figures, time.perf_counter() - begin)


def _with_counts(label: str, step: beam.DoFn, *tags: str) -> beam.PTransform:
    return beam.ParDo(Metered(label, step)).with_outputs(steps.COUNTS, *tags, main="main").with_output_types(pa.Table)


def _write_counters(counts: Sequence[beam.PCollection], output_dir: Path) -> None:
    (
        counts
        | "All counts" >> beam.Flatten()
        | "Sum counts" >> beam.CombinePerKey(sum)
        | "Gather counts" >> beam.combiners.ToDict()
        | "Write counts" >> beam.Map(steps.write_counters, output_dir)
    )


def _write_vocabulary(
    pipeline: beam.Pipeline, training: beam.PCollection, items: Path, num_items: int, output_dir: Path
) -> None:
    def write(counts: Int64Array) -> None:
        layout.write_part(build_vocabulary(read_items(items), counts), output_dir / layout.VOCABULARY)

    period = training | "Training period" >> beam.CombineGlobally(TimeRangeFn())
    (
        training
        | "Count items" >> beam.ParDo(Metered("count items", count_items), AsSingleton(period), num_items)
        | "Sum items" >> beam.CombineGlobally(SumFn((3, num_items + 1)))
        | "Write vocabulary" >> beam.Map(write)
    )


def _write_responses(examples: beam.PCollection, output_dir: Path) -> None:
    (
        examples
        | "Count responses" >> beam.ParDo(Metered("count responses", count_responses))
        | "Sum responses" >> beam.CombineGlobally(CountsFn())
        | "Write responses" >> beam.Map(layout.write_part, output_dir / layout.RESPONSES)
    )


def _report(output_dir: Path, num_items: int, figures: dict[str, dict[str, float]], seconds: float) -> dict[str, Any]:
    counters = json.loads((output_dir / layout.COUNTERS).read_text(encoding="utf-8"))
    names = ("rows_in", "accepted", "duplicates", "train", "validation", "users")
    report: dict[str, Any] = {name: counters.get(name, 0) for name in names}
    report["dead_letters"] = {
        name.removeprefix("dead_letters/"): number for name, number in counters.items() if name.startswith("dead")
    }
    report["items"] = num_items
    report["steps"] = figures
    report["seconds"] = round(seconds, 3)
    report["rows_per_second"] = round(report["rows_in"] / max(seconds, 1e-9))
    layout.write_json(report, output_dir / layout.REPORT)
    (output_dir / layout.COUNTERS).unlink()
    return report
