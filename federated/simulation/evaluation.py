"""`tandem evaluate`: the held-out period, per user and per device tier, cloud against cloud and device."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from federated.simulation.arms import ARMS, BOUNDS, LOCAL, RERANKED
from federated.simulation.distribution import distribute
from federated.simulation.groups import CUT, Group, measure_groups, measure_lowest
from federated.simulation.harm import Harm, measure_harm
from federated.simulation.replay import UserReplay
from federated.simulation.replay_pool import replay_all
from federated.simulation.rivals import Rivals
from recsys.config.federated import FederatedSettings
from recsys.contracts.arrays import Float64Array, Int32Array
from recsys.contracts.events import Surface
from recsys.errors import WorkspaceError
from recsys.metrics.intervals import Interval, compare
from recsys.metrics.ranking import hit_at, ndcg_at
from recsys.progress import Progress, Silent
from recsys.storage.registry import Bundle, BundleRegistry
from recsys.storage.workspace import DatasetCard, Workspace

PAIRS: Final = (
    ("cloud_query", "cloud_only"),
    ("cloud_device", "cloud_only"),
    ("full_loop", "cloud_only"),
    ("full_loop", "cloud_query"),
    ("cloud_personal", "cloud_device"),
    ("cloud_gated", "cloud_device"),
    ("loop_gated", "full_loop"),
    ("cloud_gated", "cloud_only"),
    ("loop_gated", "cloud_only"),
    ("loop_gated", "cloud_query"),
    ("cloud_only", "popularity"),
)
_TIER_ORDER: Final = {"low": 0, "mid": 1, "high": 2}
_RANK_METRICS: Final[Mapping[str, Callable[[Int32Array, int], Float64Array]]] = {
    "ndcg_at_10": ndcg_at,
    "hit_rate_at_10": hit_at,
}


@dataclass(frozen=True)
class Evaluation:
    """Results of one evaluation.

    Attributes:
      arms: arm to metric to interval over users.
      differences: "a-b" to metric to interval of the paired difference per user.
      tiers: device tier to arm to NDCG@10.
      surfaces: surface to arm to NDCG@10, over users with a held-out event there.
      harmed: arm to the share of users whose NDCG@10 is lower than under `cloud_only`.
      reranking: arm in which the device re-ranks, to what that does to single users, against the cloud's order.
      personalisation: arm in which their own choices decide, to what that does to them, against the global tower.
      lowest_tenth: arm to NDCG@10 of the tenth of people with the lowest there.
      groups: people whom the averages hide, see `groups`.
      num_auc_skipped: users without a list that has both classes.
      user_ndcg: arm to `[num_users]` float64, for plots.
      distributions: how many people have which NDCG@10 and which gain, see `distribute`.
    """

    card: DatasetCard
    bundle_version: str
    seed: int
    seconds: float
    num_users: int
    num_events: int
    num_auc_skipped: int
    arms: dict[str, dict[str, Interval]]
    differences: dict[str, dict[str, Interval]]
    tiers: dict[str, dict[str, Interval]]
    surfaces: dict[str, dict[str, Interval]]
    harmed: dict[str, float]
    reranking: dict[str, Harm]
    personalisation: dict[str, Harm]
    lowest_tenth: dict[str, Interval]
    groups: dict[str, Group]
    user_ndcg: dict[str, Float64Array]
    distributions: dict[str, dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """Returns the result as one JSON-ready object."""
        return {
            "dataset": self.card.name,
            "split": self.card.split,
            "split_fingerprint": self.card.split_fingerprint,
            "bundle_version": self.bundle_version,
            "seed": self.seed,
            "seconds": round(self.seconds, 2),
            "num_users": self.num_users,
            "num_events": self.num_events,
            "num_users_skipped_in_auc": self.num_auc_skipped,
            "arms": _nested_json(self.arms),
            "differences": _nested_json(self.differences),
            "tiers": _nested_json(self.tiers),
            "surfaces": _nested_json(self.surfaces),
            "share_harmed": self.harmed,
            "reranking": {arm: harm.to_json() for arm, harm in self.reranking.items()},
            "personalisation": {arm: harm.to_json() for arm, harm in self.personalisation.items()},
            "lowest_tenth": {arm: interval.to_json() for arm, interval in self.lowest_tenth.items()},
            "groups": {name: group.to_json() for name, group in self.groups.items()},
            "distributions": self.distributions,
        }


def evaluate(
    workspace: Workspace,
    *,
    seed: int,
    settings: FederatedSettings | None = None,
    progress: Progress | None = None,
    max_users: int | None = None,
    version: str | None = None,
    rivals: Rivals | None = None,
    pairs: Sequence[tuple[str, str]] = PAIRS,
) -> Evaluation:
    """Replays the held-out period of every user (or a seeded sample) against a published bundle.

    Args:
      workspace: With a dataset and a bundle.
      seed: Of the user sample, of what personalisation draws and of the bootstrap.
      settings: How devices make the tower their own and what gates that; the defaults where it is None.
      progress: Told after every user.
      max_users: At most so many users; all of them where it is None.
      version: Of the bundle; the current one where it is None.
      rivals: Simple models, asked about the same events (`arms.SIMPLE`); None where there are none.
      pairs: Arms whose difference is told.

    Raises:
      WorkspaceError: If there is no dataset, no bundle, or nobody has a held-out event.
      BundleError: If the bundle is altered.
    """
    progress = progress or Silent()
    started = time.perf_counter()
    card = workspace.read_card()
    registry = BundleRegistry(workspace)
    bundle = registry.open(version) if version else registry.current()
    replays: list[UserReplay] = []
    progress.stage("replaying the held-out period")
    settings = settings or FederatedSettings()
    for done, total, latest in replay_all(workspace, bundle, settings, max_users, seed, rivals=rivals):
        replays.extend(latest)
        progress.advance(done, of_users=total)
    if not replays:
        raise WorkspaceError(
            "Expected users with held-out events, got none. Ingest a dataset with longer histories, "
            "or lower `split.min_positives`."
        )
    return _summarise(replays, pairs, card, bundle, seed, started)


def _summarise(
    replays: Sequence[UserReplay],
    pairs: Sequence[tuple[str, str]],
    card: DatasetCard,
    bundle: Bundle,
    seed: int,
    started: float,
) -> Evaluation:
    values = _user_values(replays)
    arms, differences = compare(values, [pair for pair in pairs if pair[1] in values], seed)
    ndcg = {arm: metrics["ndcg_at_10"] for arm, metrics in values.items()}
    return Evaluation(
        card=card,
        bundle_version=bundle.manifest.version,
        seed=seed,
        seconds=time.perf_counter() - started,
        num_users=len(replays),
        num_events=sum(len(replay.surfaces) for replay in replays),
        num_auc_skipped=sum(not replay.aucs for replay in replays),
        arms=arms,
        differences=differences,
        tiers=_by_tier(replays, ndcg, seed),
        surfaces=_by_surface(replays, seed),
        harmed={arm: float((ndcg[arm] < ndcg["cloud_only"]).mean()) for arm in ARMS[1:]},
        reranking=measure_harm(ndcg, replays, RERANKED, seed),
        personalisation=measure_harm(ndcg, replays, LOCAL, seed),
        lowest_tenth=measure_lowest(ndcg, seed),
        groups=measure_groups(replays, ndcg, seed),
        user_ndcg=ndcg,
        distributions=distribute(ndcg, [replay.tier for replay in replays]),
    )


def _user_values(replays: Sequence[UserReplay]) -> dict[str, dict[str, Float64Array]]:
    """Arm to metric to one mean per user; the AUC is NaN where a user has no list with both classes."""
    values: dict[str, dict[str, Float64Array]] = {}
    told = replays[0].ranks
    for arm in dict.fromkeys((*(arm for arm in (*ARMS, *BOUNDS) if arm in told), *told)):
        ranks = [np.asarray(replay.ranks[arm], np.int32) for replay in replays]
        values[arm] = {
            metric: np.asarray([gain(user, CUT).mean() for user in ranks]) for metric, gain in _RANK_METRICS.items()
        }
        if any(arm in replay.aucs for replay in replays):
            values[arm]["user_auc"] = np.asarray(
                [np.mean(replay.aucs[arm]) if arm in replay.aucs else np.nan for replay in replays]
            )
    return values


def _by_tier(
    replays: Sequence[UserReplay], ndcg: Mapping[str, Float64Array], seed: int
) -> dict[str, dict[str, Interval]]:
    tiers = np.asarray([replay.tier for replay in replays])
    result = {}
    for tier in sorted(set(tiers.tolist()), key=lambda name: (_TIER_ORDER.get(name, len(_TIER_ORDER)), name)):
        rows = tiers == tier
        arms, _ = compare({arm: {"ndcg": values[rows]} for arm, values in ndcg.items()}, [], seed)
        result[tier] = {arm: metrics["ndcg"] for arm, metrics in arms.items()}
    return result


def _by_surface(replays: Sequence[UserReplay], seed: int) -> dict[str, dict[str, Interval]]:
    result = {}
    for surface in Surface:
        values: dict[str, list[float]] = {}
        for replay in replays:
            rows = [row for row, where in enumerate(replay.surfaces) if where is surface]
            for arm, ranks in replay.ranks.items():
                if rows:
                    gains = ndcg_at(np.asarray(ranks, np.int32)[rows], CUT)
                    values.setdefault(arm, []).append(float(gains.mean()))
        if values:
            arms, _ = compare({arm: {"ndcg": np.asarray(users)} for arm, users in values.items()}, [], seed)
            result[surface.value] = {arm: metrics["ndcg"] for arm, metrics in arms.items()}
    return result


def _nested_json(intervals: Mapping[str, Mapping[str, Interval]]) -> dict[str, dict[str, dict[str, float]]]:
    return {outer: {name: interval.to_json() for name, interval in inner.items()} for outer, inner in intervals.items()}
