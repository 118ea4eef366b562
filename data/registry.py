"""The datasets that Tandem knows by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from data.dataset import Dataset
from data.readers.files import Files, open_files
from data.readers.location import locate
from data.readers.movielens_1m import read_movielens_1m
from data.synthetic import generate
from recsys.config import DataSettings
from recsys.errors import DatasetError


@dataclass(frozen=True)
class Entry:
    """A dataset: what it is, in one line, and what reads its files (None for the synthetic world)."""

    description: str
    read: Callable[[Files], Dataset] | None


DATASETS: Final[dict[str, Entry]] = {
    "synthetic": Entry("a seeded world of any size, both surfaces, true relevance known", None),
    "movielens-1m": Entry("999,611 movie ratings of 6,040 people (5-core), in their real order", read_movielens_1m),
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
    return read(open_files(locate(name, source)))
