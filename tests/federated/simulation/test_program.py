"""Rounds from bundle to bundle, in real processes with real TFF workers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from federated.simulation.program import federate, run_name
from federated.simulation.worker import run_worker
from recsys.cascade.rerank import Reranker
from recsys.config.federated import (
    FederatedSettings,
    PersonalSettings,
    PrivacySettings,
    ReleaseSettings,
    StrictSettings,
    StrictTowerSettings,
    WorkersSettings,
)
from recsys.contracts.bundle import (
    DEVICE_TOWER_FILE,
    DEVICE_TOWER_INT8_FILE,
    DEVICE_TRAINING_FILE,
    DEVICE_WEIGHTS_FILE,
)
from recsys.errors import BundleError, WorkspaceError
from recsys.storage.registry import BundleRegistry
from recsys.storage.workspace import Workspace
from tests.bundles import bundled_workspace, own_workspace  # noqa: F401
from tests.curves import read_curves
from tests.federated.simulation.rehearsal import SEED, SETTINGS

ROOT = Path(__file__).parents[3]


def rehearse(*arguments, timeout_s=600):
    """Runs a rehearsal with its output in pipes, which only close once nothing holds them any more."""
    return subprocess.run(
        [sys.executable, "-m", "tests.federated.simulation.rehearsal", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


def workers_of(workspace):
    """Wardens and workers whose log lies in the workspace: what a run there may have left behind."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(part.endswith(("warden.py", "worker_binary")) for part in process.info["cmdline"] or []):
            outputs = [Path(f"/proc/{process.pid}/fd/{number}") for number in (1, 2)]
            found += [process for output in outputs if str(workspace.root) in str(resolve(output))]
    return found


def resolve(link):
    try:
        return link.readlink()
    except OSError:
        return link


@pytest.fixture(scope="module")
def copies(bundled_workspace, tmp_path_factory):  # noqa: F811
    """Three equal workspaces."""
    places = [tmp_path_factory.mktemp("federated") / "workspace" for _ in range(3)]
    for place in places:
        shutil.copytree(bundled_workspace.root, place)
    return [Workspace(place) for place in places]


@pytest.fixture(scope="module")
def uninterrupted(copies):
    done = rehearse("federate", copies[0].root)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def report(uninterrupted):
    return json.loads(uninterrupted.stdout)  # and nothing else may stand on stdout


@pytest.mark.federation
def test_a_run_publishes_a_bundle_with_another_device_tower_and_all_else_as_it_was(copies, report):
    registry = BundleRegistry(copies[0])
    base, published = registry.open(report["base_version"]), registry.current()
    assert published.manifest.version == report["version"] != base.manifest.version
    assert published.manifest.parent == base.manifest.version
    changed = {
        name for name, entry in published.manifest.files.items() if base.manifest.files[name].sha256 != entry.sha256
    }
    assert changed == {DEVICE_TOWER_FILE, DEVICE_TOWER_INT8_FILE, DEVICE_TRAINING_FILE, DEVICE_WEIGHTS_FILE}
    assert set(published.manifest.files) == set(base.manifest.files)


@pytest.mark.federation
def test_the_published_tower_reranks_otherwise_than_its_parent(copies, report):
    registry = BundleRegistry(copies[0])
    rng = np.random.default_rng(0)
    dim = registry.current().manifest.dim
    lists = [rng.normal(size=shape).astype(np.float32) for shape in ((9, dim), (9,), (dim,), (4, dim))]
    before, after = (
        Reranker(registry.open(report[name]).read_bytes(DEVICE_TOWER_FILE)).rerank(*lists)
        for name in ("base_version", "version")
    )
    assert np.isfinite(after).all()
    assert np.abs(after - before).max() > 1e-5


