"""The table of an evaluation."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from cli.console import print_to
from cli.table import tabulate_evaluation, tabulate_groups, tabulate_harm


def interval(mean: float, half: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - half, "high": mean + half}


RESULT: dict[str, Any] = {
    "dataset": "synthetic",
    "split_fingerprint": "f00d",
    "bundle_version": "0002-abc",
    "seed": 7,
    "num_users": 1_234,
    "num_events": 5_678,
    "num_users_skipped_in_auc": 9,
    "arms": {
        "cloud_only": {"ndcg_at_10": interval(0.2, 0.01), "hit_rate_at_10": interval(0.3, 0.01)},
        "cloud_device": {
            "ndcg_at_10": interval(0.25, 0.01),
            "hit_rate_at_10": interval(0.35, 0.01),
            "user_auc": interval(0.7, 0.01),
        },
    },
    "differences": {
        "cloud_device-cloud_only": {"ndcg_at_10": interval(0.05, 0.01), "hit_rate_at_10": interval(-0.05, 0.01)},
    },
}


def render(color_system: str | None = None) -> str:
    console = Console(file=io.StringIO(), width=140, color_system=color_system, force_terminal=color_system is not None)
    with console.capture() as capture:
        console.print(tabulate_evaluation(RESULT))
    return capture.get()


def test_each_arm_shows_its_means_with_their_intervals() -> None:
    row = next(line for line in render().splitlines() if line.startswith("│ cloud_device "))
    assert "0.2500  0.2400 … 0.2600" in row
    assert "0.7000  0.6900 … 0.7100" in row


def test_a_metric_that_an_arm_lacks_is_a_dash() -> None:
    row = next(line for line in render().splitlines() if line.startswith("│ cloud_only "))
    assert row.rstrip("│ ").endswith("–")


def test_differences_carry_their_sign() -> None:
    row = next(line for line in render().splitlines() if line.startswith("│ cloud_device − cloud_only"))
    assert "+0.0500  +0.0400 … +0.0600" in row
    assert "-0.0500  -0.0600 … -0.0400" in row


def test_a_difference_that_excludes_zero_is_green_or_red() -> None:
    shown = render("standard")
    assert "\x1b[32m+0.0500" in shown
    assert "\x1b[31m-0.0500" in shown


def test_the_title_and_caption_say_what_was_measured() -> None:
    stream = io.StringIO()
    print_to(stream, tabulate_evaluation(RESULT))
    for text in ("synthetic: 1,234 people, 5,678 held-out events", "leaves out 9", "0002-abc", "f00d", "seed 7"):
        assert text in stream.getvalue(), text


def test_whom_reranking_harms_is_told_with_what_the_gate_shows() -> None:
    figures = {name: interval(0.25, 0.01) for name in ("share_harmed", "share_helped", "worst_tenth")}
    arms = {
        "cloud_device": {"against": "cloud_only", **figures},
        "cloud_gated": {"against": "cloud_only", **figures, "orders": {"cloud": 0.5, "global": 0.3, "personal": 0.2}},
    }
    console = Console(file=io.StringIO(), width=120)
    with console.capture() as capture:
        console.print(tabulate_harm({"reranking": arms, "personalisation": {}}))
    rows = [line for line in capture.get().splitlines() if line.startswith("│ cloud_")]
    assert len(rows) == 2
    assert rows[0].rstrip("│ ").endswith("–")
    assert rows[1].rstrip("│ ").endswith("50% / 30% / 20%")
    assert all(row.count("0.250  0.240 … 0.260") == 3 for row in rows)


def test_those_whom_averages_hide_stand_beside_everybody() -> None:
    group = {
        "num_users": 123,
        "ndcg_at_10": {"cloud_only": interval(0.02, 0.01), "cloud_device": interval(0.06, 0.01)},
        "gain_over_cloud_only": {"cloud_device": interval(0.04, 0.01)},
        "share_harmed": {"cloud_device": 0.125},
    }
    result = RESULT | {
        "share_harmed": {"cloud_device": 0.25},
        "lowest_tenth": {"cloud_only": interval(0.0, 0.0), "cloud_device": interval(0.01, 0.01)},
        "groups": {"worst_served": group, "long_tail": group},
    }
    console = Console(file=io.StringIO(), width=180)
    with console.capture() as capture:
        console.print(tabulate_groups(result))
    shown = capture.get()
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines()]
    cells = {row[0]: row[1:] for row in rows if row}
    assert "worst served (123)" in shown
    assert cells["cloud_device"] == [
        "0.2500  0.2400 … 0.2600",
        "0.0100  0.0000 … 0.0200",
        *["0.0600  0.0500 … 0.0700"] * 2,
    ]
    assert cells["cloud_device − cloud_only"] == [
        "+0.0500  +0.0400 … +0.0600",
        "–",
        *["+0.0400  +0.0300 … +0.0500"] * 2,
    ]
    assert cells["harmed by cloud_device"] == ["25.0%", "–", "12.5%", "12.5%"]
