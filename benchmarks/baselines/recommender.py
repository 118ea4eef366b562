"""The one thing that every model of the benchmark can do."""

from __future__ import annotations

from typing import Protocol

from benchmarks.task import Log, Requests
from recsys.contracts.arrays import Float32Array


class Recommender(Protocol):
    """Learns from histories, then scores the whole catalogue for users of the same log."""

    def fit(self, log: Log, seed: int) -> None:
        """Learns; equal logs and seeds give an equal model.

        Args:
          log: All that may be known.
          seed: Of models that draw; others leave it alone.
        """

    def score(self, requests: Requests) -> Float32Array:
        """Returns `[num_requests, num_items]` float32, higher is better, -inf for what would not be shown.

        What a user has chosen already may be scored as it comes; the evaluation leaves it out.

        Args:
          requests: Whose lists; a model must not look at the targets.
        """


class ItemToItem(Recommender, Protocol):
    """Learns what items say about each other, so that it can be asked about any history."""

    def fold_in(self, log: Log) -> None:
        """Scores the users of another log from now on, by what was learned.

        Args:
          log: Histories over the same catalogue.
        """
