"""The tables of `tandem bench cloud`, as a person reads them in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from cli.table import tabulate_arms


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
    yield _tabulate_times(result)


def _tabulate_times(result: Mapping[str, Any]) -> Table:
    table = Table(title=f"{result['protocol']}: wall time, and NDCG@10 of each seed")
    table.add_column("arm")
    for heading in ("fit, s", "ask, s", "NDCG@10 by seed", "spread"):
        table.add_column(heading, justify="right")
    group = next(iter(result["groups"].values()))
    for name, arm in result["arms"].items():
        seeds = group["seeds"][name]["ndcg_at_10"]
        table.add_row(
            name,
            f"{arm['fit_seconds']:,.1f}",
            f"{arm['score_seconds']:,.1f}",
            " ".join(f"{value:.4f}" for value in seeds["values"]),
            "–" if seeds["spread"] is None else f"{seeds['spread']:.4f}",
        )
    return table
