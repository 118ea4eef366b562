"""What a person chose in private, and the list that the cloud would have sent for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from federated.device.examples import Choice
from federated.simulation.replay import CONSENTED, PRIVATE, UserLog
from recsys.cascade.cloud import CloudModel, Proposal
from recsys.contracts.arrays import Float32Array, Int32Array, Int64Array
from recsys.contracts.events import SURFACE_CODES, Surface

_SURFACES = tuple(Surface)


@dataclass
class ChoiceMaker:
    """One person's private choices before one cloud model.

    The lists are those of the replay's arms: `stale` ones come from a cloud that knows the consented log alone, `fresh`
    ones answer the device's own query vector. In both the device hides what was already chosen on the feed.
    """

    cloud: CloudModel
    log: UserLog
    num_candidates: int

    def __post_init__(self) -> None:
        """Finds the positives and encodes what the cloud knows."""
        positive = self.log.positive
        self._positive_rows: Int64Array = np.flatnonzero(positive)
        self._consented: Int32Array = self.log.item_indexes[positive & (self.log.parts == CONSENTED)]
        self._stale_query: Float32Array = self.cloud.encode(self._consented)
        self._stale_feed: Proposal | None = None

    @property
    def private_rows(self) -> list[int]:
        """Rows of the private positives, oldest first."""
        return np.flatnonzero(self.log.positive & (self.log.parts == PRIVATE)).tolist()

    def choice(self, row: int, fresh: bool) -> Choice:
        """Returns the positive event at `row` with its list.

        Args:
          row: Of the log.
          fresh: Whether the cloud was asked with the device's own query vector.
        """
        history = self.log.item_indexes[self._positive_rows[self._positive_rows < row]]
        query = self.cloud.encode(history)
        surface = _SURFACES[self.log.surfaces[row]]
        now_ms = int(self.log.timestamps_ms[row])
        proposal = self._propose(query, surface, now_ms) if fresh else self._propose_stale(surface, now_ms)
        shown = ~np.isin(proposal.item_indexes, self._hidden(history, surface))
        return Choice(
            item_index=int(self.log.item_indexes[row]),
            candidates=proposal.item_indexes[shown],
            cloud_scores=proposal.scores[shown],
            query=query,
            history=history,
        )

    def _propose_stale(self, surface: Surface, now_ms: int) -> Proposal:
        """On the feed it does not depend on the moment, so one answer serves all."""
        if surface is Surface.LIVE:
            return self._propose(self._stale_query, surface, now_ms)
        if self._stale_feed is None:
            self._stale_feed = self._propose(self._stale_query, surface, now_ms)
        return self._stale_feed

    def _propose(self, query: Float32Array, surface: Surface, now_ms: int) -> Proposal:
        hidden = self._hidden(self._consented, surface)
        return self.cloud.propose(query, self._consented, surface, self.num_candidates, now_ms, hidden)

    def _hidden(self, history: Int32Array, surface: Surface) -> Int32Array:
        """What is not shown again: on the feed everything already chosen there, on the live surface nothing."""
        if surface is Surface.LIVE:
            return np.zeros(0, np.int32)
        return history[self.cloud.catalogue.surfaces[history] == SURFACE_CODES[surface]]
