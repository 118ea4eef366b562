"""The tables of `tandem bench cloud`, as a person reads them in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from cli.console import format_number
from cli.table import METRICS, tabulate_arms


def tabulate_comparison(result: Mapping[str, Any]) -> Iterator[Table]:
    """Yields a table per group of people and one of times (`Comparison.to_json()`)."""
    for name, group in result["groups"].items():
        who = "" if name == "all" else f", {name}"
        title = f"{result['protocol']} {result['title']}{who}: {group['num_requests']:,} people"
        table = tabulate_arms(group, title)
        table.caption = (
            "mean and 95 % bootstrap interval over people; arms that draw are means over seeds\n"
            f"split {result['split_fingerprint']}, task {result['task_fingerprint']}, seeds {result['seeds']}"
        )
        yield table
        if group["extras"]:
            yield _tabulate_extras(group["extras"])
    yield _tabulate_times(result)


def _tabulate_extras(extras: Mapping[str, Mapping[str, float | None]]) -> Table:
    names = list(next(iter(extras.values())))
    table = Table()
    table.add_column("arm")
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    for arm, values in extras.items():
        table.add_row(arm, *("–" if values[name] is None else format_number(values[name]) for name in names))
    return table


def _tabulate_times(result: Mapping[str, Any]) -> Table:
    group = next(iter(result["groups"].values()))
    metric = next(name for name in METRICS if name in next(iter(group["arms"].values())))
    table = Table(title=f"{result['protocol']}: wall time, and {METRICS[metric]} of each seed")
    table.add_column("arm")
    for heading in ("fit, s", "ask, s", "by seed", "spread"):
        table.add_column(heading, justify="right")
    for name, arm in result["arms"].items():
        seeds = group["seeds"][name][metric]
        table.add_row(
            name,
            f"{arm['fit_seconds']:,.1f}",
            f"{arm['score_seconds']:,.1f}",
            " ".join(f"{value:.4f}" for value in seeds["values"]),
            "–" if seeds["spread"] is None else f"{seeds['spread']:.4f}",
        )
    return table
