"""The command as a person meets it: help, version, refusals."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.architecture.test_weight import HEAVY
from tests.cli.conftest import Run

VERBS = ("demo", "ingest", "train", "federate", "evaluate", "serve", "bundles")


def test_help_lists_every_verb_with_its_whole_line(tandem: Run) -> None:
    run = tandem("--help")
    assert run.returncode == 0
    lines = {line.split()[0]: line for line in run.stdout.splitlines() if line.startswith("  ") and line.split()}
    assert [lines[verb] for verb in VERBS if lines[verb].endswith("...")] == []


def test_help_loads_nothing_heavy_so_that_it_answers_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "cli", "--help"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in run.stderr.splitlines()}
    assert "typer" in loaded
    assert sorted(loaded & set(HEAVY)) == []


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_an_example_and_the_options_they_share(verb: str, tandem: Run) -> None:
    run = tandem(verb, "--help")
    assert run.returncode == 0
    for text in ("Examples:", f"  tandem {verb}", "--workspace PATH", "--seed N", "--json"):
        assert text in run.stdout, text


@pytest.mark.parametrize("verb", ["demo", "ingest", "train", "federate", "serve"])
def test_a_verb_with_settings_refuses_an_unknown_key_by_name(verb: str, tandem: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[nonsense]\nanswer = 42\n")
    run = tandem(verb, "--config", "mine.toml")
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.splitlines()[-1] == "mine.toml: unknown key `nonsense`; remove it or correct its spelling"


@pytest.mark.parametrize("verb", ["federate", "evaluate", "serve", "bundles"])
def test_a_verb_on_an_empty_workspace_names_the_command_that_fills_it(verb: str, tandem: Run) -> None:
    run = tandem(verb, "--workspace", "nowhere")
    assert run.returncode == 4
    assert "--workspace nowhere`" in run.stderr.splitlines()[-1]
    assert "Run `tandem " in run.stderr.splitlines()[-1]
    assert "Traceback" not in run.stderr


def test_an_unknown_dataset_is_refused_with_the_names_of_the_known_ones(tandem: Run) -> None:
    run = tandem("train", "--data", "netflix")
    assert run.returncode == 3
    assert "Expected a dataset out of synthetic, movielens-1m" in run.stderr


def test_an_option_out_of_range_is_refused_before_any_work(tandem: Run) -> None:
    run = tandem("federate", "--rounds", "0")
    assert run.returncode == 2
    assert "--rounds" in run.stderr


def test_the_version_is_the_installed_one(tandem: Run) -> None:
    assert tandem("--version").stdout == f"tandem {version('tandem')}\n"


def test_python_dash_m_is_the_same_command(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "cli", "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert "Usage:" in run.stdout
