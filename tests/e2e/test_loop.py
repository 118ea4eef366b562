"""Ingest, train, federate, evaluate, serve: once as `tandem demo`, then verb by verb on what it left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from federated.simulation.arms import ARMS as REPLAYED
from tests.e2e.conftest import TANDEM, Demo, run_tandem

pytestmark = pytest.mark.e2e

ARMS = {*REPLAYED, "popularity", "oracle"}


def test_the_demo_prints_one_json_object_and_nothing_else_on_stdout(demo: Demo) -> None:
    assert demo.stdout.count("\n") == 1
    assert demo.stdout.endswith("}\n")


def test_the_demo_compares_every_arm_with_intervals(demo: Demo) -> None:
    result = demo.result
    assert set(result["arms"]) == ARMS
    for comparison in (*result["arms"].values(), *result["differences"].values()):
        for interval in comparison.values():
            assert interval["low"] <= interval["mean"] <= interval["high"]
    assert {"ndcg_at_10", "hit_rate_at_10"} <= set(result["differences"]["cloud_device-cloud_only"])


def test_the_demo_says_what_it_measured(demo: Demo) -> None:
    result = demo.result
    card = json.loads((demo.workspace / "dataset.json").read_text())
    assert (result["dataset"], result["split_fingerprint"]) == ("synthetic", card["split_fingerprint"])
    assert result["seed"] == 3
    assert 0 < result["seconds"] < 300


def test_the_oracle_bounds_every_arm(demo: Demo) -> None:
    arms = demo.result["arms"]
    best = arms["oracle"]["ndcg_at_10"]["mean"]
    assert all(arms[arm]["ndcg_at_10"]["mean"] < best for arm in ARMS - {"oracle"})


def test_the_demo_tells_its_five_steps_on_stderr_without_tensorflows_chatter(demo: Demo) -> None:
    for step in ("1/5 ingest", "2/5 train", "3/5 federate", "4/5 evaluate", "5/5 serve"):
        assert step in demo.stderr, step
    for chatter in ("Unable to register cu", "oneDNN", "cpu_feature_guard", "TF-TRT", "Traceback"):
        assert chatter not in demo.stderr, chatter


def test_the_demo_writes_the_report_as_json_and_as_one_page(demo: Demo) -> None:
    report = json.loads((demo.folder / demo.result["report_json"]).read_text())
    assert report["arms"] == demo.result["arms"]
    page = (demo.folder / demo.result["report_html"]).read_text()
    assert "<svg" in page


def test_the_federated_bundle_follows_the_clouds_and_is_the_one_served(demo: Demo) -> None:
    versions = demo.result["versions"]
    listed = json.loads(run_tandem("bundles", "--workspace", demo.workspace, "--json", cwd=demo.folder).stdout)
    assert [one["version"] for one in listed["bundles"]] == [versions["cloud"], versions["federated"]]
    assert [one["parent"] for one in listed["bundles"]] == [None, versions["cloud"]]
    assert listed["current"] == versions["federated"]
    assert all(exchange["answer"]["bundle_version"] == versions["federated"] for exchange in demo.result["served"])


def test_the_served_rerank_answer_is_the_recommended_list_in_the_devices_order(demo: Demo) -> None:
    recommend, rerank = demo.result["served"]
    assert (recommend["path"], rerank["path"]) == ("/v1/recommend", "/v1/rerank")
    proposed = [candidate["item_id"] for candidate in recommend["answer"]["candidates"]]
    reranked = rerank["answer"]["candidates"]
    assert len(proposed) == 5
    assert sorted(candidate["item_id"] for candidate in reranked) == sorted(proposed)
    scores = [candidate["score"] for candidate in reranked]
    assert scores == sorted(scores, reverse=True)


def test_the_same_request_again_changes_nothing(demo: Demo, tmp_path: Path) -> None:
    workspace = demo.copy_to(tmp_path / "world")
    config = tmp_path / "cloud.toml"
    config.write_text("[retrieval]\nmax_epochs = 1\n[ranker]\nnum_candidates = 50\nmax_epochs = 1\n")
    run = run_tandem(
        "train", "--workspace", workspace, "--config", config, "--seed", "3", "--json", "--", "--runner=DirectRunner",
        cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["version"] == demo.result["versions"]["cloud"]
    assert run.stderr.count("unchanged, made earlier") == 9


def test_evaluating_twice_gives_the_same_figures(demo: Demo) -> None:
    first, second = (evaluate(demo, "--users", "20") for _ in range(2))
    assert first["num_users"] <= 20
    assert first["bundle_version"] == demo.result["versions"]["federated"]
    for result in (first, second):
        del result["seconds"]
    assert first == second


def test_an_older_bundle_can_be_evaluated(demo: Demo) -> None:
    version = demo.result["versions"]["cloud"]
    assert evaluate(demo, "--users", "5", "--bundle", version)["bundle_version"] == version


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_server_tells_its_address_and_ends_in_peace(number: signal.Signals, demo: Demo) -> None:
    command = [TANDEM, "serve", "--workspace", demo.workspace, "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            url = json.loads(server.stdout.readline())["url"]
            with urllib.request.urlopen(f"{url}/readyz", timeout=10) as response:
                assert json.load(response)["bundle_version"] == demo.result["versions"]["federated"]
            server.send_signal(number)
            assert server.wait(15) == 0
        finally:
            server.kill()


@pytest.mark.federation
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_a_federation_that_is_ended(number: signal.Signals, demo: Demo, tmp_path: Path) -> None:
    workspace = demo.copy_to(tmp_path / "world")
    command = [TANDEM, "federate", "--workspace", workspace, "--rounds", "5000", "--clients", "5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as parent:
        try:
            workers = await_workers(parent, timeout_s=240)
            parent.send_signal(number)
            # Both pipes end: nobody holds them.
            parent.communicate(timeout=30)
        finally:
            parent.kill()
    assert parent.returncode == (130 if number is signal.SIGINT else -signal.SIGKILL)
    _, alive = psutil.wait_procs(workers, timeout=15)
    assert alive == []


def test_an_altered_byte_in_a_bundle_is_refused_by_every_verb_that_works_with_it(demo: Demo, tmp_path: Path) -> None:
    workspace = demo.copy_to(tmp_path / "world")
    tower = workspace / "bundles" / demo.result["versions"]["federated"] / "ranker.tflite"
    content = bytearray(tower.read_bytes())
    content[len(content) // 2] ^= 1
    tower.write_bytes(content)
    # The server stays up, not ready and with the reason at /readyz: the next good bundle cures it (tests/serving).
    for verb in ("evaluate", "federate", "bundles"):
        run = run_tandem(verb, "--workspace", workspace, cwd=tmp_path)
        assert run.returncode == 5, (verb, run.stderr)
        assert run.stdout == ""
        assert "ranker.tflite" in run.stderr.splitlines()[-1], verb
        assert "Traceback" not in run.stderr, verb


def evaluate(demo: Demo, *arguments: str) -> dict[str, Any]:
    run = run_tandem("evaluate", "--workspace", demo.workspace, "--json", *arguments, cwd=demo.folder)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def await_workers(parent: subprocess.Popen[bytes], timeout_s: float) -> list[psutil.Process]:
    """Returns the processes below the parent once TFF's worker is among them."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and parent.poll() is None:
        below = psutil.Process(parent.pid).children(recursive=True)
        if any("worker_binary" in name_of(process) for process in below):
            return below
        time.sleep(0.1)
    parent.kill()
    pytest.fail(f"No worker was started: {parent.communicate()[1].decode()}")


def name_of(process: psutil.Process) -> str:
    try:
        return os.path.basename(process.cmdline()[0]) if process.cmdline() else ""
    except psutil.Error:
        return ""
