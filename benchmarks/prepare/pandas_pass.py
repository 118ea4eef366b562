"""The work of the prepare stage as one pass in pandas, the whole log in memory: what the stage is measured against.

The same rules in the same order (`pipelines.prepare.validation`), the same choice among copies, the same limit,
periods, counts and files. It is written as one who knows pandas would: columns, and no Python function per event.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.dataset import raw_event_schema
from pipelines.prepare.examples import MIN_ROWS_TO_VALIDATE
from pipelines.prepare.validation import REASONS
from recsys.config.cloud import PrepareSettings
from recsys.contracts.events import (
    ACTION_CODES,
    MAX_ID_LENGTH,
    MAX_TIMESTAMP_MS,
    MIN_TIMESTAMP_MS,
    POSITIVE_ACTIONS,
    SURFACE_CODES,
    Action,
    Surface,
)

_RAW_COLUMNS = raw_event_schema().names
_ORDER = ["user_id", "timestamp_ms", "event_id"]
_POSITIVE_CODES = [ACTION_CODES[action] for action in POSITIVE_ACTIONS]


def run_pandas(events: Path, items: Path, output_dir: Path, settings: PrepareSettings) -> dict[str, Any]:
    """Turns a log into examples; returns the counters under the names of the stage's own report."""
    catalogue = pd.read_parquet(items).sort_values("item_id", ignore_index=True)
    frame = pd.read_parquet(events, partitioning=None)
    rows_in = len(frame)
    frame["item_index"] = catalogue.index.to_series(catalogue["item_id"]).reindex(frame["item_id"]).to_numpy() + 1
    broken = list(_broken(frame))
    is_lawful = ~np.logical_or.reduce(broken)
    reasons = np.array(REASONS[1:], object)[np.select(broken, range(len(broken)), 0)[~is_lawful]]
    letters = [frame.loc[~is_lawful, _RAW_COLUMNS].assign(reason=reasons)]
    frame = frame[is_lawful].sort_values("timestamp_ms", kind="stable")
    is_copy = frame["event_id"].duplicated()
    duplicates, frame = frame.loc[is_copy, _RAW_COLUMNS], frame[~is_copy].sort_values(_ORDER)
    is_late = frame.groupby("user_id", sort=False).cumcount(ascending=False) >= settings.max_events_per_user
    if is_late.any():
        reason = f"user_id: expected at most {settings.max_events_per_user} events of one user, the latest are kept"
        letters.append(frame.loc[is_late, _RAW_COLUMNS].assign(reason=reason))
        frame = frame[~is_late]
    examples = _encode(frame, settings)
    dead = pd.concat(letters)
    vocabulary = _count(examples[examples["period"] == 0], catalogue)
    for name, table in {
        "events": examples,
        "duplicates": duplicates,
        "dead_letters": dead,
        "vocabulary": vocabulary,
    }.items():
        table.to_parquet(output_dir / f"{name}.parquet", compression="zstd", index=False)
    return {"rows_in": rows_in, **_summarise(examples, duplicates, dead, vocabulary)}


def _summarise(
    examples: pd.DataFrame, duplicates: pd.DataFrame, dead: pd.DataFrame, vocabulary: pd.DataFrame
) -> dict[str, Any]:
    return {
        "accepted": len(examples),
        "duplicates": len(duplicates),
        "dead_letters": {str(reason): int(number) for reason, number in dead["reason"].value_counts().items()},
        "train": int((examples["period"] == 0).sum()),
        "validation": int((examples["period"] == 1).sum()),
        "users": int(examples["user_id"].nunique()),
        "items": len(vocabulary),
    }


def _broken(frame: pd.DataFrame) -> Iterator[np.ndarray]:
    """Yields where each rule is broken, in the order of `REASONS` behind that of broken text."""
    for name in ("event_id", "user_id", "item_id"):
        yield ~frame[name].str.len().between(1, MAX_ID_LENGTH).to_numpy(bool)
    action, surface, value, position = (frame[name] for name in ("action", "surface", "value", "position"))
    yield ~action.isin(ACTION_CODES).to_numpy()
    yield ~surface.isin(SURFACE_CODES).to_numpy()
    yield ~frame["timestamp_ms"].between(MIN_TIMESTAMP_MS, MAX_TIMESTAMP_MS, inclusive="left").to_numpy()
    yield (value.isna() & action.isin([Action.RATING, Action.GIFT])).to_numpy()
    yield (value.notna() & ~(np.isfinite(value) & (value >= 0))).to_numpy()
    yield (position < 0).to_numpy()
    yield (frame["room_id"].notna() != (surface == Surface.LIVE)).to_numpy()
    yield frame["item_index"].isna().to_numpy()


def _encode(frame: pd.DataFrame, settings: PrepareSettings) -> pd.DataFrame:
    """Returns the columns of examples, with their periods."""
    action = frame["action"].map(ACTION_CODES).astype("int8")
    users = frame.groupby("user_id", sort=False)
    num_rows = users["event_id"].transform("size")
    num_late = np.maximum(np.floor(num_rows * settings.validation_fraction + 1e-9), 1)
    num_late[num_rows < MIN_ROWS_TO_VALIDATE] = 0
    positives = action.isin(_POSITIVE_CODES).astype("int64")[::-1].groupby(frame["user_id"][::-1], sort=False).cumsum()
    is_late = (users.cumcount(ascending=False) < num_late) & (positives[::-1] <= settings.max_validation_positives)
    return pd.DataFrame(
        {
            "event_id": frame["event_id"],
            "user_id": frame["user_id"],
            "item_index": frame["item_index"].astype("int32"),
            "action": action,
            "surface": frame["surface"].map(SURFACE_CODES).astype("int8"),
            "value": frame["value"],
            "timestamp_ms": frame["timestamp_ms"],
            "position": frame["position"].astype("Int16"),
            "period": is_late.astype("int8"),
        }
    )


def _count(training: pd.DataFrame, catalogue: pd.DataFrame) -> pd.DataFrame:
    """Returns the vocabulary of the catalogue, with the counts of the training period."""
    times = training["timestamp_ms"]
    is_recent = times >= times.max() - (times.max() - times.min()) // 10
    is_positive = training["action"].isin(_POSITIVE_CODES)
    chosen = {
        "num_impressions": training["action"] == ACTION_CODES[Action.IMPRESSION],
        "num_positives": is_positive,
        "num_recent": is_positive & is_recent,
    }
    labels = catalogue["categories"]
    numbers = {name: number for number, name in enumerate(sorted(set(itertools.chain(*labels))), start=1)}
    columns = {
        "item_id": catalogue["item_id"],
        "surface": catalogue["surface"].map(SURFACE_CODES).astype("int8"),
        "categories": [[numbers[name] for name in row] for row in labels],
    }
    indexes = catalogue.index + 1
    for name, rows in chosen.items():
        counts = training.loc[rows, "item_index"].value_counts()
        columns[name] = counts.reindex(indexes, fill_value=0).to_numpy()
    return pd.DataFrame(columns)
