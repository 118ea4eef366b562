"""Runners that translate a job as for a cluster, keep the graph, and run that very graph in this process."""

from __future__ import annotations

from apache_beam.options.pipeline_options import PipelineOptions, WorkerOptions
from apache_beam.pipeline import Pipeline
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.portability.spark_runner import SparkRunner
from apache_beam.runners.runner import PipelineResult
from apache_beam.transforms.environments import DockerEnvironment

GRAPHS: list[beam_runner_api_pb2.Pipeline] = []
"""All that were translated, in their order."""


class TranslatingSparkRunner(SparkRunner):
    """Beam's own, up to the graph that it would submit to the job server."""

    def run_portable_pipeline(self, pipeline: beam_runner_api_pb2.Pipeline, options: PipelineOptions) -> PipelineResult:
        return run_here(self._optimize_pipeline(pipeline, options), options)


class TranslatingDataflowRunner(DataflowRunner):
    """What Beam's own checks and builds before it loads the client of Google Cloud."""

    def run_pipeline(self, pipeline: Pipeline, options: PipelineOptions) -> PipelineResult:
        pipeline.visit(self.combinefn_visitor())
        pipeline.visit(self.side_input_visitor(deterministic_key_coders=True))
        self._adjust_pipeline_for_dataflow_v2(pipeline)
        image = options.view_as(WorkerOptions).sdk_container_image
        environment = DockerEnvironment.from_container_image(image)
        return run_here(pipeline.to_runner_api(default_environment=environment), options)


def run_here(graph: beam_runner_api_pb2.Pipeline, options: PipelineOptions) -> PipelineResult:
    """Keeps a graph; runs its bytes, as they would be sent, with this process in place of the workers."""
    sent = graph.SerializeToString()
    GRAPHS.append(beam_runner_api_pb2.Pipeline.FromString(sent))
    received = beam_runner_api_pb2.Pipeline.FromString(sent)
    for environment in received.components.environments.values():
        environment.urn, environment.payload = python_urns.EMBEDDED_PYTHON, b""
    return FnApiRunner().run_via_runner_api(received, options)
