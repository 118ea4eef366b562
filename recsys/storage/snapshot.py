"""`embeddings.parquet`: an embedding snapshot at rest."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.contracts.embeddings import EmbeddingSnapshot
from recsys.contracts.schema import arrow_schema
from recsys.errors import BundleError, ContractError


def write_snapshot(snapshot: EmbeddingSnapshot) -> bytes:
    """Returns the snapshot as a Parquet file; equal snapshots give equal bytes."""
    offsets = np.arange(0, snapshot.vectors.size + 1, max(snapshot.dim, 1), dtype=np.int32)
    vectors = pa.ListArray.from_arrays(offsets, pa.array(snapshot.vectors.ravel(), pa.float32()))
    ids = pa.array(snapshot.item_ids, pa.string())
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([ids, vectors], schema=arrow_schema("embedding")), sink)
    return sink.getvalue()


def read_snapshot(content: bytes) -> EmbeddingSnapshot:
    """Reads what `write_snapshot` wrote.

    Raises:
      BundleError: If the bytes are no such file, or the vectors differ in length.
    """
    try:
        table = pq.read_table(io.BytesIO(content), schema=arrow_schema("embedding")).combine_chunks()
        ids = tuple(table.column("item_id").to_pylist())
        flat = table.column("vector").combine_chunks().flatten().to_numpy()
        return EmbeddingSnapshot(ids, np.ascontiguousarray(flat.reshape(len(ids), -1), np.float32))
    except (pa.ArrowException, ValueError, ContractError) as error:
        raise BundleError(f"Expected an embedding snapshot as Parquet, got {len(content)} bytes: {error}") from error
