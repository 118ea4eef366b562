"""Movies as catalogue items: titles, genres and the year, whatever file they came in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from recsys.contracts.schema import arrow_schema

_NO_GENRES = ("(no genres listed)", "unknown", "")


def title_years(titles: pd.Series[str]) -> pd.Series[float]:
    """Returns the year in brackets at the end of each title, NaN where there is none."""
    return titles.str.extract(r"\((\d{4})\)\s*$", expand=False).astype("float64")


def movie_items(
    movie_ids: npt.NDArray[np.int64], movies: pd.DataFrame, genres: pd.Series[list[str]], years: pd.Series[float]
) -> pa.Table:
    """Returns contract "item" rows for `movie_ids`, in their order.

    Args:
      movie_ids: `[num_items]` int64, distinct.
      movies: Columns `movie_id` and `title`; a movie that is absent is called by its id.
      genres: Labels of each row of `movies`.
      years: Year of each row of `movies`, NaN where unknown; the item appears on its first of January.
    """
    described = pd.DataFrame(
        {"title": movies["title"].to_numpy(), "genres": genres.to_numpy(), "year": years.to_numpy()},
        index=movies["movie_id"].to_numpy(),
    )
    found = described[~described.index.duplicated()].reindex(movie_ids)
    first_of_january = pd.to_datetime(found["year"].astype("Int64").astype("string"), format="%Y", errors="coerce")
    published = first_of_january.astype("datetime64[ms]").astype("int64").to_numpy()
    labels = [
        [genre for genre in dict.fromkeys(row) if genre not in _NO_GENRES] if isinstance(row, list) else []
        for row in found["genres"]
    ]
    ids = movie_ids.astype(str)
    return pa.Table.from_arrays(
        [
            pa.array(ids.tolist(), pa.string()),
            pa.array(["feed"] * len(ids), pa.string()),
            pa.array(found["title"].fillna(pd.Series(ids, index=movie_ids)).tolist(), pa.string()),
            pa.array(labels, pa.list_(pa.string())),
            pa.nulls(len(ids), pa.string()),
            pa.array(published, pa.int64(), mask=first_of_january.isna().to_numpy()),
        ],
        schema=arrow_schema("item"),
    )
