"""The clients of a round: local examples, built only for those who take part."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from federated.device.examples import Choice, LocalExamples, build_examples
from federated.simulation.choices import ChoiceMaker
from federated.simulation.population import Population
from federated.simulation.user_log import UserLog
from recsys.cascade.cloud import CloudModel
from recsys.config.federated import DeviceSettings

NUM_CANDIDATES: Final = 100
"""Length of the lists that the cloud sends."""


class ExampleSource(Protocol):
    """Where rounds have local examples from."""

    def build(self, user_ids: Iterable[str]) -> Iterator[tuple[str, LocalExamples]]:
        """Yields people with their examples, of which there may be none."""


class Clients:
    """Builds local examples.

    Every second private choice has a list that answers the device's own query vector, the others one from what the
    cloud knows by consent, so that one tower serves both kinds of request.
    """

    def __init__(
        self, cloud: CloudModel, population: Population, settings: DeviceSettings, seed: int, num_left: int = 0
    ) -> None:
        """Builds nothing yet.

        Args:
          cloud: Sends the lists.
          population: Whose logs are read.
          settings: Of local training.
          seed: Of the run; each client draws from it and its own id.
          num_left: Private choices of each person, the last, that make no example.
        """
        self._cloud = cloud
        self._population = population
        self._settings = settings
        self._seed = seed
        self._num_left = num_left

    def build(self, user_ids: Iterable[str]) -> Iterator[tuple[str, LocalExamples]]:
        """Yields people with their examples, of which there may be none, as their logs are read."""
        for log in self._population.logs(user_ids):
            yield log.user_id, self._build(log)

    def examples(self, user_ids: Sequence[str]) -> list[LocalExamples]:
        """Returns each client's examples, in the order given; those without any are left out."""
        built = dict(self.build(user_ids))
        return [built[user_id] for user_id in user_ids if len(built[user_id])]

    def _build(self, log: UserLog) -> LocalExamples:
        maker = ChoiceMaker(self._cloud, log, NUM_CANDIDATES)
        rows = maker.private_rows
        rows = rows[: max(0, len(rows) - self._num_left)]
        choices: list[Choice] = []
        for place in range(len(rows) - 1, -1, -1):  # the latest first, and no more than are wanted
            fresh = place % 2 == 1
            choice = maker.choice(rows[place], fresh)
            if self._settings.passed_over_share:
                choice = maker.add_shown(choice, rows[place], fresh)
            if choice.item_index in choice.candidates:
                choices.append(choice)
            if len(choices) == self._settings.max_examples:
                break
        rng = _draw_from(self._seed, log.user_id)
        return build_examples(choices[::-1], self._cloud.manifest.dim, self._settings, rng)


@dataclass(frozen=True)
class GivenChoices:
    """Builds local examples of choices that were made before lists of another kind than the cloud's proposals.

    Attributes:
      choices: Of each person, oldest first.
      dim: Length of a query vector.
      settings: Of local training.
      seed: As of `Clients`.
    """

    choices: Mapping[str, Sequence[Choice]]
    dim: int
    settings: DeviceSettings
    seed: int

    def build(self, user_ids: Iterable[str]) -> Iterator[tuple[str, LocalExamples]]:
        """Yields people with their examples, in the order given."""
        for user_id in user_ids:
            rng = _draw_from(self.seed, user_id)
            yield user_id, build_examples(self.choices[user_id], self.dim, self.settings, rng)


def _draw_from(seed: int, user_id: str) -> np.random.Generator:
    """What a person draws the candidates of their examples by."""
    return np.random.default_rng([seed, _number(user_id)])


def _number(user_id: str) -> int:
    return int.from_bytes(hashlib.sha256(user_id.encode()).digest()[:8], "big")
