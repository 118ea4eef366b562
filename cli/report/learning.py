"""Draws what ways of federated learning come to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cli.report.figures import plot_rows
from recsys.metrics.intervals import Interval

_PLAIN: Final = "#9aa5b1"
_OURS: Final = "#2a9d8f"
_POISONED: Final = "#c8553d"
_REFERENCES: Final = ("cloud_only", "untrained", "alone", "tff_fed_avg")


def plot_learning(result: Mapping[str, Any]) -> str:
    """Returns an SVG with NDCG@10 and its interval for each way, and a line at the cloud alone.

    Args:
      result: Of `benchmarks.learning`.
    """
    arms = result["arms"]
    rows = [(name, _colour(name), Interval(**arm["ndcg_at_10"])) for name, arm in arms.items()]
    return plot_rows(rows, arms["cloud_only"]["ndcg_at_10"]["mean"])


def _colour(name: str) -> str:
    if name in _REFERENCES:
        return _PLAIN
    return _POISONED if name.endswith("_poisoned") else _OURS
