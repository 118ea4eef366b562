"""Writes a comparison of the cloud's models as `reports/bench-*.json`, and the self-contained page beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from benchmarks.comparison import Comparison, Group
from cli.report.figures import plot_bars, plot_rows
from cli.report.page import format_interval, render
from cli.table import METRICS
from recsys.storage.atomic import write_file

_PLAIN: Final = "#9aa5b1"
_COLOURS: Final = {
    "transitions": "#5b7083",
    "liked_before": "#3a7ca5",
    "blend": "#3a7ca5",
    "tandem_retrieval": "#2a9d8f",
    "tandem_ranker": "#e07a3f",
    "tandem_like": "#c8553d",
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
    name = f"bench-cloud-{comparison.head['protocol']}-{comparison.head['task_fingerprint']}"
    json_path, html_path = directory / f"{name}.json", directory / f"{name}.html"
    write_file(json_path, (json.dumps(comparison.to_json(), indent=1) + "\n").encode())
    write_file(html_path, render_comparison(comparison).encode())
    return json_path, html_path


def render_comparison(comparison: Comparison) -> str:
    """Returns the page as HTML that loads nothing from anywhere."""
    return render("comparison.html", _view(comparison))


def _view(comparison: Comparison) -> dict[str, Any]:
    times = [
        (arm.label, _colour(name), max(arm.fit_seconds + arm.score_seconds, _LEAST_S))
        for name, arm in comparison.arms.items()
    ]
    metrics = _metrics(comparison)
    return {
        "result": comparison.to_json(),
        "headline": _headline(comparison, metrics[0]),
        "groups": [
            (name, group, [(METRICS[metric], _plot(comparison, group, metric)) for metric in metrics])
            for name, group in comparison.groups.items()
        ],
        "metrics": {metric: METRICS[metric] for metric in metrics},
        "labels": {name: arm.label for name, arm in comparison.arms.items()},
        "times": plot_bars(times, "seconds to fit and to answer all requests"),
        "format_interval": format_interval,
        "format_seeds": _format_seeds,
    }


def _metrics(comparison: Comparison) -> list[str]:
    """What was measured, in the order of the tables; the first is the one that counts most."""
    measured = {metric for group in comparison.groups.values() for arm in group.arms.values() for metric in arm}
    return [metric for metric in METRICS if metric in measured]


def _plot(comparison: Comparison, group: Group, metric: str) -> str:
    rows = [(comparison.arms[name].label, _colour(name), arm[metric]) for name, arm in group.arms.items()]
    reference = group.arms.get(comparison.references[0])
    return plot_rows(rows, None if reference is None else reference[metric].mean)


def _colour(arm: str) -> str:
    return _COLOURS.get(arm, _PLAIN)


def _format_seeds(values: list[float]) -> str:
    return " · ".join(f"{value:.4f}" for value in values)


def _headline(comparison: Comparison, metric: str) -> str:
    """The best arm of the first group."""
    group = next(iter(comparison.groups.values()))
    best = max(group.arms, key=lambda name: group.arms[name][metric].mean)
    labels = {name: arm.label for name, arm in comparison.arms.items()}
    mean = group.arms[best][metric].mean
    text = f"{comparison.head['protocol']}: {labels[best]} leads with {METRICS[metric]} {mean:.4f}"
    difference = group.differences.get(f"{best}-{comparison.references[0]}")
    if difference is None:
        return f"{text}."
    gain = difference[metric]
    sure = "the interval lies above 0" if gain.low > 0 else "the interval holds 0"
    return f"{text}, {gain.mean:+.4f} on {labels[comparison.references[0]]}; {sure}."
