"""Movies as catalogue items and ratings as events, whatever file they came in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from data.dataset import raw_events
from recsys.contracts.events import Action, Surface
from recsys.contracts.schema import arrow_schema

_NO_GENRES = ("(no genres listed)", "unknown", "")


def title_years(titles: pd.Series[str]) -> pd.Series[pd.Timestamp]:
    """Returns the first of January of the year in brackets at the end of each title, NaT where there is none."""
    years = titles.str.extract(r"\((\d{4})\)\s*$", expand=False)
    return pd.to_datetime(years, format="%Y", errors="coerce")


def movie_items(
    movie_ids: npt.NDArray[np.int64],
    movies: pd.DataFrame,
    genres: pd.Series[list[str]],
    published: pd.Series[pd.Timestamp],
) -> pa.Table:
    """Returns contract "item" rows for `movie_ids`, in their order.

    Categories are the genres, then year and decade: what a movie that nobody has rated yet can be told by.

    Args:
      movie_ids: `[num_items]` int64, distinct.
      movies: Columns `movie_id` and `title`; a movie that is absent is called by its id.
      genres: Labels of each row of `movies`.
      published: Day of each row of `movies`, NaT where unknown.
    """
    described = pd.DataFrame(
        {"title": movies["title"].to_numpy(), "genres": genres.to_numpy(), "published": published.to_numpy()},
        index=movies["movie_id"].to_numpy(),
    )
    found = described[~described.index.duplicated()].reindex(movie_ids)
    days = found["published"].to_numpy().astype("datetime64[ms]")
    known = [
        [genre for genre in dict.fromkeys(row) if genre not in _NO_GENRES] if isinstance(row, list) else []
        for row in found["genres"]
    ]
    labels = [own + _period_labels(day) for own, day in zip(known, found["published"], strict=True)]
    ids = movie_ids.astype(str)
    return pa.Table.from_arrays(
        [
            pa.array(ids.tolist(), pa.string()),
            pa.array(["feed"] * len(ids), pa.string()),
            pa.array(found["title"].fillna(pd.Series(ids, index=movie_ids)).tolist(), pa.string()),
            pa.array(labels, pa.list_(pa.string())),
            pa.nulls(len(ids), pa.string()),
            pa.array(days.astype(np.int64), pa.int64(), mask=np.isnat(days)),
        ],
        schema=arrow_schema("item"),
    )


def _period_labels(day: pd.Timestamp) -> list[str]:
    """Year and decade, such as 1995 and 1990s; none where the day is unknown."""
    return [] if pd.isna(day) else [f"{day.year}", f"{day.year // 10}0s"]


def rating_events(ratings: pd.DataFrame, prefix: str) -> pa.Table:
    """Returns raw events on the feed: a rating where its value is known, else a click.

    Args:
      ratings: Columns `user_id`, `movie_id`, `rating` (may be missing) and `time_ms`.
      prefix: Of the event ids, which go on with user and movie.
    """
    users, movies = (pa.array(ratings[name].to_numpy()).cast(pa.string()) for name in ("user_id", "movie_id"))
    value = ratings["rating"].to_numpy(np.float32)
    rated = pa.array(~np.isnan(value))
    return raw_events(
        pa.table(
            {
                "event_id": pc.binary_join_element_wise(prefix, users, movies, "-"),
                "user_id": users,
                "item_id": movies,
                "action": pc.if_else(rated, Action.RATING.value, Action.CLICK.value),
                "surface": pa.repeat(Surface.FEED.value, len(ratings)),
                "value": pa.array(value, mask=np.isnan(value)),
                "timestamp_ms": pa.array(ratings["time_ms"].to_numpy(), pa.int64()),
            }
        )
    )
