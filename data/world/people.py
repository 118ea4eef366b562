"""People: what they always like, what holds them these days, when they open the app."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from data.identity import TIER_SHARES, TIERS
from data.world.catalogue import unit
from data.world.clock import DAY_MS, MINUTE_MS, WORLD_START_MS, draw_time_of_day
from recsys.config.data import WorldSettings
from recsys.contracts.arrays import BoolArray, Float32Array, Int32Array, Int64Array
from recsys.contracts.schema import arrow_schema

_NUM_FAVOURITES = 4
"""Categories that make up a long-term taste."""

_PERSISTENCE = 0.75
"""Probability that the interest of a session outlasts it: interests live 1 / (1 - 0.75) = 4 sessions."""

_CURIOSITY = 0.15
"""Probability that a new interest lies outside the favourites."""


@dataclass(frozen=True, eq=False)
class People:
    """Everybody in the world.

    Attributes:
      user_ids: Sorted ids.
      tiers: `[num_users]` int32, indexes of `TIERS`.
      long_term: `[num_users, taste_dim]` float32, of length 1.
      interests: `[num_users, num_sessions]` int32, the category that holds the person in each session.
      starts_ms: `[num_users, num_sessions]` int64, rising, at least `session_ms` apart.
      is_live: `[num_users, num_sessions]` bool, sessions on the livestream surface.
      session_ms: The time that a session may take.
    """

    user_ids: tuple[str, ...]
    tiers: Int32Array
    long_term: Float32Array
    interests: Int32Array
    starts_ms: Int64Array
    is_live: BoolArray
    session_ms: int


def build_people(settings: WorldSettings, centres: Float32Array, rng: np.random.Generator) -> People:
    """Draws the people of a world.

    Args:
      settings: How many, how often, for how long.
      centres: `[num_categories, taste_dim]` float32.
      rng: Their own stream of random numbers.
    """
    shape = (settings.num_users, settings.sessions_per_user)
    num_favourites = min(_NUM_FAVOURITES, settings.num_categories)
    favourites = _draw_favourites(settings.num_users, settings.num_categories, num_favourites, rng)
    weights = rng.dirichlet(np.full(num_favourites, 3.0), size=settings.num_users).astype(np.float32)
    noise = 0.1 * rng.standard_normal((settings.num_users, settings.taste_dim))
    session_ms = min(15 * MINUTE_MS, settings.num_days * DAY_MS // (2 * settings.sessions_per_user))
    width = len(str(settings.num_users))
    return People(
        user_ids=tuple(f"u{number:0{width}d}" for number in range(1, settings.num_users + 1)),
        tiers=rng.choice(len(TIERS), p=TIER_SHARES, size=settings.num_users).astype(np.int32),
        long_term=unit(np.einsum("uf,ufd->ud", weights, centres[favourites]) + noise),
        interests=_draw_interests(favourites, weights, settings, rng),
        starts_ms=_draw_starts(shape, settings.num_days, session_ms, rng),
        is_live=rng.random(shape) < settings.live_share,
        session_ms=session_ms,
    )


def users_table(people: People) -> pa.Table:
    """Returns the people as contract "user"."""
    tiers = pa.array(TIERS, pa.string()).take(pa.array(people.tiers))
    return pa.Table.from_arrays([pa.array(people.user_ids, pa.string()), tiers], schema=arrow_schema("user"))


def _draw_favourites(num_users: int, num_categories: int, count: int, rng: np.random.Generator) -> Int32Array:
    """Distinct categories per person, `[num_users, count]` int32."""
    keys = rng.random((num_users, num_categories))
    return np.argpartition(keys, count - 1, axis=1)[:, :count].astype(np.int32)


def _draw_interests(
    favourites: Int32Array, weights: Float32Array, settings: WorldSettings, rng: np.random.Generator
) -> Int32Array:
    """A chain per person: an interest lasts some sessions, then another, mostly familiar, takes over."""
    shape = (settings.num_users, settings.sessions_per_user)
    edges = np.cumsum(weights, axis=1)[:, None, :-1]
    pick = (rng.random(shape)[:, :, None] > edges).sum(axis=2)
    familiar = np.take_along_axis(favourites, pick, axis=1)
    curious = rng.random(shape) < _CURIOSITY
    fresh = np.where(curious, rng.integers(settings.num_categories, size=shape), familiar)
    changes = rng.random(shape) > _PERSISTENCE
    changes[:, 0] = True
    since = np.maximum.accumulate(np.where(changes, np.arange(shape[1]), 0), axis=1)
    return np.take_along_axis(fresh, since, axis=1).astype(np.int32)


def _draw_starts(shape: tuple[int, int], num_days: int, session_ms: int, rng: np.random.Generator) -> Int64Array:
    days = rng.integers(num_days, size=shape) * DAY_MS
    starts = np.sort(WORLD_START_MS + days + draw_time_of_day(rng, shape), axis=1)
    # A session that would begin within the one before it waits for its end.
    slack = np.arange(shape[1]) * session_ms
    return np.maximum.accumulate(starts - slack, axis=1) + slack
