"""Settings of the baselines; a protocol that chose others on its validation part says so in its module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias


@dataclass(frozen=True)
class BaselineSettings:
    """The defaults are those of P2 (iALS: not searched there)."""

    recent_share: float = 0.1
    """Share of all events, the latest, that recent popularity counts."""
    knn_neighbours: int = 20
    knn_shrinkage: float = 20.0
    ease_l2: float = 200.0
    """Also of the plain EASE within the blend."""
    recency_ease_l2: float = 400.0
    recency_floor: float = 0.05
    recency_half_life: float = 3.0
    transition_window: int = 30
    transition_decay: float = 0.8
    transition_half_life: float = 2.0
    transition_popularity: float = 0.15
    """Power of an item's count that its score is divided by."""
    ials_factors: int = 64
    ials_l2: float = 0.1
    ials_alpha: float = 1.0
    ials_iterations: int = 15


PipelineSettings: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Section of `CloudSettings` to key to value."""

HOLD_OUT_LATEST: Final[PipelineSettings] = {"prepare": {"max_validation_positives": 1}}
"""Where each user's last item but the test's is the validation item."""
