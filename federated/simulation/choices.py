"""What a person chose in private, the list that the cloud would have sent for it, and what was passed over."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from federated.device.examples import Choice
from federated.simulation.slates import find_slates
from federated.simulation.user_log import CONSENTED, PRIVATE, UserLog
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
        self._slates = find_slates(self.log, PRIVATE)

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

    def add_shown(self, choice: Choice, row: int, fresh: bool) -> Choice:
        """Returns a choice to be trained on: with what was really shown beside it, where impressions were logged.

        What was shown joins the cloud's list with the score that the cloud gives it.

        Args:
          choice: Of `choice`, with the same arguments.
          row: As above.
          fresh: As above.
        """
        shown, passed_over = self._shown_beside(row)
        added = shown[~np.isin(shown, choice.candidates)]
        if len(added) == 0:
            return replace(choice, passed_over=passed_over)
        query = choice.query if fresh else self._stale_query
        scores = self.cloud.rank(query, self._consented, added, self.cloud.vectors[added] @ query)
        candidates, scores = np.append(choice.candidates, added), np.append(choice.cloud_scores, scores)
        order = np.lexsort((candidates, -scores))
        return replace(choice, candidates=candidates[order], cloud_scores=scores[order], passed_over=passed_over)

    def _shown_beside(self, row: int) -> tuple[Int32Array, Int32Array]:
        """Returns what was shown around the event, itself among it, and what of that was passed over."""
        item, now_ms = self.log.item_indexes[row], self.log.timestamps_ms[row]
        for slate in self._slates:
            if slate.start_ms <= now_ms <= slate.until_ms and item in slate.item_indexes:
                here = self.cloud.catalogue.surfaces[slate.item_indexes] == self.log.surfaces[row]
                return slate.item_indexes[here], slate.item_indexes[here & ~slate.chosen]
        return np.zeros(0, np.int32), np.zeros(0, np.int32)

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
