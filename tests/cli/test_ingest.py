"""`tandem ingest --append` as a person meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

EXAMPLE = Path(__file__).resolve().parents[2] / "data" / "example_events.csv"


def test_a_day_is_added_once_and_the_next_command_is_named(tandem: Run, tmp_path: Path) -> None:
    place, day = tmp_path / "workspace", tmp_path / "tuesday_events.csv"
    header, *_, last = EXAMPLE.read_text().splitlines()
    day.write_text("\n".join([header, last, "new-1," + last.split(",", 1)[1]]) + "\n")
    first = tandem("ingest", "--data", "events", "--from", str(EXAMPLE), "--workspace", str(place), "--json")
    num_events = json.loads(first.stdout)["num_events"]
    command = ("ingest", "--append", "--from", str(day), "--workspace", str(place))
    added = tandem(*command, "--json")
    assert json.loads(added.stdout)["num_events"] == num_events + 1, added.stderr
    again = tandem(*command)
    assert again.returncode == 0
    assert "already holds these events: nothing to do." in again.stderr
    assert again.stdout.splitlines()[-1] == f"Next: tandem train --fine-tune --workspace {place}"


@pytest.mark.parametrize(
    "arguments", [(), ("--from", "x.csv", "--data", "movielens-1m"), ("--from", "x.csv", "--config", "world.toml")]
)
def test_only_events_of_ones_own_are_added_and_divided_as_the_others(tandem: Run, arguments: tuple[str, ...]) -> None:
    run = tandem("ingest", "--append", *arguments)
    assert run.returncode == 2
    assert "Expected --append with --from PATH to events of your own" in run.stderr
