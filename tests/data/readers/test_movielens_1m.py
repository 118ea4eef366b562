import gzip
import zipfile

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest

from data.lawfulness import find_lawful
from data.readers.files import open_files
from data.readers.histories import keep_core
from data.readers.movielens_1m import read_movielens_1m
from recsys.errors import DatasetError

MOVIES = "".join(f"{movie}::Film {movie}é (19{90 + movie})::Drama|War\n" for movie in range(1, 8)).encode("latin-1")


def _full(num_users=5, num_movies=5):
    """Everybody rates every movie, in the order of the ids, two a second."""
    return [
        (user, movie, 1 + movie % 5, 1_000 + movie // 2)
        for user in range(1, num_users + 1)
        for movie in range(1, num_movies + 1)
    ]


def _dat(rows):
    return "".join("::".join(map(str, row)) + "\n" for row in rows).encode()


def _official(folder, rows):
    (folder / "ml-1m").mkdir()
    (folder / "ml-1m" / "ratings.dat").write_bytes(_dat(rows))
    (folder / "ml-1m" / "movies.dat").write_bytes(MOVIES)
    return folder


def _ordered(folder, lines):
    header = "user_id\tmovie_id\trating\ttimestamp\tseq_pos\tncf_test\n"
    (folder / "ml1m_pairs_ordered.tsv.gz").write_bytes(gzip.compress((header + "\n".join(lines) + "\n").encode()))
    (folder / "movies.dat").write_bytes(MOVIES)
    return folder


def test_the_archive_is_read_unpacked_and_packed(tmp_path):
    folder = _official(tmp_path, _full())
    with zipfile.ZipFile(tmp_path / "ml-1m.zip", "w") as archive:
        for name in ("ratings.dat", "movies.dat"):
            archive.write(folder / "ml-1m" / name, f"ml-1m/{name}")
    unpacked = read_movielens_1m(open_files(folder / "ml-1m"), checked=False)
    packed = read_movielens_1m(open_files(tmp_path / "ml-1m.zip"), checked=False)
    assert unpacked.events.equals(packed.events)
    assert unpacked.events.num_rows == 25
    first = unpacked.events.to_pylist()[:3]
    assert [event["event_id"] for event in first] == ["ml1m-1-1", "ml1m-1-2", "ml1m-1-3"]
    # Movies 2 and 3 share the second 1001: the later row comes a millisecond later.
    assert [event["timestamp_ms"] for event in first] == [1_000_000, 1_001_000, 1_001_001]
    assert [event["value"] for event in first] == [2.0, 3.0, 4.0]
    assert {event["action"] for event in first} == {"rating"}


def test_titles_genres_and_years_come_from_the_movies(tmp_path):
    dataset = read_movielens_1m(open_files(_official(tmp_path, _full())), checked=False)
    assert dataset.items.num_rows == 5
    item = dataset.items.to_pylist()[0]
    assert (item["item_id"], item["title"]) == ("1", "Film 1é (1991)")
    assert item["categories"] == ["Drama", "War", "1991", "1990s"]
    # date -u -d 1991-01-01 +%s
    assert item["published_ms"] == 662_688_000_000
    assert dataset.users.column("user_id").to_pylist() == ["1", "2", "3", "4", "5"]


def test_pairs_outside_the_5_core_are_left_out_and_counted(tmp_path):
    rows = [*_full(), (6, 1, 5, 1_000), (1, 7, 5, 2_000)]
    dataset = read_movielens_1m(open_files(_official(tmp_path, rows)), checked=False)
    assert dataset.events.num_rows == 25
    assert dataset.notes == ("2 pairs outside the 5-core are left out.",)


def test_the_archive_must_have_all_its_rows(tmp_path):
    with pytest.raises(DatasetError, match=r"Expected 1,000,209 rows in ratings\.dat of movielens-1m, got 25"):
        read_movielens_1m(open_files(_official(tmp_path, _full())))


def test_known_times_are_kept_and_ties_follow_the_order_of_the_sequence(tmp_path):
    lines = ["1\t3\t4\t100\t2\t0", "1\t1\t5\t90\t0\t0", "1\t2\t3\t100\t1\t1", "1\t4\t2\t80\t\t0"]
    dataset = read_movielens_1m(open_files(_ordered(tmp_path, lines)), checked=False)
    events = dataset.events.to_pylist()
    assert [(event["item_id"], event["timestamp_ms"]) for event in events] == [
        ("1", 90_000),
        ("2", 100_000),
        ("3", 100_001),
    ]
    assert dataset.notes[0] == "1 pairs outside the 5-core are left out."


def test_all_pairs_are_kept_on_request_by_time_or_else_before_the_rest(tmp_path):
    timed = ["1\t3\t4\t100\t1\t0", "1\t1\t5\t90\t0\t0", "1\t4\t2\t95\t\t0"]
    untimed = ["2\t1\t\t\t0\t0", "2\t5\t\t\t\t0", "2\t2\t4\t90\t1\t1"]
    dataset = read_movielens_1m(open_files(_ordered(tmp_path, timed + untimed)), checked=False, whole=True)
    assert [event["event_id"] for event in dataset.events.to_pylist()] == [
        "ml1m-1-1",
        "ml1m-1-4",
        "ml1m-1-3",
        "ml1m-2-5",
        "ml1m-2-1",
        "ml1m-2-2",
    ]
    assert dataset.notes[0] == "2 pairs outside the 5-core are kept."


def test_all_rows_of_the_archive_are_kept_on_request(tmp_path):
    rows = [*_full(), (6, 1, 5, 1_000), (1, 7, 5, 2_000)]
    dataset = read_movielens_1m(open_files(_official(tmp_path, rows)), checked=False, whole=True)
    assert dataset.events.num_rows == 27
    assert dataset.notes == ("2 pairs outside the 5-core are kept.",)


def test_unknown_times_are_laid_a_second_apart_up_to_the_known_one(tmp_path):
    lines = ["1\t3\t\t\t0\t0", "1\t1\t5\t90\t1\t1", "1\t2\t\t\t2\t0"]
    dataset = read_movielens_1m(open_files(_ordered(tmp_path, lines)), checked=False)
    events = dataset.events.to_pylist()
    assert [(event["item_id"], event["timestamp_ms"]) for event in events] == [
        ("3", 88_000),
        ("1", 89_000),
        ("2", 90_000),
    ]
    assert [(event["action"], event["value"]) for event in events] == [
        ("click", None),
        ("rating", 5.0),
        ("click", None),
    ]
    assert dataset.notes[1].startswith("1 users have the order of their events but not the times")


def test_a_known_time_outside_the_5_core_serves_all_the_same(tmp_path):
    dataset = read_movielens_1m(open_files(_ordered(tmp_path, ["1\t3\t\t\t0\t0", "1\t1\t5\t90\t\t1"])), checked=False)
    assert dataset.events.column("timestamp_ms").to_pylist() == [90_000]


def test_a_person_without_any_time_ends_when_the_collection_ended(tmp_path):
    dataset = read_movielens_1m(open_files(_ordered(tmp_path, ["1\t3\t\t\t0\t0", "1\t1\t\t\t1\t1"])), checked=False)
    assert dataset.events.column("timestamp_ms").to_pylist() == [1_046_454_589_000, 1_046_454_590_000]


def test_an_altered_reassembly_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="sha256 45f48d1806d55b1d0a9046612490b234c221d462b231474f9daaf0e761fa3636"):
        read_movielens_1m(open_files(_ordered(tmp_path, ["1\t3\t\t\t0\t0"])))


