"""How Arrow tables travel between the steps of a Beam pipeline: as compressed IPC streams, never as rows."""

from __future__ import annotations

import pyarrow as pa
from apache_beam.coders import Coder


class ArrowTableCoder(Coder):
    """Encodes a `pa.Table`; a slice is written without the rows around it."""

    def encode(self, value: pa.Table) -> bytes:
        """Returns the table as an LZ4-compressed IPC stream."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, value.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
            writer.write_table(value)
        return sink.getvalue().to_pybytes()

    def decode(self, encoded: bytes) -> pa.Table:
        """Returns the table that `encode` wrote."""
        return pa.ipc.open_stream(encoded).read_all()

    def is_deterministic(self) -> bool:
        """Tables are values here, never keys."""
        return False

    def to_type_hint(self) -> type[pa.Table]:
        """The type that this coder serves."""
        return pa.Table
