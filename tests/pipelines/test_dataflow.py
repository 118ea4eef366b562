from __future__ import annotations

import pytest
from apache_beam.options.pipeline_options import GoogleCloudOptions, SetupOptions, StandardOptions, WorkerOptions
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner

from pipelines.dataflow import check_client, check_location, options_of
from pipelines.flags import flags_of
from pipelines.runner import read_options
from recsys.config.cloud import RunnerSettings
from recsys.errors import ConfigError

SETTINGS = RunnerSettings(
    name="dataflow",
    dataflow_project="a-project",
    dataflow_region="europe-west1",
    dataflow_temp_location="gs://bucket/tmp",
    dataflow_image="registry/tandem:1",
    parallelism=3,
)


def test_beam_understands_the_flags_for_dataflow_and_finds_nothing_missing() -> None:
    options = read_options(options_of(SETTINGS))
    assert options.view_as(StandardOptions).runner == "DataflowRunner"
    cloud = options.view_as(GoogleCloudOptions)
    assert (cloud.project, cloud.region, cloud.temp_location) == ("a-project", "europe-west1", "gs://bucket/tmp")
    workers = options.view_as(WorkerOptions)
    assert (workers.sdk_container_image, workers.num_workers) == ("registry/tandem:1", 3)
    assert options.view_as(SetupOptions).sdk_location == "container"
    assert PipelineOptionsValidator(options, DataflowRunner()).validate() == []


@pytest.mark.parametrize("name", ["dataflow_project", "dataflow_region", "dataflow_temp_location", "dataflow_image"])
def test_what_is_not_said_is_asked_for(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"Expected `runner\.{name}` \(.*\) for Dataflow, got none"):
        flags_of(SETTINGS.model_copy(update={name: ""}))


@pytest.mark.parametrize("location", ["/tmp", "gs://", "gs:///", "s3://bucket"])
def test_a_place_that_is_no_bucket_is_refused(location: str) -> None:
    with pytest.raises(ConfigError, match=r"Expected `runner\.dataflow_temp_location` as gs://BUCKET/FOLDER, got"):
        check_location(location)


def test_without_the_client_of_google_cloud_the_package_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.dataflow._CLIENT", "no_such_client")
    with pytest.raises(ConfigError, match=r"got: No module named 'no_such_client'\. Install `apache-beam\[gcp\]`"):
        check_client()
    monkeypatch.setattr("pipelines.dataflow._CLIENT", "json")
    check_client()
