"""Replays the held-out period of each person: what the cloud alone would have shown, and what the device makes of it.

Protocol E: the cloud knows the consented log; the device also knows its private log, which grows with every held-out
event. Each held-out positive event is one request. In every arm the device hides what the person has already chosen
(on the feed; streamers may be watched again), so that no arm gains by the filter alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np

from data.truth import Truth
from federated.device.gate import Order
from federated.device.personal import PersonalTower
from federated.simulation.arms import FIXED, GATED, SIMPLE
from federated.simulation.rivals import Rivals
from federated.simulation.slates import Slate, find_slates
from federated.simulation.user_log import CONSENTED, HELDOUT, UserLog
from recsys.cascade.cloud import CloudModel, Proposal
from recsys.contracts.arrays import BoolArray, Float32Array, Int32Array
from recsys.contracts.events import ACTION_CODES, SURFACE_CODES, Action, Surface
from recsys.metrics.ranking import auc, full_rank, rank_of

_SURFACES: Final = tuple(Surface)
HEAD_SHARE: Final = 0.2
"""Of the items that anybody chose, the most popular, which are no part of the long tail (Abdollahpouri et al., see
`groups`)."""


@dataclass
class UserReplay:
    """Ranks and list AUCs of one person, per arm.

    Attributes:
      ranks: arm to one rank per held-out event (`MISSED` where the item was not proposed).
      surfaces: surface of each held-out event.
      aucs: arm to the AUC of each list with both classes.
      orders: gated arm to whose order it showed.
      tail_share: share of the choices before the held-out period that are items of the long tail; None without any.
    """

    user_id: str
    tier: str
    surfaces: list[Surface] = field(default_factory=list)
    ranks: dict[str, list[int]] = field(default_factory=dict)
    aucs: dict[str, list[float]] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    tail_share: float | None = None

    def add_rank(self, arm: str, rank: int) -> None:
        """Appends the rank of an event."""
        self.ranks.setdefault(arm, []).append(rank)

    def add_auc(self, arm: str, value: float | None) -> None:
        """Appends the AUC of a list, unless a class was absent."""
        if value is not None:
            self.aucs.setdefault(arm, []).append(value)


@dataclass(frozen=True)
class Replayer:
    """Replays people against one bundle.

    Attributes:
      tower: The device's, the global one and the one of the person who is being replayed.
      personalise: Trains `tower` on a person's private log; returns whose order that calls for, for lists that answer
        the device's query vector (True) and for others (False).
      rivals: Simple models, asked about the same events; None where there are none.
    """

    cloud: CloudModel
    tower: PersonalTower
    personalise: Callable[[UserLog], Mapping[bool, Order]]
    truth: Truth | None
    num_candidates: int
    rivals: Rivals | None = None

    def replay(self, log: UserLog) -> UserReplay:
        """Returns the ranks of one person's held-out events in every arm."""
        result = UserReplay(log.user_id, log.tier)
        rows, slates = np.flatnonzero(log.positive & (log.parts == HELDOUT)), find_slates(log, HELDOUT)
        if len(rows) == 0 and not slates:
            return result
        known = log.item_indexes[log.positive & (log.parts != HELDOUT)]
        result.tail_share = float(self._tail[known].mean()) if len(known) else None
        person = _Person(self, log)
        result.orders = {GATED[is_fresh]: order for is_fresh, order in person.orders.items()}
        for row in rows:
            self._replay_event(person, int(row), result)
        for slate in slates:
            self._replay_slate(person, slate, result)
        return result

    def ask_rivals(self, history: Int32Array) -> Mapping[str, Float32Array]:
        """Returns what each simple model makes of a history, by its name."""
        return {} if self.rivals is None else self.rivals.score(history)

    @cached_property
    def _tail(self) -> BoolArray:
        return find_tail(self.cloud.catalogue.positives)

    def _replay_event(self, person: _Person, row: int, result: UserReplay) -> None:
        log = person.log
        target, surface = int(log.item_indexes[row]), _SURFACES[log.surfaces[row]]
        now_ms, history = int(log.timestamps_ms[row]), person.history(row)
        query = self.cloud.encode(history)
        stale = person.stale_proposal(surface, now_ms)
        fresh = self.cloud.propose(
            query,
            person.consented,
            surface,
            self.num_candidates,
            now_ms,
            _hidden(person.consented, surface, self.cloud),
        )
        hidden = _hidden(history, surface, self.cloud)
        result.surfaces.append(surface)
        for is_fresh, proposal in ((False, stale), (True, fresh)):
            shown = ~np.isin(proposal.item_indexes, hidden)
            items = proposal.item_indexes[shown]
            judged = self._judge(person, is_fresh, items, proposal.scores[shown], query, history)
            for arm, scores in judged.items():
                result.add_rank(arm, rank_of(target, items[np.lexsort((items, -scores))]))
                if not person.has_impressions:
                    result.add_auc(arm, auc(scores, items == target))
        self._rank_all(person, row, history, hidden, result)

    def _rank_all(self, person: _Person, row: int, history: Int32Array, hidden: Int32Array, result: UserReplay) -> None:
        """Ranks the target among all that could be shown: by popularity, true relevance if known, and simple models."""
        log, catalogue = person.log, self.cloud.catalogue
        surface, now_ms = _SURFACES[log.surfaces[row]], int(log.timestamps_ms[row])
        allowed = catalogue.on_surface(surface).copy()
        if surface is Surface.LIVE:
            allowed &= self.cloud.rooms.open_items(now_ms, catalogue.num_items)
        allowed[hidden] = False
        scores = {"popularity": catalogue.positives}
        if self.truth is not None:
            scores["oracle"] = np.zeros(len(allowed), np.float32)
            known = catalogue.index_of(self.truth.item_ids)
            scores["oracle"][known] = self.truth.relevance(log.user_id, now_ms)
        for is_uploaded, judged in ((False, person.simple_scores), (True, self.ask_rivals(history))):
            scores |= {SIMPLE[is_uploaded].format(name): values for name, values in judged.items()}
        for arm, values in scores.items():
            result.add_rank(arm, full_rank(values, int(log.item_indexes[row]), allowed))

    def _replay_slate(self, person: _Person, slate: Slate, result: UserReplay) -> None:
        """AUC of chosen against passed over, among what the person was really shown."""
        history = person.history(slate.first_row)
        fresh = self.cloud.encode(history)
        candidates = self.cloud.vectors[slate.item_indexes]
        for is_fresh, query in ((False, person.query), (True, fresh)):
            scores = self.cloud.rank(query, person.consented, slate.item_indexes, candidates @ query)
            judged = self._judge(person, is_fresh, slate.item_indexes, scores, fresh, history)
            for arm, values in judged.items():
                result.add_auc(arm, auc(values, slate.chosen))

    def _judge(
        self,
        person: _Person,
        is_fresh: bool,
        items: Int32Array,
        scores: Float32Array,
        query: Float32Array,
        history: Int32Array,
    ) -> dict[str, Float32Array]:
        """Returns the score of each item in every arm that shows such a list."""
        recent = self.cloud.vectors[history[-self.tower.own.history_length :]]
        vectors = self.cloud.vectors[items]
        by_order = {
            Order.CLOUD: scores,
            Order.GLOBAL: self.tower.general.rerank(vectors, scores, query, recent),
            Order.PERSONAL: self.tower.own.rerank(vectors, scores, query, recent),
        }
        fixed = {arm: by_order[order] for order, arm in FIXED[is_fresh].items()}
        return fixed | {GATED[is_fresh]: by_order[person.orders[is_fresh]]}


