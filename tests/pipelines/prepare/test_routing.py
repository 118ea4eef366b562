from __future__ import annotations

import zlib

import pyarrow as pa

from pipelines.prepare.routing import divide, shard_of


def test_a_shard_is_the_crc32_of_the_id_in_every_process() -> None:
    ids = pa.chunked_array([["u1", "é"], ["u1"]])
    assert shard_of(ids, 7).tolist() == [zlib.crc32(b"u1") % 7, zlib.crc32("é".encode()) % 7, zlib.crc32(b"u1") % 7]


def test_dividing_keeps_every_row_once_in_order_and_an_id_in_one_shard() -> None:
    table = pa.table({"user_id": [f"u{n % 10}" for n in range(100)], "n": range(100)})
    parts = dict(divide(table, "user_id", 4))
    assert sorted(n for part in parts.values() for n in part.column("n").to_pylist()) == list(range(100))
    for part in parts.values():
        assert part.column("n").to_pylist() == sorted(part.column("n").to_pylist())
    owners = [(user, shard) for shard, part in parts.items() for user in set(part.column("user_id").to_pylist())]
    assert len(owners) == 10


def test_shards_without_rows_are_left_out() -> None:
    assert [(shard, part.num_rows) for shard, part in divide(pa.table({"id": ["x"] * 3}), "id", 1000)] == [
        (zlib.crc32(b"x") % 1000, 3)
    ]
