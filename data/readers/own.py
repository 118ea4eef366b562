"""One's own data: events, and where they are known items, rooms and users, as Parquet or CSV.

The columns are those of the contract (`data/event_schema.md`). A cell that cannot be read becomes null and its row is
kept, so that `prepare` can set it aside with its reason; the catalogue, on the other hand, must be right.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from data.dataset import Dataset, empty_rooms, raw_event_schema
from data.identity import TIERS, assign_tiers
from data.lawfulness import find_lawful
from data.readers.cells import parse_table
from data.readers.csv_or_parquet import Source, open_source
from recsys.contracts.events import MAX_ID_LENGTH, SURFACE_CODES, Surface
from recsys.contracts.schema import arrow_schema
from recsys.errors import DatasetError


def read_own(path: Path) -> Dataset:
    """Returns the dataset at `path`.

    Args:
      path: A folder with `events.csv` or `.parquet` (and perhaps `items`, `rooms`, `users`), or the events file
        itself, whose neighbours are then looked for: `shop_events.csv` goes with `shop_items.csv`.

    Raises:
      DatasetError: If there are no events, a file is truncated or no table, a required column is absent, or the
        catalogue has a row that breaks its law.
    """
    source = open_source(path)
    table, notes = _read(source, "events", "event")
    if table is None:
        raise source.missing("events")
    if table.num_rows == 0:
        raise DatasetError(f"Expected events in {source.describe('events')}, got only a header.")
    events = pa.Table.from_arrays(table.columns, schema=raw_event_schema())
    lawful = events.filter(pa.array(find_lawful(events)))
    items, rooms, users = (_read(source, stem, stem[:-1]) for stem in ("items", "rooms", "users"))
    for _, more in (items, rooms, users):
        notes += more
    if items[0] is None:
        notes.append("No items file: the catalogue is what occurs in the events, without titles and categories.")
    if rooms[0] is None and pc.any(pc.equal(lawful.column("surface"), Surface.LIVE.value)).as_py():
        notes.append("No rooms file: the live surface can be learned from but, with no room known, not served.")
    return Dataset(
        name="events",
        events=events,
        items=_derive_items(lawful) if items[0] is None else _check_items(items[0], source),
        rooms=empty_rooms() if rooms[0] is None else _check_rooms(rooms[0], source),
        users=_complete_users(None if users[0] is None else _check_users(users[0], source), lawful),
        notes=tuple(notes),
    )


def _read(source: Source, stem: str, contract: str) -> tuple[pa.Table | None, list[str]]:
    found = source.read(stem)
    if found is None:
        return None, []
    raw, notes = found
    table, more = parse_table(raw, contract, source.describe(stem))
    return table, notes + more


def _derive_items(events: pa.Table) -> pa.Table:
    """What occurs in lawful events, each item on the surface where it occurs first."""
    first = events.group_by("item_id", use_threads=False).aggregate([("surface", "first")]).sort_by("item_id")
    ids = first.column("item_id")
    nothing = pa.array([[]] * first.num_rows, pa.list_(pa.string()))
    columns = [ids, first.column("surface_first"), ids, nothing, pa.nulls(len(ids), pa.string())]
    return pa.Table.from_arrays([*columns, pa.nulls(len(ids), pa.int64())], schema=arrow_schema("item"))


def _check_items(items: pa.Table, source: Source) -> pa.Table:
    label = source.describe("items")
    _require_unique_ids(items, "item_id", label)
    surfaces = pa.array(list(SURFACE_CODES))
    _require(
        pc.is_in(items.column("surface"), value_set=surfaces), f"`surface` out of {surfaces.to_pylist()}", items, label
    )
    titles = pc.coalesce(items.column("title"), items.column("item_id"))
    labels = [list(dict.fromkeys(row or ())) for row in items.column("categories").to_pylist()]
    columns = {**dict(zip(items.column_names, items.columns, strict=True))}
    columns |= {"title": titles, "categories": pa.array(labels, pa.list_(pa.string()))}
    return pa.Table.from_arrays(list(columns.values()), schema=arrow_schema("item"))


def _check_rooms(rooms: pa.Table, source: Source) -> pa.Table:
    label = source.describe("rooms")
    _require_unique_ids(rooms, "room_id", label)
    _require(_has_id(rooms.column("item_id")), "`item_id` of 1 to 128 characters", rooms, label)
    _require(pc.is_valid(rooms.column("start_ms")), "`start_ms` as a whole number", rooms, label)
    ends_later = pc.fill_null(pc.greater(rooms.column("end_ms"), rooms.column("start_ms")), True)
    _require(ends_later, "`end_ms` after `start_ms`", rooms, label)
    return pa.Table.from_arrays(rooms.columns, schema=arrow_schema("room"))


def _check_users(users: pa.Table, source: Source) -> pa.Table:
    label = source.describe("users")
    _require_unique_ids(users, "user_id", label)
    _require(
        pc.is_in(users.column("device_tier"), value_set=pa.array(TIERS)),
        f"`device_tier` out of {list(TIERS)}",
        users,
        label,
    )
    return pa.Table.from_arrays(users.columns, schema=arrow_schema("user"))


def _complete_users(users: pa.Table | None, events: pa.Table) -> pa.Table:
    """Everybody who acts, in the order of their ids; a tier by stable hash for those of whom none is known."""
    ids = pc.unique(events.column("user_id"))
    if users is None:
        return assign_tiers(sorted(ids.to_pylist()))
    unknown = ids.filter(pc.invert(pc.is_in(ids, value_set=users.column("user_id").combine_chunks())))
    return pa.concat_tables([users, assign_tiers(unknown.to_pylist())]).sort_by("user_id")


def _has_id(column: pa.ChunkedArray) -> pa.ChunkedArray:
    length = pc.fill_null(pc.utf8_length(column), 0)
    return pc.and_(pc.greater(length, 0), pc.less_equal(length, MAX_ID_LENGTH))


def _require_unique_ids(table: pa.Table, column: str, label: str) -> None:
    _require(_has_id(table.column(column)), f"`{column}` of 1 to {MAX_ID_LENGTH} characters", table, label)
    repeated = table.column(column).to_pandas().duplicated()
    _require(pa.chunked_array([pa.array(~repeated.to_numpy())]), f"`{column}` to be unique", table, label)


def _require(holds: pa.ChunkedArray, rule: str, table: pa.Table, label: str) -> None:
    broken = pc.index(pc.fill_null(holds, False), False).as_py()
    if broken >= 0:
        row = {name: table.column(name)[broken].as_py() for name in table.column_names}
        raise DatasetError(
            f"Expected {rule} in {label}, got {row} in data row {broken + 1}. Correct or remove the row."
        )