def test_a_rating_that_is_no_number_is_refused_with_its_row(tmp_path):
    rows = [*_full(), (5, 5, "good", 1)]
    with pytest.raises(DatasetError, match=r"column 'rating' of ratings\.dat, got 'good' in data row 26"):
        read_movielens_1m(open_files(_official(tmp_path, rows)), checked=False)


def test_the_real_data_has_its_published_size_and_strictly_rising_histories(real_data):
    dataset = read_movielens_1m(open_files(real_data / "movielens-1m"))
    assert (dataset.events.num_rows, dataset.users.num_rows, dataset.items.num_rows) == (999_611, 6_040, 3_416)
    assert dataset.notes[0] == "598 pairs outside the 5-core are left out."
    assert dataset.notes[1].startswith("3,041 users")
    assert find_lawful(dataset.events).all()
    user = dataset.events.column("user_id").combine_chunks().dictionary_encode().indices.to_numpy()
    time_ms = dataset.events.column("timestamp_ms").to_numpy()
    assert (np.diff(time_ms)[np.diff(user) == 0] > 0).all()
    # Within the 5-core: 484,345 adjacent pairs of users 1 to 2999 are 484,345 + 2,999 rows, and the one known row of
    # each other user but two, whose rows lie outside.
    rated = dataset.events.filter(pc.equal(dataset.events.column("action"), "rating"))
    assert rated.num_rows == 484_345 + 2_999 + 3_041 - 2


def test_the_5_core_of_the_real_pairs_is_the_published_one(real_data):
    pairs = pd.read_csv(real_data / "movielens-1m" / "ml1m_pairs_ordered.tsv.gz", sep="\t", usecols=[0, 1, 4])
    assert len(pairs) == 1_000_209
    kept = keep_core(pairs["user_id"].to_numpy(), pairs["movie_id"].to_numpy(), least=5)
    assert (kept == pairs["seq_pos"].notna().to_numpy()).all()
