from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from data.truth import Truth
from pipelines.ingestion import ingest
from recsys.config.demo import DemoSettings
from recsys.config.settings import load_settings
from recsys.storage.workspace import Workspace

TANDEM = Path(sys.executable).with_name("tandem")
ROOT = Path(__file__).resolve().parents[2]

LOUDNESS = {"TF_CPP_MIN_LOG_LEVEL", "GRPC_VERBOSITY", "GLOG_minloglevel"}

TINY = """
[data.world]
num_users = 60
num_items = 120
num_streamers = 12
[cloud.retrieval]
max_epochs = 1
[cloud.ranker]
num_candidates = 50
max_epochs = 1
[federated.rounds]
num_rounds = 2
clients_per_round = 8
validation_users = 20
[federated.release]
publish_anyway = true
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def run_tandem(*arguments: str | Path, cwd: Path, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
    """Runs a verb to its end. Reading both pipes to their end, it would hang if a process were left behind."""
    # How loud libraries are is the command's own business: what an earlier test left in the environment stays out.
    environment = {name: value for name, value in os.environ.items() if name not in LOUDNESS}
    return subprocess.run(
        [TANDEM, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout_s
    )


@dataclass(frozen=True)
class Demo:
    """A finished `tandem demo --json` and the workspace that it left."""

    folder: Path
    workspace: Path
    stdout: str
    stderr: str

    @property
    def result(self) -> dict[str, Any]:
        return json.loads(self.stdout)

    def copy_to(self, target: Path) -> Path:
        """Returns a copy of the workspace that a test may spoil."""
        return Path(shutil.copytree(self.workspace, target))


PERSON = "somebody-whose-name-stands-nowhere-by-chance"
"""What the world calls one of its people, so that every file can be searched for them."""


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo")
    (folder / "tiny.toml").write_text(TINY)
    ingest(Workspace(folder / "world"), "synthetic", load_settings(DemoSettings, folder / "tiny.toml").data, 3)
    rename_person(Workspace(folder / "world"), "u07", PERSON)
    run = run_tandem("demo", "--config", "tiny.toml", "--workspace", "world", "--seed", "3", "--json", cwd=folder)
    assert run.returncode == 0, run.stderr
    return Demo(folder, folder / "world", run.stdout, run.stderr)


def rename_person(workspace: Workspace, old: str, new: str) -> None:
    """Gives a person of an ingested world another id."""
    for path in (*workspace.events.glob("*.parquet"), *workspace.devices.glob("*.parquet"), workspace.users):
        table = pq.ParquetFile(path).read()
        place = table.schema.get_field_index("user_id")
        field, user_ids = table.schema.field(place), table.column("user_id").cast(pa.string())
        renamed = pc.if_else(pc.equal(user_ids, old), new, user_ids).cast(field.type)
        pq.write_table(table.set_column(place, field, renamed), path)
    truth = Truth.load(workspace.truth)
    replace(truth, user_ids=tuple(new if known == old else known for known in truth.user_ids)).save(workspace.truth)
