import gzip
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.dataset import raw_event_schema
from data.lawfulness import find_lawful
from data.readers.own import read_own
from recsys.contracts.schema import arrow_schema
from recsys.errors import DatasetError
from tests.data.conftest import REPOSITORY

HEADER = "event_id,user_id,item_id,action,surface,value,timestamp_ms,position,room_id"
GOOD = "e1,u,a,click,feed,,1000,0,"


def _write(folder: Path, *rows: str, name: str = "events.csv", header: str = HEADER) -> Path:
    (folder / name).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return folder


def test_the_example_is_a_whole_lawful_dataset_on_both_surfaces():
    dataset = read_own(REPOSITORY / "data" / "example_events.csv")
    assert dataset.notes == ()
    assert dataset.events.schema == raw_event_schema()
    assert find_lawful(dataset.events).all()
    assert set(dataset.events.column("surface").to_pylist()) == {"feed", "live"}
    for table, contract in ((dataset.items, "item"), (dataset.rooms, "room"), (dataset.users, "user")):
        assert table.schema == arrow_schema(contract)
    assert dataset.users.column("user_id").to_pylist() == ["anna", "ben", "chloe"]
    assert dataset.items.to_pylist()[0]["categories"] == ["chess", "teaching"]
    rooms = dataset.rooms.to_pandas().set_index("room_id")
    live = dataset.events.to_pandas().query("surface == 'live'")
    room = rooms.loc[live["room_id"]]
    assert (room["item_id"].to_numpy() == live["item_id"].to_numpy()).all()
    assert (room["start_ms"].to_numpy() <= live["timestamp_ms"].to_numpy()).all()
    assert (live["timestamp_ms"].to_numpy() < room["end_ms"].fillna(float("inf")).to_numpy()).all()


def test_csv_gzip_and_parquet_hold_the_same(tmp_path):
    row = {
        "event_id": "e1",
        "user_id": "u",
        "item_id": "a",
        "action": "click",
        "surface": "feed",
        "timestamp_ms": 1000,
        "position": 0,
    }
    for kind in ("csv", "gz", "parquet"):
        (tmp_path / kind).mkdir()
    _write(tmp_path / "csv", GOOD)
    (tmp_path / "gz" / "events.csv.gz").write_bytes(gzip.compress(f"{HEADER}\n{GOOD}\n".encode()))
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "parquet" / "events.parquet")
    tables = [read_own(tmp_path / kind).events for kind in ("csv", "gz", "parquet")]
    assert tables[0].to_pylist() == [row | {"value": None, "room_id": None}]
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])


def test_columns_may_come_in_any_order_and_nullable_ones_may_be_absent(tmp_path):
    _write(tmp_path, "1000,feed,click,a,u,e1,x", header="timestamp_ms,surface,action,item_id,user_id,event_id,mood")
    event = read_own(tmp_path).events.to_pylist()[0]
    assert event["event_id"] == "e1"
    assert event["position"] is None
    assert "mood" not in event


def test_without_items_the_catalogue_is_what_occurs_in_lawful_events(tmp_path):
    rows = [GOOD, "e2,u,s,click,live,,1001,0,r", "e3,u,b,shout,feed,,1002,0,", "e4,u,s,click,feed,,1003,0,"]
    dataset = read_own(_write(tmp_path, *rows))
    assert [(item["item_id"], item["surface"], item["categories"]) for item in dataset.items.to_pylist()] == [
        ("a", "feed", []),
        ("s", "live", []),
    ]
    assert dataset.notes[0].startswith("No items file")
    assert dataset.notes[1].startswith("No rooms file")


