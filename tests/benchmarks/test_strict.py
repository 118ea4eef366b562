"""Strict federation beside models that know every history, with a real TFF worker."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from cli.bench.strict import tabulate_strict
from cli.console import print_to

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.federation


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    command = [sys.executable, "-m", "tests.benchmarks.strict_rehearsal", str(tmp_path_factory.mktemp("strict")), "0.3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return {**json.loads(done.stdout), "part": "test"}


def test_all_arms_answer_the_same_requests_and_find_the_ring(result):
    group = result["groups"]["all"]
    strict = ["strict_transitions", "strict_blend", "strict_tower", "strict_blend_start", "strict_blend_tower"]
    assert list(group["arms"]) == ["transitions", "blend", *strict]
    assert group["num_requests"] == 30
    assert all(metrics["hit_rate_at_10"]["mean"] == 1 for metrics in group["arms"].values())
    assert {
        "strict_transitions-transitions",
        "strict_blend-blend",
        "strict_blend_tower-strict_blend",
        "strict_blend_tower-strict_blend_start",
    } <= set(group["differences"])


def test_every_device_is_asked_and_those_that_drop_out_are_in_no_sum(result):
    federation = result["federation"]
    assert (federation["num_devices"], federation["num_kept"], federation["rounds"]) == (30, 12, 2)
    uploads = {name: held["num_uploads"] for name, held in federation["sums"].items()}
    assert 30 > uploads["items"] > uploads["transitions"] == uploads["pairs"] > 5
    assert all(held["equals_plain_sum"] for held in federation["sums"].values())


def test_the_bytes_are_those_of_masked_vectors_and_whole_tables(result):
    sums, costs = result["federation"]["sums"], result["federation"]["costs"]
    assert {name: held["num_cells"] for name, held in sums.items()} == {"items": 12, "transitions": 144, "pairs": 78}
    for held in sums.values():
        assert held["upload_bytes"] == pytest.approx(held["num_cells"] * held["bits_per_cell"] / 8, abs=12)
    assert (
        costs["strict_transitions"]["upload_bytes"]
        == sums["items"]["upload_bytes"] + sums["transitions"]["upload_bytes"]
    )
    assert costs["strict_blend"]["upload_bytes"] == sum(held["upload_bytes"] for held in sums.values())
    # A table has 144 bytes and 12 scales of 4 bytes; popularity and what is kept 12 numbers of 4 each.
    assert [costs[f"strict_{name}"]["download_bytes"] for name in ("transitions", "blend")] == [96 + 192, 96 + 3 * 192]


def test_the_bytes_of_rounds_are_those_of_whole_masked_tables_and_stand_beside_those_of_submodels(result):
    federation = result["federation"]
    tower, costs = federation["tower"], federation["costs"]
    # Dense: 2 heads of two kernels of 4 by 2, of values of 4 by 4 and of recency of 3; 4 by 8, 8, 8 by 4; sharpness.
    dense = 2 * (2 * 8 + 16 + 3) + 32 + 8 + 32 + 1
    assert tower["upload_bytes"] == tower["download_bytes"] == 4 * (12 * (4 + 1) + dense)
    # At most 4 items of a stretch and 3 drawn ones, each with 4 numbers, a bias and which it is.
    assert tower["submodel_rows"] == 7
    assert tower["submodel_bytes"] == 4 * (7 * 6 + dense)
    num_devices = federation["sums"]["pairs"]["num_uploads"]
    assert (tower["rounds"], tower["uploads_per_device"]) == (2, pytest.approx(2 * 5 / num_devices, abs=1e-3))
    spent = 2 * 5 / num_devices * tower["upload_bytes"]
    assert costs["strict_blend_tower"]["upload_bytes"] == round(costs["strict_blend"]["upload_bytes"] + spent)
    assert costs["strict_tower"]["upload_bytes"] == round(costs["strict_transitions"]["upload_bytes"] + spent)
    assert costs["strict_blend_start"]["upload_bytes"] == costs["strict_blend"]["upload_bytes"]
    more = costs["strict_blend_start"]["download_bytes"] - costs["strict_blend"]["download_bytes"]
    assert more == tower["download_bytes"]


def test_nothing_of_a_device_is_left_behind(result):
    assert not result["left"]


def test_every_figure_is_shown(result):
    stream = io.StringIO()
    for table in tabulate_strict(result):
        print_to(stream, table)
    shown = stream.getvalue()
    for text in ("strict_blend − blend", "2 rounds", "Bytes of one device", "transitions", "bit for bit"):
        assert text in shown, text
    for text in ("A device in a round of the tower", "strict_blend_tower −", "strict_blend_start"):
        assert text in shown, text
