"""Who comes through a round: people are not a list, but devices that sleep, are slow, and get lost.

    Towards Federated Learning at Scale: System Design, Bonawitz et al., MLSys 2019: a round begins with those who are
    available (idle, charging, on Wi-Fi: most at night), selects more than it needs, and closes at a deadline or when
    enough have reported, whichever is first; some drop out in between.

Everything is drawn from the seed, the round and the person's place among all, so that a resumed run meets the same.
In private rounds everybody is drawn by themselves at the planned rate first; who is asleep, late or lost then only adds
less than was accounted for, and nobody's coming depends on others: rounds are not closed early.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from federated.simulation.cohort import draw_each
from recsys.config.federated import FederatedSettings, PopulationSettings
from recsys.contracts.arrays import Float64Array

_MINUTES_PER_HOUR: Final = 60
_HOURS_PER_DAY: Final = 24
_WEIGHT_BYTES: Final = 4
_SPREAD: Final = 0.5
"""Standard deviation of the logarithm of a device's time: two thirds lie within a factor of 1.65."""


@dataclass(frozen=True)
class Attendance:
    """What became of those who were selected; each list is sorted.

    Attributes:
      came: Whose updates count.
      asleep: Drawn by themselves, and not available (only in private rounds; others select among the available).
      lost: Dropped out on the way.
      late: Reported after the deadline, or after enough others had.
      seconds: Until the round closed, on the devices' clocks.
    """

    came: tuple[str, ...]
    asleep: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Crowd:
    """Everybody who could take part.

    Attributes:
      user_ids: Sorted.
      counts: How many examples each trains on.
      tiers: Of their devices, where they are known.
      settings: Of the rounds and the population.
      update_bytes: Of the tower, which goes down and up.
      seed: Of the run.
    """

    user_ids: Sequence[str]
    counts: Mapping[str, int]
    tiers: Mapping[str, str]
    settings: FederatedSettings
    update_bytes: int
    seed: int

    def attend(self, round_number: int, rate: float | None = None) -> Attendance:
        """Plays one round.

        Args:
          round_number: From 1.
          rate: How likely each is drawn by themselves, in private rounds; None where a round selects as many as it
            wants.
        """
        population = self.settings.population
        rng = np.random.default_rng([self.seed, round_number, 1])
        draws, speeds = rng.random((3, len(self.user_ids))), rng.standard_normal(len(self.user_ids))
        is_awake = draws[0] < self._shares_available(round_number)
        place_of = {user_id: place for place, user_id in enumerate(self.user_ids)}
        if rate is None:
            invited = self._select(np.flatnonzero(is_awake), draws[1])
        else:
            drawn = draw_each(self.user_ids, rate, self.seed, round_number)
            invited = np.asarray([place_of[user_id] for user_id in drawn], np.int64)
        awake = invited[is_awake[invited]]
        stays = draws[2][awake] >= population.dropout
        reported = awake[stays]
        seconds = self._time(reported, speeds[reported])
        order = np.lexsort((reported, seconds))
        wanted = len(order) if rate is not None else self.settings.rounds.clients_per_round
        deadline = population.deadline_s or math.inf
        in_time = [place for place in order[:wanted].tolist() if seconds[place] <= deadline]
        late = sorted(set(range(len(reported))) - set(in_time))
        closed = max((float(seconds[place]) for place in in_time), default=0.0)
        return Attendance(
            came=self._name(reported[sorted(in_time)]),
            asleep=self._name(invited[~is_awake[invited]]),
            lost=self._name(awake[~stays]),
            late=self._name(reported[late]),
            seconds=population.deadline_s if late and len(in_time) < wanted else closed,
        )

    def _shares_available(self, round_number: int) -> Float64Array:
        """Returns how likely each device is available."""
        tiers = [self.tiers.get(user_id, "") for user_id in self.user_ids]
        shares = {tier: share_available(self.settings.population, round_number, tier) for tier in set(tiers)}
        return np.asarray([shares[tier] for tier in tiers])

    def _select(self, available: np.ndarray, draw: Float64Array) -> np.ndarray:
        """Returns as many of the available as a round wants and some more, sorted."""
        wanted = math.ceil(self.settings.rounds.clients_per_round * self.settings.population.over_selection)
        return np.sort(available[np.argsort(draw[available], kind="stable")[:wanted]])

    def _time(self, places: np.ndarray, draw: Float64Array) -> Float64Array:
        """Returns how long each device takes: the tower down, the local epochs, the update up."""
        population, device = self.settings.population, self.settings.device
        tiers = [self.tiers.get(self.user_ids[place], "") for place in places]
        slowest_ms, slowest_bytes = max(population.example_ms.values()), min(population.bytes_per_s.values())
        example_ms = np.asarray([population.example_ms.get(tier, slowest_ms) for tier in tiers])
        bytes_per_s = np.asarray([population.bytes_per_s.get(tier, slowest_bytes) for tier in tiers])
        examples = np.asarray([min(self.counts[self.user_ids[place]], device.max_examples) for place in places])
        training_s = examples * device.local_epochs * example_ms / 1_000
        return (2 * self.update_bytes / bytes_per_s + training_s) * np.exp(_SPREAD * draw)

    def _name(self, places: np.ndarray) -> tuple[str, ...]:
        return tuple(self.user_ids[place] for place in places.tolist())


def gather(
    counts: Mapping[str, int], tiers: Mapping[str, str], settings: FederatedSettings, num_weights: int, seed: int
) -> Crowd | None:
    """Returns those who could take part; None where all of them always come.

    Args:
      counts: As of `Crowd`, of everybody.
      tiers: As of `Crowd`.
      settings: As of `Crowd`.
      num_weights: Of the tower.
      seed: Of the run.
    """
    if settings.population == PopulationSettings():
        return None
    return Crowd(sorted(counts), counts, tiers, settings, _WEIGHT_BYTES * num_weights, seed)


def share_available(settings: PopulationSettings, round_number: int, tier: str = "") -> float:
    """Returns which share of a tier's devices is available in a round: a wave over the day, with its peak at night.

    Example:
      >>> from recsys.config.federated import PopulationSettings
      >>> share_available(PopulationSettings(most_available=0.5, least_available=0.1, peak_hour=3, first_hour=15), 1)
      0.1
    """
    minutes = (round_number - 1) * settings.minutes_per_round
    hour = (settings.first_hour + minutes / _MINUTES_PER_HOUR) % _HOURS_PER_DAY
    wave = (1 + math.cos(2 * math.pi * (hour - settings.peak_hour) / _HOURS_PER_DAY)) / 2
    most, least = (_look_up(share, tier) for share in (settings.most_available, settings.least_available))
    return least + (most - least) * wave


def _look_up(share: float | Mapping[str, float], tier: str) -> float:
    """The share of a tier; of one that is not named, where there are names, the least."""
    return share.get(tier, min(share.values())) if isinstance(share, Mapping) else share
