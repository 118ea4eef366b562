"""Rounds that really ran and evaluations that really were made, as the page draws them in a real Chromium."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from cli.report.page import write_report
from federated.simulation.checkpoint import RoundMetrics, RunFolder
from federated.simulation.evaluation import evaluate
from recsys.config.federated import AggregationSettings, FederatedSettings, RoundSettings
from recsys.config.serving import ServingSettings
from recsys.storage.registry import MANIFEST_FILE, BundleRegistry
from recsys.storage.workspace import Workspace
from tests.serving.console.browsing import NEEDS_CHROMIUM, PANELS, find_faults, open_page, serve, show
from tests.serving.console.drawings import find_card, read_drawing, read_table, read_tiles

ROOT = Path(__file__).parents[3]
OLD_RUN, SECURE_RUN = "0000-000000000000-00000000", "0000-000000000000-11111111"
SECURE_ROUNDS = (
    RoundMetrics(1, 4, 9, 2.5, 0.25, 0.5, 10.0, bytes_down=1000, bytes_up=500),
    RoundMetrics(2, 6, 9, 2.0, 0.125, 0.5, 40.0, bytes_down=1000, bytes_up=500),
    RoundMetrics(3, 2, 9, 1.5, 0.375, 0.5, 30.0, bytes_down=1000, bytes_up=500),
    RoundMetrics(4, 4, 9, 1.0, 0.5, 0.5, 60.0, bytes_down=1000, bytes_up=500),
)
SHOWN = ("cloud_only", "cloud_query", "cloud_device", "full_loop")
LISTED = ("popularity", *SHOWN, "cloud_personal", "loop_personal", "cloud_gated", "loop_gated", "oracle")
SIZES = [(width, theme) for width in (1280, 390) for theme in ("light", "dark")]

pytestmark = [NEEDS_CHROMIUM, pytest.mark.federation]


@pytest.fixture(scope="module")
def filled_workspace(bundled_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with a private run and its bundle, two runs kept by hand, two evaluations and a damaged bundle."""
    root = tmp_path_factory.mktemp("filled") / "workspace"
    shutil.copytree(bundled_workspace.root, root)
    workspace = Workspace(root)
    first = BundleRegistry(workspace).current_version()
    RunFolder(workspace.federated / OLD_RUN).save([RoundMetrics(1, 4, 9, 2.5, 0.25, 0.5, 10.0)], [])
    secure = RunFolder(workspace.federated / SECURE_RUN)
    settings = FederatedSettings(
        aggregation=AggregationSettings(kind="secure"), rounds=RoundSettings(algorithm="fed_recon")
    )
    secure.describe(settings.model_dump(mode="json"))
    secure.save(SECURE_ROUNDS, [])
    command = [sys.executable, "-m", "tests.federated.simulation.rehearsal", "secret", str(root)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    write_report(evaluate(workspace, seed=1, max_users=12), workspace.reports)
    write_report(evaluate(workspace, seed=0), workspace.reports)
    (workspace.bundles / first / MANIFEST_FILE).write_text("{}")
    return workspace


@pytest.fixture(scope="module")
def address(filled_workspace: Workspace) -> Iterator[str]:
    with serve(filled_workspace, ServingSettings()) as found:
        yield found


@pytest.fixture(scope="module")
def private_rounds(filled_workspace: Workspace) -> list[dict[str, float]]:
    """What the run that really was run left behind."""
    (path,) = (path for path in filled_workspace.federated.glob("0001-*/rounds.jsonl"))
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def report(filled_workspace: Workspace) -> dict:
    (path,) = filled_workspace.reports.glob("evaluate-*-seed0.json")
    return json.loads(path.read_text())


def say(value: float, digits: int) -> str:
    """Returns a number as the page says it."""
    rounded = Decimal(repr(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return f"{rounded:,}".replace("-", "−")


def test_a_private_run_is_drawn_with_what_it_left_behind(page: Page, private_rounds: list[dict[str, float]]) -> None:
    show(page, "rounds")
    assert len(private_rounds) == 4
    for title, name in (
        ("Quality", "ndcg_at_10"),
        ("Loss", "loss"),
        ("Clients per second", "clients_per_s"),
        ("Privacy budget", "epsilon"),
    ):
        values = [metrics[name] for metrics in private_rounds]
        drawn = read_drawing(page, title).read_line()
        assert [number for number, _ in drawn] == [1, 2, 3, 4]
        np.testing.assert_allclose([value for _, value in drawn], values, atol=1e-6 * max(values))
        assert read_table(page, title) == [[str(place + 1), say(value, 4)] for place, value in enumerate(values)]


def test_the_tiles_of_a_private_run_tell_its_epsilon_and_bytes(
    page: Page, private_rounds: list[dict[str, float]]
) -> None:
    show(page, "rounds")
    clients = sum(metrics["num_clients"] for metrics in private_rounds)
    speed = statistics.median(metrics["clients_per_s"] for metrics in private_rounds)
    tiles = read_tiles(page)
    assert tiles["Updates"] == (str(clients), "in 4 rounds")
    assert tiles["Clients per second"] == (say(speed, 1), "median round")
    assert {(metrics["bytes_down"], metrics["bytes_up"]) for metrics in private_rounds} == {(7132, 7136)}
    total = clients * (7132 + 7136)
    assert tiles["Bytes a client"] == ("7.1 kB ↓ 7.1 kB ↑", f"{total / 1000:.0f} kB for all updates")
    assert tiles["Epsilon"] == (say(private_rounds[-1]["epsilon"], 2), "spent so far")


def test_what_a_run_hides_follows_from_its_aggregator_and_noise(page: Page) -> None:
    show(page, "rounds")
    private = find_card(page, "What is hidden").inner_text()
    assert "Algorithm fed_avg, aggregator mean, with noise." in private
    assert "it sees every one of them, and it is the server that adds the noise." in private
    assert "up to an epsilon of 8.00 so far at a delta of 0.00001." in private
    page.select_option("#run", label=f"{SECURE_RUN} (4 rounds)")
    secure = find_card(page, "What is hidden").inner_text()
    assert "Algorithm fed_recon, aggregator secure, without noise." in secure
    assert "Every single update: it learns the sum of those who came" in secure
    assert "a person’s own are never sent" in secure
    assert "the run noted no epsilon" in secure
    page.select_option("#run", label=f"{OLD_RUN} (1 round)")
    old = find_card(page, "What is hidden").inner_text()
    assert "did not note how updates become a mean" in old
    assert "it sees every one of them, unless its aggregator was “secure”" in old
    assert read_tiles(page)["Bytes a client"] == ("–", "an earlier version did not note them")


def test_another_run_is_chosen_by_keyboard_and_the_choice_keeps_the_focus(page: Page) -> None:
    show(page, "rounds")
    page.focus("#run")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.id") == "run"
    assert page.locator("#run option:checked").inner_text() == f"{SECURE_RUN} (4 rounds)"
    tiles = read_tiles(page)
    assert tiles["NDCG@10, last round"] == ("0.5000", "+0.2500 since the first")
    assert tiles["Updates"] == ("16", "in 4 rounds")
    assert tiles["Clients per second"] == ("35.0", "median round")
    assert tiles["Bytes a client"] == ("1.0 kB ↓ 500 B ↑", "24 kB for all updates")
    assert "Epsilon" not in tiles
    assert find_card(page, "Privacy budget").count() == 0
    assert [value for _, value in read_drawing(page, "Loss").read_line()] == pytest.approx([2.5, 2.0, 1.5, 1.0])


def test_means_and_their_intervals_are_drawn_as_the_report_has_them(page: Page, report: dict) -> None:
    show(page, "quality")
    everybody = [report["arms"][arm]["ndcg_at_10"] for arm in LISTED]
    tiers = [group[arm] for group in report["tiers"].values() for arm in SHOWN]
    surfaces = [group[arm] for group in report["surfaces"].values() for arm in SHOWN]
    assert list(report["tiers"]) == ["low", "mid", "high"]
    for title, intervals in (("All arms", everybody), ("By device tier", tiers), ("By surface", surfaces)):
        expected = [[interval[name] for name in ("mean", "low", "high")] for interval in intervals]
        np.testing.assert_allclose(read_drawing(page, title).read_intervals(), expected, atol=1e-6)
        assert [row[1:] for row in read_table(page, title)] == [[say(one, 4) for one in row] for row in expected]


def test_the_tiles_of_quality_tell_the_gain_and_whom_it_harms(page: Page, report: dict) -> None:
    show(page, "quality")
    gain = report["differences"]["full_loop-cloud_only"]["ndcg_at_10"]
    mean, low, high = (say(gain[name], 4) for name in ("mean", "low", "high"))
    signed = [text if text.startswith("−") else f"+{text}" for text in (mean, low, high)]
    assert read_tiles(page) == {
        "People": (str(report["num_users"]), f"{report['num_events']} held-out events"),
        "Cloud only": (say(report["arms"]["cloud_only"]["ndcg_at_10"]["mean"], 4), "NDCG@10"),
        "Query vector + device": (say(report["arms"]["full_loop"]["ndcg_at_10"]["mean"], 4), "NDCG@10"),
        "Gain over the cloud": (signed[0], f"{signed[1]} … {signed[2]}"),
        "Worse off": (
            f"{say(100 * report['share_harmed']['full_loop'], 1)} %",
            "of people, than under the cloud alone",
        ),
    }


def test_spreads_are_drawn_for_everybody_and_for_the_tier_that_the_keyboard_chooses(page: Page, report: dict) -> None:
    show(page, "quality")
    groups = list(report["distributions"]["ndcg_at_10"]["counts"])
    assert groups == ["all", "high", "low", "mid"]
    page.focus("#choose-people")
    for group in groups:
        for title, name, arms in (
            ("Spread of quality", "ndcg_at_10", SHOWN),
            ("Spread of the gain", "gain_over_cloud_only", SHOWN[1:]),
        ):
            counts = report["distributions"][name]["counts"][group]
            page.wait_for_function("() => [...document.querySelectorAll('#quality .chart')].every((c) => c.firstChild)")
            assert read_drawing(page, title).read_counts() == [counts[arm] for arm in arms]
            cells = [[int(cell) for cell in row[1:]] for row in read_table(page, title)]
            assert cells == np.transpose([counts[arm] for arm in arms]).tolist()
        assert page.locator("#choose-people").input_value() == group
        assert page.evaluate("document.activeElement.id") == "choose-people"
        page.keyboard.press("ArrowDown")


def test_another_report_can_be_chosen(page: Page, filled_workspace: Workspace) -> None:
    (path,) = filled_workspace.reports.glob("evaluate-*-seed1.json")
    other = json.loads(path.read_text())
    show(page, "quality")
    assert ", seed 0 (" in page.locator("#choose-report option:checked").inner_text()
    page.focus("#choose-report")
    page.keyboard.press("ArrowDown")
    assert ", seed 1 (" in page.locator("#choose-report option:checked").inner_text()
    assert page.evaluate("document.activeElement.id") == "choose-report"
    assert read_tiles(page)["People"] == (str(other["num_users"]), f"{other['num_events']} held-out events")


def test_bundles_tell_which_came_from_which_and_which_is_damaged(page: Page, filled_workspace: Workspace) -> None:
    registry = BundleRegistry(filled_workspace)
    served = registry.current().manifest
    show(page, "bundles")
    newest, damaged = read_table(page, "Published")
    assert newest[:2] == [served.version, "served"]
    assert newest[3] == damaged[0] == served.parent
    assert newest[8] == say(served.metrics["device_validation_ndcg_at_10"], 4)
    assert damaged[2].startswith("Expected a bundle manifest")


@pytest.mark.parametrize(("width", "theme"), SIZES)
def test_filled_panels_overflow_nothing_and_break_no_rule_of_accessibility(
    width: int, theme: str, browser: Browser, address: str
) -> None:
    with open_page(browser, address, width, theme, let_axe_in=True) as page:
        for panel in PANELS[1:]:
            show(page, panel)
            page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate(CUT_OFF) == []
            assert find_faults(page) == []


CUT_OFF = """() => [...document.querySelectorAll('.chart text')].filter((text) => {
    const [own, chart] = [text.getBoundingClientRect(), text.closest('.chart').getBoundingClientRect()];
    return own.width && (own.left < chart.left - 1 || own.right > chart.right + 1 || [...text.parentNode.children]
        .some((other) => other !== text && other.tagName !== 'path' && meet(own, other.getBoundingClientRect())));
    function meet(one, two) {
        const apart = [two.left - one.right, one.left - two.right, two.top - one.bottom + 2, one.top - two.bottom + 2];
        return Math.max(...apart) < -1;
    }
}).map((text) => text.textContent)"""
"""Labels that leave their chart, or lie on one another or on a mark."""


@pytest.mark.parametrize(("width", "theme"), SIZES)
def test_filled_panels_are_walked_by_keyboard_and_the_focus_is_always_seen(
    width: int, theme: str, browser: Browser, address: str
) -> None:
    with open_page(browser, address, width, theme) as page:
        for panel, num_charts, first in (("rounds", 4, ["run"]), ("quality", 5, ["choose-report", "choose-people"])):
            show(page, panel)
            page.focus("#theme")
            page.keyboard.press("Tab")
            places = [page.evaluate(FOCUS)]
            while places[-1]["panel"] == panel:
                if places[-1]["tag"] == "SUMMARY":
                    page.keyboard.press("Enter")
                page.keyboard.press("Tab")
                places.append(page.evaluate(FOCUS))
            walked = places[:-1]
            assert [place["id"] or place["tag"] for place in walked] == [*first, *["SUMMARY", "DIV"] * num_charts]
            assert [place for place in walked if not place["is_seen"] or place["outline"] != "solid"] == []
            for place in reversed(walked):
                page.keyboard.press("Shift+Tab")
                back = page.evaluate(FOCUS)
                assert back == place


FOCUS = """() => {
    const found = document.activeElement;
    const { left, top, width, height } = found.getBoundingClientRect();
    const seen = document.elementFromPoint(left + Math.min(width, innerWidth) / 2, top + Math.min(height / 2, 20));
    return {
        id: found.id,
        tag: found.tagName,
        panel: found.closest('[role=tabpanel]')?.id,
        outline: getComputedStyle(found).outlineStyle,
        is_seen: found === seen || found.contains(seen),
    };
}"""
"""What has the focus, whether nothing covers it, and the style of the line around it."""