@pytest.mark.federation
def test_the_report_tells_every_round_and_both_arms(copies, report):
    assert [metrics["round_number"] for metrics in report["rounds"]] == [1, 2, 3, 4]
    assert all(0 < metrics["num_clients"] <= 6 for metrics in report["rounds"])
    assert all(metrics["num_examples"] > 0 and np.isfinite(metrics["loss"]) for metrics in report["rounds"])
    assert set(report["arms"]) == {"cloud_only", "before", "after"}
    assert set(report["arms"]["after"]["ndcg_at_10"]) == {"mean", "low", "high"}
    assert set(report["differences"]) == {"after-cloud_only", "after-before"}
    assert report["arms"]["after"]["ndcg_at_10"]["mean"] == pytest.approx(report["rounds"][-1]["ndcg_at_10"])
    assert report["num_validation_users"] == 10
    assert report["bytes_up"] == report["bytes_down"] + 4
    noted = {(one["bytes_up"], one["bytes_down"]) for one in report["rounds"]}
    assert noted == {(report["bytes_up"], report["bytes_down"])}
    lines = (copies[0].federated / report["run"] / "rounds.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == report["rounds"]


@pytest.mark.federation
def test_a_run_notes_the_settings_that_decide_what_its_rounds_do_and_no_others(copies, report):
    noted = json.loads((copies[0].federated / report["run"] / "settings.json").read_text())
    assert noted["aggregation"] == SETTINGS.aggregation.model_dump()
    assert noted["privacy"] == SETTINGS.privacy.model_dump()
    assert noted["rounds"]["clients_per_round"] == 6
    assert "num_rounds" not in noted["rounds"]  # more of them go on in the same run
    assert "release" not in noted


@pytest.mark.federation
def test_a_first_tower_that_beats_the_order_of_the_cloud_alone_is_released(report):
    release = report["release"]
    assert release["is_better"]
    assert release["is_released"]
    assert release["compared_with"] == "cloud_only"
    assert release["difference"] == report["differences"]["after-cloud_only"]["ndcg_at_10"]
    assert release["difference"]["mean"] > 0
    assert release["reason"].startswith("Released: NDCG@10 of 10 held-out people is +")


@pytest.fixture(scope="module")
def idle(copies, report):
    """What becomes of rounds that move next to nothing of the tower which was released before."""
    place = copies[0].root.with_name("idle")
    shutil.copytree(copies[0].root, place)
    done = rehearse("idle", place)
    assert done.returncode == 0, done.stderr[-3000:]
    return [Workspace(place), done.stderr, *json.loads(done.stdout)]


@pytest.mark.federation
def test_a_tower_that_is_no_better_than_the_current_one_is_not_released(report, idle):
    _, told, refused, _, _ = idle
    assert refused["version"] is None
    assert refused["base_version"] == report["version"]
    release = refused["release"]
    assert not release["is_better"]
    assert not release["is_released"]
    assert release["compared_with"] == "before"
    assert release["difference"] == refused["differences"]["after-before"]["ndcg_at_10"]
    assert refused["arms"]["before"] == report["arms"]["after"]
    assert release["reason"] == (
        "Not released: NDCG@10 of 10 held-out people is +0.0000 (+0.0000 to +0.0000) against the current tower; "
        "a release needs a mean above 0 and an interval from -0.1 up."
    )
    assert f"note: {release['reason']}" in told


@pytest.mark.federation
def test_a_tower_that_was_trained_without_a_promise_is_no_start_for_one(idle):
    assert "got one that was trained without: no epsilon can be promised of it" in idle[-1]


@pytest.mark.federation
def test_the_same_rounds_are_published_when_that_is_wanted_anyway(idle):
    place, told, refused, forced, _ = idle
    assert "Going on after round 4" in told
    assert forced["rounds"] == refused["rounds"]
    assert not forced["release"]["is_better"]
    assert forced["release"]["is_released"]
    assert forced["release"]["reason"].startswith("Released anyway: ")
    current = BundleRegistry(place).current().manifest
    assert (current.version, current.parent) == (forced["version"], refused["base_version"])


@pytest.mark.federation
def test_private_rounds_spend_what_they_may_and_no_more(bundled_workspace, tmp_path):  # noqa: F811
    place = tmp_path / "workspace"
    shutil.copytree(bundled_workspace.root, place)
    done = rehearse("secret", place)
    assert done.returncode == 0, done.stderr[-3000:]
    secret = json.loads(done.stdout)
    spent = [metrics["epsilon"] for metrics in secret["rounds"]]
    drawn = read_curves(Workspace(place).federated / secret["run"] / "curves")
    assert [value for _, name, value in drawn if name == "epsilon"] == pytest.approx(spent)
    assert spent == sorted(spent)
    assert 7.9 < spent[-1] <= secret["privacy"]["epsilon"] == 8.0
    assert secret["privacy"]["num_people"] * secret["privacy"]["sampling_rate"] == pytest.approx(6)
    metrics = BundleRegistry(Workspace(place)).current().manifest.metrics
    assert (metrics["device_epsilon"], metrics["device_delta"]) == (8.0, 1e-5)
    assert "Expected a device tower that has spent less than epsilon 8, got 8." in secret["error"]


@pytest.mark.federation
def test_where_budgets_hold_the_smallest_tower_alone_rounds_move_nothing_beside_it(own_workspace):  # noqa: F811
    done = rehearse("small", own_workspace.root)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["within"] > 1e-3
    assert found["beside"] == 0


def test_a_run_leaves_no_worker_behind(copies, report):
    assert report["version"]
    assert workers_of(copies[0]) == []
    with run_worker(copies[0].root / "another.log", 60.0):  # a worker that is there would have been found
        assert len({process.pid for process in workers_of(copies[0])}) == 2


@pytest.fixture(scope="module")
def killed(copies):
    return rehearse("federate", copies[1].root, 2)


@pytest.fixture(scope="module")
def resumed(killed, copies):
    psutil.wait_procs(workers_of(copies[1]), timeout=5)
    left, current = workers_of(copies[1]), BundleRegistry(copies[1]).current().manifest.version
    return left, current, rehearse("resume", copies[1].root)


@pytest.mark.federation
def test_a_killed_run_leaves_no_worker_and_publishes_nothing(killed, resumed, report):
    assert killed.returncode == -9
    left, current, _ = resumed
    assert left == []
    assert current == report["base_version"]


@pytest.mark.federation
def test_a_run_that_is_killed_and_resumed_ends_with_the_same_weights(copies, report, resumed):
    *_, ended = resumed
    assert "Going on after round 2" in ended.stderr
    again = json.loads(ended.stdout)
    assert [m["loss"] for m in again["rounds"]] == [m["loss"] for m in report["rounds"]]
    weights, expected = (np.load(BundleRegistry(copies[place]).current().path(DEVICE_WEIGHTS_FILE)) for place in (1, 0))
    for name in expected.files:
        np.testing.assert_array_equal(weights[name], expected[name])
    assert again["version"] == report["version"]


def told_of(report):
    """What curves must hold of the rounds of a report, as float32 has it."""
    told = [(one["round_number"], name, value) for one in report["rounds"] for name, value in one.items()]
    return {
        (number, name, float(np.float32(value)))
        for number, name, value in told
        if name != "round_number" and value is not None
    }


@pytest.mark.federation
def test_curves_hold_the_figures_of_every_round(copies, report):
    drawn = read_curves(copies[0].federated / report["run"] / "curves")
    assert {name for _, name, _ in drawn} >= {"loss", "ndcg_at_10", "clients_per_s", "bytes_up", "bytes_down"}
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == told_of(report)


@pytest.mark.federation
def test_after_a_kill_curves_hold_every_round_once(copies, resumed):
    again = json.loads(resumed[-1].stdout)
    drawn = read_curves(copies[1].federated / again["run"] / "curves")
    assert len(drawn) == len({(number, name) for number, name, _ in drawn})
    assert set(drawn) == told_of(again)


def test_where_there_is_no_run_to_go_on_from_none_is_begun(own_workspace):  # noqa: F811
    with pytest.raises(WorkspaceError, match=r"a run to go on from in .*, got no finished round\. Give the settings"):
        federate(own_workspace, SETTINGS, SEED, must_resume=True)
    assert not own_workspace.federated.exists()


@pytest.fixture(scope="module")
def findings(bundled_workspace, tmp_path_factory):  # noqa: F811
    place = tmp_path_factory.mktemp("examined") / "workspace"
    shutil.copytree(bundled_workspace.root, place)
    done = rehearse("examine", place)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.federation
def test_one_round_equals_federated_averaging_by_hand(findings):
    assert findings["num_clients"] == 6
    assert findings["shapes"]
    assert findings["moved"] > 1e-3
    assert findings["off_by"] < 1e-5
    assert findings["num_examples"] == findings["expected_examples"]


@pytest.mark.federation
def test_devices_that_train_by_litert_send_what_the_clients_of_the_simulation_send(findings):
    assert findings["devices_off_by"] < 1e-5


@pytest.mark.federation
def test_the_order_of_clients_does_not_move_the_result(findings):
    assert findings["order_moves"] < 1e-5


@pytest.mark.federation
def test_a_worker_that_dies_in_mid_round_is_reported_with_its_last_words(findings):
    assert "ended with code 137" in findings["error"]
    assert "ExecutorService started" in findings["error"]
    assert findings["seconds_to_fail"] < 15


@pytest.mark.federation
def test_ctrl_c_in_mid_round_ends_the_run_and_its_worker(copies):
    done = rehearse("interrupt", copies[2].root)
    assert done.returncode in (-2, 130)
    assert "KeyboardInterrupt" in done.stderr
    assert workers_of(copies[2]) == []


def test_a_run_is_named_by_what_decides_a_round():
    name = run_name("0001-a", SETTINGS, 5)
    longer = SETTINGS.model_copy(update={"rounds": SETTINGS.rounds.model_copy(update={"num_rounds": 99})})
    wider = SETTINGS.model_copy(update={"rounds": SETTINGS.rounds.model_copy(update={"clients_per_round": 7})})
    assert run_name("0001-a", longer, 5) == name
    afterwards = {
        "release": ReleaseSettings(tolerance=0.5, publish_anyway=True),
        "personal": PersonalSettings(margin=9),
        "workers": WorkersSettings(addresses=("one:7501", "two:7501"), lost="retry"),
        "strict": StrictSettings(levels=1),
        "strict_tower": StrictTowerSettings(dim=2),
    }
    assert run_name("0001-a", SETTINGS.model_copy(update=afterwards), 5) == name
    secret, longer_secret = (
        plan.model_copy(update={"privacy": PrivacySettings(epsilon=1.0)}) for plan in (SETTINGS, longer)
    )
    assert len({name, run_name("0001-a", secret, 5), run_name("0001-a", longer_secret, 5)}) == 3
    others = {run_name("0002-a", SETTINGS, 5), run_name("0001-a", wider, 5), run_name("0001-a", SETTINGS, 6)}
    assert len({name, *others}) == 4


def test_a_workspace_without_a_bundle_names_the_command_that_makes_one(tmp_path):
    with pytest.raises(WorkspaceError, match=r"got none. Run `tandem train"):
        federate(Workspace(tmp_path), FederatedSettings(), 0)


def test_an_altered_device_tower_is_refused(own_workspace):  # noqa: F811
    path = BundleRegistry(own_workspace).current().path(DEVICE_WEIGHTS_FILE)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(BundleError, match="was altered"):
        federate(own_workspace, SETTINGS, 0)
