"""Runs a Beam pipeline: in this process by default, on a cluster where the flags say so.

The plain `DirectRunner` of Beam 2.77 hands batch pipelines to Prism, which downloads a binary at run time; without
flags Tandem therefore names the in-process `FnApiRunner` outright.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.arrow_coder import ArrowTableCoder
from pipelines.logs import quiet_logs
from recsys.errors import TandemError

EMBEDDED_RUNNER = "FnApiRunner"


def run(construct: Callable[[beam.Pipeline], None], flags: Sequence[str] = ()) -> None:
    """Builds a pipeline and runs it to its end.

    Args:
      construct: Applies the transforms to an empty pipeline.
      flags: Beam's own flags, such as `--runner=FlinkRunner`; none means the in-process runner. Runners with workers
        on other machines need the workspace on a file system that all of them share.

    Raises:
      TandemError: What a transform raised, of the same class, with the message as it was raised.
    """
    beam.coders.registry.register_coder(pa.Table, ArrowTableCoder)
    with quiet_logs(logging.ERROR):
        try:
            with beam.Pipeline(options=read_options(flags)) as pipeline:
                construct(pipeline)
        except TandemError as error:
            raise type(error)(str(error).split(" [while running")[0]) from error


def read_options(flags: Sequence[str]) -> PipelineOptions:
    """Returns Beam's options; the runner is the in-process one unless a flag names another."""
    chosen = [] if any(flag.startswith("--runner") for flag in flags) else [f"--runner={EMBEDDED_RUNNER}"]
    return PipelineOptions([*chosen, *flags])
