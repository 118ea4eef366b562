"""Whom a new order harms: people who would have been served better by the same lists in another one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from federated.device.gate import Order
from federated.simulation.replay import UserReplay
from recsys.contracts.arrays import Float64Array
from recsys.metrics.intervals import Interval, bootstrap_lowest, bootstrap_mean

WORST_SHARE: Final = 0.1


@dataclass(frozen=True)
class Harm:
    """What an arm does to single people, against the same lists in another order.

    Attributes:
      against: The arm that shows that.
      share_harmed: Of people whose NDCG@10 is lower.
      share_helped: Of people whose NDCG@10 is higher.
      worst_tenth: Mean change of NDCG@10 of the tenth of people who lose most.
      orders: Of a gated arm, the share of people to whom it shows each order.
    """

    against: str
    share_harmed: Interval
    share_helped: Interval
    worst_tenth: Interval
    orders: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Returns the figures as one JSON-ready object."""
        intervals = {name: getattr(self, name).to_json() for name in ("share_harmed", "share_helped", "worst_tenth")}
        return {"against": self.against, **intervals} | ({"orders": self.orders} if self.orders else {})


def measure_harm(
    ndcg: Mapping[str, Float64Array], replays: Sequence[UserReplay], pairs: Mapping[str, str], seed: int
) -> dict[str, Harm]:
    """Returns what arms do against others.

    Args:
      ndcg: Arm to `[num_users]` float64.
      replays: Of the same people.
      pairs: Arm to the one that it is compared with.
      seed: Of the bootstrap.
    """
    result = {}
    for arm, base in pairs.items():
        change = ndcg[arm] - ndcg[base]
        chosen = Counter(replay.orders[arm] for replay in replays if arm in replay.orders)
        result[arm] = Harm(
            against=base,
            share_harmed=bootstrap_mean((change < 0).astype(float), seed),
            share_helped=bootstrap_mean((change > 0).astype(float), seed),
            worst_tenth=bootstrap_lowest(change, WORST_SHARE, seed),
            orders={order.value: chosen[order] / len(replays) for order in Order} if chosen else {},
        )
    return result
