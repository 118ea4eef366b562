import gzip

import pytest

from data.lawfulness import find_lawful
from data.readers.files import open_files
from data.readers.movielens_100k import read_movielens_100k
from recsys.errors import DatasetError

FLAGS = {1: "0|1|1" + "|0" * 16, 2: "1" + "|0" * 18}
ITEMS = f"1|Toy é (1995)|01-Jan-1995||http://a|{FLAGS[1]}\n2|unknown||||{FLAGS[2]}\n".encode("latin-1")


def _archive(folder, data=b"196\t1\t3\t881250949\n186\t2\t5\t891717742\n"):
    (folder / "u.data").write_bytes(data)
    (folder / "u.item").write_bytes(ITEMS)
    return open_files(folder)


def test_ratings_and_movies_are_read(tmp_path):
    dataset = read_movielens_100k(_archive(tmp_path), checked=False)
    assert dataset.events.to_pylist()[0] == {
        "event_id": "ml100k-196-1",
        "user_id": "196",
        "item_id": "1",
        "action": "rating",
        "surface": "feed",
        "value": 3.0,
        "timestamp_ms": 881_250_949_000,
        "position": None,
        "room_id": None,
    }
    toy, unknown = dataset.items.to_pylist()
    # date -u -d 1995-01-01 +%s
    assert (toy["title"], toy["categories"], toy["published_ms"]) == (
        "Toy é (1995)",
        ["Action", "Adventure", "1995", "1990s"],
        788_918_400_000,
    )
    assert (unknown["title"], unknown["categories"], unknown["published_ms"]) == ("unknown", [], None)


def test_another_u_data_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"Expected u\.data of movielens-100k with sha256 06416e59"):
        read_movielens_100k(_archive(tmp_path))


def test_u_data_of_another_shape_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"Expected whole numbers in the column 'timestamp' of u\.data"):
        read_movielens_100k(_archive(tmp_path, data=b"1\t2\t3\n"), checked=False)


def test_a_missing_u_item_is_named(tmp_path):
    (tmp_path / "u.data.gz").write_bytes(gzip.compress(b"1\t2\t3\t4\n"))
    with pytest.raises(DatasetError, match=r"Expected u\.item \(plain or \.gz\)"):
        read_movielens_100k(open_files(tmp_path), checked=False)


def test_the_real_data_has_its_published_size(real_data):
    dataset = read_movielens_100k(open_files(real_data / "movielens-100k"))
    assert (dataset.events.num_rows, dataset.users.num_rows, dataset.items.num_rows) == (100_000, 943, 1_682)
    assert find_lawful(dataset.events).all()
