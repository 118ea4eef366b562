"""The protocols by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.protocols.assembly import HeldOut
from benchmarks.protocols.global_time import read_global_time
from benchmarks.protocols.last_item import read_last_item
from benchmarks.protocols.published_negatives import read_published_negatives
from benchmarks.protocols.sampled_negatives import read_full_ranking, read_sampled_negatives
from benchmarks.protocols.streamers import read_streamers
from benchmarks.task import Task
from recsys.errors import ConfigError

PROTOCOLS: Final[dict[str, Callable[[Path | None, HeldOut], Task]]] = {
    "P1": read_published_negatives,
    "P2": read_last_item,
    "P3": read_global_time,
    "P4": read_sampled_negatives,
    "P4-full": read_full_ranking,
    "P5": read_streamers,
}


def read_task(protocol: str, source: Path | None, held_out: HeldOut = "test") -> Task:
    """Returns the task of a protocol.

    Args:
      protocol: A key of `PROTOCOLS`.
      source: Where its data lies; None searches.
      held_out: The part that is asked for.

    Raises:
      ConfigError: If there is no such protocol.
      DatasetError: If the data is missing or broken.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"Expected a protocol out of {', '.join(PROTOCOLS)}, got {protocol!r}.")
    return PROTOCOLS[protocol](source, held_out)
