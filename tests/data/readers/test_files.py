import gzip
import io
import tarfile
import zipfile

import pytest

from data.readers.files import check_rows, check_sha256, find_name, open_files, read_content
from recsys.errors import DatasetError

CONTENT = b"1\t2\t3\t4\n" * 2_000


def _write_tar(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def _write_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_a_file_is_found_in_every_wrapping(tmp_path):
    plain, zipped, nested = tmp_path / "plain", tmp_path / "zipped", tmp_path / "nested"
    (nested / "ml-100k").mkdir(parents=True)
    for folder in (plain, zipped):
        folder.mkdir()
    (plain / "u.data").write_bytes(CONTENT)
    (zipped / "u.data.gz").write_bytes(gzip.compress(CONTENT))
    (nested / "ml-100k" / "u.data").write_bytes(CONTENT)
    _write_zip(tmp_path / "ml-100k.zip", {"ml-100k/u.data": CONTENT})
    _write_tar(tmp_path / "ml-100k.tar.gz", {"ml-100k/u.data": CONTENT})
    places = [plain, zipped, nested, plain / "u.data", tmp_path / "ml-100k.zip", tmp_path / "ml-100k.tar.gz"]
    assert [read_content(open_files(place), "u.data") for place in places] == [CONTENT] * 6


def test_names_are_preferred_in_the_order_given(tmp_path):
    (tmp_path / "b.csv").write_bytes(b"b")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a"))
    assert read_content(open_files(tmp_path), "a.csv", "b.csv") == b"a"
    assert find_name(open_files(tmp_path), "c.csv") is None


def test_an_absent_place_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"Expected data at .*/nowhere, got nothing there\. Check the path"):
        open_files(tmp_path / "nowhere")


def test_an_absent_file_is_named_with_what_is_there(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(DatasetError, match=r"Expected u\.data \(plain or \.gz\) in .*, got notes\.txt\. Point --from"):
        read_content(open_files(tmp_path), "u.data")


def test_an_empty_folder_is_called_empty(tmp_path):
    with pytest.raises(DatasetError, match="got an empty folder"):
        read_content(open_files(tmp_path), "u.data")


def test_a_truncated_gzip_is_refused(tmp_path):
    (tmp_path / "u.data.gz").write_bytes(gzip.compress(CONTENT)[:-20])
    with pytest.raises(
        DatasetError, match=r"Expected a whole file at .*u\.data\.gz, got one that cannot be read to its end"
    ):
        read_content(open_files(tmp_path), "u.data")


def test_a_gzip_that_is_none_is_refused(tmp_path):
    (tmp_path / "u.data.gz").write_bytes(CONTENT)
    with pytest.raises(DatasetError, match="truncated or damaged: fetch it again"):
        read_content(open_files(tmp_path), "u.data")


@pytest.mark.parametrize(("name", "write"), [("a.zip", _write_zip), ("a.tar.gz", _write_tar)])
def test_a_truncated_archive_is_refused(tmp_path, name, write):
    path = tmp_path / name
    write(path, {"u.data": CONTENT, "u.item": CONTENT})
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DatasetError, match="Expected a whole archive at"):
        read_content(open_files(path), "u.data")


def test_a_zip_with_a_damaged_member_is_refused(tmp_path):
    path = tmp_path / "a.zip"
    _write_zip(path, {"u.data": CONTENT})
    raw = bytearray(path.read_bytes())
    raw[45] ^= 0xFF
    path.write_bytes(bytes(raw))
    with pytest.raises(DatasetError, match=r"Expected a whole file at .*a\.zip/u\.data"):
        read_content(open_files(path), "u.data")


def test_another_content_is_refused_by_its_checksum():
    # printf abc | sha256sum
    checksum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    check_sha256(b"abc", checksum, "abc.txt")
    with pytest.raises(DatasetError, match=rf"Expected abc\.txt with sha256 {checksum} \(uncompressed\), got 88d4266f"):
        check_sha256(b"abcd", checksum, "abc.txt")


def test_another_length_is_refused():
    check_rows(3, 3, "a table")
    with pytest.raises(DatasetError, match=r"Expected 1,000 rows in a table, got 999\. The file is truncated"):
        check_rows(999, 1_000, "a table")
