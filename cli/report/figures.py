"""The figures of a report, as SVG text that needs nothing beside it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from recsys.contracts.arrays import Float64Array
from recsys.metrics.intervals import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS: Final = {
    "popularity": "#9aa5b1",
    "cloud_only": "#5b7083",
    "cloud_query": "#3a7ca5",
    "cloud_device": "#2a9d8f",
    "full_loop": "#e07a3f",
    "cloud_personal": "#8cc5bd",
    "loop_personal": "#f0b692",
    "cloud_gated": "#14665c",
    "loop_gated": "#a84a14",
    "oracle": "#b8b1a0",
}
"""One colour per arm, the same in every figure."""

LABELS: Final = {
    "popularity": "popularity",
    "cloud_only": "cloud only",
    "cloud_query": "cloud + query vector",
    "cloud_device": "cloud + device",
    "full_loop": "query vector + device",
    "cloud_personal": "cloud + own tower",
    "loop_personal": "query vector + own tower",
    "cloud_gated": "cloud + gated device",
    "loop_gated": "query vector + gated device",
    "oracle": "oracle",
}


def plot_arms(arms: Mapping[str, Mapping[str, Interval]], metric: str) -> str:
    """Returns a dot plot of one metric: a row per arm, its mean and 95 % interval."""
    names = [name for name in LABELS if metric in arms.get(name, {})]
    return plot_rows([(LABELS[name], COLOURS[name], arms[name][metric]) for name in names])


def plot_rows(rows: Sequence[tuple[str, str, Interval]], mark: float | None = None) -> str:
    """Returns a dot plot: a row per label in its colour, its mean and 95 % interval.

    Args:
      rows: Label, colour and interval, the first on top.
      mark: Where a vertical line helps to compare.
    """
    figure, axes = _figure(height=0.42 * len(rows) + 0.9)
    for place, (_, colour, interval) in enumerate(reversed(rows)):
        _draw_interval(axes, place, interval, colour)
    axes.set_yticks(range(len(rows)), [label for label, _, _ in reversed(rows)])
    axes.set_xlim(left=0)
    if mark is not None:
        axes.axvline(mark, color="#888888", linewidth=0.8, linestyle="--")
    axes.set_ylim(-0.6, len(rows) - 0.4)
    return _svg(figure)


def plot_bars(rows: Sequence[tuple[str, str, float]], label: str) -> str:
    """Returns horizontal bars on a logarithmic scale, the first on top.

    Args:
      rows: Label, colour and a value above 0.
      label: Of the axis.
    """
    figure, axes = _figure(height=0.42 * len(rows) + 1.1)
    places = range(len(rows) - 1, -1, -1)
    axes.barh(places, [value for _, _, value in rows], 0.55, color=[colour for _, colour, _ in rows])
    axes.set_yticks(places, [name for name, _, _ in rows])
    axes.set_xscale("log")
    axes.set_xlabel(label)
    return _svg(figure)


def plot_groups(groups: Mapping[str, Mapping[str, Interval]], arms: tuple[str, ...]) -> str:
    """Returns a dot plot of NDCG@10 by group (device tier or surface), the arms of a group below each other."""
    figure, axes = _figure(height=0.95 * len(groups) + 0.9)
    for row, (_, intervals) in enumerate(reversed(groups.items())):
        shown = [name for name in arms if name in intervals]
        for offset, name in enumerate(shown):
            place = row + min(0.18, 0.75 / len(shown)) * ((len(shown) - 1) / 2 - offset)
            _draw_interval(axes, place, intervals[name], COLOURS[name], LABELS[name] if row == 0 else None)
    axes.set_yticks(range(len(groups)), list(reversed(groups)))
    axes.set_xlim(left=0)
    axes.set_ylim(-0.6, len(groups) - 0.4)
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return _svg(figure)


def plot_differences(differences: Mapping[str, Float64Array]) -> str:
    """Returns, per arm, how many users gain and lose how much NDCG@10 against the cloud alone.

    Args:
      differences: arm to `[num_users]` float64.
    """
    figure, axes = _figure(height=2.8)
    bins = np.linspace(-1, 1, 41)
    for name, values in differences.items():
        axes.hist(values, bins=bins, histtype="step", linewidth=1.8, color=COLOURS[name], label=LABELS[name])
    axes.axvline(0, color="#888888", linewidth=0.8)
    axes.set_yscale("symlog", linthresh=10)
    axes.set_xlabel("change of a user's NDCG@10 against cloud only")
    axes.set_ylabel("users")
    axes.legend(frameon=False, fontsize=9)
    return _svg(figure)


def _draw_interval(axes: Axes, row: float, interval: Interval, colour: str, label: str | None = None) -> None:
    axes.plot([interval.low, interval.high], [row, row], color=colour, linewidth=3, alpha=0.45, solid_capstyle="round")
    axes.plot([interval.mean], [row], "o", color=colour, markersize=7, label=label)


def _figure(height: float) -> tuple[Figure, Axes]:
    # Figure without pyplot: no global state, no window system.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, height), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0, colors="#777777")
    axes.xaxis.label.set_color("#777777")
    axes.yaxis.label.set_color("#777777")
    axes.spines["bottom"].set_color("#999999")
    axes.grid(axis="x", color="#999999", alpha=0.25, linewidth=0.6)
    return figure, axes


def _svg(figure: Figure) -> str:
    import matplotlib

    sink = io.StringIO()
    # Text stays text (selectable, small); a fixed salt gives equal figures equal bytes.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tandem", "font.family": "sans-serif"}):
        figure.savefig(sink, format="svg", metadata={"Date": None, "Creator": None})
    text = sink.getvalue()
    return text[text.index("<svg") :]
