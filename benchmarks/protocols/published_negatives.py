"""P1: MovieLens 1M, the test item of NCF among its 99 published negatives.

Neural Collaborative Filtering, He, Liao, Zhang, Nie, Hu and Chua, WWW 2017. All 1,000,209 pairs are kept. Many users
have several items at their last moment, and NCF's is not always the last in order: the others stay in training.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.protocols.assembly import Description, HeldOut, assemble
from benchmarks.settings import HOLD_OUT_LATEST, BaselineSettings
from benchmarks.task import Log, Requests, Task
from data.readers.files import Files, open_files, read_content
from data.readers.location import locate
from data.readers.movielens_1m import read_movielens_1m
from data.readers.tables import read_columns, to_integers
from data.split import hold_out
from recsys.contracts.arrays import Int32Array
from recsys.errors import DatasetError

NUM_NEGATIVES = 99
_ORDERED = "ml1m_pairs_ordered.tsv"
_NEGATIVES = "ncf_ml-1m.test.negative"
_NUM_TARGETS = 156
_SETTINGS = BaselineSettings(knn_neighbours=50, knn_shrinkage=0.0)
"""ItemKNN's were chosen on the validation part; the others are the defaults."""


def read_published_negatives(source: Path | None, held_out: HeldOut = "test") -> Task:
    """Returns the task.

    Args:
      source: Where MovieLens 1M lies in its ordered form, with NCF's negatives; None searches.
      held_out: The part that is asked for; the negatives are the same.

    Raises:
      DatasetError: If the data is missing or broken.
    """
    files = open_files(locate("movielens-1m", source))
    tests, movies = _read_tests(files)
    negatives = _read_negatives(files, movies)
    dataset = read_movielens_1m(files, whole=True)
    chosen = pc.is_in(dataset.events.column("event_id"), value_set=tests).to_numpy().astype(np.bool_)
    split = hold_out(dataset.events, chosen, "NCF's test items; before them each user's last for validation")
    places = pc.index_in(pa.array(negatives.ravel()), value_set=dataset.items.column("item_id").combine_chunks())
    items = places.to_numpy().astype(np.int32).reshape(negatives.shape)

    def draw(_log: Log, requests: Requests) -> Int32Array:
        return np.concatenate([requests.targets[:, None], items[requests.users]], axis=1)

    description = Description(
        "P1",
        "MovieLens 1M, NCF's test item among its 99 published negatives",
        _SETTINGS,
        (f"{_NUM_TARGETS} of the published negatives are the test item itself; it is ranked once.",),
        pipeline=HOLD_OUT_LATEST,
    )
    return assemble(description, dataset, split, held_out, draw)


def _read_tests(files: Files) -> tuple[pa.Array, list[str]]:
    """The event ids of NCF's test items, and the movie of each of NCF's item numbers."""
    table = read_columns(
        read_content(files, _ORDERED), _ORDERED, separator="\t", columns=("user_id", "movie_id", "ncf_test")
    )
    table = to_integers(table, ["user_id", "movie_id", "ncf_test"], _ORDERED)
    tested = table[table["ncf_test"] == 1]
    ids = [f"ml1m-{user}-{movie}" for user, movie in zip(tested["user_id"], tested["movie_id"], strict=True)]
    # NCF numbers movies by their first row.
    return pa.array(ids), [str(movie) for movie in table["movie_id"].drop_duplicates()]


def _read_negatives(files: Files, movies: list[str]) -> np.ndarray[tuple[int, int], np.dtype[np.str_]]:
    """Movie ids, `[num_users, 99]`; row u is of user u + 1."""
    lines = read_content(files, _NEGATIVES).decode().splitlines()
    numbers = [line.split("\t")[1:] for line in lines]
    if any(len(row) != NUM_NEGATIVES for row in numbers):
        raise DatasetError(f"Expected {NUM_NEGATIVES} negatives in each row of {_NEGATIVES}, got another number.")
    return np.array(movies)[np.array(numbers, np.int64)]
