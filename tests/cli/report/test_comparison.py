"""The page and the tables of a comparison: all arms, all differences, nothing from elsewhere."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from benchmarks.cloud import compare_models
from benchmarks.comparison import Comparison
from cli.comparison import tabulate_comparison
from cli.console import print_to
from cli.report.comparison import render_comparison, write_comparison
from recsys.config.cloud import CloudSettings
from recsys.progress import Silent
from tests.benchmarks.tasks import make_task

HISTORIES = [[0, 1, 2, 3], [3, 2, 1, 0], [1, 2, 3], [0, 1, 2]]


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    arms = ("popularity", "ials", "transitions", "blend")
    folder = tmp_path_factory.mktemp("bench")
    return compare_models(make_task(HISTORIES, 6), folder, arms, CloudSettings(), [0, 1], Silent())


def test_the_page_shows_every_arm_difference_and_fingerprint(comparison: Comparison) -> None:
    page = render_comparison(comparison)
    interval = comparison.groups["all"].arms["ials"]["ndcg_at_10"]
    for text in (
        "item transitions − blend",
        f"{interval.mean:.4f} [{interval.low:.4f}, {interval.high:.4f}]",
        comparison.head["split_fingerprint"],
        comparison.head["task_fingerprint"],
        "Recall@100",
        "Everybody: 4 people",
    ):
        assert text in page, text
    assert page.count("<svg") == 4  # three metrics and the times


def test_the_page_loads_nothing_from_anywhere(comparison: Comparison) -> None:
    page = render_comparison(comparison)
    assert re.findall(r"<(?:script|link|img|iframe)\b", page) == []
    assert re.findall(r"(?:src|href)=[\"']https?:", page) == []


def test_the_report_is_named_by_protocol_and_task_and_holds_the_result(comparison: Comparison, tmp_path: Path) -> None:
    json_path, html_path = write_comparison(comparison, tmp_path)
    assert json_path.name == f"bench-cloud-T-{comparison.head['task_fingerprint']}.json"
    assert json.loads(json_path.read_text()) == json.loads(json.dumps(comparison.to_json()))
    assert html_path.read_text() == render_comparison(comparison)


def test_the_tables_fit_a_plain_log_and_tell_means_times_and_seeds(comparison: Comparison) -> None:
    stream = io.StringIO()
    for table in tabulate_comparison(comparison.to_json()):
        print_to(stream, table)
    shown = stream.getvalue()
    assert max(map(len, shown.splitlines())) <= 120
    assert "transitions − blend" in shown
    values = comparison.groups["all"].seeds["ials"]["ndcg_at_10"]
    assert " ".join(f"{value:.4f}" for value in values) in shown
