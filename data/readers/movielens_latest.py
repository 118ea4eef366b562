"""MovieLens latest-small: `ratings.csv` and `movies.csv` of the archive.

Its makers replace this set from time to time, so that no checksum can be held against it; results on it are comparable
only between equal split fingerprints.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from data.dataset import Dataset, empty_rooms
from data.identity import assign_tiers
from data.readers.files import Files, read_content
from data.readers.movies import movie_items, rating_events, title_years
from data.readers.tables import read_columns, to_integers
from recsys.errors import DatasetError


def read_movielens_latest_small(files: Files) -> Dataset:
    """Returns MovieLens latest-small: every movie, every rating with its time.

    Args:
      files: The archive, unpacked or not.

    Raises:
      DatasetError: If a file is missing, truncated or not what it claims to be.
    """
    table = read_columns(
        read_content(files, "ratings.csv"),
        "ratings.csv",
        separator=",",
        columns=("userId", "movieId", "rating", "timestamp"),
    )
    ratings = to_integers(table, ["userId", "movieId", "timestamp"], "ratings.csv")
    if ratings.empty:
        raise DatasetError(
            "Expected ratings in ratings.csv of movielens-latest-small, got only a header. Fetch it again."
        )
    ratings = ratings.set_axis(["user_id", "movie_id", "rating", "timestamp"], axis=1)
    ratings["rating"] = _half_stars(ratings["rating"])
    ratings["time_ms"] = ratings["timestamp"] * 1_000
    movies = read_columns(
        read_content(files, "movies.csv"),
        "movies.csv",
        separator=",",
        columns=("movieId", "title", "genres"),
        quoted=True,
    )
    movies = to_integers(movies, ["movieId"], "movies.csv").rename(columns={"movieId": "movie_id"})
    return Dataset(
        name="movielens-latest-small",
        events=rating_events(ratings, "mlls"),
        items=movie_items(
            movies["movie_id"].to_numpy(), movies, movies["genres"].str.split("|"), title_years(movies["title"])
        ),
        rooms=empty_rooms(),
        users=assign_tiers([str(user) for user in np.unique(ratings["user_id"]).tolist()]),
    )


def _half_stars(ratings: pd.Series[float]) -> pd.Series[float]:
    numbers = pd.to_numeric(ratings, errors="coerce")
    wrong = ~numbers.between(0.5, 5.0).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise DatasetError(
            f"Expected ratings from 0.5 to 5 in ratings.csv, got {ratings.iloc[row]!r} in data row {row + 1}. "
            "Is it the right file, and whole?"
        )
    return numbers