class _Person:
    """One log with what is computed once from it."""

    def __init__(self, replayer: Replayer, log: UserLog) -> None:
        self.log = log
        self._cloud = replayer.cloud
        self._count = replayer.num_candidates
        self._positive_rows = np.flatnonzero(log.positive)
        self.consented: Int32Array = log.item_indexes[log.positive & (log.parts == CONSENTED)]
        self.query = self._cloud.encode(self.consented)
        self.orders = replayer.personalise(log)
        self.simple_scores = replayer.ask_rivals(self.consented)
        self.has_impressions = bool((log.actions == ACTION_CODES[Action.IMPRESSION]).any())
        self._feed: Proposal | None = None

    def history(self, row: int) -> Int32Array:
        """What the device knows before event `row`: item indexes of earlier positives, `[num]` int32."""
        return self.log.item_indexes[self._positive_rows[self._positive_rows < row]]

    def stale_proposal(self, surface: Surface, now_ms: int) -> Proposal:
        """What the cloud proposes from the consented log; on the feed it does not depend on the moment."""
        if surface is Surface.FEED and self._feed is not None:
            return self._feed
        hidden = _hidden(self.consented, surface, self._cloud)
        proposal = self._cloud.propose(self.query, self.consented, surface, self._count, now_ms, hidden)
        if surface is Surface.FEED:
            self._feed = proposal
        return proposal


def find_tail(positives: Float32Array) -> BoolArray:
    """Returns which items are in the long tail, `[num_items + 1]` bool: all but the most popular of those ever chosen.

    Args:
      positives: `[num_items + 1]` float32, how often each was chosen; row 0 is padding. Of equals, the one with the
        lower index counts as the more popular.
    """
    tail = np.ones(len(positives), np.bool_)
    count = int(np.ceil(HEAD_SHARE * np.count_nonzero(positives[1:])))
    tail[np.argsort(-positives[1:], kind="stable")[:count] + 1] = False
    return tail


def _hidden(history: Int32Array, surface: Surface, cloud: CloudModel) -> Int32Array:
    """What is not shown again: on the feed everything already chosen, on the live surface nothing."""
    if surface is Surface.LIVE:
        return np.zeros(0, np.int32)
    return history[cloud.catalogue.surfaces[history] == SURFACE_CODES[surface]]
