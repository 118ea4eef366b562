"""From the settings of the runner to Beam's flags; what can be checked before a job is submitted is checked here."""

from __future__ import annotations

from pipelines.dataflow import dataflow_flags
from pipelines.flink.flags import flink_flags
from pipelines.spark.flags import spark_flags
from recsys.config.cloud import RunnerSettings


def flags_of(settings: RunnerSettings) -> tuple[str, ...]:
    """Returns Beam's flags for a runner; none for the embedded one.

    Raises:
      ConfigError: If something that the runner needs is not there or not said, or its cluster does not answer.
    """
    makers = {"flink": flink_flags, "spark": spark_flags, "dataflow": dataflow_flags}
    return makers[settings.name](settings) if settings.name in makers else ()