def test_moments_of_a_parquet_file_become_milliseconds(tmp_path):
    frame = pd.DataFrame(
        {
            "event_id": ["e1"],
            "user_id": [7],
            "item_id": pd.Categorical(["a"]),
            "action": ["rating"],
            "surface": ["feed"],
            "value": [4.5],
            "timestamp_ms": pd.to_datetime(["1970-01-02"]).astype("datetime64[us]"),
        }
    )
    frame.to_parquet(tmp_path / "events.parquet")
    event = read_own(tmp_path).events.to_pylist()[0]
    assert (event["user_id"], event["item_id"], event["value"], event["timestamp_ms"]) == ("7", "a", 4.5, 86_400_000)


# Ten kinds of malformed rows: each is kept, and none of them is lawful.
@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("e2,u,a,click,feed,,yesterday,0,", "timestamp_ms"),
        ("e2,u,a,click,feed,,10.5,0,", "timestamp_ms"),
        ("e2,u,a,click,feed,,1e30,0,", "timestamp_ms"),
        ("e2,u,a,rating,feed,five,1000,0,", "value"),
        ("e2,,a,click,feed,,1000,0,", "user_id"),
        (",u,a,click,feed,,1000,0,", "event_id"),
        ("e2,u,,click,feed,,1000,0,", "item_id"),
        ("e2,u,a,,feed,,1000,0,", "action"),
        ("e2,u,a,click,,,1000,0,", "surface"),
        ("e2,u,a,click,live,,1000,0,", "room_id"),
    ],
)
def test_a_malformed_row_is_kept_with_the_cell_empty(tmp_path, row, column):
    events = read_own(_write(tmp_path, GOOD, row)).events
    assert events.num_rows == 2
    assert events.to_pylist()[1][column] is None
    assert find_lawful(events).tolist() == [True, False]


@pytest.mark.parametrize("row", ["e2,u,a,click,feed,,1000", "e2,u,a,click,feed,,1000,0,,extra", "e2"])
def test_a_line_with_another_number_of_cells_becomes_an_empty_row_and_is_told(tmp_path, row):
    dataset = read_own(_write(tmp_path, GOOD, row, "e3,u,a,click,feed,,1001,0,"))
    assert dataset.events.column("event_id").to_pylist() == ["e1", "e3", None]
    assert "1 lines of" in dataset.notes[0]
    assert "another number of cells than the header's 9" in dataset.notes[0]
    assert "in line 3" in dataset.notes[0]


def test_unreadable_cells_are_counted_with_the_first_of_them(tmp_path):
    rows = [GOOD, "e2,u,a,click,feed,,soon,0,", "e3,u,a,click,feed,,later,0,", "e4,u,a,click,feed,,1,99999,"]
    dataset = read_own(_write(tmp_path, *rows))
    assert dataset.notes[0].startswith("2 cells of 'timestamp_ms' in ")
    assert dataset.notes[0].endswith("are no int64 and become empty, the first 'soon' in data row 2.")
    assert dataset.notes[1].endswith("are no int16 and become empty, the first '99999' in data row 4.")


def test_quoted_cells_may_hold_commas_and_line_ends(tmp_path):
    _write(tmp_path, GOOD)
    _write(
        tmp_path,
        'a,feed,"One, two\nthree",x|y|x,,',
        name="items.csv",
        header="item_id,surface,title,categories,creator_id,published_ms",
    )
    item = read_own(tmp_path).items.to_pylist()[0]
    assert (item["title"], item["categories"]) == ("One, two\nthree", ["x", "y"])


def test_people_without_a_known_device_get_a_tier(tmp_path):
    _write(tmp_path, GOOD, "e2,v,a,click,feed,,1000,0,")
    _write(tmp_path, "v,high", "w,low", name="users.csv", header="user_id,device_tier")
    users = {user["user_id"]: user["device_tier"] for user in read_own(tmp_path).users.to_pylist()}
    assert list(users) == ["u", "v", "w"]
    assert (users["v"], users["w"]) == ("high", "low")
    assert users["u"] in ("low", "mid", "high")


