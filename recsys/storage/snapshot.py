"""Item vectors as a Parquet file (`embeddings.parquet`), in the columns of the contract table "embedding"."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.contracts.arrays import Float32Array
from recsys.contracts.embeddings import EmbeddingSnapshot
from recsys.contracts.schema import arrow_schema, conform
from recsys.errors import BundleError, ContractError


def write_snapshot(snapshot: EmbeddingSnapshot) -> bytes:
    """Returns the Parquet file of a snapshot; equal snapshots give equal bytes."""
    num_items, dim = snapshot.vectors.shape
    offsets = pa.array(np.arange(num_items + 1, dtype=np.int32) * dim)
    vectors = pa.ListArray.from_arrays(offsets, pa.array(snapshot.vectors.reshape(-1)))
    table = pa.Table.from_arrays(
        [pa.array(snapshot.item_ids, pa.string()), vectors],
        schema=arrow_schema("embedding").with_metadata({"dim": str(dim), "version": snapshot.version}),
    )
    target = io.BytesIO()
    pq.write_table(
        table,
        target,
        compression="zstd",
        use_dictionary=False,
        column_encoding={"item_id": "PLAIN", "vector.list.element": "BYTE_STREAM_SPLIT"},
    )
    return target.getvalue()


def read_snapshot(source: bytes | Path) -> EmbeddingSnapshot:
    """Reads what `write_snapshot` made.

    Args:
      source: The file, or where it lies.

    Raises:
      BundleError: If it is no Parquet file of the table "embedding", its vectors differ in length, or they are not
        those of the version it names.
    """
    name = str(source) if isinstance(source, Path) else f"{len(source)} bytes"
    try:
        return _read_table(pq.read_table(source if isinstance(source, Path) else io.BytesIO(source), partitioning=None))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BundleError(f"Expected an embedding snapshot as Parquet in {name}, got none: {error}") from error


def _read_table(table: pa.Table) -> EmbeddingSnapshot:
    metadata = table.schema.metadata or {}
    table = conform(table, "embedding")
    vectors = _stack(table.column("vector"), int(metadata.get(b"dim", b"0")))
    snapshot = EmbeddingSnapshot(tuple(table.column("item_id").to_pylist()), vectors)
    version = metadata.get(b"version")
    if version is not None and version.decode() != snapshot.version:
        raise ContractError(f"expected vectors of version {version.decode()}, got {snapshot.version}.")
    return snapshot


def _stack(column: pa.ChunkedArray, dim: int) -> Float32Array:
    """Returns `[num_items, dim]` float32 without a Python object per row; `dim` is for a column without rows."""
    lists = column.combine_chunks()
    lengths = np.unique(lists.value_lengths().fill_null(-1).to_numpy(zero_copy_only=False))
    if len(lengths) > 1 or -1 in lengths:
        raise ContractError(f"expected vectors of one length, got the lengths {lengths[:5].tolist()} (-1 is null).")
    values = lists.flatten()
    if values.null_count:
        raise ContractError(f"expected numbers in every vector, got {values.null_count} nulls.")
    width = int(lengths[0]) if len(lengths) else dim
    return np.ascontiguousarray(values.to_numpy(zero_copy_only=False)).reshape(len(lists), width)
