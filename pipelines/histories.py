"""Each person's consented history, out of the prepared examples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from pipelines.prepare.layout import EVENTS
from recsys.contracts.arrays import Int32Array
from recsys.contracts.events import ACTION_CODES, POSITIVE_ACTIONS

_POSITIVE_CODES = np.array(sorted(ACTION_CODES[action] for action in POSITIVE_ACTIONS), np.int8)
_COLUMNS = ["user_id", "item_index", "action"]


def read_histories(examples_dir: Path) -> Iterator[dict[str, Int32Array]]:
    """Yields, part by part, user id to `[num_positives]` int32 item indexes, oldest first.

    As in training, an item that follows itself (a click, then a like) counts once. Users without positives are left
    out.
    """
    for path in sorted((examples_dir / EVENTS).glob("*.parquet")):
        table = pq.read_table(path, columns=_COLUMNS, partitioning=None)
        is_positive = np.isin(table.column("action").to_numpy(), _POSITIVE_CODES)
        names = table.column("user_id").combine_chunks().dictionary_encode()
        users = names.indices.to_numpy()[is_positive]
        items = table.column("item_index").to_numpy()[is_positive]
        is_new = np.ones(len(items), np.bool_)
        is_new[1:] = (users[1:] != users[:-1]) | (items[1:] != items[:-1])
        users, items = users[is_new], items[is_new]
        starts = np.flatnonzero(np.diff(users, prepend=-1))
        ids = names.dictionary.take(users[starts]).to_pylist()
        yield dict(zip(ids, np.split(items, starts[1:]), strict=True)) if ids else {}
