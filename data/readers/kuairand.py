"""KuaiRand: short videos with many signals, from the archives' own logs or the like/hate subset.

A row of a log is one impression with the signals that followed it; each signal that is set becomes an event of its own
at the time of the impression. Logs of random exposure (`log_random_*`) are left out: nobody's feed looked like that.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from data.dataset import Dataset, empty_rooms, raw_events
from data.identity import assign_tiers
from data.readers.files import Files, check_sha256, find_name, list_names, read_content
from data.readers.tables import read_columns, to_integers
from recsys.contracts.events import Action, Surface
from recsys.contracts.schema import arrow_schema
from recsys.errors import DatasetError

_SUBSET = "processed_standard_kcore_15.csv"
_SUBSET_SHA256 = "321128c4543d3e658a1fa9788edd4049295b0d1ccf4469154326fb7769556e0a"
_LOG = re.compile(r"log_standard_.*\.csv(\.gz)?$")
_VIDEOS = re.compile(r"video_features_basic_.*\.csv(\.gz)?$")

_SIGNALS = {
    "is_click": Action.CLICK,
    "long_view": Action.LONG_VIEW,
    "is_like": Action.LIKE,
    "is_follow": Action.FOLLOW,
    "is_comment": Action.COMMENT,
    "is_forward": Action.SHARE,
    "is_hate": Action.DISLIKE,
}
_SHARED_COLUMNS = (
    *("user_id", "video_id", "time_ms", "is_click", "long_view"),
    *("is_follow", "is_comment", "is_forward", "play_time_ms"),
)


def read_kuairand(files: Files, *, checked: bool = True) -> Dataset:
    """Returns KuaiRand's standard logs, or the like/hate subset where that is what is there.

    Args:
      files: An archive (Pure or 1K), unpacked or not, or the subset.
      checked: Whether to hold the checksum of the subset against the known one.

    Raises:
      DatasetError: If no log is there, or one is truncated or something else.
    """
    log = _read_subset(files, checked) if find_name(files, _SUBSET) else _read_logs(files)
    distinct = log.drop_duplicates(["user_id", "video_id", "time_ms"])
    items, num_described = _items(np.unique(distinct["video_id"]), files)
    return Dataset(
        name="kuairand",
        events=_events(distinct),
        items=items,
        rooms=empty_rooms(),
        users=assign_tiers([str(user) for user in np.unique(distinct["user_id"]).tolist()]),
        notes=(
            f"{len(log) - len(distinct):,} repeated rows (same person, video and millisecond) are left out.",
            f"Categories are known for {num_described:,} of {items.num_rows:,} videos.",
        ),
    )


def _read_subset(files: Files, checked: bool) -> pd.DataFrame:
    content = read_content(files, _SUBSET)
    if checked:
        check_sha256(content, _SUBSET_SHA256, f"{_SUBSET} of kuairand")
    columns = (*_SHARED_COLUMNS, "label")
    table = read_columns(content, _SUBSET, separator="\t", columns=columns)
    log = to_integers(table, columns, _SUBSET)
    return log.assign(is_like=log["label"], is_hate=1 - log["label"])


def _read_logs(files: Files) -> pd.DataFrame:
    names = _matching(files, _LOG)
    if not names:
        raise DatasetError(
            f"Expected log_standard_*.csv or {_SUBSET} (plain or .gz) in {files.label}, got neither. "
            "Point --from at an unpacked KuaiRand archive (Pure or 1K) or at the archive itself."
        )
    columns = (*_SHARED_COLUMNS, "is_like", "is_hate")
    return pd.concat(
        [
            to_integers(read_columns(read_content(files, name), name, separator=",", columns=columns), columns, name)
            for name in names
        ],
        ignore_index=True,
    )


def _matching(files: Files, pattern: re.Pattern[str]) -> list[str]:
    return sorted(base for base in (PurePosixPath(name).name for name in list_names(files)) if pattern.match(base))


def _events(log: pd.DataFrame) -> pa.Table:
    """Impressions and one event per signal that is set, in the order of time."""
    parts = [_signal_events(log, Action.IMPRESSION)]
    parts += [_signal_events(log[log[column] == 1], action) for column, action in _SIGNALS.items()]
    table = pa.concat_tables(parts)
    return raw_events(table.take(pc.sort_indices(table, [("timestamp_ms", "ascending"), ("event_id", "ascending")])))


def _signal_events(rows: pd.DataFrame, action: Action) -> pa.Table:
    user, video, time_ms = (pa.array(rows[name].to_numpy()) for name in ("user_id", "video_id", "time_ms"))
    user_id, item_id = user.cast(pa.string()), video.cast(pa.string())
    seconds = pa.array((rows["play_time_ms"].to_numpy() / 1_000).astype(np.float32))
    return pa.table(
        {
            "event_id": pc.binary_join_element_wise(
                "kr", user_id, item_id, time_ms.cast(pa.string()), action.value, "-"
            ),
            "user_id": user_id,
            "item_id": item_id,
            "action": pa.repeat(action.value, len(rows)),
            "surface": pa.repeat(Surface.FEED.value, len(rows)),
            "value": seconds if action is Action.LONG_VIEW else pa.nulls(len(rows), pa.float32()),
            "timestamp_ms": time_ms,
        }
    )


def _items(video_ids: np.ndarray[tuple[int], np.dtype[np.int64]], files: Files) -> tuple[pa.Table, int]:
    """The videos of the log, with tags, authors and days where a feature file knows them; and how many have tags."""
    features = _read_features(files).reindex(video_ids)
    tags = [
        [f"tag {tag}" for tag in dict.fromkeys(row.split(","))] if row else [] for row in features["tag"].fillna("")
    ]
    days = pd.to_datetime(features["upload_dt"], errors="coerce").to_numpy().astype("datetime64[ms]")
    author = pd.to_numeric(features["author_id"]).to_numpy(np.float64)
    authors = pa.array(np.nan_to_num(author).astype(np.int64), mask=np.isnan(author)).cast(pa.string())
    ids = video_ids.astype(str).tolist()
    table = pa.Table.from_arrays(
        [
            pa.array(ids, pa.string()),
            pa.repeat(Surface.FEED.value, len(ids)),
            pa.array([f"Video {video_id}" for video_id in ids], pa.string()),
            pa.array(tags, pa.list_(pa.string())),
            authors,
            pa.array(days.astype(np.int64), pa.int64(), mask=np.isnat(days)),
        ],
        schema=arrow_schema("item"),
    )
    return table, sum(bool(row) for row in tags)


def _read_features(files: Files) -> pd.DataFrame:
    """Columns `author_id`, `upload_dt` and `tag` by video, empty where no file is there."""
    columns = ("video_id", "author_id", "upload_dt", "tag")
    names = _matching(files, _VIDEOS)
    if not names:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in columns[1:]})
    parts = [
        read_columns(read_content(files, name), name, separator=",", columns=columns, texts=["tag"], quoted=True)
        for name in names
    ]
    features = to_integers(pd.concat(parts, ignore_index=True), ["video_id"], names[0]).set_index("video_id")
    return features[~features.index.duplicated()]
