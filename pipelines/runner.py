"""Runs a Beam pipeline: in this process by default, on a cluster where the flags say so.

The plain `DirectRunner` of Beam 2.77 hands batch pipelines to Prism, which downloads a binary at run time; without
flags Tandem therefore names the in-process `FnApiRunner` outright.
"""

from __future__ import annotations

import atexit
import logging
import re
import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from typing import Final

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult

from pipelines.arrow_coder import ArrowTableCoder
from pipelines.logs import quiet_logs
from pipelines.metering import read_figures
from recsys import errors
from recsys.errors import ClusterError, TandemError

EMBEDDED_RUNNER = "FnApiRunner"

RESTART_DELAY_S: Final = 10.0
"""So long a cluster may still count on a machine that is gone."""

_CAUSE_LENGTH: Final = 600
_REMOTE_ERROR: Final = re.compile(
    r"recsys\.errors\.(\w+): ((?:(?!recsys\.errors\.\w+: ).)*?) \[while running", re.DOTALL
)
"""As Beam raises it anew, with its place: the last of a chain of tracebacks, all of which tell the error."""


class RestartOptions(PipelineOptions):
    """What `run` itself takes beside Beam's own flags."""

    @classmethod
    def _add_argparse_args(cls, parser: ArgumentParser) -> None:
        parser.add_argument("--restarts", type=int, default=0, help="How often a job is begun again that was given up.")


def run(construct: Callable[[beam.Pipeline], None], flags: Sequence[str] = ()) -> dict[str, dict[str, float]]:
    """Builds a pipeline and runs it to its end.

    A job that a cluster gives up, for another reason than that a transform raised an error of Tandem's, is begun again
    `--restarts` times. (Flink does not begin a batch job again by itself, and Beam tells only streaming jobs to.)

    Args:
      construct: Applies the transforms to an empty pipeline; doing them twice must do no harm.
      flags: Beam's own flags, such as `--runner=FlinkRunner`; none means the in-process runner. Runners with workers
        on other machines need the workspace on a file system that all of them share.

    Returns:
      Counters and timings of the metered steps (see `pipelines.metering.read_figures`).

    Raises:
      TandemError: What a transform raised, of the same class, with the message as it was raised.
      ClusterError: If a cluster gave the job up for another reason.
    """
    beam.coders.registry.register_coder(pa.Table, ArrowTableCoder)
    restarts = read_options(flags).view_as(RestartOptions).restarts
    with quiet_logs(logging.ERROR):
        try:
            while True:
                try:
                    return _attempt(construct, flags)
                except ClusterError:
                    if restarts == 0:
                        raise
                restarts -= 1
                time.sleep(RESTART_DELAY_S)
        finally:
            if flags:
                # Beam ends its job servers with the process, and warns of each: after the last word, an error's maybe.
                atexit.register(logging.disable, logging.WARNING)


def _attempt(construct: Callable[[beam.Pipeline], None], flags: Sequence[str]) -> dict[str, dict[str, float]]:
    try:
        pipeline = beam.Pipeline(options=read_options(flags))
        construct(pipeline)
        return read_figures(_finish(pipeline.run()))
    except TandemError as error:
        raise type(error)(str(error).split(" [while running")[0]) from error
    except _failures(flags) as error:
        # From a cluster an error arrives as text.
        if not flags:
            raise
        raise read_failure(str(error)) from error


def _failures(flags: Sequence[str]) -> tuple[type[Exception], ...]:
    """Returns what runners raise of a job that failed; that of Dataflow, whose module is heavy, is none of Python's."""
    if not flags:
        return (RuntimeError,)
    from apache_beam.runners.dataflow.dataflow_runner import DataflowRuntimeException

    return RuntimeError, DataflowRuntimeException


def _finish(result: PipelineResult) -> PipelineResult:
    """Waits for the job; if the wait is broken off (Ctrl-C), a cluster is told to stop it."""
    try:
        result.wait_until_finish()
    except (KeyboardInterrupt, SystemExit):
        result.cancel()
        raise
    return result


def read_failure(text: str) -> TandemError:
    """Returns the error that a cluster's account of a failed job tells of."""
    if found := _REMOTE_ERROR.search(text):
        kind = getattr(errors, found[1], None)
        if isinstance(kind, type) and issubclass(kind, TandemError):
            return kind(found[2])
    cause = " ".join(text.split())[:_CAUSE_LENGTH]
    return ClusterError(f"Expected the cluster to end the job, got: {cause} See the logs of the cluster; run again.")


def read_options(flags: Sequence[str]) -> PipelineOptions:
    """Returns Beam's options; the runner is the in-process one unless a flag names another."""
    chosen = [] if any(flag.startswith("--runner") for flag in flags) else [f"--runner={EMBEDDED_RUNNER}"]
    return PipelineOptions([*chosen, *flags])
