"""`tandem bench` as a person meets it."""

from __future__ import annotations

import io

import pytest

from cli.bench import format_interval, tabulate_towers
from cli.console import print_to
from tests.cli.conftest import Run

COMMANDS = ("query-tower",)


def test_the_help_lists_every_benchmark_with_its_whole_line(tandem: Run) -> None:
    run = tandem("bench", "--help")
    lines = {line.split()[0]: line for line in run.stdout.splitlines() if line.startswith("  ") and line.split()}
    assert [lines[name] for name in COMMANDS if lines[name].endswith("...")] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_benchmark_has_an_example_and_the_options_they_share(name: str, tandem: Run) -> None:
    run = tandem("bench", name, "--help")
    assert run.returncode == 0
    for text in ("Examples:", f"  tandem bench {name}", "--workspace PATH", "--seed N", "--json"):
        assert text in run.stdout, text


def test_a_benchmark_of_a_bundle_names_the_command_that_makes_one(tandem: Run) -> None:
    run = tandem("bench", "query-tower", "--workspace", "nowhere")
    assert run.returncode == 4
    assert "Run `tandem " in run.stderr.splitlines()[-1]


def test_a_difference_bears_its_sign() -> None:
    assert format_interval({"mean": 0.01, "low": -0.02, "high": 0.04}, "+") == "+0.0100  -0.0200 … +0.0400"


def test_the_table_tells_size_time_and_quality_of_each_tower() -> None:
    interval = {"mean": 0.5, "low": 0.4, "high": 0.6}
    quality = {"recall_at_100": interval, "ndcg_at_10": interval}
    tower = {"size_bytes": 12_345, "median_ms": 0.25, "p95_ms": 0.5, **quality}
    result = {
        "dataset": "synthetic",
        "num_users": 7,
        "num_events": 9,
        "towers": {"float": tower, "int8": tower},
        "differences": {"int8-float": {name: {"mean": -0.1, "low": -0.2, "high": 0.0} for name in quality}},
    }
    stream = io.StringIO()
    print_to(stream, tabulate_towers(result))
    shown = stream.getvalue()
    for text in ("synthetic: 7 people", "12,345", "0.250", "0.5000  0.4000 … 0.6000", "-0.1000  -0.2000 … +0.0000"):
        assert text in shown, text
