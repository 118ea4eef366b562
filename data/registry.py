"""The datasets that Tandem knows by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from data.dataset import Dataset
from data.readers.files import open_files
from data.readers.kuairand import read_kuairand
from data.readers.location import locate
from data.readers.movielens_1m import read_movielens_1m
from data.readers.movielens_100k import read_movielens_100k
from data.readers.movielens_latest import read_movielens_latest_small
from data.readers.own import read_own
from data.synthetic import generate
from recsys.config.data import DataSettings
from recsys.errors import DatasetError


@dataclass(frozen=True)
class Entry:
    """A dataset: what it is, in one line, and what reads it from its place (None for the synthetic world)."""

    description: str
    read: Callable[[Path], Dataset] | None


DATASETS: Final[dict[str, Entry]] = {
    "synthetic": Entry("a seeded world of any size, both surfaces, true relevance known", None),
    "movielens-1m": Entry(
        "999,611 movie ratings of 6,040 people (5-core), in their real order",
        lambda path: read_movielens_1m(open_files(path)),
    ),
    "movielens-100k": Entry(
        "100,000 movie ratings of 943 people, with times",
        lambda path: read_movielens_100k(open_files(path)),
    ),
    "movielens-latest-small": Entry(
        "about 100,000 recent movie ratings of 610 people, with times; changes from time to time",
        lambda path: read_movielens_latest_small(open_files(path)),
    ),
    "kuairand": Entry(
        "short videos with impressions, clicks, long views, likes and dislikes, with times",
        lambda path: read_kuairand(open_files(path)),
    ),
    "events": Entry("your own events as CSV or Parquet (--from PATH; see data/event_schema.md)", read_own),
}


def read_dataset(name: str, source: Path | None, settings: DataSettings, seed: int) -> Dataset:
    """Returns a dataset by name.

    Args:
      name: A key of `DATASETS`.
      source: Folder, archive or file; None looks in `TANDEM_DATA`, then in the download cache, then on the network.
      settings: The synthetic world's size; readers of files need none.
      seed: Of the synthetic world.

    Raises:
      DatasetError: If there is no such dataset, or its data is missing, truncated or not what it claims to be.
    """
    if name not in DATASETS:
        raise DatasetError(f"Expected a dataset out of {', '.join(DATASETS)}, got {name!r}.")
    read = DATASETS[name].read
    if read is None:
        if source is not None:
            raise DatasetError(f"Expected no --from with {name!r}, which is generated, got {source}. Leave it out.")
        return generate(settings.world, seed)
    return read(locate(name, source))
