"""Towers of several sizes in one round, beside the same written out with a small Keras tower for each person."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]

pytestmark = pytest.mark.federation


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blocks")
    command = [sys.executable, "-m", "tests.federated.simulation.packed.block_rehearsal", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_rounds_equal_small_towers_each_weight_averaged_over_those_who_have_it(found):
    assert found["moved"] > 1e-2
    assert found["all_weights_moved"]
    assert found["off_by"] < 1e-5


def test_how_people_of_different_sizes_are_packed_does_not_matter(found):
    assert found["packs_off_by"] < 1e-5


@pytest.mark.parametrize("algorithm", ["fed_avg", "fed_prox", "fed_adam"])
def test_the_smallest_towers_never_move_a_weight_outside_of_their_block(found, algorithm):
    assert found["inside"][algorithm] > 1e-3
    assert found["outside"][algorithm] == 0
