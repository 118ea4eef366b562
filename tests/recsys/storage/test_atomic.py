from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from recsys.errors import WorkspaceError
from recsys.storage.atomic import partial_folder, publish_folder, remove_partials, write_file
from tests.recsys.storage.steps import run_child, write_beyond_limit

REPOSITORY = Path(__file__).resolve().parents[3]
WRITE_TWICE = """
import sys
from pathlib import Path
from recsys.storage.atomic import write_file
write_file(Path(sys.argv[1]) / "file", b"old")
write_file(Path(sys.argv[1]) / "file", bytes(200_000))
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_holds_what_was_written_and_nothing_lies_beside_it(tmp_path):
    write_file(tmp_path / "deep" / "er" / "file", b"content")
    assert (tmp_path / "deep" / "er" / "file").read_bytes() == b"content"
    assert names(tmp_path / "deep" / "er") == ["file"]


def test_an_existing_file_is_replaced(tmp_path):
    write_file(tmp_path / "file", b"a long first content")
    write_file(tmp_path / "file", b"second")
    assert (tmp_path / "file").read_bytes() == b"second"


def test_a_reader_that_holds_the_old_file_keeps_reading_it(tmp_path):
    write_file(tmp_path / "file", b"old")
    with (tmp_path / "file").open("rb") as reader:
        write_file(tmp_path / "file", b"new")
        assert reader.read() == b"old"


def test_permissions_are_as_asked_less_the_umask(tmp_path):
    before = os.umask(0o022)
    try:
        write_file(tmp_path / "public", b"")
        write_file(tmp_path / "private", b"", mode=0o600)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "public").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o600


@pytest.mark.parametrize("existing", [None, b"before"])
def test_a_file_too_large_for_the_disk_leaves_everything_as_it_was(tmp_path, existing):
    path = tmp_path / "here" / "file"
    path.parent.mkdir()
    if existing is not None:
        path.write_bytes(existing)
    assert run_child(write_beyond_limit, path, 10_000, 50_000, tmp_path / "report") == 0
    report = (tmp_path / "report").read_text(encoding="utf-8")
    assert report.startswith(f"Expected to write 50000 bytes to {path}, got: File too large. Nothing was changed.")
    assert "Free that much space there, or choose another workspace" in report
    assert names(path.parent) == ([] if existing is None else ["file"])
    assert existing is None or path.read_bytes() == existing


def test_a_full_disk_leaves_everything_as_it_was(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    script = 'mount -t tmpfs -o size=64k tmpfs "$1" || exit 77; "$2" -c "$3" "$1"; ls -A "$1"; cat "$1/file"'
    if shutil.which("unshare") is None:
        pytest.skip("needs `unshare` to mount a small disk")
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", disk, sys.executable, WRITE_TWICE],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if "Operation not permitted" in done.stderr or done.returncode == 77:
        pytest.skip("needs the right to mount a small disk")
    assert f"Expected to write 200000 bytes to {disk}/file, got: No space left on device" in done.stderr
    assert "Free that much space there" in done.stderr
    assert done.stdout == "file\nold"


def test_a_folder_that_cannot_be_made_is_named_with_a_cure(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WorkspaceError, match=r"write 1 bytes to .*file/below, got: .*\. Make the folder writable"):
        write_file(tmp_path / "file" / "below", b"x")


def test_a_folder_appears_under_its_name_when_it_is_published(tmp_path):
    with partial_folder(tmp_path / "v1") as partial:
        (partial / "a").write_bytes(b"1")
        assert not (tmp_path / "v1").exists()
        publish_folder(partial, tmp_path / "v1")
    assert names(tmp_path) == ["v1"]
    assert (tmp_path / "v1" / "a").read_bytes() == b"1"


def test_a_folder_that_is_not_published_leaves_nothing(tmp_path):
    with partial_folder(tmp_path / "v1") as partial:
        (partial / "a").write_bytes(b"1")
    assert names(tmp_path) == []


def test_a_folder_that_exists_is_not_replaced(tmp_path):
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "a").write_bytes(b"first")
    with (
        partial_folder(tmp_path / "v1") as partial,
        pytest.raises(WorkspaceError, match=r"v1, got: Directory not empty"),
    ):
        publish_folder(partial, tmp_path / "v1")
    assert (tmp_path / "v1" / "a").read_bytes() == b"first"
    assert names(tmp_path) == ["v1"]


def test_only_partials_of_the_same_target_are_removed(tmp_path):
    (tmp_path / ".file.0a.partial").write_bytes(b"")
    (tmp_path / ".file.0b.partial").mkdir()
    (tmp_path / ".file.0b.partial" / "inner").write_bytes(b"")
    kept = [".other.0a.partial", "file", "file.partial"]
    for name in kept:
        (tmp_path / name).write_bytes(b"")
    remove_partials(tmp_path / "file")
    assert names(tmp_path) == kept


def test_a_partial_that_is_a_link_is_removed_and_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").write_bytes(b"")
    (tmp_path / ".file.0a.partial").symlink_to(tmp_path / "elsewhere")
    remove_partials(tmp_path / "file")
    assert names(tmp_path) == ["elsewhere"]
    assert names(tmp_path / "elsewhere") == ["precious"]
