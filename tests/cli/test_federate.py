"""`tandem federate`, as it is run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recsys.storage.workspace import Workspace
from tests.bundles import bundled_workspace, own_workspace
from tests.cli.conftest import Run
from tests.curves import read_curves

__all__ = ["bundled_workspace", "own_workspace"]

SETTINGS = """
[rounds]
num_rounds = 2
clients_per_round = 4
validation_users = 10

[release]
tolerance = 1.0
"""


def test_the_help_tells_how_a_run_is_gone_on_with(tandem: Run) -> None:
    shown = " ".join(tandem("federate", "--help").stdout.split())
    assert "--resume Go on from the run with these settings and seed; refuse where there is none." in shown
    assert "tandem federate --resume" in shown


def test_a_run_that_is_not_there_is_not_gone_on_with(tandem: Run, own_workspace: Workspace) -> None:
    run = tandem("federate", "--resume", "--seed", "3", "--workspace", own_workspace.root)
    assert run.returncode == 4
    assert run.stdout == ""
    assert re.fullmatch(
        r"Expected a run to go on from in .*, which these settings, seed 3 and the current bundle name, got no "
        r"finished round\. Give the settings and the seed of the run that was cut off, or begin a new one without "
        r"`--resume`\.",
        run.stderr.splitlines()[-1],
    )
    assert not own_workspace.federated.exists()


@pytest.mark.federation
def test_a_run_says_at_its_end_where_its_curves_are(tandem: Run, own_workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(SETTINGS)
    run = tandem("federate", "--config", "small.toml", "--workspace", own_workspace.root)
    assert run.returncode == 0, run.stderr
    (told,) = re.findall(r"^Curves of the rounds: tensorboard --logdir (\S+)$", run.stdout, re.MULTILINE)
    (folder,) = own_workspace.federated.glob("*/curves")
    assert Path(told) == folder
    assert [number for number, name, _ in read_curves(folder) if name == "loss"] == [1, 2]
