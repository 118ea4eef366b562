"""Packed rounds give what TFF's own give, with every algorithm and however people are packed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bundles import bundled_workspace  # noqa: F401

ROOT = Path(__file__).parents[4]
ALGORITHMS = (
    "fed_avg",
    *(f"{name}, clipped" for name in ("fed_avg", "fed_prox", "fed_adagrad", "fed_adam", "fed_yogi")),
)

pytestmark = pytest.mark.federation


@pytest.fixture(scope="module")
def found(bundled_workspace, tmp_path_factory):  # noqa: F811
    place = tmp_path_factory.mktemp("packed") / "workspace"
    shutil.copytree(bundled_workspace.root, place)
    command = [sys.executable, "-m", "tests.federated.simulation.packed.rehearsal", str(place)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_people_have_different_numbers_of_examples(found):
    assert len(found["counts"]) > 20
    assert min(found["counts"]) < 3 < max(found["counts"])  # one batch is 3


@pytest.mark.parametrize("name", ALGORITHMS)
def test_two_rounds_equal_those_of_tff(found, name):
    algorithm = found["algorithms"][name]
    assert algorithm["moved"] > 1e-3
    assert algorithm["off_by"] < 1e-5
    assert algorithm["loss_off_by"] < 1e-5
    assert algorithm["num_examples"] == algorithm["stock_num_examples"] == 2 * sum(found["counts"])


def test_the_bound_shortens_some_updates_and_not_others(found):
    clipped = found["algorithms"]["fed_avg, clipped"]
    assert 0 < clipped["num_clipped"] < len(found["counts"])
    assert abs(clipped["moved"] - found["algorithms"]["fed_avg"]["moved"]) > 1e-3


def test_private_rounds_without_noise_equal_those_of_tff_as_the_bound_moves(found):
    private = found["private"]
    assert private["off_by"] < 1e-5
    assert private["moved"] > 1e-3
    assert 0 < private["num_clipped"][0] < len(found["counts"])
    assert private["num_clipped"][0] != private["num_clipped"][1]


def test_the_noise_of_a_round_is_there_without_anybody_and_the_same_when_it_is_repeated(found):
    private = found["private"]
    assert private["noise_moves"] > 1e-3
    assert private["without_anybody_moved"] > 1e-3
    assert private["again_off_by"] == 0


def test_the_result_depends_neither_on_packs_nor_on_the_order_of_people(found):
    assert set(found["cuts"]) == {"one pack", "alone", "backwards"}
    assert max(found["cuts"].values()) < 1e-5


def test_fed_prox_of_tff_has_the_sign_of_its_proximal_term_turned(found):
    assert found["tff_fed_prox_off_by_with_the_sign_turned"] < 1e-5


def test_what_a_pack_sends_has_the_form_of_the_weights_and_of_sums_and_no_other(found):
    assert found["sent_up"] == [*found["weights"], [], [], [], []]


def test_examples_are_gone_after_the_run(found):
    assert found["left"] is False
