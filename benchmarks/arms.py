"""The models that are compared, by name, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.baselines.blend import Blend
from benchmarks.baselines.cold_start import PopularityWhenCold
from benchmarks.baselines.ease import Ease, Recency
from benchmarks.baselines.ials import Ials
from benchmarks.baselines.item_knn import ItemKnn
from benchmarks.baselines.popularity import Popularity
from benchmarks.baselines.recommender import ItemToItem, Recommender
from benchmarks.baselines.transitions import Transitions
from benchmarks.settings import BaselineSettings
from recsys.errors import ConfigError

RETRIEVAL, RANKER = "tandem_retrieval", "tandem_ranker"


@dataclass(frozen=True)
class Arm:
    """One model of the comparison.

    Attributes:
      label: For people.
      build: Makes the baseline; None for Tandem's own models, which a pipeline makes.
      is_random: Whether another seed gives another model.
    """

    label: str
    build: Callable[[BaselineSettings], Recommender] | None
    is_random: bool = False


def _recent_ease(settings: BaselineSettings) -> Ease:
    return Ease(settings.recency_ease_l2, Recency(settings.recency_floor, settings.recency_half_life))


def _transitions(settings: BaselineSettings) -> Transitions:
    return Transitions(
        settings.transition_window,
        settings.transition_decay,
        settings.transition_half_life,
        settings.transition_popularity,
    )


def _ease(settings: BaselineSettings) -> Ease:
    return Ease(settings.ease_l2)


def _blend(settings: BaselineSettings) -> Blend:
    return Blend(_transitions(settings), _recent_ease(settings), _ease(settings))


def _ials(settings: BaselineSettings) -> Recommender:
    return Ials(settings.ials_factors, settings.ials_l2, settings.ials_alpha, settings.ials_iterations)


def _warm(build: Callable[[BaselineSettings], Recommender]) -> Callable[[BaselineSettings], Recommender]:
    return lambda settings: PopularityWhenCold(build(settings))


ITEM_TO_ITEM: Final[dict[str, Callable[[BaselineSettings], ItemToItem]]] = {
    "ease": _ease,
    "transitions": _transitions,
    "blend": _blend,
}
"""Of the baselines, those that can be asked about any history; what is popular is not theirs to say."""

ARMS: Final[dict[str, Arm]] = {
    "popularity": Arm("popularity, all time", lambda _: Popularity()),
    "recent_popularity": Arm("popularity, recent", lambda settings: Popularity(settings.recent_share)),
    "item_knn": Arm("ItemKNN", _warm(lambda settings: ItemKnn(settings.knn_neighbours, settings.knn_shrinkage))),
    "ease": Arm("EASE^R", _warm(_ease)),
    "recent_ease": Arm("EASE^R, recency-weighted", _warm(_recent_ease)),
    "ials": Arm("iALS", _warm(_ials), is_random=True),
    "transitions": Arm("item transitions", _warm(_transitions)),
    "blend": Arm("blend", _warm(_blend)),
    RETRIEVAL: Arm("Tandem retrieval", None, is_random=True),
    RANKER: Arm("Tandem retrieval + ranker", None, is_random=True),
}


def choose_arms(names: str | None) -> tuple[str, ...]:
    """Returns the names of arms, in the order of the table.

    Args:
      names: Separated by commas; None means all.

    Raises:
      ConfigError: If one is unknown.
    """
    if names is None:
        return tuple(ARMS)
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in ARMS]
    if unknown or not wanted:
        raise ConfigError(f"Expected arms out of {', '.join(ARMS)}, got {', '.join(unknown) or 'none'}.")
    return tuple(name for name in ARMS if name in wanted)
