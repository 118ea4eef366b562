"""The table of an evaluation, as a person reads it in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.table import Table

METRICS: Final = {
    "ndcg_at_10": "NDCG@10",
    "hit_rate_at_10": "HR@10",
    "recall_at_100": "Recall@100",
    "user_auc": "user AUC",
}
"""Metric in the result to its heading."""

GROUPS: Final = {"worst_served": "worst served", "long_tail": "long tail"}
"""Group of people in the result to its heading."""

_GROUPS_CAPTION: Final = (
    "lowest tenth: the tenth of people with the lowest value in each arm\n"
    "worst served: the tenth whom the cloud alone serves worst at every second event, judged by the other events\n"
    "long tail: the fifth who choose the most items outside of the most popular fifth"
)


def tabulate_evaluation(result: Mapping[str, Any]) -> Table:
    """Returns the table of an evaluation (`Evaluation.to_json()`), with what was measured above and below it."""
    title = f"{result['dataset']}: {result['num_users']:,} people, {result['num_events']:,} held-out events"
    table = tabulate_arms(result, title)
    table.caption = _caption(result)
    return table


def tabulate_harm(result: Mapping[str, Any]) -> Table:
    """Returns one row per arm and what it is compared with: whom re-ranking harms, and whom personalising does."""
    caption = "the same lists in two orders; worst tenth: mean change of NDCG@10 of those who lose most"
    table = Table(title="What re-ranking does to single people", caption=caption, caption_justify="left")
    table.add_column("arm − other order")
    for heading in ("share harmed", "share helped", "worst tenth", "cloud/global/own"):
        table.add_column(heading, justify="right")
    for arm, harm in (*result["reranking"].items(), *result["personalisation"].items()):
        orders = " / ".join(f"{share:.0%}" for share in harm.get("orders", {}).values())
        figures = [harm[name] for name in ("share_harmed", "share_helped", "worst_tenth")]
        texts = [f"{figure['mean']:.3f}  {figure['low']:.3f} … {figure['high']:.3f}" for figure in figures]
        table.add_row(f"{arm} − {harm['against']}", *texts, orders or "–")
    return table


def tabulate_groups(result: Mapping[str, Any]) -> Table:
    """Returns rows of arms, of gains over the cloud alone and of shares harmed; a column for each view of people."""
    groups = {GROUPS[name]: group for name, group in result["groups"].items()}
    everybody = {
        "ndcg_at_10": {arm: metrics["ndcg_at_10"] for arm, metrics in result["arms"].items()},
        "gain_over_cloud_only": _gains_of_all(result),
        "share_harmed": result["share_harmed"],
    }
    views = {"everybody": everybody, "lowest tenth": {"ndcg_at_10": result["lowest_tenth"]}, **groups}
    table = Table(title="NDCG@10 of those whom averages hide", caption=_GROUPS_CAPTION, caption_justify="left")
    table.add_column("arm")
    for name, view in views.items():
        table.add_column(f"{name} ({view['num_users']:,})" if "num_users" in view else name, justify="right")
    for arm in result["arms"]:
        table.add_row(arm, *(_cell(view["ndcg_at_10"].get(arm), signed=False) for view in views.values()))
    table.add_section()
    arms = [arm for arm in result["share_harmed"] if arm in result["arms"]]
    for arm in arms:
        gains = (view.get("gain_over_cloud_only", {}).get(arm) for view in views.values())
        table.add_row(f"{arm} − cloud_only", *(_cell(gain, signed=True) for gain in gains))
    table.add_section()
    for arm in arms:
        shares = (view.get("share_harmed", {}).get(arm) for view in views.values())
        table.add_row(f"harmed by {arm}", *("–" if share is None else f"{share:.1%}" for share in shares))
    return table


def _gains_of_all(result: Mapping[str, Any]) -> dict[str, Any]:
    ends = "-cloud_only"
    return {
        name.removesuffix(ends): metrics["ndcg_at_10"]
        for name, metrics in result["differences"].items()
        if name.endswith(ends)
    }


def tabulate_arms(result: Mapping[str, Any], title: str) -> Table:
    """Returns one row per arm and one per difference, each cell a mean and its 95 % interval.

    Args:
      result: With `arms.<name>.<metric>` and `differences.<a>-<b>.<metric>`, each `{mean, low, high}`.
      title: What the means are over.
    """
    rows = [*result["arms"].values(), *result["differences"].values()]
    metrics = [metric for metric in METRICS if any(metric in row for row in rows)]
    table = Table(title=title, caption="mean and 95 % bootstrap interval over people", caption_justify="left")
    table.add_column("arm")
    for metric in metrics:
        table.add_column(METRICS[metric], justify="right")
    for name, values in result["arms"].items():
        table.add_row(name, *(_cell(values.get(metric), signed=False) for metric in metrics))
    table.add_section()
    for name, values in result["differences"].items():
        table.add_row(name.replace("-", " − "), *(_cell(values.get(metric), signed=True) for metric in metrics))
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
