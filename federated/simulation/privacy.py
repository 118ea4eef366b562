"""What private rounds promise to each person, and how much noise that takes.

Differential privacy of whole people: with or without somebody's log, whatever the rounds give is at most exp(epsilon)
times as likely, up to delta (Our Data, Ourselves: Privacy via Distributed Noise Generation, Dwork et al., EUROCRYPT
2006). A round is a Gaussian mechanism on a Poisson sample of the people, and is accounted for by its Rényi divergences
(Rényi Differential Privacy of the Sampled Gaussian Mechanism, Mironov et al., 2019, by `dp-accounting`). Rounds that
start from a tower which has spent something add to that: epsilons and deltas are summed.

Not part of the promise: how many people there are, what of them the metrics of rounds tell (they are the simulation's
own), choosing among runs, and those who judge the tower without training it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import dp_accounting

from recsys.config.federated import FederatedSettings
from recsys.errors import ConfigError, FederationError

SPENT_EPSILON: Final = "device_epsilon"
SPENT_DELTA: Final = "device_delta"
"""Under these names the manifest of a bundle tells what the training of its device tower has spent."""

_LEAST_NOISE: Final = 0.1
_MOST_NOISE: Final = 1e5
_PRECISION: Final = 1.001


@dataclass(frozen=True)
class Guarantee:
    """What some private rounds promise.

    Attributes:
      epsilon: The bound, over all rounds and what was spent before.
      delta: How likely that bound may fail, over all of them.
      noise_multiplier: Of each round, in units of what one person can change.
      sampling_rate: How likely a person takes part in a round.
      num_people: Who could take part.
      num_rounds: For which the noise was chosen.
      spent_epsilon: By earlier rounds.
      round_delta: The part of `delta` for these rounds.
    """

    epsilon: float
    delta: float
    noise_multiplier: float
    sampling_rate: float
    num_people: int
    num_rounds: int
    spent_epsilon: float
    round_delta: float

    @property
    def mean_cohort(self) -> float:
        """How many people a round draws on average."""
        return self.sampling_rate * self.num_people

    def epsilon_after(self, num_rounds: int) -> float:
        """Returns what is spent after some rounds, and before them."""
        own = measure_epsilon(self.noise_multiplier, self.sampling_rate, num_rounds, self.round_delta)
        return self.spent_epsilon + own

    def check(self, num_rounds: int) -> None:
        """Sees to it that so many rounds keep the promise.

        Raises:
          FederationError: If they do not.
        """
        spent = self.epsilon_after(num_rounds)
        if spent > self.epsilon:
            raise FederationError(
                f"Expected rounds within epsilon {self.epsilon:g}, got {spent:.3g} after round {num_rounds}; the noise "
                f"is for {self.num_rounds} rounds. Start a run that is planned for more."
            )


def plan_rounds(settings: FederatedSettings, num_people: int, spent: Mapping[str, float]) -> Guarantee | None:
    """Returns the least noise with which the planned rounds keep to `privacy.epsilon`; None where that is 0.

    Args:
      settings: Of the rounds and of privacy.
      num_people: Who could take part.
      spent: Metrics of the bundle that the rounds start from.

    Raises:
      FederationError: If its tower has spent it all.
      ConfigError: If no noise is enough, or `aggregation.kind` asks for another way to the mean.
    """
    privacy, rounds = settings.privacy, settings.rounds
    if not privacy.epsilon:
        return None
    if settings.aggregation.kind != "mean":
        raise ConfigError(
            f'`aggregation.kind`: expected "mean" in rounds with `privacy.epsilon`, which clip and add by their own '
            f'rule, got "{settings.aggregation.kind}". Leave out one of both.'
        )
    before = spent.get(SPENT_EPSILON, 0.0)
    if before >= privacy.epsilon:
        raise FederationError(
            f"Expected a device tower that has spent less than epsilon {privacy.epsilon:g}, got {before:.3g}. "
            "Allow more by `--epsilon`, or begin with a new tower: `tandem train`."
        )
    rate = min(1.0, rounds.clients_per_round / num_people)
    noise = find_noise(privacy.epsilon - before, privacy.delta, rate, rounds.num_rounds)
    return Guarantee(
        epsilon=privacy.epsilon,
        delta=privacy.delta + spent.get(SPENT_DELTA, 0.0),
        noise_multiplier=noise,
        sampling_rate=rate,
        num_people=num_people,
        num_rounds=rounds.num_rounds,
        spent_epsilon=before,
        round_delta=privacy.delta,
    )


def measure_epsilon(noise_multiplier: float, rate: float, num_rounds: int, delta: float) -> float:
    """Returns epsilon of some rounds.

    Args:
      noise_multiplier: Standard deviation of the noise, in units of what one person can change.
      rate: How likely each takes part.
      num_rounds: How many.
      delta: How likely epsilon may fail to be a bound.
    """
    if not num_rounds:
        return 0.0
    step = dp_accounting.PoissonSampledDpEvent(rate, dp_accounting.GaussianDpEvent(noise_multiplier))
    accountant = dp_accounting.rdp.RdpAccountant()
    return float(accountant.compose(step, num_rounds).get_epsilon(delta))


def find_noise(epsilon: float, delta: float, rate: float, num_rounds: int) -> float:
    """Returns the least noise multiplier for an epsilon, to a thousandth, never too little.

    Args:
      epsilon: The bound.
      delta: This and the others as of `measure_epsilon`.
      rate: As above.
      num_rounds: As above.

    Raises:
      ConfigError: If no noise is enough.
    """
    low, high = 0.0, _LEAST_NOISE
    while measure_epsilon(high, rate, num_rounds, delta) > epsilon:
        low, high = high, 2 * high
        if high > _MOST_NOISE:
            raise ConfigError(
                f"`privacy.epsilon`: expected a bound that noise can keep over {num_rounds} rounds, got {epsilon:g} at "
                f"delta {delta:g}. Allow more, or plan fewer rounds."
            )
    while low and high / low > _PRECISION:
        middle = (low + high) / 2
        if measure_epsilon(middle, rate, num_rounds, delta) > epsilon:
            low = middle
        else:
            high = middle
    return high
