"""Time in the synthetic world."""

from __future__ import annotations

import numpy as np

from recsys.contracts.arrays import Int64Array

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

WORLD_START_MS = 1_736_121_600_000
"""2025-01-06 00:00 UTC, a Monday."""


def draw_time_of_day(rng: np.random.Generator, shape: tuple[int, ...]) -> Int64Array:
    """Returns `shape` int64 milliseconds since midnight, most of them in the evening."""
    return (rng.beta(5.0, 2.2, size=shape) * DAY_MS).astype(np.int64)
