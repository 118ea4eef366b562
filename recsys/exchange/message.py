"""Snapshots and deltas as bytes: an Arrow IPC stream whose metadata names versions, dim and codec.

Any Arrow reader of any language can read them; there is no format of our own.
"""

from __future__ import annotations

import io
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recsys.contracts.arrays import Float32Array
from recsys.contracts.embeddings import EmbeddingDelta, EmbeddingSnapshot
from recsys.errors import ContractError

Codec = Literal["float32", "float16"]
"""How a component travels. float16 halves the bytes and is refused where it would lose anything."""

CODECS: Final[tuple[Codec, ...]] = ("float32", "float16")
MEDIA_TYPE: Final = "application/vnd.apache.arrow.stream"
_ARROW_TYPES: Final = {"float32": pa.float32(), "float16": pa.float16()}
_END: Final = b"\xff\xff\xff\xff\x00\x00\x00\x00"
"""How an Arrow stream ends. Without it the stream was cut, although Arrow itself would not mind."""


def encode_snapshot(snapshot: EmbeddingSnapshot, codec: Codec = "float16") -> bytes:
    """Returns the message of a snapshot.

    Raises:
      ContractError: If the codec is unknown or cannot hold the vectors exactly.
    """
    metadata = {"kind": "snapshot", "version": snapshot.version}
    return _write(snapshot.item_ids, snapshot.vectors, codec, metadata)


def decode_snapshot(message: bytes) -> EmbeddingSnapshot:
    """Reads what `encode_snapshot` wrote.

    Raises:
      ContractError: If the bytes are no snapshot, or not the version they claim to be.
    """
    metadata, item_ids, vectors, _ = _read(message, "snapshot")
    snapshot = EmbeddingSnapshot(item_ids, vectors)
    if snapshot.version != metadata["version"]:
        raise ContractError(f"Expected snapshot {metadata['version']}, got content of version {snapshot.version}.")
    return snapshot


def encode_delta(delta: EmbeddingDelta, codec: Codec = "float16") -> bytes:
    """Returns the message of a delta; ids to drop are rows without a vector.

    Raises:
      ContractError: If the codec is unknown or cannot hold the vectors exactly.
    """
    metadata = {"kind": "delta", "base_version": delta.base_version, "version": delta.version}
    return _write(delta.item_ids, delta.vectors, codec, metadata, delta.removed_ids)


def decode_delta(message: bytes) -> EmbeddingDelta:
    """Reads what `encode_delta` wrote.

    Raises:
      ContractError: If the bytes are no delta.
    """
    metadata, item_ids, vectors, removed_ids = _read(message, "delta")
    return EmbeddingDelta(metadata["base_version"], metadata["version"], item_ids, vectors, removed_ids)


def _write(
    item_ids: tuple[str, ...],
    vectors: Float32Array,
    codec: Codec,
    metadata: dict[str, str],
    removed_ids: tuple[str, ...] = (),
) -> bytes:
    dim = vectors.shape[1]
    values = pa.array(_pack(item_ids, vectors, codec).ravel())
    present = pa.FixedSizeListArray.from_arrays(values, type=_vector_type(codec, dim))
    column = pa.concat_arrays([present, pa.nulls(len(removed_ids), present.type)])
    ids = pa.array([*item_ids, *removed_ids], pa.string())
    schema = _schema(codec, dim).with_metadata({**metadata, "dim": str(dim), "codec": codec, "num_rows": str(len(ids))})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays([ids, column], schema=schema))
    return sink.getvalue()


def _pack(item_ids: tuple[str, ...], vectors: Float32Array, codec: Codec) -> npt.NDArray[np.floating[Any]]:
    if codec not in CODECS:
        raise ContractError(f"Expected a codec out of {list(CODECS)}, got {codec!r}.")
    if vectors.shape[1] == 0:
        raise ContractError("Expected vectors of length 1 or more in a message, got length 0.")
    with np.errstate(over="ignore"):  # What overflows is infinite, hence unequal, hence refused.
        packed = vectors.astype(codec)
    lossy = np.flatnonzero((packed.astype(np.float32) != vectors).any(axis=1))
    if len(lossy):
        raise ContractError(
            f"Expected vectors that {codec} holds exactly, got others for {len(lossy)} items, the first "
            f"{item_ids[lossy[0]]!r}. Use the codec float32, or `round_to_float16` when embedding."
        )
    return packed


def _schema(codec: str, dim: int) -> pa.Schema:
    return pa.schema([pa.field("item_id", pa.string(), nullable=False), pa.field("vector", _vector_type(codec, dim))])


def _vector_type(codec: str, dim: int) -> pa.DataType:
    return pa.list_(pa.field("item", _ARROW_TYPES[codec], nullable=False), dim)


def _read(message: bytes, kind: str) -> tuple[dict[str, str], tuple[str, ...], Float32Array, tuple[str, ...]]:
    """Returns metadata, ids and vectors `[num_items, dim]` of rows that have one, and the ids of rows without."""
    try:
        metadata, batch = _read_stream(message)
        if metadata.get("kind") != kind:
            raise ContractError(f"it says it is {metadata.get('kind', 'nothing')!r}")
        absent = {"version", *(["base_version"] if kind == "delta" else [])} - metadata.keys()
        if absent:
            raise ContractError(f"its metadata lack {sorted(absent)}")
        codec, dim = metadata["codec"], int(metadata["dim"])
        if not batch.schema.equals(_schema(codec, dim)) or batch.num_rows != int(metadata["num_rows"]):
            raise ContractError(f"its {batch.num_rows} rows of {batch.schema.names} are not those it announces")
        ids, column = batch.column("item_id").to_pylist(), batch.column("vector")
        num_set = len(ids) - column.null_count
        if (kind == "snapshot" and column.null_count) or column[num_set:].null_count != column.null_count:
            raise ContractError("rows without a vector stand where none may")
        vectors = column[:num_set].flatten().to_numpy(zero_copy_only=False).astype(np.float32).reshape(num_set, dim)
    except (pa.ArrowException, OSError, KeyError, ValueError, StopIteration) as error:
        raise ContractError(f"Expected a {kind} message, got {len(message)} bytes that are none: {error}") from error
    return metadata, tuple(ids[:num_set]), vectors, tuple(ids[num_set:])


def _read_stream(message: bytes) -> tuple[dict[str, str], pa.RecordBatch]:
    source = pa.BufferReader(message)
    with pa.ipc.open_stream(source) as stream:
        metadata = {key.decode(): value.decode() for key, value in (stream.schema.metadata or {}).items()}
        batch = stream.read_next_batch()
        batch.validate(full=True)
        rest = source.read()
    if rest != _END:
        raise ContractError("it does not end where it should")
    return metadata, batch
