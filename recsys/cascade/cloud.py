"""The cloud's half of the cascade: query tower, candidate index, ranker.

The device's query vector enters at `propose`; clients without a query tower are encoded here by `encode`.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.cascade.rerank import QueryEncoder
from recsys.cascade.rooms import RoomSchedule
from recsys.contracts import bundle as names
from recsys.contracts.arrays import BoolArray, Float32Array, Int32Array
from recsys.contracts.bundle import Manifest
from recsys.contracts.events import Surface
from recsys.errors import ContractError
from recsys.features.catalogue import Catalogue, share_of_recent
from recsys.features.history import pad_history
from recsys.features.item_to_item import HISTORY_LENGTH, ItemToItem
from recsys.features.ranking import ranking_features
from recsys.features.responses import Period, Responses
from recsys.index.faiss_index import FaissIndex
from recsys.index.protocol import CandidateIndex
from recsys.runtime.tower import Tower
from recsys.storage.registry import Bundle
from recsys.storage.snapshot import read_snapshot


@dataclass(frozen=True)
class Proposal:
    """Candidates of one request, best first.

    Attributes:
      item_indexes: `[num_candidates]` int32, distinct, never 0.
      scores: `[num_candidates]` float32, falling: the ranker's, or the index's where nothing was ranked.
      room_ids: the open room of each candidate on the live surface, None on the feed.
    """

    item_indexes: Int32Array
    scores: Float32Array
    room_ids: tuple[str | None, ...]


@dataclass(frozen=True)
class CloudModel:
    """A bundle, loaded for retrieval and ranking.

    Attributes:
      vectors: `[num_items + 1, dim]` float32, row 0 zero.
    """

    manifest: Manifest
    catalogue: Catalogue
    vectors: Float32Array
    rooms: RoomSchedule
    statistics: ItemToItem
    responses: Responses
    index: CandidateIndex
    encoder: QueryEncoder
    ranker: Tower

    @classmethod
    def load(cls, bundle: Bundle) -> CloudModel:
        """Loads what the cloud serves out of a (verified) bundle.

        Raises:
          BundleError: If a file is no model.
          ContractError: If vocabulary, embeddings, rooms, statistics and responses do not fit each other.
        """
        catalogue = Catalogue.from_vocabulary(_read_table(bundle, names.VOCABULARY_FILE))
        return cls(
            manifest=bundle.manifest,
            catalogue=catalogue,
            vectors=catalogue.align(read_snapshot(bundle.read_bytes(names.EMBEDDINGS_FILE))),
            rooms=RoomSchedule.from_table(_read_table(bundle, names.ROOMS_FILE), catalogue),
            statistics=ItemToItem.from_table(_read_table(bundle, names.ITEM_TO_ITEM_FILE), catalogue.num_items),
            responses=_read_responses(bundle, catalogue),
            index=FaissIndex.load(bundle.path(names.INDEX_FILE)),
            encoder=QueryEncoder(bundle.read_bytes(names.QUERY_TOWER_FILE)),
            ranker=Tower(bundle.read_bytes(names.RANKER_FILE), "rank"),
        )

    def encode(self, history: Int32Array) -> Float32Array:
        """Returns the query vector `[dim]` of a history of item indexes `[num]` int32, oldest first."""
        known = history[history > 0]
        return self.encoder.encode(self.vectors[known])

    def propose(
        self,
        query: Float32Array,
        history: Int32Array,
        surface: Surface,
        count: int,
        now_ms: int,
        exclude: Int32Array,
    ) -> Proposal:
        """Returns up to `count` candidates, retrieved by the query vector and ordered by the ranker.

        Args:
          query: `[dim]` float32.
          history: `[num]` int32 item indexes that the cloud knows of, oldest first; may be empty.
          surface: Where they will be shown; on the live surface only streamers with an open room are candidates.
          count: How many are wanted at most.
          now_ms: The moment, for the rooms.
          exclude: `[num]` int32 item indexes that must not be shown.

        Raises:
          ContractError: If `query` has another length than the vectors or is not finite.
        """
        found = self.retrieve(query, surface, count, now_ms, exclude)
        if len(found.item_indexes) == 0:
            return found
        ranked = self.rank(query, history, found.item_indexes, found.scores)
        order = np.lexsort((found.item_indexes, -ranked))
        rooms = tuple(found.room_ids[place] for place in order)
        return Proposal(found.item_indexes[order], ranked[order], rooms)

    def retrieve(self, query: Float32Array, surface: Surface, count: int, now_ms: int, exclude: Int32Array) -> Proposal:
        """Returns up to `count` candidates in the order of retrieval: by the inner product with the query vector.

        Some are what was chosen most of late, where the bundle was trained with them (`Manifest.num_recent`).

        Args:
          query: `[dim]` float32.
          surface: Where they will be shown; on the live surface only streamers with an open room are candidates.
          count: How many are wanted at most.
          now_ms: The moment, for the rooms.
          exclude: `[num]` int32 item indexes that must not be shown.

        Raises:
          ContractError: If `query` has another length than the vectors or is not finite.
        """
        if query.shape != (self.manifest.dim,) or not np.isfinite(query).all():
            raise ContractError(
                f"Expected a finite query vector of length {self.manifest.dim}, got {list(query.shape)} {query[:3]}."
            )
        allowed, open_rooms = self._allowed(surface, now_ms)
        allowed[exclude] = False
        item_indexes, scores = self._search(query.astype(np.float32), count, allowed)
        rooms = tuple(open_rooms.get(int(index)) for index in item_indexes)
        return Proposal(item_indexes, scores, rooms)

    def _search(self, query: Float32Array, count: int, allowed: BoolArray) -> tuple[Int32Array, Float32Array]:
        """Candidates and their retrieval scores, best first."""
        num_recent = share_of_recent(self.manifest.num_recent, count)
        scores, found = self.index.search(query[None], count - num_recent, allowed)
        near, near_scores = found[0][found[0] > 0], scores[0][found[0] > 0]
        if not num_recent:
            return near, near_scores
        rest = allowed.copy()
        rest[near] = False
        recent = self.catalogue.most_recent(rest, num_recent)
        items = np.concatenate([near, recent]).astype(np.int32)
        scores = np.concatenate([near_scores, self.vectors[recent] @ query]).astype(np.float32)
        order = np.lexsort((items, -scores))
        return items[order], scores[order]

    def rank(
        self, query: Float32Array, history: Int32Array, candidates: Int32Array, scores: Float32Array
    ) -> Float32Array:
        """Returns the ranker's score of each candidate, `[num_candidates]` float32.

        Args:
          query: `[dim]` float32.
          history: `[num]` int32 item indexes, oldest first.
          candidates: `[num_candidates]` int32 item indexes.
          scores: `[num_candidates]` float32 retrieval scores.
        """
        return self.judge(query, history, candidates, scores)["score"]

    def judge(
        self, query: Float32Array, history: Int32Array, candidates: Int32Array, scores: Float32Array
    ) -> dict[str, Float32Array]:
        """Returns all that the ranker says of each candidate, `[num_candidates]` float32 each.

        `score` orders them; each task that it was trained for has a calibrated probability under its name.

        Args:
          query: `[dim]` float32.
          history: `[num]` int32 item indexes, oldest first.
          candidates: `[num_candidates]` int32 item indexes.
          scores: `[num_candidates]` float32 retrieval scores.
        """
        padded = pad_history(history, HISTORY_LENGTH)
        features = ranking_features(
            candidates[None], scores[None], padded[None], self.catalogue, self.vectors, self.statistics, self.responses
        )[:, :, : self.ranker.input_shape("features")[2]]
        outputs = self.ranker(query=query[None], candidates=self.vectors[candidates][None], features=features)
        return {name: values[0] for name, values in outputs.items()}

    def _allowed(self, surface: Surface, now_ms: int) -> tuple[BoolArray, dict[int, str]]:
        allowed = self.catalogue.on_surface(surface).copy()
        if surface is not Surface.LIVE:
            return allowed, {}
        allowed &= self.rooms.open_items(now_ms, self.catalogue.num_items)
        return allowed, self.rooms.open_rooms(now_ms)


def _read_responses(bundle: Bundle, catalogue: Catalogue) -> Responses:
    if names.RESPONSES_FILE not in bundle.manifest.files:
        return Responses.unknown(catalogue)
    return Responses.from_table(_read_table(bundle, names.RESPONSES_FILE), catalogue, Period.KNOWN)


def _read_table(bundle: Bundle, name: str) -> pa.Table:
    # Not `read_table`, which loads the dataset machinery (and pandas, where it is installed): a second at start-up.
    return pq.ParquetFile(io.BytesIO(bundle.read_bytes(name))).read()
