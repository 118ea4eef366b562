"""TFF's secure sums over devices are the plain ones, and all that the server computes from."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]

pytestmark = pytest.mark.federation


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    command = [
        sys.executable,
        "-m",
        "tests.federated.simulation.strict.rehearsal",
        str(tmp_path_factory.mktemp("sums")),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("who", ["all", "one_pack", "remaining"])
def test_each_sum_is_the_plain_one_bit_for_bit_however_devices_are_packed_and_whoever_drops_out(found, who):
    assert found[who] == {"items": True, "transitions": True, "pairs": True, "some_are_kept": True}
    assert 20 <= found["num_remaining"] <= 34


def test_nothing_but_one_secure_sum_reaches_the_server(found):
    computation = found["computation"]
    assert computation["type"] == (
        "({<count=int32,start=int32>*}@CLIENTS -> <segment_0=int32[2],segment_1=int32[7]>@SERVER)"
    )
    assert not computation["insecure"]
    assert computation["plain_is_insecure"]


def test_sums_that_cannot_be_are_refused_and_sums_of_nothing_are_zeros(found):
    nobody, different, nothing = found["refused"]
    assert nobody == "Expected at least one device that sends its things, got none."
    assert different == "Expected things in vectors of 3 cells, got 4."
    assert nothing == "[0, 0, 0]"


def test_what_devices_had_to_add_is_gone_in_the_end(found):
    assert found["left"] == ["worker.log"]
