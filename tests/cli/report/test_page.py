from __future__ import annotations

import json
import re

import pytest

from cli.report.page import write_report
from federated.simulation.evaluation import evaluate
from tests.bundles import bundled_workspace  # noqa: F401


@pytest.fixture(scope="module")
def evaluation(bundled_workspace):  # noqa: F811
    return evaluate(bundled_workspace, seed=0, max_users=20)


def test_the_report_is_the_evaluation_as_json_and_as_a_page(evaluation, tmp_path):
    json_path, html_path = write_report(evaluation, tmp_path)
    assert json.loads(json_path.read_text()) == json.loads(json.dumps(evaluation.to_json()))
    page = html_path.read_text()
    assert page.count("<svg") == 5
    assert f"{evaluation.arms['cloud_only']['ndcg_at_10'].mean:.4f}" in page


def test_the_page_loads_nothing_from_anywhere(evaluation, tmp_path):
    page = write_report(evaluation, tmp_path)[1].read_text()
    loaded = re.findall(r"""(?:src|href)\s*=\s*["'](?!#)[^"']*|@import[^;]*|url\((?!#)[^)]*""", page)
    assert loaded == []
