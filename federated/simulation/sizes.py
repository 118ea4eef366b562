"""How large a tower each device trains: the largest of some sizes that its tier's budgets hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from federated.simulation.packed.encodings import FLOAT_BYTES
from recsys.config.federated import FederatedSettings
from recsys.contracts.arrays import Float32Array
from recsys.errors import ConfigError
from recsys.models.per_user_tower import device_weight_shapes
from recsys.models.sub_block import mask_weights, shrink


@dataclass(frozen=True)
class Sizes:
    """Sizes of towers, and who has which.

    Attributes:
      of_user: User to the place of the size in `tiers.sizes`.
      masks: Of each weight `[num_sizes, …]` float32, 1 within the block of a size and else 0.
    """

    of_user: Mapping[str, int]
    masks: tuple[Float32Array, ...]


def plan_sizes(
    user_ids: Iterable[str], tiers: Mapping[str, str], dim: int, settings: FederatedSettings
) -> Sizes | None:
    """Returns everybody's size; None where no tier has a budget, so that all train the whole tower.

    Args:
      user_ids: Who could take part.
      tiers: User to tier; whoever is of a tier without a budget where others have one gets the tightest of them.
      dim: Length of a vector.
      settings: Of the device, the tiers, and how long a tier takes.

    Raises:
      ConfigError: If not even the smallest tower is within a budget, or the rounds average in another way.
    """
    budgets = settings.tiers
    if not budgets.weight_bytes and not budgets.example_ms:
        return None
    _check(settings)
    names = {user_id: tiers.get(user_id, "") for user_id in user_ids}
    size_of_tier = {tier: choose_size(tier, dim, settings) for tier in set(names.values())}
    masks = zip(*(mask_weights(dim, settings.device, size) for size in budgets.sizes), strict=True)
    return Sizes(
        of_user={user_id: size_of_tier[tier] for user_id, tier in names.items()},
        masks=tuple(np.stack(own) for own in masks),
    )


def choose_size(tier: str, dim: int, settings: FederatedSettings) -> int:
    """Returns the place in `tiers.sizes` of the largest size within a tier's budgets; arguments as of `plan_sizes`.

    Raises:
      ConfigError: If none is.
    """
    budgets, times = settings.tiers, settings.population.example_ms
    max_bytes, max_ms = (_look_up(budget, tier, min, math.inf) for budget in (budgets.weight_bytes, budgets.example_ms))
    whole_ms = _look_up(times, tier, max, math.inf)
    whole = count_products(dim, settings, 1.0)
    fitting = [
        place
        for place, size in enumerate(budgets.sizes)
        if count_bytes(dim, settings, size) <= max_bytes
        and (max_ms == math.inf or whole_ms * count_products(dim, settings, size) / whole <= max_ms)
    ]
    if not fitting:
        smallest = budgets.sizes[0]
        share = count_products(dim, settings, smallest) / whole
        raise ConfigError(
            f"Expected budgets of tier {tier or 'unknown'!r} that hold the smallest tower, size {smallest:g} with "
            f"{count_bytes(dim, settings, smallest)} bytes and {whole_ms * share:.3g} ms an example, got {max_bytes:g} "
            f"bytes and {max_ms:g} ms. Raise `tiers.weight_bytes` or `tiers.example_ms`, or put a smaller one into "
            "`tiers.sizes`."
        )
    return fitting[-1]


def count_bytes(dim: int, settings: FederatedSettings, size: float) -> int:
    """Returns what the weights of a tower of a size take as float32."""
    shapes = device_weight_shapes(dim, shrink(settings.device, size))
    return FLOAT_BYTES * sum(math.prod(shape) for shape in shapes)


def count_products(dim: int, settings: FederatedSettings, size: float) -> int:
    """Returns how many products a tower of a size takes to score a candidate: its kernels, and the attention."""
    shapes = device_weight_shapes(dim, shrink(settings.device, size))
    kernels = sum(math.prod(shape) for shape in shapes if len(shape) > 1)
    return kernels + 2 * settings.device.history_length * dim


def _check(settings: FederatedSettings) -> None:
    kind, algorithm = settings.aggregation.kind, settings.rounds.algorithm
    if kind != "mean" or settings.privacy.epsilon or algorithm == "fed_recon":
        raise ConfigError(
            "Expected `aggregation.kind` to be mean, `privacy.epsilon` 0 and an algorithm other than fed_recon where "
            "`tiers` sets budgets, because each weight is averaged over those who have it alone, got "
            f"{kind}, {settings.privacy.epsilon:g} and {algorithm}. Change these, or empty the budgets."
        )


def _look_up(values: Mapping[str, float], tier: str, weakest: Callable[..., float], absent: float) -> float:
    """The value of a tier; of a tier that is not named that of the weakest, and without any names `absent`."""
    return values[tier] if tier in values else weakest(values.values(), default=absent)
