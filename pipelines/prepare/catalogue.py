"""The catalogue as the pipeline reads it, and the vocabulary that it writes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.generations import generations_of, mark_generations
from recsys.contracts.arrays import Int64Array
from recsys.contracts.events import MAX_ID_LENGTH, SURFACE_CODES
from recsys.contracts.schema import conform
from recsys.errors import ContractError, DatasetError, WorkspaceError
from recsys.features.catalogue import VOCABULARY_SCHEMA


def read_items(path: Path) -> pa.Table:
    """Returns the catalogue by generation (see `data.generations`), then id: row r is the item of index r + 1.

    Raises:
      WorkspaceError: If there is no such file.
      DatasetError: If it is no Parquet, has no item, or its items break the law of `Item`.
    """
    if not path.is_file():
        raise WorkspaceError(f"Expected the catalogue at {path}, got none. Run `tandem ingest` first.")
    try:
        table = pq.read_table(path)
        lengths = generations_of(table)
        items = _sort_generations(conform(table, "item"), lengths)
    except (pa.ArrowException, OSError, ContractError) as error:
        raise DatasetError(f"Expected a Parquet file of items at {path}, got: {error}. Write it again.") from error
    _check_items(items, path)
    return mark_generations(items, lengths)


def build_vocabulary(items: pa.Table, counts: Int64Array) -> pa.Table:
    """Returns the vocabulary of a catalogue (see `recsys.features.catalogue.VOCABULARY_SCHEMA`).

    Args:
      items: What `read_items` returned.
      counts: `[3, num_items + 1]` int64: impressions, positives and recent positives by item index.
    """
    lists = items.column("categories").combine_chunks()
    category_names = _number_categories(lists, generations_of(items))
    indexes = [
        [] if row is None else [index + 1 for index in row] for row in _index_lists(lists, category_names).to_pylist()
    ]
    columns = [
        items.column("item_id"),
        pc.index_in(items.column("surface"), value_set=pa.array(list(SURFACE_CODES))).cast(pa.int8()),
        pa.array(indexes, pa.list_(pa.int32())),
        *(pa.array(row[1:]) for row in counts),
    ]
    metadata = {b"num_categories": str(len(category_names)).encode()}
    return pa.table(columns, schema=VOCABULARY_SCHEMA.with_metadata(metadata))


def _sort_generations(items: pa.Table, lengths: Sequence[int]) -> pa.Table:
    starts = itertools.accumulate(lengths, initial=0)
    parts = [items.slice(start, length).sort_by("item_id") for start, length in zip(starts, lengths, strict=False)]
    return pa.concat_tables(parts).combine_chunks()


def _number_categories(lists: pa.ListArray, lengths: Sequence[int]) -> pa.Array:
    """Returns the names of categories: those of each generation behind those before, by name."""
    names: dict[str, None] = {}
    for start, length in zip(itertools.accumulate(lengths, initial=0), lengths, strict=False):
        names |= dict.fromkeys(sorted({*lists.slice(start, length).flatten().drop_null().to_pylist()} - names.keys()))
    return pa.array(names, pa.string())


def _index_lists(lists: pa.ListArray, names: pa.Array) -> pa.ListArray:
    """Replaces each category by its position in `names`, list by list."""
    return pa.ListArray.from_arrays(lists.offsets, pc.index_in(lists.values, value_set=names), mask=lists.is_null())


def _check_items(items: pa.Table, path: Path) -> None:
    if items.num_rows == 0:
        raise DatasetError(f"Expected items in {path}, got none. Ingest a dataset with a catalogue.")
    ids = items.select(["item_id"]).sort_by("item_id").column("item_id").combine_chunks()
    length = pc.fill_null(pc.utf8_length(ids), 0).to_numpy()
    if not np.all((length > 0) & (length <= MAX_ID_LENGTH)):
        raise DatasetError(f"Expected item ids of 1 to {MAX_ID_LENGTH} characters in {path}, got others. Mend them.")
    if len(repeated := ids[1:].filter(pc.equal(ids[1:], ids[:-1]))):
        raise DatasetError(f"Expected each item once in {path}, got {repeated[0].as_py()!r} again. Remove the copies.")
    surfaces = items.column("surface")
    if not pc.all(pc.is_in(surfaces, value_set=pa.array(list(SURFACE_CODES)))).as_py():
        raise DatasetError(f"Expected surfaces out of {list(SURFACE_CODES)} in {path}, got others. Mend them.")
