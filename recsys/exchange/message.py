"""Snapshots and deltas as bytes: an Arrow IPC stream whose metadata names versions, dim and codec.

Any Arrow reader of any language can read them; there is no format of our own.
"""

from __future__ import annotations

import io
from typing import Final, Literal

import numpy as np
import pyarrow as pa

from recsys.contracts.arrays import Float32Array
from recsys.contracts.embeddings import EmbeddingDelta, EmbeddingSnapshot
from recsys.errors import ContractError

Codec = Literal["float32", "float16"]
"""How a component travels. float16 halves the bytes and is refused where it would lose anything."""

CODECS: Final[tuple[Codec, ...]] = ("float32", "float16")
MEDIA_TYPE: Final = "application/vnd.apache.arrow.stream"
_ARROW_TYPES: Final = {"float32": pa.float32(), "float16": pa.float16()}


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
    if codec not in _ARROW_TYPES:
        raise ContractError(f"Expected a codec out of {list(CODECS)}, got {codec!r}.")
    packed = vectors.astype(codec)
    if not np.array_equal(packed.astype(np.float32), vectors):
        raise ContractError(f"Expected vectors that {codec} holds exactly, got others. Use float32, or round at embed.")
    dim = vectors.shape[1]
    present = pa.FixedSizeListArray.from_arrays(pa.array(packed.ravel(), _ARROW_TYPES[codec]), dim)
    column = pa.concat_arrays([present, pa.nulls(len(removed_ids), present.type)])
    schema = pa.schema(
        [pa.field("item_id", pa.string(), nullable=False), pa.field("vector", present.type)],
        metadata={**metadata, "dim": str(dim), "codec": codec},
    )
    ids = pa.array([*item_ids, *removed_ids], pa.string())
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_table(pa.Table.from_arrays([ids, column], schema=schema))
    return sink.getvalue()


def _read(message: bytes, kind: str) -> tuple[dict[str, str], tuple[str, ...], Float32Array, tuple[str, ...]]:
    try:
        table = pa.ipc.open_stream(message).read_all()
        table.validate(full=True)
        metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        if metadata.get("kind") != kind:
            raise ContractError(f"Expected a {kind} message, got {metadata.get('kind') or 'something else'}.")
        dim = int(metadata["dim"])
        ids = table.column("item_id").to_pylist()
        column = table.column("vector").combine_chunks()
        present = column.drop_null()
        flat = present.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    except (pa.ArrowException, OSError, KeyError, ValueError, UnicodeDecodeError, AttributeError) as error:
        if isinstance(error, ContractError):
            raise
        raise ContractError(f"Expected a {kind} message, got {len(message)} bytes that are none: {error}") from error
    return metadata, tuple(ids[: len(present)]), flat.reshape(len(present), dim), tuple(ids[len(present) :])
