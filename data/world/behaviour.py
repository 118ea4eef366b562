"""What is shown and what people do about it, session by session, for a block of people at once.

A mediocre logging policy fills each slate: a mixture of long-term taste, the mood of the moment, popularity and
chance, drawn without replacement by the Gumbel top-k trick (Kool, van Hoof and Welling, "Stochastic Beams and Where to
Find Them", ICML 2019). A person examines slot p with probability (1 + p) ** -position_bias and clicks an examined item
with the probability that `data.truth.click_probability` gives. Each impression draws at most one response, the deepest
one, and the feed never shows again what was responded to, so that a person's positives on the feed do not repeat.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.truth import blend_tastes, click_probability
from data.world.catalogue import WorldCatalogue
from data.world.clock import SECOND_MS
from data.world.people import People
from data.world.schedule import Schedule
from recsys.config.data import WorldSettings
from recsys.contracts.arrays import BoolArray, Float32Array, Int8Array, Int32Array, Int64Array
from recsys.contracts.events import ACTION_CODES

_POOL_SIZE = 1_536
"""Feed items that the policy considers for one session of a block; larger catalogues are sampled anew each time."""

_TASTE_SHARE, _MOMENT_SHARE, _POPULAR_SHARE = 0.3, 0.4, 0.2
"""Shares of the logging policy; the rest is chance."""

_TASTE_SHARPNESS = 18.0
_RESPONSES = ("click", "long_view", "like", "follow", "comment", "share", "gift")
_FEED_SHARES = (0.45, 0.32, 0.12, 0.04, 0.04, 0.03, 0.0)
_LIVE_SHARES = (0.35, 0.33, 0.08, 0.07, 0.10, 0.02, 0.05)
_DISLIKE_RATE = 0.02


@dataclass(frozen=True, eq=False)
class Responses:
    """Events as columns, `[num_events]` each; `value` is NaN and `room_day` -1 where there is none."""

    user: Int32Array
    item: Int32Array
    action: Int8Array
    value: Float32Array
    timestamp_ms: Int64Array
    position: Int32Array
    room_day: Int64Array


@dataclass(frozen=True, eq=False)
class _Slate:
    """`[num_users, num_slots]` each: catalogue rows, whether the slot is filled, days of the rooms (-1 on the feed)."""

    items: Int64Array
    filled: BoolArray
    room_days: Int64Array


class Block:
    """A block of people who live through their sessions side by side."""

    def __init__(
        self,
        settings: WorldSettings,
        catalogue: WorldCatalogue,
        schedule: Schedule,
        people: People,
        rows: slice,
        rng: np.random.Generator,
    ) -> None:
        """Takes the people of `rows`.

        Args:
          settings: The world's.
          catalogue: What can be shown.
          schedule: Who is live when.
          people: Everybody.
          rows: Which of them this block holds.
          rng: The block's own stream of random numbers.
        """
        self._settings, self._catalogue, self._schedule, self._rng = settings, catalogue, schedule, rng
        self._first = rows.start
        self._long_term = people.long_term[rows]
        self._interests = people.interests[rows]
        self._starts_ms = people.starts_ms[rows]
        self._is_live = people.is_live[rows]
        self._slot_ms = min(30 * SECOND_MS, people.session_ms // (settings.slots_per_session + 1))
        self._seen = np.zeros((len(self._long_term), catalogue.num_feed), np.bool_)

    def live(self) -> list[Responses]:
        """Returns what happens in each session, in order."""
        return [self._live_session(session) for session in range(self._starts_ms.shape[1])]

    def _live_session(self, session: int) -> Responses:
        users = np.arange(len(self._long_term))
        live = self._is_live[:, session]
        interest = self._catalogue.centres[self._interests[:, session]]
        tastes = blend_tastes(self._long_term, interest, self._settings.drift)
        parts = []
        for members, show in ((users[~live], self._show_feed), (users[live], self._show_live)):
            if len(members):
                starts_ms = self._starts_ms[members, session]
                parts.append(
                    self._respond(members, show(members, tastes[members], starts_ms), tastes[members], starts_ms)
                )
        return concatenate(parts)

    def _show_feed(self, members: Int64Array, tastes: Float32Array, starts_ms: Int64Array) -> _Slate:
        del starts_ms  # The feed is always open.
        num_feed = self._catalogue.num_feed
        pool = (
            np.arange(num_feed)
            if num_feed <= _POOL_SIZE
            else self._rng.choice(num_feed, size=_POOL_SIZE, replace=False, shuffle=False)
        )
        picks, filled = self._pick(members, tastes, pool, ~self._seen[np.ix_(members, pool)])
        items = pool[picks]
        return _Slate(items, filled, np.full(items.shape, -1, np.int64))

    def _show_live(self, members: Int64Array, tastes: Float32Array, starts_ms: Int64Array) -> _Slate:
        last_ms = starts_ms + self._settings.slots_per_session * self._slot_ms
        days = self._schedule.open_days(starts_ms, last_ms)
        pool = self._catalogue.num_feed + np.arange(days.shape[1])
        picks, filled = self._pick(members, tastes, pool, days >= 0)
        return _Slate(pool[picks], filled, np.take_along_axis(days, picks, axis=1))

    def _pick(
        self, members: Int64Array, tastes: Float32Array, pool: Int64Array, allowed: BoolArray
    ) -> tuple[Int64Array, BoolArray]:
        """Draws a slate out of the allowed part of the pool, without replacement, from the policy's mixture."""
        factors = self._catalogue.factors[pool].T
        chances = (
            _TASTE_SHARE * _softmax(_TASTE_SHARPNESS * self._long_term[members] @ factors)
            + _MOMENT_SHARE * _softmax(_TASTE_SHARPNESS * tastes @ factors)
            + _POPULAR_SHARE * _softmax(self._catalogue.popularity[pool])
            + (1.0 - _TASTE_SHARE - _MOMENT_SHARE - _POPULAR_SHARE) / len(pool)
        )
        noise = self._rng.standard_exponential(chances.shape, dtype=np.float32)
        # argmin of Exp(1) / p is distributed as p (the Gumbel trick without its two logarithms).
        keys = np.where(allowed, noise / chances, np.inf)
        num_slots = min(self._settings.slots_per_session, len(pool))
        nearest = np.argpartition(keys, num_slots - 1, axis=1)[:, :num_slots]
        order = np.argsort(np.take_along_axis(keys, nearest, axis=1), axis=1, kind="stable")
        picks = np.take_along_axis(nearest, order, axis=1)
        return picks, np.take_along_axis(allowed, picks, axis=1)

    def _respond(self, members: Int64Array, slate: _Slate, tastes: Float32Array, starts_ms: Int64Array) -> Responses:
        """Returns the impressions of a slate and the responses to it."""
        rng, shape = self._rng, slate.items.shape
        cosine = np.einsum("usd,ud->us", self._catalogue.factors[slate.items], tastes)
        relevance = click_probability(cosine, self._catalogue.appeal[slate.items])
        position = np.broadcast_to(np.arange(shape[1]), shape)
        examined = slate.filled & (rng.random(shape) < (1.0 + position) ** -self._settings.position_bias)
        clicked = examined & (rng.random(shape) < relevance)
        disliked = examined & ~clicked & (rng.random(shape) < _DISLIKE_RATE * (1.0 - relevance))
        seen = (clicked | disliked) & (slate.room_days < 0)
        self._seen[np.broadcast_to(members[:, None], shape)[seen], slate.items[seen]] = True
        impression_ms = starts_ms[:, None] + position * self._slot_ms + rng.integers(self._slot_ms // 3, size=shape)
        response_ms = impression_ms + 1 + rng.integers(self._slot_ms // 3, size=shape)
        codes = self._draw_responses(shape, slate.room_days >= 0)
        values = _draw_values(codes, relevance, rng)
        user = np.broadcast_to(members[:, None], shape) + self._first
        nothing = np.full(shape, np.nan, np.float32)
        return concatenate(
            [
                _select(where, user, slate, code, value, time_ms, position)
                for where, code, value, time_ms in (
                    (slate.filled, np.full(shape, ACTION_CODES["impression"]), nothing, impression_ms),
                    (clicked, codes, values, response_ms),
                    (disliked, np.full(shape, ACTION_CODES["dislike"]), nothing, response_ms),
                )
            ]
        )

    def _draw_responses(self, shape: tuple[int, ...], is_live: BoolArray) -> Int64Array:
        """The deepest action of each clicked slot, as codes."""
        draw = self._rng.random(shape)
        feed = np.searchsorted(np.cumsum(_FEED_SHARES)[:-1], draw, side="right")
        live = np.searchsorted(np.cumsum(_LIVE_SHARES)[:-1], draw, side="right")
        return np.array([ACTION_CODES[name] for name in _RESPONSES])[np.where(is_live, live, feed)]


def _draw_values(codes: Int64Array, relevance: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Seconds watched for a click (short) and a long view, the worth of a gift, NaN for the rest."""
    seconds = rng.gamma(2.0, 4.0, size=codes.shape)
    gifts = rng.choice([1.0, 5.0, 20.0, 100.0], p=[0.6, 0.25, 0.12, 0.03], size=codes.shape)
    long_views = 20.0 + seconds * (1.0 + 4.0 * relevance)
    values = np.full(codes.shape, np.nan)
    for name, drawn in (("click", seconds), ("long_view", long_views), ("gift", gifts)):
        values = np.where(codes == ACTION_CODES[name], drawn, values)
    return values.astype(np.float32)


def _select(
    where: BoolArray,
    user: Int64Array,
    slate: _Slate,
    code: Int64Array,
    value: Float32Array,
    time_ms: Int64Array,
    position: Int64Array,
) -> Responses:
    return Responses(
        user=user[where].astype(np.int32),
        item=slate.items[where].astype(np.int32),
        action=code[where].astype(np.int8),
        value=value[where],
        timestamp_ms=time_ms[where],
        position=position[where].astype(np.int32),
        room_day=slate.room_days[where],
    )


def concatenate(parts: list[Responses]) -> Responses:
    """Returns the events of all parts, in their order."""
    return Responses(*(np.concatenate([getattr(part, name) for part in parts]) for name in Responses.__annotations__))


def _softmax(logits: Float32Array) -> Float32Array:
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)
