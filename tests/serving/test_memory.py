"""Freed memory is given back: measured in a process of its own, on glibc."""

import platform
import subprocess
import sys

import pytest

from serving import memory

_FRAGMENT = """
from pathlib import Path
from serving.memory import give_back

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

blocks = [bytes(64 * 1024) for _ in range(3_000)]
kept = bytes(64 * 1024)  # lies above them, so that the heap cannot shrink by itself
del blocks
before = resident_mb()
assert give_back()
print(before - resident_mb())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep no arenas to trim")
def test_what_was_freed_is_no_longer_held():
    done = subprocess.run([sys.executable, "-c", _FRAGMENT], capture_output=True, text=True, check=True, timeout=60)
    assert float(done.stdout) > 100


def test_another_c_library_is_no_error(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert not memory.give_back()
