from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.contracts.embeddings import EmbeddingSnapshot
from recsys.contracts.schema import arrow_schema
from recsys.errors import BundleError
from recsys.storage.snapshot import read_snapshot, write_snapshot
from tests.suites.codec import THREE, SnapshotCodecLaws


class TestParquet(SnapshotCodecLaws):
    error = BundleError

    def encode(self, snapshot):
        return write_snapshot(snapshot)

    def decode(self, content):
        return read_snapshot(content)


def parquet(**columns: pa.Array) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def test_a_snapshot_is_read_from_a_path_too(tmp_path):
    path = tmp_path / "embeddings.parquet"
    path.write_bytes(write_snapshot(THREE))
    assert read_snapshot(path) == THREE


def test_the_file_has_the_columns_of_the_contract():
    table = pq.read_table(io.BytesIO(write_snapshot(THREE)))
    assert table.schema.names == arrow_schema("embedding").names
    assert table.schema.types == arrow_schema("embedding").types
    assert table.to_pylist()[1] == {"item_id": "b", "vector": [0.5, -4]}
    assert table.schema.metadata[b"version"] == THREE.version.encode()


def test_vectors_that_float16_cannot_hold_come_back():
    vectors = np.random.default_rng(0).normal(size=(100, 7)).astype(np.float32)
    snapshot = EmbeddingSnapshot(tuple(f"{row:03d}" for row in range(100)), vectors)
    assert read_snapshot(write_snapshot(snapshot)) == snapshot


def test_a_file_of_another_writer_is_read():
    content = parquet(
        vector=pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float64())),
        item_id=pa.array(["a", "b"]),
        note=pa.array([1, 2]),
    )
    assert read_snapshot(content) == EmbeddingSnapshot(("a", "b"), np.array([[1, 2], [3, 4]], np.float32))


def test_a_fixed_size_list_is_read():
    content = parquet(item_id=pa.array(["a"]), vector=pa.array([[1.0, 2.0]], pa.list_(pa.float32(), 2)))
    assert read_snapshot(content).vectors.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ([[1.0], [1.0, 2.0]], r"vectors of one length, got the lengths \[1, 2\]"),
        ([[1.0], None], r"vectors of one length, got the lengths \[-1, 1\]"),
        ([[1.0], [None]], "numbers in every vector, got 1 nulls"),
        ([[1.0], [float("nan")]], "finite `vectors`"),
        ([["one"], ["two"]], "Expected list<.*> in column 'vector'"),
    ],
)
def test_vectors_that_are_none_are_refused(vectors, message):
    with pytest.raises(BundleError, match=message):
        read_snapshot(parquet(item_id=pa.array(["a", "b"]), vector=pa.array(vectors)))


@pytest.mark.parametrize(
    ("ids", "message"),
    [(["b", "a"], "sorted, distinct"), (["a", "a"], "sorted, distinct")],
)
def test_ids_out_of_order_are_refused(ids, message):
    with pytest.raises(BundleError, match=message):
        read_snapshot(parquet(item_id=pa.array(ids), vector=pa.array([[1.0], [2.0]])))


def test_a_missing_column_is_named():
    with pytest.raises(BundleError, match="Expected the column 'vector' in embedding data"):
        read_snapshot(parquet(item_id=pa.array(["a"])))


def test_vectors_of_another_version_than_the_file_names_are_refused():
    table = pq.read_table(io.BytesIO(write_snapshot(THREE)))
    sink = io.BytesIO()
    pq.write_table(table.slice(0, 2), sink)
    with pytest.raises(BundleError, match=f"vectors of version {THREE.version}, got"):
        read_snapshot(sink.getvalue())


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BundleError, match=r"embedding snapshot as Parquet in .*absent\.parquet"):
        read_snapshot(tmp_path / "absent.parquet")
