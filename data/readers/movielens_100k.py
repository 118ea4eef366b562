"""MovieLens 100K: `u.data` and `u.item` of the archive."""

from __future__ import annotations

import numpy as np
import pandas as pd

from data.dataset import Dataset, empty_rooms
from data.identity import assign_tiers
from data.readers.files import Files, check_sha256, read_content
from data.readers.movies import movie_items, rating_events
from data.readers.tables import read_columns, to_integers

_DATA_SHA256 = "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490"

_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
"""The last columns of `u.item`, in order."""


def read_movielens_100k(files: Files, *, checked: bool = True) -> Dataset:
    """Returns MovieLens 100K: every movie, every rating with its time.

    Args:
      files: The archive, unpacked or not.
      checked: Whether to hold the checksum against the published one.

    Raises:
      DatasetError: If a file is missing, truncated or not what it claims to be.
    """
    content = read_content(files, "u.data")
    if checked:
        check_sha256(content, _DATA_SHA256, "u.data of movielens-100k")
    names = ("user_id", "movie_id", "rating", "timestamp")
    ratings = to_integers(read_columns(content, "u.data", separator="\t", names=names), names, "u.data")
    ratings["time_ms"] = ratings["timestamp"] * 1_000
    movies = read_columns(
        read_content(files, "u.item"),
        "u.item",
        separator="|",
        names=("movie_id", "title", "released", "video_released", "address", *_GENRES),
        encoding="latin-1",
    )
    movies = to_integers(movies, ["movie_id", *_GENRES], "u.item")
    released = pd.to_datetime(movies["released"], format="%d-%b-%Y", errors="coerce")
    return Dataset(
        name="movielens-100k",
        events=rating_events(ratings, "ml100k"),
        items=movie_items(movies["movie_id"].to_numpy(), movies, _genres(movies), released),
        rooms=empty_rooms(),
        users=assign_tiers([str(user) for user in np.unique(ratings["user_id"]).tolist()]),
    )


def _genres(movies: pd.DataFrame) -> pd.Series[list[str]]:
    flags = movies[list(_GENRES)].to_numpy() == 1
    return pd.Series([[_GENRES[column] for column in np.flatnonzero(row)] for row in flags], index=movies.index)
