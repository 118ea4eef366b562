"""People whom an average over all hides: those who are served worst, and those of the long tail.

Three views, each of NDCG@10. *Lowest tenth*: in every arm the tenth of people with the lowest value there, whoever they
are. *Worst served*: one tenth of people, the same in every arm, whom the cloud alone serves worst. Who has been unlucky
looks badly served, and will look better under anything else; so every second held-out event of a person tells whether
they belong to the group, and only the others are judged. *Long tail*: the fifth of people with the largest share of
long-tail items among their choices before the held-out period, the "niche" people of Abdollahpouri, Mansoury, Burke and
Mobasher, "The Unfairness of Popularity Bias in Recommendation" (RMSE workshop at RecSys 2019), as is what the long tail
is: all items but the most popular fifth. Deviation: popularity is counted over what the cloud knows, of items that were
ever chosen, so that a catalogue may grow without anybody's moving into another group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from federated.simulation.harm import WORST_SHARE
from federated.simulation.replay import UserReplay
from recsys.contracts.arrays import Float64Array, Int64Array
from recsys.metrics.intervals import Interval, bootstrap_lowest, bootstrap_mean
from recsys.metrics.ranking import ndcg_at

BASELINE: Final = "cloud_only"
LONG_TAIL, WORST_SERVED = "long_tail", "worst_served"
CUT: Final = 10
LONG_TAIL_SHARE: Final = 0.2

_WHOLE_LIST: Final = 2**30


@dataclass(frozen=True)
class Group:
    """How some people fare.

    Attributes:
      num_users: How many they are.
      ndcg: arm to NDCG@10.
      gains: arm to the paired difference in NDCG@10 from the cloud alone.
      harmed: arm to the share of them whose NDCG@10 is lower than under the cloud alone.
    """

    num_users: int
    ndcg: dict[str, Interval]
    gains: dict[str, Interval]
    harmed: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Returns the figures as one JSON-ready object."""
        return {
            "num_users": self.num_users,
            "ndcg_at_10": {arm: interval.to_json() for arm, interval in self.ndcg.items()},
            "gain_over_cloud_only": {arm: interval.to_json() for arm, interval in self.gains.items()},
            "share_harmed": self.harmed,
        }


def measure_lowest(ndcg: Mapping[str, Float64Array], seed: int) -> dict[str, Interval]:
    """Returns, for each arm, the mean NDCG@10 of the tenth of people with the lowest.

    Args:
      ndcg: Arm to `[num_users]` float64.
      seed: Of the bootstrap.
    """
    return {arm: bootstrap_lowest(values, WORST_SHARE, seed) for arm, values in ndcg.items()}


def measure_groups(replays: Sequence[UserReplay], ndcg: Mapping[str, Float64Array], seed: int) -> dict[str, Group]:
    """Returns how the worst served and those of the long tail fare; a group that nobody can be in is left out.

    Args:
      replays: Of all people.
      ndcg: Arm to `[num_users]` float64, of the same people.
      seed: Of the bootstrap.
    """
    groups = {}
    often = [replay for replay in replays if len(replay.surfaces) > 1]
    if often:
        worst = [often[row] for row in find_worst_served(often)]
        judged = {arm: np.asarray([_gain(replay, arm, 1, CUT) for replay in worst]) for arm in ndcg}
        groups[WORST_SERVED] = _measure(judged, seed)
    tail = find_long_tail(replays)
    if len(tail):
        groups[LONG_TAIL] = _measure({arm: values[tail] for arm, values in ndcg.items()}, seed)
    return groups


def find_worst_served(replays: Sequence[UserReplay]) -> Int64Array:
    """Returns the rows of the tenth of people whom the cloud alone serves worst at their first, third, ... event.

    Of people with equal NDCG@10 those come first whose chosen items lie further down the whole list.

    Args:
      replays: Of people with at least one held-out event.
    """
    first = [_gain(replay, BASELINE, 0, CUT) for replay in replays]
    whole = [_gain(replay, BASELINE, 0, _WHOLE_LIST) for replay in replays]
    return np.lexsort((whole, first))[: max(1, round(WORST_SHARE * len(replays)))]


def find_long_tail(replays: Sequence[UserReplay]) -> Int64Array:
    """Returns the rows of the fifth of people with the largest share of long-tail items among their earlier choices."""
    shares = np.asarray([np.nan if replay.tail_share is None else replay.tail_share for replay in replays])
    known = np.flatnonzero(~np.isnan(shares))
    count = int(np.ceil(LONG_TAIL_SHARE * len(known)))
    return known[np.argsort(-shares[known], kind="stable")[:count]]


def _gain(replay: UserReplay, arm: str, start: int, cut: int) -> float:
    """Mean NDCG of every second held-out event."""
    return float(ndcg_at(np.asarray(replay.ranks[arm][start::2], np.int32), cut).mean())


def _measure(ndcg: Mapping[str, Float64Array], seed: int) -> Group:
    changes = {arm: values - ndcg[BASELINE] for arm, values in ndcg.items() if arm != BASELINE}
    return Group(
        num_users=len(ndcg[BASELINE]),
        ndcg={arm: bootstrap_mean(values, seed) for arm, values in ndcg.items()},
        gains={arm: bootstrap_mean(values, seed) for arm, values in changes.items()},
        harmed={arm: float((values < 0).mean()) for arm, values in changes.items()},
    )
