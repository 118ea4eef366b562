"""MovieLens 1M: the archive's own `ratings.dat`, or its re-assembly `ml1m_pairs_ordered.tsv`.

The re-assembly knows the order of every history (`seq_pos`) but rating and time only of users 1 to 2999 and of one row
of each other user. There the order is real and the spacing is not: their events are laid 1 s apart, ending at the one
time that is known. Either way the dataset is the 5-core, the form in which the literature ranks it, unless all pairs
are asked for: those outside the 5-core stand by their time or, where there is none, before the rest.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from data.dataset import Dataset, empty_rooms
from data.identity import assign_tiers
from data.readers.files import Files, check_rows, check_sha256, find_name, read_content
from data.readers.histories import keep_core, spread_ties
from data.readers.movies import movie_items, rating_events, title_years
from data.readers.tables import read_columns, to_integers
from recsys.contracts.arrays import Int64Array

_ORDERED = "ml1m_pairs_ordered.tsv"
_ORDERED_SHA256 = "45f48d1806d55b1d0a9046612490b234c221d462b231474f9daaf0e761fa3636"
_NUM_RATINGS = 1_000_209
_SPACING_MS = 1_000
_UNKNOWN_TIME_S = 1_046_454_590
"""2003-02-28, when the collection ended: the last event of a user of whom no time is known."""


def read_movielens_1m(files: Files, *, checked: bool = True, whole: bool = False) -> Dataset:
    """Returns the 5-core of MovieLens 1M.

    Args:
      files: The archive, unpacked or not, or the re-assembly.
      checked: Whether to hold checksum and row count against the published ones.
      whole: Whether to return all pairs instead of the 5-core.

    Raises:
      DatasetError: If a file is missing, truncated or not what it claims to be.
    """
    if find_name(files, _ORDERED) is not None:
        pairs, notes = _read_ordered(files, checked, whole)
    else:
        pairs, notes = _read_ratings(files, checked, whole)
    movies = read_columns(
        read_content(files, "movies.dat"),
        "movies.dat",
        separator="::",
        names=("movie_id", "title", "genres"),
        encoding="latin-1",
    )
    movies = to_integers(movies, ["movie_id"], "movies.dat")
    return Dataset(
        name="movielens-1m",
        events=rating_events(pairs, "ml1m"),
        items=movie_items(
            np.unique(pairs["movie_id"]), movies, movies["genres"].str.split("|"), title_years(movies["title"])
        ),
        rooms=empty_rooms(),
        users=assign_tiers([str(user) for user in np.unique(pairs["user_id"]).tolist()]),
        notes=notes,
    )


def _read_ordered(files: Files, checked: bool, whole: bool) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Pairs with `time_ms`, by user and position."""
    content = read_content(files, _ORDERED)
    if checked:
        check_sha256(content, _ORDERED_SHA256, f"{_ORDERED} of movielens-1m")
    columns = ("user_id", "movie_id", "rating", "timestamp", "seq_pos")
    table = read_columns(content, _ORDERED, separator="\t", columns=columns)
    outside = table["seq_pos"].isna()
    kept = table.fillna({"seq_pos": -1}) if whole else table[~outside]
    pairs = to_integers(kept, ["user_id", "movie_id", "seq_pos"], _ORDERED)
    timed = pairs["timestamp"].notna().groupby(pairs["user_id"]).transform("all")
    pairs["moment"] = pairs["timestamp"].where(timed, 0)
    pairs = pairs.sort_values(["user_id", "moment", "seq_pos"], kind="stable", ignore_index=True)
    user = pd.factorize(pairs["user_id"])[0].astype(np.int64)
    # The one known row of a user may lie outside the 5-core; its time serves all the same.
    last = pairs["user_id"].map(table.groupby("user_id")["timestamp"].max())
    pairs["time_ms"] = _lay_out_times(user, pairs["timestamp"], last)
    untimed = pairs["timestamp"].isna().groupby(user).any()
    notes = (
        f"{int(outside.sum()):,} pairs outside the 5-core {_fate(whole)}.",
        f"{int(untimed.sum()):,} users have the order of their events but not the times: these are laid 1 s apart.",
    )
    return pairs, notes


def _lay_out_times(user: Int64Array, timestamp: pd.Series[float], last: pd.Series[float]) -> Int64Array:
    """Times in ms that rise strictly within a user: the real ones where all are known, else a ladder of 1 s."""
    by_user = timestamp.groupby(user)
    size, known = by_user.transform("size").to_numpy(), by_user.transform("count").to_numpy()
    last_ms = last.fillna(_UNKNOWN_TIME_S).to_numpy().astype(np.int64) * 1_000
    from_end = size - 1 - by_user.cumcount().to_numpy()
    real = (timestamp.fillna(0).to_numpy() * 1_000).astype(np.int64)
    return spread_ties(user, np.where(known == size, real, last_ms - from_end * _SPACING_MS))


def _read_ratings(files: Files, checked: bool, whole: bool) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Pairs of the archive's own file, ties in time in the order of its rows."""
    names = ("user_id", "movie_id", "rating", "timestamp")
    table = read_columns(read_content(files, "ratings.dat"), "ratings.dat", separator="::", names=names)
    table = to_integers(table, ["user_id", "movie_id", "rating", "timestamp"], "ratings.dat")
    if checked:
        check_rows(len(table), _NUM_RATINGS, "ratings.dat of movielens-1m")
    codes = [pd.factorize(table[name])[0].astype(np.int64) for name in ("user_id", "movie_id")]
    core = keep_core(codes[0], codes[1], least=5)
    pairs = table[core | whole].sort_values(["user_id", "timestamp"], kind="stable", ignore_index=True)
    user = pd.factorize(pairs["user_id"])[0].astype(np.int64)
    pairs["time_ms"] = spread_ties(user, pairs["timestamp"].to_numpy() * 1_000)
    return pairs, (f"{int((~core).sum()):,} pairs outside the 5-core {_fate(whole)}.",)


def _fate(whole: bool) -> str:
    return "are kept" if whole else "are left out"
