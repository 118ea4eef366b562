"""One loaded bundle that answers: retrieve and rank, or re-rank for clients that run no model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

import numpy as np

from recsys.cascade.cloud import CloudModel
from recsys.cascade.rerank import Reranker
from recsys.contracts.arrays import Float32Array, Int32Array, Int64Array
from recsys.contracts.bundle import DEVICE_FILES, DEVICE_TOWER_FILE, EMBEDDINGS_FILE, Manifest
from recsys.contracts.embeddings import EmbeddingSnapshot
from recsys.contracts.events import Surface
from recsys.contracts.feed import Candidate, FeedRequest, FeedResponse
from recsys.errors import BundleError, ContractError
from recsys.features.history import history_mask, pad_history
from recsys.storage.registry import SIGNATURE_FILE, Bundle
from recsys.storage.snapshot import read_snapshot
from serving.observation import Stopwatch

_ArrayT = TypeVar("_ArrayT", Int32Array, Float32Array)

RANKED: Final = 100
"""Candidates that the ranker sees at least, however few are wanted: the length of the lists that it learned from."""


class Listed(NamedTuple):
    """A list to re-rank.

    Attributes:
      history: Item ids of recent behaviour, oldest first; unknown ones are ignored.
      item_ids: `num_candidates` distinct ids.
      scores: `num_candidates` scores of the cloud.
    """

    history: Sequence[str]
    item_ids: Sequence[str]
    scores: Sequence[float]


class Ranked(NamedTuple):
    """A new order of a list that came.

    Attributes:
      known: Rows of the list that the catalogue has, best first.
      scores: One for each of them, falling.
      unknown: The other rows, as they came.
    """

    known: list[int]
    scores: list[float]
    unknown: list[int]


@dataclass(frozen=True)
class Engine:
    """A bundle, loaded once and never changed; callable from any thread.

    Attributes:
      cloud: Retrieves and ranks.
      reranker: The device tower.
      snapshot: The item vectors as devices sync them.
      device_files: Name to bytes of what a device downloads, as they were verified.
      signature: Ed25519 signature of the manifest.
    """

    cloud: CloudModel
    reranker: Reranker
    snapshot: EmbeddingSnapshot
    device_files: Mapping[str, bytes]
    signature: bytes

    @classmethod
    def load(cls, bundle: Bundle) -> Engine:
        """Loads a (verified) bundle.

        Raises:
          BundleError: If a file is missing, no model, or not what the manifest says.
          ContractError: If the files do not fit each other.
        """
        device_files = {name: bundle.read_bytes(name) for name in DEVICE_FILES if name in bundle.manifest.files}
        snapshot = read_snapshot(bundle.read_bytes(EMBEDDINGS_FILE))
        if snapshot.version != bundle.manifest.embedding_version:
            raise BundleError(
                f"Expected vectors of version {bundle.manifest.embedding_version} in {EMBEDDINGS_FILE}, "
                f"got {snapshot.version}. Publish the bundle with the version of its own snapshot."
            )
        return cls(
            cloud=CloudModel.load(bundle),
            reranker=Reranker(bundle.read_bytes(DEVICE_TOWER_FILE)),
            snapshot=snapshot,
            device_files=device_files,
            signature=(bundle.root / SIGNATURE_FILE).read_bytes(),
        )

    @property
    def manifest(self) -> Manifest:
        """What the bundle holds."""
        return self.cloud.manifest

    def recommend(self, request: FeedRequest, consented: Sequence[str], stopwatch: Stopwatch) -> FeedResponse:
        """Returns candidates, best first.

        Args:
          request: What is wanted, and of whom.
          consented: Item ids, oldest first, that the server knows of the person (`history`, or what it holds of
            `user_id`); empty where only a vector came.
          stopwatch: Takes the time of the stages `encode` and `propose`.

        Raises:
          ContractError: If the query vector has another length than this bundle's, or scores overflow.
        """
        history = self.known(consented)
        with stopwatch.stage("encode"):
            if request.query_vector is None:
                query = self.cloud.encode(history)
            else:
                query = np.asarray(request.query_vector, np.float32)
        exclude = self.cloud.catalogue.index_of(request.exclude_ids)
        with stopwatch.stage("propose"):
            wanted = max(request.count, RANKED)
            proposal = self.cloud.propose(query, history, request.surface, wanted, request.now_ms, exclude)
        count = request.count
        scores = _check_finite(proposal.scores[:count])
        return self._respond(proposal.item_indexes[:count], scores, proposal.room_ids[:count])

    def retrieve(
        self,
        query_vector: Sequence[float],
        surface: Surface,
        count: int,
        now_ms: int,
        exclude_ids: Sequence[str],
        stopwatch: Stopwatch,
    ) -> FeedResponse:
        """Returns the nearest items of a query vector, unranked, nearest first.

        Args:
          query_vector: What a device's query tower gave.
          surface: Where they will be shown.
          count: How many are wanted at most.
          now_ms: The moment, for the rooms.
          exclude_ids: Item ids that must not be proposed.
          stopwatch: Takes the time of the stage `retrieve`.

        Raises:
          ContractError: If the query vector has another length than this bundle's, or scores overflow.
        """
        exclude = self.cloud.catalogue.index_of(exclude_ids)
        with stopwatch.stage("retrieve"):
            query = np.asarray(query_vector, np.float32)
            found = self.cloud.retrieve(query, surface, count, now_ms, exclude)
        return self._respond(found.item_indexes, _check_finite(found.scores), found.room_ids)

    def rerank(self, given: Listed, stopwatch: Stopwatch) -> Ranked:
        """Returns a new order of the candidates: known items by falling score, then unknown ones as they came.

        Args:
          given: The list.
          stopwatch: Takes the time of the stages `encode` and `rerank`.

        Raises:
          ContractError: If scores overflow.
        """
        return self.rerank_batch([given], stopwatch)[0]

    def rerank_batch(self, lists: Sequence[Listed], stopwatch: Stopwatch) -> list[Ranked]:
        """Returns what `rerank` says of each list, to the last bit, for less than the sum of their costs.

        Args:
          lists: One or more.
          stopwatch: Takes the time of the stages `encode` and `rerank`.

        Raises:
          ContractError: If scores of any of them overflow.
        """
        # One call of numpy and of a tower for all: at this size a call costs more than its work.
        with stopwatch.stage("encode"):
            past, listed = self._look_up(lists)
            masks = history_mask(past)
            histories = self.cloud.vectors.take(past, 0)  # row 0 is zero, as padding is
            queries = self.cloud.encoder.encode_batch(histories, masks)
        with stopwatch.stage("rerank"):
            ranked: dict[int, Ranked] = {}
            known = [np.flatnonzero(indexes) for indexes in listed]
            for rows in _equally_long(known):
                count = len(known[rows[0]])
                fit = rows if len(rows) < len(lists) else slice(None)
                items = _stack([listed[row].take(known[row]) for row in rows])
                given = _stack([np.array(lists[row].scores, np.float32).take(known[row]) for row in rows])
                vectors = self.cloud.vectors.take(items, 0)
                fresh = self.reranker.rerank_batch(vectors, given, queries[fit], histories[fit], masks[fit])
                orders = (-_check_finite(fresh)).argsort(1, "stable")
                for row, scores, order in zip(rows, fresh, orders, strict=True):
                    ranked[row] = Ranked(
                        known[row].take(order).tolist(), scores.take(order).tolist(), _unknown(listed[row], count)
                    )
        return [ranked[row] for row in range(len(lists))]

    def warm(self) -> None:
        """Runs every model once, to build the calling thread's interpreters and to see that they answer.

        Raises:
          BundleError: If a model gives no numbers.
        """
        item_ids = self.cloud.catalogue.item_ids[:2]
        request = FeedRequest(surface=Surface.FEED, count=1, now_ms=0, history=item_ids)
        try:
            self.recommend(request, item_ids, Stopwatch())
            self.warm_towers()
        except ContractError as error:
            raise BundleError(
                f"Expected bundle {self.manifest.version} to score its own items, got: {error} Train it again."
            ) from error

    def warm_towers(self, num_lists: int = 1) -> None:
        """Runs the query tower and the device tower once, to build the calling thread's interpreters.

        Args:
          num_lists: The size of the batch that they are for; each has its own.

        Raises:
          BundleError: If a tower does not fit the bundle.
          ContractError: If they give no numbers.
        """
        item_ids = self.cloud.catalogue.item_ids[:2]
        given = Listed(item_ids, item_ids, [0.0] * len(item_ids))
        self.rerank_batch([given] * num_lists, Stopwatch())

    def known(self, item_ids: Sequence[str]) -> Int32Array:
        """Returns the indexes of those items that the catalogue has, `[num]` int32, in their order."""
        indexes = self.cloud.catalogue.index_of(item_ids)
        return indexes[indexes > 0]

    def _look_up(self, lists: Sequence[Listed]) -> tuple[Int32Array, list[Int32Array]]:
        """Returns histories `[num_lists, length]` int32, as far back as the towers read, and the indexes of each list.

        Histories have zeros on the left; candidates that the catalogue does not have are 0 where they stand.
        """
        item_ids: list[str] = []
        for one in lists:
            item_ids += one.history
            item_ids += one.item_ids
        indexes = self.cloud.catalogue.index_of(item_ids)
        length = max(self.cloud.encoder.history_length, self.reranker.history_length)
        histories, listed, start = np.zeros((len(lists), length), np.int32), [], 0
        for row, one in enumerate(lists):
            middle = start + len(one.history)
            histories[row] = pad_history(indexes[start:middle], length)
            start = middle + len(one.item_ids)
            listed.append(indexes[middle:start])
        return histories, listed

    def _respond(self, item_indexes: Int32Array, scores: Float32Array, room_ids: Sequence[str | None]) -> FeedResponse:
        item_ids = self.cloud.catalogue.ids_of(item_indexes)
        return FeedResponse(
            candidates=tuple(map(Candidate, item_ids, scores.tolist(), room_ids)),
            bundle_version=self.manifest.version,
            embedding_version=self.manifest.embedding_version,
        )


def _equally_long(lists: Sequence[Int64Array]) -> Iterable[list[int]]:
    """Returns the places of lists that have the same length: a tower reads them at once, without padding."""
    places: dict[int, list[int]] = {}
    for place, one in enumerate(lists):
        places.setdefault(len(one), []).append(place)
    return places.values()


def _stack(rows: Sequence[_ArrayT]) -> _ArrayT:
    """As `np.stack`, which takes three times as long for so few."""
    return np.concatenate(rows).reshape(len(rows), -1) if len(rows) > 1 else rows[0][None]


def _unknown(listed: Int32Array, num_known: int) -> list[int]:
    """Returns the rows that the catalogue does not have."""
    return np.flatnonzero(listed == 0).tolist() if num_known < len(listed) else []


def _check_finite(scores: Float32Array) -> Float32Array:
    if not np.isfinite(scores).all():
        raise ContractError(
            "Expected finite scores, got NaN or infinity: the query vector or the scores that came are out of all "
            "proportion. Send what this bundle's towers give."
        )
    return scores
