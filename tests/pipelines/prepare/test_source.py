from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.prepare.source import ReadRowGroup, list_row_groups
from recsys.errors import DatasetError, WorkspaceError
from tests.pipelines.conftest import Log, make_events


def read(log: Log, batch_rows: int = 100) -> list[pa.Table]:
    reader = ReadRowGroup(batch_rows)
    return [table for group in list_row_groups(log.events) for table in reader.process(group)]


def test_rows_are_numbered_by_file_then_by_place_across_row_groups_and_batches(log: Log) -> None:
    log.write()
    pq.write_table(make_events([{}] * 5), log.events / "a.parquet", row_group_size=3)
    pq.write_table(make_events([{}] * 2), log.events / "b.parquet")
    tables = read(log, batch_rows=2)
    assert [table.num_rows for table in tables] == [2, 1, 2, 2]
    rows = pa.concat_tables(tables).column("row").to_pylist()
    assert rows == [0, 1, 2, 3, 4, 1 << 40, (1 << 40) + 1]


def test_columns_may_be_missing_where_they_are_optional_narrower_and_in_any_order(log: Log) -> None:
    log.write()
    columns = {
        "timestamp_ms": pa.array([5], pa.int32()),
        "event_id": ["e"],
        "user_id": ["u"],
        "item_id": pa.array(["a"]).dictionary_encode(),
        "action": ["click"],
        "surface": ["feed"],
        "note": ["not of the contract"],
    }
    pq.write_table(pa.table(columns), log.events / "own.parquet")
    (table,) = read(log)
    expected = make_events([{"event_id": "e", "timestamp_ms": 5}])
    assert table.drop_columns(["row", "garbled"]) == expected


def test_a_file_without_rows_is_read_as_nothing(log: Log) -> None:
    assert read(log.write(make_events([]))) == []


def test_a_log_without_files_names_the_command_that_makes_one(log: Log) -> None:
    with pytest.raises(WorkspaceError, match=r"Expected Parquet files in .*events, got none. Run `tandem ingest`"):
        list_row_groups(log.events)


@pytest.mark.parametrize(
    "content",
    [b"", b"event_id,user_id\n1,2\n", b"PAR1" + bytes(100) + b"PAR1"],
    ids=["nothing", "csv", "zeros"],
)
def test_a_file_that_is_no_parquet_is_named(log: Log, content: bytes) -> None:
    log.write(make_events([{}]))
    (log.events / "part-0001.parquet").write_bytes(content)
    with pytest.raises(DatasetError, match=r"whole Parquet file of events at .*part-0001.parquet.*write it again"):
        list_row_groups(log.events)


def test_a_truncated_file_is_named(log: Log) -> None:
    path = log.write(make_events([{}] * 1000)).events / "part-0000.parquet"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DatasetError, match=r"part-0000.parquet.*It is cut off or no Parquet"):
        list_row_groups(log.events)


def test_a_file_with_broken_pages_under_a_sound_footer_is_named(log: Log) -> None:
    path = log.write(make_events([{"event_id": f"e{i * 7919}"} for i in range(5000)])).events / "part-0000.parquet"
    content = bytearray(path.read_bytes())
    content[4:2000] = bytes(1996)
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"part-0000.parquet.*cannot be read"):
        read(log)


def test_a_file_without_a_required_column_is_named_with_the_column(log: Log) -> None:
    log.write(make_events([{}]).drop_columns(["item_id"]))
    with pytest.raises(DatasetError, match=r"part-0000.parquet: Expected the column 'item_id'"):
        list_row_groups(log.events)


def test_a_column_of_the_wrong_kind_is_named(log: Log) -> None:
    events = make_events([{}])
    log.write(events.set_column(events.schema.get_field_index("timestamp_ms"), "timestamp_ms", pa.array(["noon"])))
    with pytest.raises(DatasetError, match=r"part-0000.parquet: Expected int64 in column 'timestamp_ms'"):
        read(log)
