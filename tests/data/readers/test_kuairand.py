import gzip
from collections import Counter

import pytest

from data.lawfulness import find_lawful
from data.readers.files import open_files
from data.readers.kuairand import read_kuairand
from recsys.errors import DatasetError

HEADER = (
    "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,"
    "play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab"
)
FIRST = "0,7,20220408,100,1649350000000,1,1,0,0,1,0,1,12500,20000,0,0,0,0,1"
SECOND = "0,9,20220423,100,1650650000000,0,0,0,0,0,1,0,300,20000,0,0,0,0,1"
VIDEOS = (
    "video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,server_width,server_height,"
    'music_id,music_type,tag\n7,55,NORMAL,2022-04-01,Web,0.0,20000.0,1,1,1,9.0,"12,62,12"\n8,56,NORMAL,,Web,0.0,,1,1,1,9.0,\n'
)


def _archive(folder, *logs):
    data = folder / "KuaiRand-Pure" / "data"
    data.mkdir(parents=True)
    for period, row in zip(("4_08_to_4_21", "4_22_to_5_08"), logs, strict=False):
        (data / f"log_standard_{period}_pure.csv").write_text(f"{HEADER}\n{row}\n")
    (data / "log_random_4_22_to_5_08_pure.csv").write_text(f"{HEADER}\n{FIRST.replace('0,7', '5,5', 1)}\n")
    (data / "video_features_basic_pure.csv").write_text(VIDEOS)
    return open_files(folder)


def test_a_row_becomes_an_impression_and_an_event_per_signal(tmp_path):
    dataset = read_kuairand(_archive(tmp_path, FIRST, SECOND))
    events = dataset.events.to_pylist()
    assert Counter((event["item_id"], event["action"]) for event in events) == Counter(
        [("7", action) for action in ("impression", "click", "long_view", "like", "share")]
        + [("9", action) for action in ("impression", "dislike")]
    )
    assert {event["timestamp_ms"] for event in events if event["item_id"] == "7"} == {1_649_350_000_000}
    assert [event["value"] for event in events if event["value"] is not None] == [12.5]
    assert events[0]["event_id"] == "kr-0-7-1649350000000-click"
    assert find_lawful(dataset.events).all()


def test_random_exposure_is_left_out(tmp_path):
    assert read_kuairand(_archive(tmp_path, FIRST)).users.column("user_id").to_pylist() == ["0"]


def test_tags_authors_and_days_are_taken_where_they_are_known(tmp_path):
    dataset = read_kuairand(_archive(tmp_path, FIRST, SECOND))
    known, unknown = dataset.items.to_pylist()
    # date -u -d 2022-04-01 +%s
    assert (known["categories"], known["creator_id"], known["published_ms"]) == (
        ["tag 12", "tag 62"],
        "55",
        1_648_771_200_000,
    )
    assert (unknown["categories"], unknown["creator_id"], unknown["published_ms"]) == ([], None, None)
    assert dataset.notes[1] == "Categories are known for 1 of 2 videos."


def test_repeated_rows_are_left_out_and_counted(tmp_path):
    dataset = read_kuairand(_archive(tmp_path, FIRST, FIRST))
    assert dataset.events.num_rows == 5
    assert dataset.notes[0].startswith("1 repeated rows")


def test_the_subset_calls_its_label_like_or_dislike(tmp_path):
    header = (
        "user_id video_id date hourmin time_ms is_click is_follow is_comment is_forward long_view play_time_ms label"
    )
    lines = [header, "1 7 1 1 1649350000000 0 1 1 0 0 9 1", "1 8 1 1 1649350000001 0 0 0 0 0 9 0"]
    content = "\n".join(line.replace(" ", "\t") for line in lines)
    (tmp_path / "processed_standard_kcore_15.csv.gz").write_bytes(gzip.compress(content.encode()))
    dataset = read_kuairand(open_files(tmp_path), checked=False)
    assert Counter((event["item_id"], event["action"]) for event in dataset.events.to_pylist()) == Counter(
        [("7", action) for action in ("impression", "follow", "comment", "like")]
        + [("8", action) for action in ("impression", "dislike")]
    )
    assert dataset.items.column("categories").to_pylist() == [[], []]
    with pytest.raises(DatasetError, match=r"processed_standard_kcore_15\.csv of kuairand with sha256 321128c4"):
        read_kuairand(open_files(tmp_path))


def test_a_folder_without_logs_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"Expected log_standard_\*\.csv or processed_standard_kcore_15\.csv"):
        read_kuairand(_archive(tmp_path))


def test_a_log_without_a_signal_is_refused(tmp_path):
    files = _archive(tmp_path, FIRST)
    path = tmp_path / "KuaiRand-Pure" / "data" / "log_standard_4_08_to_4_21_pure.csv"
    path.write_text(path.read_text().replace("is_hate", "is_grey"))
    with pytest.raises(DatasetError, match=r"log_standard_4_08_to_4_21_pure\.csv, got .*\['is_hate'\] missing"):
        read_kuairand(files)


def test_the_real_subset_has_its_published_size(real_data):
    dataset = read_kuairand(open_files(real_data / "kuairand"))
    # 41,828 rows, of which 124 are repeated, each with one like or dislike.
    actions = Counter(dataset.events.column("action").to_pylist())
    assert actions["impression"] == actions["like"] + actions["dislike"] == 41_704
    assert (dataset.users.num_rows, dataset.items.num_rows) == (664, 9_359)
    assert dataset.notes == (
        "124 repeated rows (same person, video and millisecond) are left out.",
        "Categories are known for 112 of 9,359 videos.",
    )
    assert find_lawful(dataset.events).all()
