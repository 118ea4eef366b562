"""The sums of "Scale on paper" in pipelines/README.md, from the constants that stand above them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "pipelines" / "README.md"
SIZES = (10**6, 10**7, 10**8, 10**9)
EVENTS = 10**10
CORE_HOUR, GIB_HOUR, MONTH = 0.04, 0.005, 730
INDEX, HALVED, VECTORS, TARGETS, TRAINING = 280.5, 152.5, 256, 3_200, 6 * 4 * 64
SEARCH_S = 1.2e-3
STEP_S = (3.7, 34, 340, 3_400)
STEP_EVENTS = 64 * 50


def spell(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 10 else f"{figure:.2g}"


def row(name: str, figures: list[float]) -> str:
    return f"| {name} | {' | '.join(spell(figure) for figure in figures)} |"


def core_hours(seconds_of_two_cores: float) -> float:
    return 2 * seconds_of_two_cores / 3_600


TABLE = [
    row("index, GB", [n * INDEX / 1e9 for n in SIZES]),
    row("index with halved vectors, GB", [n * HALVED / 1e9 for n in SIZES]),
    row("vectors beside it, GB", [n * VECTORS / 1e9 for n in SIZES]),
    row("item-to-item statistics at most, GB", [n * TARGETS / 1e9 for n in SIZES]),
    row("…with 20 targets an item, GB", [n * TARGETS / 10 / 1e9 for n in SIZES]),
    row("training, GB", [n * TRAINING / 1e9 for n in SIZES]),
    row("a training step, s", list(STEP_S)),
    row("a training pass over 10⁸ events (31,250 steps), hours", [s * 1e8 / STEP_EVENTS / 3_600 for s in STEP_S]),
    row("embed, core-hours", [core_hours(n / 38_000) for n in SIZES]),
    row("building the index, core-hours", [core_hours(27 * (n / 1e6) ** 1.5) for n in SIZES]),
    row("search, ms of one core a query", [1e3 * SEARCH_S * n / 1e6 for n in SIZES]),
    row("shards of 10⁷ items (8.6 GB each with 20 targets)", [max(1, n / 1e7) for n in SIZES]),
]


@pytest.mark.parametrize("line", TABLE)
def test_each_row_follows_from_the_constants(line: str) -> None:
    assert line in README.read_text(encoding="utf-8").splitlines()


def test_people_and_money_follow_from_the_constants() -> None:
    prepare, statistics = core_hours(EVENTS / 155_000), core_hours(22 * EVENTS / 1e6)
    retrieval = core_hours(18 * STEP_S[0] * 1e8 / STEP_EVENTS)
    cores = 35_000 * SEARCH_S
    machines = math.ceil(cores / 16)
    run = prepare + statistics + retrieval + core_hours(1e6 / 38_000 + 27)
    text = " ".join(README.read_text(encoding="utf-8").split())
    for told in (
        f"| prepare, core-hours | {prepare:.0f} | {EVENTS / 155_000 / 32 / 60:.0f} minutes of 32 workers",
        f"| statistics, core-hours | {statistics:.0f} | {statistics / 64:.1f} hours of the same workers",
        f"core-hours | {retrieval:,.0f} | 18 passes over 10⁸ events, 1 % of the people: {retrieval / 48:.0f} days",
        f"| search, cores at the peak | {cores:.0f} per 10⁶ items",
        f"a run is {run:,.0f} core-hours, ${run * CORE_HOUR:.0f}; search is {cores:.0f} cores,",
        f"${cores * CORE_HOUR * MONTH:,.0f} a month",
        f"another ${machines * 16 * GIB_HOUR * MONTH:.0f}.",
    ):
        assert told in text
