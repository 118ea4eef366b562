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
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
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


def test_rounds_of_partly_local_towers_equal_those_of_tff(found):
    reconstruction = found["reconstruction"]
    assert reconstruction["off_by"] < 1e-5
    assert reconstruction["moved"] > 1e-3
    # Of batches of three every second one is trained on, twice.
    trained = sum(count // 6 * 3 + max(0, count % 6 - 3) for count in found["counts"])
    assert reconstruction["num_examples"] == 2 * trained


def test_rounds_of_partly_local_towers_with_clipping_equal_those_of_tff(found):
    clipped = found["reconstruction, clipped"]
    assert clipped["off_by"] < 1e-5
    assert clipped["moved"] > 1e-3
    assert 0 < clipped["num_clipped"] < len(found["counts"])
    assert abs(clipped["moved"] - found["reconstruction"]["moved"]) > 1e-3


def test_rounds_with_a_bias_of_each_item_equal_fed_sub_avg_by_hand(found):
    rows = found["rows"]
    assert rows["corrected"]["off_by"] < 1e-5
    assert rows["moved"] > 1e-3
    assert rows["table_moved"] > 1e-3
    assert 0 < rows["num_clipped"] < rows["num_updates"]


def test_without_the_correction_of_heat_the_biases_are_others(found):
    assert found["rows"]["uncorrected"]["table_off_by"] > 1e-3


def test_of_a_partly_local_tower_the_server_has_no_weight_that_is_a_persons_own(found):
    _sharpness, _recency, *dense, _prior, correction = found["weights"]
    assert found["reconstruction"]["sent"] == [*dense, correction]


def test_robust_rounds_equal_those_of_tff_as_the_bounds_move(found):
    robust = found["robust"]["robust"]
    assert robust["off_by"] < 1e-5
    assert robust["cuts_off_by"] < 1e-5
    assert robust["moved"] > 1e-3
    assert 0 < robust["num_clipped"][0] < len(found["counts"])


@pytest.mark.parametrize(("kind", "allowed"), [("compressed", 3e-3), ("secure", 3e-5)])
def test_an_encoding_moves_the_mean_by_less_than_its_step(found, kind, allowed):
    # Numbers of an update reach from -1 to 1 at most: a step is 1 / 127 of that, or 1 / 32767.
    assert 0 < found["robust"][kind]["off_by"] < allowed
    assert found["robust"][kind]["moved"] > 1e-3


@pytest.mark.parametrize("kind", ["compressed", "secure"])
def test_packs_change_an_encoded_mean_by_numbers_that_lay_between_two_steps_alone(found, kind):
    # What a person trains differs by its last bit from pack to pack, which may be a step of 1 / 127 of a few numbers.
    assert found["robust"][kind]["cuts_off_by"] < found["robust"][kind]["off_by"]


def test_fed_prox_of_tff_has_the_sign_of_its_proximal_term_turned(found):
    assert found["tff_fed_prox_off_by_with_the_sign_turned"] < 1e-5


def test_what_a_pack_sends_has_the_form_of_the_weights_and_of_sums_and_no_other(found):
    assert found["sent_up"] == [*found["weights"], [], [], [], []]


def test_examples_are_gone_after_the_run(found):
    assert found["left"] is False
