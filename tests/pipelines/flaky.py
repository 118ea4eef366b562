"""A runner that gives jobs up as a cluster does, before it runs them in this process."""

from __future__ import annotations

from typing import ClassVar

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pipeline import Pipeline
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineResult


class FlakyRunner(FnApiRunner):
    """Fails with each of the errors once, in their order."""

    failures: ClassVar[list[Exception]] = []

    def run_pipeline(self, pipeline: Pipeline, options: PipelineOptions) -> PipelineResult:
        if self.failures:
            raise self.failures.pop(0)
        return super().run_pipeline(pipeline, options)
