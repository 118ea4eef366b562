"""One device: it asks with a vector, re-ranks what comes, and again after every tap, without a further call."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from federated.device.gate import Order
from federated.device.log import PrivateLog
from federated.device.memory import ChoiceMemory, SeenChoice
from federated.device.personal import PersonalTower, split_choices
from federated.device.training import LocalUpdate
from federated.device.vector_cache import VectorCache
from recsys.cascade.rerank import QueryEncoder, Reranker
from recsys.config.federated import DeviceSettings, PersonalSettings
from recsys.contracts.arrays import Float32Array
from recsys.contracts.events import POSITIVE_ACTIONS, Action, Event, Surface
from recsys.contracts.feed import Candidate, FeedRequest, FeedResponse
from recsys.exchange.uplink import privatise


@dataclass(frozen=True)
class UplinkPolicy:
    """What is done to a query vector before it leaves: see `recsys.exchange.uplink`."""

    clip_norm: float = 1e6
    noise_multiplier: float = 0.0


@dataclass
class Device:
    """A person's device.

    Law: a request holds the query vector and nothing else of the log; re-ranking neither adds nor drops a candidate.

    Attributes:
      reranker: Of the order that is shown; the global tower's until `learn` was called.
      order: Whose order is shown.
    """

    tier: str
    log: PrivateLog
    cache: VectorCache
    encoder: QueryEncoder
    reranker: Reranker
    uplink: UplinkPolicy = UplinkPolicy()
    order: Order = Order.GLOBAL
    memory: ChoiceMemory = field(default_factory=ChoiceMemory)
    _shown: tuple[Candidate, ...] = ()
    _seen: set[str] = field(default_factory=set)

    def query(self) -> Float32Array:
        """Returns the query vector of the private history, `[dim]` float32, as only the device sees it."""
        return self.encoder.encode(self.cache.vectors(self.log.positives()))

    def request(self, surface: Surface, count: int, now_ms: int, rng: np.random.Generator) -> FeedRequest:
        """Returns the request that leaves the device.

        Raises:
          ContractError: If `count` is out of range.
        """
        vector = privatise(self.query(), self.uplink.clip_norm, self.uplink.noise_multiplier, rng)
        return FeedRequest(surface, count, now_ms, query_vector=tuple(vector.tolist()))

    def rerank(self, response: FeedResponse) -> tuple[Candidate, ...]:
        """Returns the candidates in the device's order.

        Items that were chosen before leave the feed (streamers may be watched again). Items whose vector is not in the
        cache keep the cloud's order behind the others: without a vector the tower cannot judge them. Where the gate
        decided for the cloud, all keep its order.
        """
        chosen = set(self.log.positives())
        shown = [item for item in response.candidates if item.room_id is not None or item.item_id not in chosen]
        self._shown = tuple(shown)
        self._seen.intersection_update(item.item_id for item in shown)
        if self.order is Order.CLOUD:
            return tuple(shown)
        known = self.cache.has([item.item_id for item in shown])
        judged = [item for item, is_known in zip(shown, known, strict=True) if is_known]
        rest = [item for item, is_known in zip(shown, known, strict=True) if not is_known]
        scores = self.reranker.rerank(
            self.cache.vectors([item.item_id for item in judged]),
            np.asarray([item.score for item in judged], np.float32),
            self.query(),
            self.cache.vectors(self.log.positives()[-self.reranker.history_length :]),
        )
        order = sorted(range(len(judged)), key=lambda place: (-scores[place], judged[place].item_id))
        return (*(judged[place] for place in order), *rest)

    def record(self, event: Event) -> None:
        """Takes what the person just did; the next `rerank` knows of it, and the next `learn` if the list had it.

        Raises:
          ContractError: If it is somebody else's event.
        """
        history = tuple(self.log.positives())
        is_new = self.log.append(event)
        listed = any(candidate.item_id == event.item_id for candidate in self._shown)
        if event.action is Action.IMPRESSION and listed:
            self._seen.add(event.item_id)
        if is_new and listed and event.action in POSITIVE_ACTIONS:
            passed_over = tuple(sorted(self._seen - {event.item_id, *history}))
            self.memory.keep(SeenChoice(event.item_id, self._shown, history, passed_over))

    def learn(
        self, model: bytes, device: DeviceSettings, personal: PersonalSettings, rng: np.random.Generator
    ) -> LocalUpdate:
        """Makes the global tower its own by what the person chose, and decides whose order is shown from now on.

        Args:
          model: LiteRT flatbuffer of the global tower that can be trained.
          device: How many of the latest examples are trained on.
          personal: How, and what decides.
          rng: The device's own.

        Raises:
          BundleError: If the bytes are no device tower that can be trained.
        """
        tower = PersonalTower(model, self.cache.table(), device, personal)
        choices = list(self.memory.choices(self.cache, self.encoder))
        cut = split_choices(len(choices), personal.judged_share)
        update = tower.train(choices[:cut], rng)
        self.order = tower.decide(choices[cut:], choices[:cut])
        self.reranker = tower.own if self.order is Order.PERSONAL else tower.general
        return update
