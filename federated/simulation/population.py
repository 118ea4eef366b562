"""The people of a simulation: their device logs, read shard by shard, never all at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from federated.simulation.user_log import UserLog
from recsys.contracts.arrays import Int8Array
from recsys.contracts.events import ACTION_CODES, POSITIVE_ACTIONS, SURFACE_CODES
from recsys.errors import WorkspaceError
from recsys.features.catalogue import Catalogue
from recsys.storage.workspace import PARTS, Workspace

_COLUMNS = ["user_id", "item_id", "action", "surface", "timestamp_ms", "part"]
_PART_CODES = {part: code for code, part in enumerate(PARTS)}


class Population:
    """Everybody who has a device in the workspace."""

    def __init__(self, workspace: Workspace, catalogue: Catalogue) -> None:
        """Lists the shards; reads none of them yet.

        Raises:
          WorkspaceError: If the workspace holds no devices.
        """
        self._workspace = workspace
        self._catalogue = catalogue
        self._shards = sorted(workspace.devices.glob("shard-*.parquet"))
        if not self._shards:
            raise WorkspaceError(
                f"Expected device logs in {workspace.devices}, got none. "
                f"Run `tandem ingest --workspace {workspace.root}`."
            )

    @cached_property
    def user_ids(self) -> list[str]:
        """All ids, sorted."""
        return sorted(self._shard_by_user)

    def sample(self, max_users: int | None, seed: int) -> list[str]:
        """Returns at most `max_users` ids, drawn without replacement and sorted; all of them where it is None."""
        if max_users is None or max_users >= len(self.user_ids):
            return self.user_ids
        drawn = np.random.default_rng(seed).choice(len(self.user_ids), max_users, replace=False)
        return [self.user_ids[row] for row in sorted(drawn.tolist())]

    def count_positives(self, part: str) -> dict[str, int]:
        """Returns how many positive events each person has in a part; people without any are left out."""
        counts: dict[str, int] = {}
        for shard in self._shards:
            table = pq.read_table(shard, columns=["user_id", "action", "part"])
            positive = pc.is_in(table.column("action"), pa.array(sorted(POSITIVE_ACTIONS), pa.string()))
            chosen = table.filter(pc.and_(positive, pc.equal(table.column("part"), part)))
            users = pc.value_counts(chosen.column("user_id").combine_chunks())
            counts |= {row["values"]: row["counts"] for row in users.to_pylist()}
        return counts

    def in_shard_order(self, user_ids: Iterable[str]) -> list[str]:
        """Returns known people ordered by shard, so that neighbours share one; unknown people are left out."""
        known = (user_id for user_id in user_ids if user_id in self._shard_by_user)
        return sorted(known, key=lambda user_id: (self._shard_by_user[user_id], user_id))

    def logs(self, user_ids: Iterable[str]) -> Iterator[UserLog]:
        """Yields the logs of these people, one shard in memory at a time; people unknown here are left out."""
        wanted: dict[Path, list[str]] = {}
        for user_id in user_ids:
            if user_id in self._shard_by_user:
                wanted.setdefault(self._shard_by_user[user_id], []).append(user_id)
        for shard in sorted(wanted):
            table = pq.read_table(shard, columns=_COLUMNS)
            yield from self._split(table.filter(pc.is_in(table.column("user_id"), pa.array(wanted[shard]))))

    def _split(self, table: pa.Table) -> Iterator[UserLog]:
        """Cuts a table that is sorted by user and time at the changes of user."""
        if table.num_rows == 0:
            return
        users = table.column("user_id").combine_chunks().dictionary_encode()
        starts = np.flatnonzero(np.diff(users.indices.to_numpy(), prepend=-1))
        items = self._item_indexes(table)
        actions, surfaces = _codes(table, "action", ACTION_CODES), _codes(table, "surface", SURFACE_CODES)
        parts, times = _codes(table, "part", _PART_CODES), table.column("timestamp_ms").to_numpy()
        for start, end in zip(starts, [*starts[1:], table.num_rows], strict=True):
            rows = slice(int(start), int(end))
            user_id = users[int(start)].as_py()
            yield UserLog(
                user_id,
                self._tiers.get(user_id, "unknown"),
                items[rows],
                actions[rows],
                surfaces[rows],
                times[rows],
                parts[rows],
            )

    def _item_indexes(self, table: pa.Table) -> np.ndarray:
        encoded = table.column("item_id").combine_chunks().dictionary_encode()
        indexes = self._catalogue.index_of(encoded.dictionary.to_pylist())
        return indexes[encoded.indices.to_numpy()]

    @cached_property
    def _shard_by_user(self) -> dict[str, Path]:
        return {
            user_id: shard
            for shard in self._shards
            for user_id in pc.unique(pq.read_table(shard, columns=["user_id"]).column(0)).to_pylist()
        }

    @cached_property
    def _tiers(self) -> dict[str, str]:
        return read_tiers(self._workspace)


def read_tiers(workspace: Workspace) -> dict[str, str]:
    """Returns the tier of each person's device."""
    users = pq.read_table(workspace.users)
    return dict(zip(users.column("user_id").to_pylist(), users.column("device_tier").to_pylist(), strict=True))


def _codes(table: pa.Table, name: str, codes: dict[str, int]) -> Int8Array:
    encoded = table.column(name).combine_chunks().dictionary_encode()
    lookup = np.asarray([codes[value] for value in encoded.dictionary.to_pylist()], np.int8)
    return lookup[encoded.indices.to_numpy()]
