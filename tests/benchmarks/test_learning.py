"""Ways of learning side by side, as a real command with a real TFF worker."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.learning import choose_arms
from cli.bench.federated import tabulate_learning
from recsys.config.federated import FederatedSettings
from recsys.errors import ConfigError
from tests.bundles import bundled_workspace  # noqa: F401

ROOT = Path(__file__).parents[2]
ARMS = ("untrained", "alone", "tff_fed_avg", "fed_avg", "fed_recon", "secure")
SETTINGS = """
[device]
num_candidates = 16
max_examples = 8
[rounds]
num_rounds = 2
clients_per_round = 8
validation_users = 10
"""

pytestmark = pytest.mark.federation


@pytest.fixture(scope="module")
def result(bundled_workspace, tmp_path_factory):  # noqa: F811
    place = tmp_path_factory.mktemp("learning") / "workspace"
    shutil.copytree(bundled_workspace.root, place)
    (place / "small.toml").write_text(SETTINGS)
    options = ["--workspace", str(place), "--config", str(place / "small.toml"), "--json"]
    arms = [option for name in ARMS for option in ("--arm", name)]
    # The pipes close once nothing holds them any more: no worker is left behind.
    done = subprocess.run(
        [sys.executable, "-m", "cli", "bench", "federated", *arms, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert not (place / "bench" / "learning").exists()
    return json.loads(done.stdout)


def ndcg(result, name):
    return result["arms"][name]["ndcg_at_10"]["mean"]


def test_every_way_is_judged_by_the_same_people_beside_the_cloud_alone(result):
    assert set(result["arms"]) == {"cloud_only", *ARMS}
    assert (result["num_judges"], result["num_rounds"]) == (10, 2)
    gain = result["differences"]["secure-cloud_only"]["ndcg_at_10"]["mean"]
    assert gain == pytest.approx(ndcg(result, "secure") - ndcg(result, "cloud_only"))


def test_packed_rounds_learn_what_those_of_tff_learn(result):
    assert ndcg(result, "tff_fed_avg") == pytest.approx(ndcg(result, "fed_avg"), abs=1e-9)


def test_who_is_alone_sends_nothing_and_of_a_partly_local_tower_less_is_sent(result):
    costs = result["costs"]
    assert (costs["alone"]["bytes_up"], costs["alone"]["bytes_down"]) == (0, 0)
    # Its attention has a sharpness and 20 numbers of recency, its prior two numbers.
    assert costs["fed_avg"]["bytes_up"] - costs["fed_recon"]["bytes_up"] == 4 * (1 + 20 + 2)


def test_a_sum_under_masks_is_the_plain_one_though_devices_are_lost(result):
    found = result["secure_sum"]
    assert found["is_equal"]
    assert (found["num_devices"], found["num_lost"]) == (8, 2)
    assert found["bytes_up"] > result["costs"]["secure"]["bytes_up"]


def test_every_way_is_shown_in_a_row_and_in_the_plot(result):
    assert tabulate_learning(result).row_count == len(ARMS) + 1
    plot = Path(result["report_svg"]).read_text()
    assert plot.startswith("<svg")
    assert all(f">{name}<" in plot for name in ARMS)
    assert json.loads(Path(result["report_json"]).read_text())["arms"] == result["arms"]


def test_a_way_that_is_none_is_refused():
    with pytest.raises(ConfigError, match=r"Expected arms out of untrained, alone, .*, got magic"):
        choose_arms(FederatedSettings(), ("fed_avg", "magic"))
