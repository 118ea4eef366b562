import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from data.readers import location
from data.readers.location import ORIGINS, Origin, locate
from recsys.errors import DatasetError


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        """Says nothing."""


@pytest.fixture
def origin(tmp_path):
    """Serves the folder `served`; yields the folder and its address."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_QuietHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TANDEM_DATA", raising=False)


def test_what_the_caller_says_goes_first(tmp_path, monkeypatch):
    (tmp_path / "movielens-1m").mkdir()
    monkeypatch.setenv("TANDEM_DATA", str(tmp_path))
    assert locate("movielens-1m", tmp_path / "mine") == tmp_path / "mine"
    assert locate("movielens-1m", None) == tmp_path / "movielens-1m"


def test_an_archive_is_downloaded_once_and_kept(origin, tmp_path, monkeypatch):
    folder, address = origin
    (folder / "ml-1m.zip").write_bytes(b"archive")
    md5 = hashlib.md5(b"archive").hexdigest()
    monkeypatch.setitem(ORIGINS, "movielens-1m", Origin("https://home", f"{address}/ml-1m.zip", md5))
    path = locate("movielens-1m", None)
    assert (tmp_path / path).read_bytes() == b"archive"
    assert path.as_posix() == ".cache/tandem-data/ml-1m.zip"
    (folder / "ml-1m.zip").unlink()
    assert locate("movielens-1m", None) == path


def test_a_download_with_another_checksum_is_refused_and_not_kept(origin, tmp_path, monkeypatch):
    folder, address = origin
    (folder / "ml-1m.zip").write_bytes(b"something else")
    monkeypatch.setitem(ORIGINS, "movielens-1m", Origin("https://home", f"{address}/ml-1m.zip", "0" * 32))
    with pytest.raises(DatasetError, match=rf"has md5 [0-9a-f]{{32}} in place of {'0' * 32}"):
        locate("movielens-1m", None)
    assert list((tmp_path / ".cache" / "tandem-data").iterdir()) == []


def test_without_a_network_the_three_ways_are_said(monkeypatch):
    # Nothing listens on the port of discard.
    monkeypatch.setitem(ORIGINS, "movielens-100k", Origin("https://home", "http://127.0.0.1:9/ml-100k.zip"))
    with pytest.raises(DatasetError) as caught:
        locate("movielens-100k", None)
    message = str(caught.value)
    assert message.startswith("Expected the files of movielens-100k, got none: TANDEM_DATA is not set and the download")
    assert "(1) --from PATH, the archive from https://home or its folder; (2) TANDEM_DATA=FOLDER" in message
    assert "(3) run again with a network" in message


def test_a_data_folder_without_the_set_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("TANDEM_DATA", str(tmp_path))
    with pytest.raises(DatasetError, match=rf"TANDEM_DATA is {tmp_path}, without kuairand/ and it is not offered"):
        locate("kuairand", None)


def test_ones_own_data_must_be_pointed_at():
    with pytest.raises(DatasetError, match="Expected --from PATH with 'events'"):
        locate("events", None)


def test_a_missing_archive_at_the_origin_is_told(origin, monkeypatch):
    monkeypatch.setitem(ORIGINS, "movielens-1m", Origin("https://home", f"{origin[1]}/gone.zip"))
    with pytest.raises(DatasetError, match=r"gone\.zip failed: File not found"):
        locate("movielens-1m", None)
    assert not list(location.CACHE_FOLDER.iterdir())