@pytest.mark.parametrize(
    ("name", "header", "row", "message"),
    [
        ("items", "item_id,surface,title,categories", ",feed,T,", r"`item_id` of 1 to 128 characters .* in data row 2"),
        ("items", "item_id,surface,title,categories", "a,feed,T,", r"`item_id` to be unique .* in data row 2"),
        ("items", "item_id,surface,title,categories", "b,tv,T,", r"`surface` out of \['feed', 'live'\]"),
        ("rooms", "room_id,item_id,start_ms,end_ms", "r,s,10,10", r"`end_ms` after `start_ms`"),
        ("rooms", "room_id,item_id,start_ms,end_ms", "r,s,soon,", r"`start_ms` as a whole number"),
        ("rooms", "room_id,item_id,start_ms,end_ms", "r,,10,", r"`item_id` of 1 to 128 characters"),
        ("users", "user_id,device_tier", "u,giant", r"`device_tier` out of \['low', 'mid', 'high'\]"),
    ],
)
def test_a_catalogue_that_breaks_its_law_is_refused_with_the_row(tmp_path, name, header, row, message):
    good = {"items": "a,feed,T,", "rooms": "q,s,10,", "users": "w,low"}[name]
    _write(tmp_path, GOOD)
    _write(tmp_path, good, row, name=f"{name}.csv", header=header)
    with pytest.raises(DatasetError, match=message):
        read_own(tmp_path)


def test_a_missing_column_is_named(tmp_path):
    _write(tmp_path, "e1,a", header="event_id,item_id")
    with pytest.raises(
        DatasetError, match=r"Expected the column 'user_id' in .*events\.csv, got \['event_id', 'item_id'\]"
    ):
        read_own(tmp_path)


def test_a_repeated_column_is_named(tmp_path):
    _write(tmp_path, f"{GOOD},u", header=f"{HEADER},user_id")
    with pytest.raises(DatasetError, match=r"Expected distinct columns in .*, got \['user_id'\] more than once"):
        read_own(tmp_path)


def test_a_header_alone_is_no_dataset(tmp_path):
    with pytest.raises(DatasetError, match=r"Expected events in .*, got only a header"):
        read_own(_write(tmp_path))


def test_a_folder_without_events_is_refused(tmp_path):
    (tmp_path / "clicks.csv").write_text("")
    with pytest.raises(DatasetError, match=r"Expected events\.csv, \.csv\.gz or \.parquet in .*, got clicks\.csv"):
        read_own(tmp_path)


def test_two_files_of_events_are_refused(tmp_path):
    _write(tmp_path, GOOD)
    (tmp_path / "events.parquet").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"Expected one file of events in .*, got events\.parquet, events\.csv"):
        read_own(tmp_path)


def test_a_file_of_another_name_is_refused(tmp_path):
    (tmp_path / "clicks.csv").write_text(HEADER)
    with pytest.raises(DatasetError, match=r"a file whose name ends with events\.csv, .*, got .*clicks\.csv"):
        read_own(tmp_path / "clicks.csv")


def _damage(kind: str) -> tuple[str, bytes]:
    whole = f"{HEADER}\n{GOOD}\n".encode()
    return {
        "empty": ("events.csv", b""),
        "truncated gzip": ("events.csv.gz", gzip.compress(whole * 1_000)[:-10]),
        "no gzip": ("events.csv.gz", whole),
        "no parquet": ("events.parquet", whole),
        "latin-1": ("events.csv", whole + "é,u,a,click,feed,,1,0,\n".encode("latin-1")),
        "utf-16": ("events.csv", whole.decode().encode("utf-16")),
    }[kind]


@pytest.mark.parametrize("kind", ["empty", "truncated gzip", "no gzip", "no parquet", "latin-1", "utf-16"])
def test_a_damaged_file_is_refused(tmp_path, kind):
    name, content = _damage(kind)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=rf"Expected a whole table in .*{name}, got one that cannot be read"):
        read_own(tmp_path)
