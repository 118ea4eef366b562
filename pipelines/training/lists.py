"""Lists that the ranker learns from: what retrieval proposes, and what was shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from pipelines.training.examples import Sequences
from pipelines.training.impressions import Shown
from pipelines.training.requests import Requests, score_catalogue
from pipelines.training.retrieval_stage import Encoder
from recsys.config.cloud import RankerSettings
from recsys.contracts.arrays import BoolArray, Float32Array, Int32Array, Int64Array
from recsys.features.catalogue import Catalogue, share_of_recent
from recsys.features.item_to_item import HISTORY_LENGTH, ItemToItem
from recsys.features.ranking import RANKING_FEATURES, ranking_features
from recsys.features.responses import Responses
from recsys.models.retrieval import RetrievalModel

_FEATURE_ROWS = 512


@dataclass(frozen=True)
class CandidateLists:
    """What retrieval proposes to each request, best first; a list in which the choice is absent has no label.

    Attributes:
      users: `[num_lists]` int64, whose.
      queries: `[num_lists, dim]` float32.
      candidates: `[num_lists, num_candidates]` int32.
      features: `[num_lists, num_candidates, num_features]` float32.
      labels: `[num_lists]` int64, place of the chosen item in its list, -1 where it is absent.
    """

    users: Int64Array
    queries: Float32Array
    candidates: Int32Array
    features: Float32Array
    labels: Int64Array

    def __len__(self) -> int:
        """Number of lists."""
        return len(self.labels)

    def take(self, rows: Int64Array) -> CandidateLists:
        """Returns some of the lists."""
        return CandidateLists(
            self.users[rows], self.queries[rows], self.candidates[rows], self.features[rows], self.labels[rows]
        )

    def holding(self) -> CandidateLists:
        """Returns the lists that hold their choice."""
        return self.take(np.flatnonzero(self.labels >= 0))

    @staticmethod
    def join(parts: Sequence[CandidateLists]) -> CandidateLists:
        """Returns the lists of all parts, one after the other."""
        rows = ((own.users, own.queries, own.candidates, own.features, own.labels) for own in parts)
        return CandidateLists(*map(np.concatenate, zip(*rows, strict=True)))


@dataclass(frozen=True)
class ShownLists:
    """What was shown, in the order of time, and what was done about it.

    Attributes:
      users, queries, candidates, features: as of `CandidateLists`.
      fulfilled: `[num_lists, num_candidates, len(TASKS)]` bool.
    """

    users: Int64Array
    queries: Float32Array
    candidates: Int32Array
    features: Float32Array
    fulfilled: BoolArray

    def __len__(self) -> int:
        """Number of lists."""
        return len(self.users)

    def take(self, rows: Int64Array) -> ShownLists:
        """Returns some of the lists."""
        return ShownLists(
            self.users[rows], self.queries[rows], self.candidates[rows], self.features[rows], self.fulfilled[rows]
        )


_ListsT = TypeVar("_ListsT", CandidateLists, ShownLists)


@dataclass(frozen=True)
class RankerLists:
    """What the ranker learns from, of either kind.

    Attributes:
      proposed: by retrieval; those of which the choice is absent judge, but do not teach.
      shown: may be none.
      vectors: `[num_items + 1, dim]` float32, the items that they speak of.
      practice: lists of other kinds (see `practice`), which teach and do not judge.
    """

    proposed: CandidateLists
    shown: ShownLists
    vectors: Float32Array
    practice: tuple[CandidateLists, ...] = ()

    def of_users(self, users: Int64Array) -> RankerLists:
        """Returns the lists of some users, in their order."""

        def own(lists: _ListsT) -> _ListsT:
            return lists.take(np.flatnonzero(np.isin(lists.users, users)))

        return RankerLists(own(self.proposed), own(self.shown), self.vectors, tuple(map(own, self.practice)))

    def to_learn(self, count: int) -> RankerLists:
        """Returns the lists that hold their choice and what was shown, at most `count` of each."""
        return replace(
            self,
            proposed=self.proposed.take(np.flatnonzero(self.proposed.labels >= 0)[:count]),
            shown=self.shown.take(np.arange(len(self.shown))[:count]),
            practice=tuple(lists.holding() for lists in self.practice),
        )

    def with_practice(self) -> RankerLists:
        """Returns the lists with those for practice among the proposed ones."""
        return replace(self, proposed=CandidateLists.join([self.proposed, *self.practice]), practice=())

    def __len__(self) -> int:
        """Number of lists."""
        return len(self.proposed) + len(self.shown)

    @property
    def num_users(self) -> int:
        """Whose lists they are."""
        return len(np.union1d(self.proposed.users, self.shown.users))

    def features(self) -> Float32Array:
        """Returns those of all candidates, `[num_candidates, num_features]` float32."""
        return np.concatenate([lists.features[lists.candidates > 0] for lists in (self.proposed, self.shown)])


@dataclass(frozen=True)
class ListMaker:
    """What is known of items when lists are made of them.

    Attributes:
      retrieval: trained.
      vectors: `[num_items + 1, dim]` float32, its item vectors as they are served.
      catalogue: items.
      statistics: counted over the training period.
      responses: to train with, those of the training period; to serve with, all.
    """

    retrieval: RetrievalModel
    vectors: Float32Array
    catalogue: Catalogue
    statistics: ItemToItem
    responses: Responses

    def propose(
        self,
        requests: Requests,
        sequences: Sequences,
        settings: RankerSettings,
        known: Int64Array | None = None,
        drawn: Int32Array | None = None,
    ) -> CandidateLists:
        """Returns what `CloudModel` proposes to some requests.

        Args:
          requests: Who asks, and when.
          sequences: Their histories.
          settings: Length of a list (less where the catalogue is smaller), and how many are what is chosen of late.
          known: `[num_requests]` int64 places of the histories before which the cloud knows them, where it knows less
            than the query vectors were made of; features tell of no more.
          drawn: `[num_requests, num_drawn]` int32 items of which the lists are to consist, beside the choice, in place
            of what is proposed.
        """
        length = self.retrieval.query_tower.history_length
        histories = sequences.padded_histories(requests.users, requests.places, length)
        queries = Encoder(self.retrieval).encode(histories, self.vectors)
        count = min(settings.num_candidates, self.catalogue.num_items)
        num_recent = share_of_recent(settings.num_recent, count)
        candidates = np.zeros((len(requests), count), np.int32)
        scores = np.zeros((len(requests), count), np.float32)
        for rows, all_scores in score_catalogue(requests, sequences, queries, self.vectors, self.catalogue):
            if drawn is not None:
                _keep_drawn(all_scores, drawn[rows], requests.targets[rows])
            candidates[rows], scores[rows] = _best(self._keep_proposed(all_scores, count, num_recent), count)
        ends = requests.places if known is None else known
        past = sequences.padded_histories(requests.users, ends, HISTORY_LENGTH)
        features = self._describe(candidates, scores, past)
        is_choice = candidates == requests.targets[:, None]
        labels = np.where(is_choice.any(axis=1), is_choice.argmax(axis=1), -1)
        return CandidateLists(requests.users, queries, candidates, features, labels)

    def describe_shown(self, shown: Shown) -> ShownLists:
        """Returns what was shown as the ranker reads it, scored by retrieval like any candidate.

        Args:
          shown: With histories of `history_length` of the query tower or `HISTORY_LENGTH`, the longer.
        """
        length = self.retrieval.query_tower.history_length
        queries = Encoder(self.retrieval).encode(shown.histories[:, -length:], self.vectors)
        scores = np.zeros(shown.candidates.shape, np.float32)
        for rows in parts(len(shown), _FEATURE_ROWS):
            scores[rows] = np.einsum("nd,nkd->nk", queries[rows], self.vectors[shown.candidates[rows]])
        features = self._describe(shown.candidates, scores, shown.histories[:, -HISTORY_LENGTH:])
        return ShownLists(shown.users, queries, shown.candidates, features, shown.fulfilled)

    def _keep_proposed(self, scores: Float32Array, count: int, num_recent: int) -> Float32Array:
        """The scores of what is proposed, -inf elsewhere: the best, and beside them what was chosen of late."""
        if not num_recent:
            return scores
        proposed = np.zeros(scores.shape, np.bool_)
        np.put_along_axis(proposed, _best(scores, count - num_recent)[0], True, axis=1)
        for own, row in zip(proposed, scores, strict=True):
            own[self.catalogue.most_recent(np.isfinite(row) & ~own, num_recent)] = True
        return np.where(proposed, scores, -np.inf).astype(np.float32)

    def _describe(self, candidates: Int32Array, scores: Float32Array, histories: Int32Array) -> Float32Array:
        """Ranking features of lists of any lengths, each seen alone as the server sees it; zero behind its end."""
        features = np.zeros((*candidates.shape, len(RANKING_FEATURES)), np.float32)
        lengths = (candidates > 0).sum(axis=1)
        for length in np.unique(lengths[lengths > 0]):
            rows_of_length = np.flatnonzero(lengths == length)
            for part in parts(len(rows_of_length), _FEATURE_ROWS):
                rows = rows_of_length[part]
                features[rows, :length] = ranking_features(
                    candidates[rows, :length],
                    scores[rows, :length],
                    histories[rows],
                    self.catalogue,
                    self.vectors,
                    self.statistics,
                    self.responses,
                )
        return features


def parts(count: int, size: int) -> Iterator[slice]:
    """Yields slices of at most `size` that cover `count` rows."""
    return (slice(start, start + size) for start in range(0, count, size))


def _keep_drawn(scores: Float32Array, drawn: Int32Array, targets: Int32Array) -> None:
    """Sets to -inf the scores of all but the drawn items and the choice."""
    items = np.concatenate([drawn, targets[:, None]], axis=1)
    kept = np.take_along_axis(scores, items, axis=1)
    scores[:] = -np.inf
    np.put_along_axis(scores, items, kept, axis=1)


def _best(scores: Float32Array, count: int) -> tuple[Int32Array, Float32Array]:
    """The `count` best of each row, best first, equal scores by item index; what scores -inf becomes item 0."""
    found = np.argpartition(-scores, count - 1, axis=1)[:, :count].astype(np.int32)
    own = np.take_along_axis(scores, found, axis=1)
    order = np.lexsort((found, -own), axis=1)
    found, own = np.take_along_axis(found, order, axis=1), np.take_along_axis(own, order, axis=1)
    return np.where(np.isfinite(own), found, 0), own
