"""Spark itself, inside Beam's job server: what a stage leaves by it is what it leaves without a cluster."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipelines.flags import flags_of
from pipelines.prepare import layout
from pipelines.prepare.job import prepare
from recsys.config.cloud import RunnerSettings
from recsys.errors import DatasetError
from tests.cluster.test_flink import make_workspace, rows_of
from tests.pipelines.conftest import TINY_CLOUD

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3_600, func_only=True)]


@pytest.fixture
def flags() -> tuple[str, ...]:
    if "TANDEM_SPARK" not in os.environ:
        pytest.skip("needs Spark: run `make test-cluster`")
    jar = Path(os.environ["TANDEM_SPARK"]) / "job-server.jar"
    return flags_of(RunnerSettings(name="spark", spark_master="local[2]", spark_job_server_jar=jar))


def test_spark_leaves_the_same_rows_and_counts_the_same_steps(flags: tuple[str, ...], tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "workspace")
    reports = {}
    for name, chosen in (("embedded", ()), ("spark", flags)):
        (tmp_path / name).mkdir()
        report = prepare(workspace.events, workspace.items, tmp_path / name, TINY_CLOUD.prepare, chosen)
        reports[name] = {label: step["rows"] for label, step in report["steps"].items()} | report["dead_letters"]
    for folder in (layout.EVENTS, layout.DEAD_LETTERS, layout.DUPLICATES):
        assert rows_of(tmp_path / "spark" / folder) == rows_of(tmp_path / "embedded" / folder) != {}
    for name in (layout.VOCABULARY, layout.RESPONSES):
        assert (tmp_path / "spark" / name).read_bytes() == (tmp_path / "embedded" / name).read_bytes()
    assert reports["spark"] == reports["embedded"]


def test_an_error_of_a_step_arrives_from_spark_as_it_was_raised(flags: tuple[str, ...], tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "workspace")
    broken = workspace.events / "part-9999.parquet"
    content = bytearray(broken.read_bytes())
    content[4:2000] = bytes(1996)
    broken.write_bytes(content)
    (tmp_path / "output").mkdir()
    with pytest.raises(DatasetError, match=r"^Expected a whole Parquet file of events at .*part-9999\.parquet, got"):
        prepare(workspace.events, workspace.items, tmp_path / "output", TINY_CLOUD.prepare, flags)
