"""The table of an evaluation, as a person reads it in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.table import Table

METRICS: Final = {"ndcg_at_10": "NDCG@10", "hit_rate_at_10": "HR@10", "user_auc": "user AUC"}
"""Metric in the result to its heading."""


def tabulate_evaluation(result: Mapping[str, Any]) -> Table:
    """Returns one row per arm and one per difference, each cell a mean and its 95 % interval.

    Args:
      result: `Evaluation.to_json()`.
    """
    table = Table(
        title=f"{result['dataset']}: {result['num_users']:,} people, {result['num_events']:,} held-out events",
        caption=_caption(result),
        caption_justify="left",
    )
    table.add_column("arm")
    for heading in METRICS.values():
        table.add_column(heading, justify="right")
    for name, metrics in result["arms"].items():
        table.add_row(name, *(_cell(metrics.get(metric), signed=False) for metric in METRICS))
    table.add_section()
    for name, metrics in result["differences"].items():
        table.add_row(name.replace("-", " − "), *(_cell(metrics.get(metric), signed=True) for metric in METRICS))
    return table


def _cell(interval: Mapping[str, float] | None, *, signed: bool) -> str:
    if interval is None:
        return "–"
    sign = "+" if signed else ""
    text = f"{interval['mean']:{sign}.4f}  {interval['low']:{sign}.4f} … {interval['high']:{sign}.4f}"
    if not signed:
        return text
    if interval["low"] > 0:
        return f"[green]{text}[/]"
    return f"[red]{text}[/]" if interval["high"] < 0 else text


def _caption(result: Mapping[str, Any]) -> str:
    skipped = result["num_users_skipped_in_auc"]
    return (
        f"mean and 95 % bootstrap interval over people; user AUC leaves out {skipped:,} without both classes\n"
        f"bundle {result['bundle_version']}, split {result['split_fingerprint']}, seed {result['seed']}"
    )
