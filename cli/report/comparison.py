"""Writes `reports/bench-cloud-<protocol>-<task>.json` and the self-contained page beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from benchmarks.arms import ARMS
from benchmarks.cloud import Comparison, Group
from cli.report.figures import plot_bars, plot_rows
from cli.report.page import format_interval, render
from cli.table import METRICS
from recsys.storage.atomic import write_file

_PLAIN: Final = "#9aa5b1"
_COLOURS: Final = {
    "transitions": "#5b7083",
    "blend": "#3a7ca5",
    "tandem_retrieval": "#2a9d8f",
    "tandem_ranker": "#e07a3f",
}
_LEAST_S: Final = 0.01
"""Shorter times are drawn as this: the scale is logarithmic."""


def write_comparison(comparison: Comparison, directory: Path) -> tuple[Path, Path]:
    """Writes the result as JSON and as a page, both atomically; returns their paths.

    Args:
      comparison: The result.
      directory: Usually `Workspace.reports`.

    Raises:
      WorkspaceError: If they cannot be written.
    """
    name = f"bench-cloud-{comparison.task.protocol}-{comparison.task.fingerprint}"
    json_path, html_path = directory / f"{name}.json", directory / f"{name}.html"
    write_file(json_path, (json.dumps(comparison.to_json(), indent=1) + "\n").encode())
    write_file(html_path, render_comparison(comparison).encode())
    return json_path, html_path


def render_comparison(comparison: Comparison) -> str:
    """Returns the page as HTML that loads nothing from anywhere."""
    return render("comparison.html", _view(comparison))


def _view(comparison: Comparison) -> dict[str, Any]:
    result = comparison.to_json()
    times = [
        (ARMS[name].label, _colour(name), max(arm["fit_seconds"] + arm["score_seconds"], _LEAST_S))
        for name, arm in result["arms"].items()
    ]
    return {
        "result": result,
        "headline": _headline(comparison),
        "groups": [
            (name, group, _figures(group, comparison.task.references[0])) for name, group in comparison.groups.items()
        ],
        "metrics": {
            metric: label
            for metric, label in METRICS.items()
            if any(metric in arm for group in comparison.groups.values() for arm in group.arms.values())
        },
        "labels": {name: ARMS[name].label for name in comparison.runs},
        "times": plot_bars(times, "seconds to fit and to answer all requests"),
        "format_interval": format_interval,
        "format_seeds": _format_seeds,
        "format_pair": _format_pair,
    }


def _figures(group: Group, reference: str) -> list[tuple[str, str]]:
    metrics = [metric for metric in METRICS if any(metric in arm for arm in group.arms.values())]
    return [(METRICS[metric], _plot(group, metric, reference)) for metric in metrics]


def _plot(group: Group, metric: str, reference: str) -> str:
    rows = [(ARMS[name].label, _colour(name), arm[metric]) for name, arm in group.arms.items()]
    return plot_rows(rows, group.arms[reference][metric].mean if reference in group.arms else None)


def _colour(arm: str) -> str:
    return _COLOURS.get(arm, _PLAIN)


def _format_seeds(values: list[float]) -> str:
    return " · ".join(f"{value:.4f}" for value in values)


def _format_pair(pair: str) -> str:
    left, right = pair.split("-")
    return f"{ARMS[left].label} − {ARMS[right].label}"


def _headline(comparison: Comparison) -> str:
    """The best arm of the first group, by NDCG@10."""
    group = next(iter(comparison.groups.values()))
    best = max(group.arms, key=lambda name: group.arms[name]["ndcg_at_10"].mean)
    text = (
        f"{comparison.task.protocol}: {ARMS[best].label} leads with NDCG@10 {group.arms[best]['ndcg_at_10'].mean:.4f}"
    )
    reference = comparison.task.references[0]
    difference = group.differences.get(f"{best}-{reference}")
    if difference is None:
        return f"{text}."
    gain = difference["ndcg_at_10"]
    sure = "the interval lies above 0" if gain.low > 0 else "the interval holds 0"
    return f"{text}, {gain.mean:+.4f} on {ARMS[reference].label}; {sure}."
