"""Writes `reports/<run>.json` and the self-contained page beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cli.report.figures import LABELS, plot_arms, plot_differences, plot_groups
from cli.table import GROUPS
from federated.simulation.arms import ARMS
from federated.simulation.evaluation import Evaluation
from recsys.metrics.intervals import Interval
from recsys.storage.atomic import write_file

_SHOWN = tuple(arm for arm in ARMS if not arm.endswith("_personal"))
"""In figures that hold a curve or a row for each."""

METRIC_LABELS = {"ndcg_at_10": "NDCG@10", "hit_rate_at_10": "HR@10", "user_auc": "user AUC"}


def write_report(evaluation: Evaluation, directory: Path) -> tuple[Path, Path]:
    """Writes the evaluation as JSON and as a page, both atomically; returns their paths.

    Args:
      evaluation: The result.
      directory: Usually `Workspace.reports`.

    Raises:
      WorkspaceError: If they cannot be written.
    """
    name = f"evaluate-{evaluation.bundle_version}-seed{evaluation.seed}"
    json_path, html_path = directory / f"{name}.json", directory / f"{name}.html"
    write_file(json_path, (json.dumps(evaluation.to_json(), indent=1) + "\n").encode())
    write_file(html_path, render_page(evaluation).encode())
    return json_path, html_path


def render_page(evaluation: Evaluation) -> str:
    """Returns the page as HTML that loads nothing from anywhere."""
    return render("page.html", _view(evaluation))


def render(template: str, view: Mapping[str, Any]) -> str:
    """Returns a template of this folder, filled."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template(template).render(view)


def _view(evaluation: Evaluation) -> dict[str, Any]:
    ndcg = evaluation.user_ndcg
    return {
        "evaluation": evaluation,
        "headline": _headline(evaluation),
        "metrics": METRIC_LABELS,
        "arms": [(LABELS[name], evaluation.arms[name]) for name in LABELS if name in evaluation.arms],
        "differences": [(_difference_label(name), row) for name, row in evaluation.differences.items()],
        "harmed": [(LABELS[name], share) for name, share in evaluation.harmed.items()],
        "reranking": [
            (LABELS[name], LABELS[harm.against], harm)
            for name, harm in (*evaluation.reranking.items(), *evaluation.personalisation.items())
        ],
        "groups": [(GROUPS[name], group) for name, group in evaluation.groups.items()],
        "labels": LABELS,
        "figures": {
            "ndcg": plot_arms(evaluation.arms, "ndcg_at_10"),
            "hit_rate": plot_arms(evaluation.arms, "hit_rate_at_10"),
            "users": plot_differences({arm: ndcg[arm] - ndcg["cloud_only"] for arm in _SHOWN[1:]}),
            "tiers": plot_groups(evaluation.tiers, _SHOWN),
            "surfaces": plot_groups(evaluation.surfaces, _SHOWN),
        },
        "format_interval": format_interval,
    }


def format_interval(interval: Interval, signed: bool = False) -> str:
    """Returns "mean [low, high]" with four digits."""
    sign = "+" if signed else ""
    return f"{interval.mean:{sign}.4f} [{interval.low:{sign}.4f}, {interval.high:{sign}.4f}]"


def _difference_label(name: str) -> str:
    left, right = name.split("-")
    return f"{LABELS[left]} − {LABELS[right]}"


def _headline(evaluation: Evaluation) -> str:
    gain = evaluation.differences["cloud_device-cloud_only"]["ndcg_at_10"]
    relative = gain.mean / max(evaluation.arms["cloud_only"]["ndcg_at_10"].mean, 1e-12)
    if gain.low > 0:
        return f"Re-ranking on the device raises NDCG@10 by {relative:.0%}; the interval of the gain lies above 0."
    if gain.high < 0:
        return f"Re-ranking on the device lowers NDCG@10 by {-relative:.0%}; the interval of the loss lies below 0."
    return "Re-ranking on the device makes no certain difference: the interval of the gain holds 0."
