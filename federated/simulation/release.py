"""Whether a new device tower is released: only if it orders better what people chose who took no part in its rounds.

Beside it stands what it would replace: the current tower, or the cloud's own order where no round has moved that tower
yet. Both are judged on the same lists, person by person. The test period is not touched: it is `tandem evaluate`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from recsys.config.federated import ReleaseSettings
from recsys.contracts.arrays import Float64Array
from recsys.metrics.intervals import Interval, bootstrap_mean

CLOUD_ONLY: Final = "cloud_only"
BEFORE: Final = "before"
AFTER: Final = "after"

_NAMES: Final = {CLOUD_ONLY: "the order of the cloud alone", BEFORE: "the current tower"}


@dataclass(frozen=True)
class Release:
    """What was decided about a tower, and why.

    Attributes:
      is_better: Whether it passed.
      is_released: Whether it is published: because it passed, or anyway.
      compared_with: `before`, the current tower; `cloud_only` where that is untrained.
      difference: NDCG@10 of the new tower less that of what it would replace, over people.
      tolerance: How far below 0 the interval may begin.
      num_users: People who judged.
    """

    is_better: bool
    is_released: bool
    compared_with: str
    difference: Interval
    tolerance: float
    num_users: int

    def explain(self) -> str:
        """Returns a sentence for a person."""
        gain = f"{self.difference.mean:+.4f} ({self.difference.low:+.4f} to {self.difference.high:+.4f})"
        measured = f"NDCG@10 of {self.num_users:,} held-out people is {gain} against {_NAMES[self.compared_with]}"
        if self.is_better:
            return f"Released: {measured}."
        wanted = f"a release needs a mean above 0 and an interval from {-self.tolerance:g} up"
        return f"{'Released anyway' if self.is_released else 'Not released'}: {measured}; {wanted}."


def decide(ndcg: Mapping[str, Float64Array], *, is_first: bool, settings: ReleaseSettings, seed: int) -> Release:
    """Returns the decision about the tower `after`.

    It passes if the mean of the paired differences is above 0, and its 95 % bootstrap interval over people begins at
    `-tolerance` at least.

    Args:
      ndcg: `cloud_only`, `before` and `after` to `[num_users]` float64, the same people in the same order.
      is_first: Whether the current tower is one that no round has moved.
      settings: The tolerance, and whether it is published anyway.
      seed: Of the bootstrap.

    Raises:
      ContractError: If there is nobody.
    """
    compared_with = CLOUD_ONLY if is_first else BEFORE
    difference = bootstrap_mean(ndcg[AFTER] - ndcg[compared_with], seed)
    is_better = difference.mean > 0 and difference.low >= -settings.tolerance
    return Release(
        is_better=is_better,
        is_released=is_better or settings.publish_anyway,
        compared_with=compared_with,
        difference=difference,
        tolerance=settings.tolerance,
        num_users=len(ndcg[AFTER]),
    )
