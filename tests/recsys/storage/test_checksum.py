from __future__ import annotations

import pytest

from recsys.storage.checksum import describe_bytes, describe_file

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
"""SHA-256 of "abc", the example of FIPS 180-4."""


def test_the_checksum_is_sha256():
    assert describe_bytes(b"abc").sha256 == ABC
    assert describe_bytes(b"abc").size_bytes == 3


@pytest.mark.parametrize("size", [0, 1, 2**20 - 1, 2**20, 2**20 + 1, 3 * 2**20])
def test_a_file_is_described_as_its_bytes_are(tmp_path, size):
    content = bytes(range(251)) * (size // 251 + 1)
    (tmp_path / "file").write_bytes(content[:size])
    assert describe_file(tmp_path / "file") == describe_bytes(content[:size])


def test_a_missing_file_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        describe_file(tmp_path / "absent")
