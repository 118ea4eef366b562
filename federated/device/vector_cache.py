"""The device's copy of the item vectors, kept in step with the cloud by snapshots and deltas."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recsys.contracts.arrays import BoolArray, Float32Array, Int32Array
from recsys.contracts.embeddings import EmbeddingDelta, EmbeddingSnapshot
from recsys.exchange.delta import apply_delta


class VectorCache:
    """Item vectors of one version."""

    def __init__(self, snapshot: EmbeddingSnapshot) -> None:
        """Takes a first snapshot."""
        self.replace(snapshot)

    @property
    def version(self) -> str:
        """The version held; a response that names another one calls for a delta or a snapshot."""
        return self._version

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._snapshot.dim

    def replace(self, snapshot: EmbeddingSnapshot) -> None:
        """Takes a whole new snapshot."""
        self._snapshot = snapshot
        self._version = snapshot.version
        self._rows = {item_id: row for row, item_id in enumerate(snapshot.item_ids)}

    def apply(self, delta: EmbeddingDelta) -> None:
        """Moves to the version that the delta leads to.

        Raises:
          VersionMismatchError: If it starts at another version; then nothing changes.
        """
        self.replace(apply_delta(self._snapshot, delta))

    def has(self, item_ids: Sequence[str]) -> BoolArray:
        """Returns `[num_ids]` bool: whether a vector is here."""
        return np.fromiter((item_id in self._rows for item_id in item_ids), np.bool_, len(item_ids))

    def indexes(self, item_ids: Sequence[str]) -> Int32Array:
        """Returns the row of each id in `table`, `[num_ids]` int32; 0 where no vector is here."""
        return np.fromiter((self._rows.get(item_id, -1) + 1 for item_id in item_ids), np.int32, len(item_ids))

    def table(self) -> Float32Array:
        """Returns all vectors, `[num_items + 1, dim]` float32, row 0 zero."""
        return np.concatenate([np.zeros((1, self.dim), np.float32), self._snapshot.vectors])

    def vectors(self, item_ids: Sequence[str]) -> Float32Array:
        """Returns the vectors of those ids that are here, `[num_known, dim]` float32, in the order given."""
        rows = [self._rows[item_id] for item_id in item_ids if item_id in self._rows]
        return self._snapshot.vectors[rows].reshape(len(rows), self.dim)
