"""Fits the ranker on requests of the validation period, which retrieval was not fitted to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from pipelines.training.examples import Sequences
from pipelines.training.fitting import FitReport, Limits, fit
from pipelines.training.requests import Requests, ndcg_at_10, score_catalogue
from pipelines.training.retrieval_stage import Encoder
from pipelines.training.trail import Trail
from recsys.config.cloud import RankerSettings
from recsys.contracts.arrays import Float32Array, Int32Array, Int64Array
from recsys.errors import TrainingError
from recsys.features.catalogue import Catalogue, share_of_recent
from recsys.features.item_to_item import HISTORY_LENGTH, ItemToItem
from recsys.features.ranking import RANKING_FEATURES, ranking_features
from recsys.models.ranker import Ranker
from recsys.models.retrieval import RetrievalModel
from recsys.progress import Progress

_MAX_SECONDS = 600.0
_JUDGED_BY = "validation_log_likelihood"
_FEATURE_ROWS = 512

_SCORE_ROWS = 512


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


@dataclass(frozen=True)
class RankerReport:
    """The fit, and both orders on users that neither trained nor stopped it (a choice outside the list counts 0)."""

    fit: FitReport
    num_lists: int
    retrieval_ndcg_at_10: float
    ranker_ndcg_at_10: float


def build_lists(
    requests: Requests,
    sequences: Sequences,
    retrieval: RetrievalModel,
    catalogue: Catalogue,
    statistics: ItemToItem,
    settings: RankerSettings,
) -> tuple[CandidateLists, Float32Array]:
    """Returns the lists of some requests, and the item vectors `[num_items + 1, dim]` float32 they speak of.

    Args:
      requests: Who asks, and when.
      sequences: Their histories.
      retrieval: Trained.
      catalogue: Items.
      statistics: Counted over the training period.
      settings: Length of a list (less where the catalogue is smaller), and what else than retrieval proposes to it.
    """
    encoder = Encoder(retrieval)
    vectors = encoder.embed(catalogue)
    length = retrieval.query_tower.history_length
    histories = sequences.padded_histories(requests.users, requests.places, length)
    queries = encoder.encode(histories, vectors)
    count = min(settings.num_candidates, catalogue.num_items)
    num_recent = share_of_recent(settings.num_recent, count)
    candidates = np.zeros((len(requests), count), np.int32)
    scores = np.zeros((len(requests), count), np.float32)
    for rows, all_scores in score_catalogue(requests, sequences, queries, vectors, catalogue):
        candidates[rows], scores[rows] = _best(_keep_proposed(all_scores, count, num_recent, catalogue), count)
    past = sequences.padded_histories(requests.users, requests.places, HISTORY_LENGTH)
    features = _features(candidates, scores, past, catalogue, vectors, statistics)
    is_choice = candidates == requests.targets[:, None]
    labels = np.where(is_choice.any(axis=1), is_choice.argmax(axis=1), -1)
    return CandidateLists(requests.users, queries, candidates, features, labels), vectors


def fit_ranker(
    ranker: Ranker,
    lists: CandidateLists,
    vectors: Float32Array,
    settings: RankerSettings,
    seed: int,
    progress: Progress,
    trail: Trail | None = None,
) -> RankerReport:
    """Trains on the lists that hold the choice; of all users 10 % stop it and another 10 % judge it.

    Taken up where an earlier run was cut off, if that left its `trail`.

    Raises:
      TrainingError: If no list holds the choice, or the loss diverges.
    """
    train, stop, judge = _split_by_user(lists, seed)
    stop = stop.take(np.flatnonzero(stop.labels >= 0))
    train = train.take(np.flatnonzero(train.labels >= 0)[: settings.max_examples])
    if len(train) == 0:
        raise TrainingError(
            f"Expected validation items among the first {settings.num_candidates} candidates to train the ranker on, "
            f"got none in {len(lists)} lists. Train retrieval for longer, or raise `num_candidates`."
        )
    ranker.adapt(train.features[train.candidates > 0][None])
    num_steps = settings.max_epochs * -(-len(train) // settings.batch_size)
    falling = tf.keras.optimizers.schedules.CosineDecay(settings.learning_rate, num_steps)
    ranker.compile(optimizer=tf.keras.optimizers.Adam(falling))
    inputs, signature = _signatures(ranker.dim, len(ranker.tasks))
    scorer = _Scorer(tf.function(ranker.call, input_signature=[inputs]), vectors)

    def epoch_batches(number: int) -> Iterator[dict[str, Float32Array]]:
        order = np.random.default_rng((seed, number)).permutation(len(train))
        for part in _parts(len(order), settings.batch_size):
            yield _batch(train.take(order[part]), vectors)

    # Of a few hundred lists NDCG says less than chance does; their likelihood moves smoothly.
    limits = Limits(settings.max_epochs, settings.patience, _MAX_SECONDS, settings.averaging, _JUDGED_BY)
    progress.stage("training the ranker", settings.max_epochs)
    report = fit(ranker, epoch_batches, signature, lambda: scorer.likelihood(stop), limits, progress, trail)
    in_order = _label_ranks(np.zeros(judge.candidates.shape, np.float32), judge)
    return RankerReport(report, len(train), ndcg_at_10(in_order), ndcg_at_10(scorer.ranks(judge)))


@dataclass(frozen=True)
class _Scorer:
    """The ranker as it stands, over lists of any number.

    Attributes:
      score: inputs as of `Ranker.call` to `[batch, num_candidates]` float32, traced once.
      vectors: `[num_items + 1, dim]` float32.
    """

    score: Callable[[dict[str, Float32Array]], tf.Tensor]
    vectors: Float32Array

    def ranks(self, lists: CandidateLists) -> Float32Array:
        """Rank of each choice, `[num_lists]` float32."""
        return self._over(lists, _label_ranks)

    def likelihood(self, lists: CandidateLists) -> float:
        """Mean logarithm of the chance of the choice; every list holds its choice. 0 where there is no list."""
        return float(self._over(lists, _log_likelihoods).mean()) if len(lists) else 0.0

    def _over(
        self, lists: CandidateLists, measure: Callable[[Float32Array, CandidateLists], Float32Array]
    ) -> Float32Array:
        parts = (lists.take(np.arange(len(lists))[part]) for part in _parts(len(lists), _SCORE_ROWS))
        found = [measure(self.score(_inputs(part, self.vectors)).numpy(), part) for part in parts]
        return np.concatenate([np.zeros(0, np.float32), *found])


def _keep_proposed(scores: Float32Array, count: int, num_recent: int, catalogue: Catalogue) -> Float32Array:
    """The scores of what `CloudModel` proposes, -inf elsewhere: the best, and beside them what was chosen of late."""
    if not num_recent:
        return scores
    proposed = np.zeros(scores.shape, np.bool_)
    np.put_along_axis(proposed, _best(scores, count - num_recent)[0], True, axis=1)
    for own, row in zip(proposed, scores, strict=True):
        own[catalogue.most_recent(np.isfinite(row) & ~own, num_recent)] = True
    return np.where(proposed, scores, -np.inf).astype(np.float32)


def _best(scores: Float32Array, count: int) -> tuple[Int32Array, Float32Array]:
    """The `count` best of each row, best first, equal scores by item index; what scores -inf becomes item 0."""
    found = np.argpartition(-scores, count - 1, axis=1)[:, :count].astype(np.int32)
    own = np.take_along_axis(scores, found, axis=1)
    order = np.lexsort((found, -own), axis=1)
    found, own = np.take_along_axis(found, order, axis=1), np.take_along_axis(own, order, axis=1)
    return np.where(np.isfinite(own), found, 0), own


def _features(
    candidates: Int32Array,
    scores: Float32Array,
    histories: Int32Array,
    catalogue: Catalogue,
    vectors: Float32Array,
    statistics: ItemToItem,
) -> Float32Array:
    """Ranking features of lists of any lengths, each seen alone as the server sees it; zero where a list has ended."""
    features = np.zeros((*candidates.shape, len(RANKING_FEATURES)), np.float32)
    lengths = (candidates > 0).sum(axis=1)
    for length in np.unique(lengths[lengths > 0]):
        rows_of_length = np.flatnonzero(lengths == length)
        for part in _parts(len(rows_of_length), _FEATURE_ROWS):
            rows = rows_of_length[part]
            features[rows, :length] = ranking_features(
                candidates[rows, :length], scores[rows, :length], histories[rows], catalogue, vectors, statistics
            )
    return features


def _signatures(dim: int, num_tasks: int) -> tuple[dict[str, tf.TensorSpec], dict[str, tf.TensorSpec]]:
    """What the ranker reads, and what its loss reads."""
    inputs = {
        "query": tf.TensorSpec([None, dim]),
        "candidates": tf.TensorSpec([None, None, dim]),
        "features": tf.TensorSpec([None, None, len(RANKING_FEATURES)]),
    }
    per_candidate = tf.TensorSpec([None, None])
    masks = {"candidate_mask": per_candidate, "shown_mask": per_candidate}
    return inputs, {**inputs, "labels": tf.TensorSpec([None, None, num_tasks]), **masks}


def _split_by_user(lists: CandidateLists, seed: int) -> tuple[CandidateLists, CandidateLists, CandidateLists]:
    """Lists of 80, 10 and 10 % of the users, each in the order of `lists`."""
    users = np.random.default_rng(seed).permutation(np.unique(lists.users))
    num_held = max(1, len(users) // 10)
    stop, judge = users[:num_held], users[num_held : 2 * num_held]
    in_stop, in_judge = np.isin(lists.users, stop), np.isin(lists.users, judge)
    chosen = (~(in_stop | in_judge), in_stop, in_judge)
    return tuple(lists.take(np.flatnonzero(rows)) for rows in chosen)


def _inputs(lists: CandidateLists, vectors: Float32Array) -> dict[str, Float32Array]:
    return {"query": lists.queries, "candidates": vectors[lists.candidates], "features": lists.features}


def _batch(lists: CandidateLists, vectors: Float32Array) -> dict[str, Float32Array]:
    """What the ranker's loss reads: the choice is the one label."""
    labels = (np.arange(lists.candidates.shape[1]) == lists.labels[:, None]).astype(np.float32)[:, :, None]
    mask = (lists.candidates > 0).astype(np.float32)
    return {**_inputs(lists, vectors), "labels": labels, "candidate_mask": mask, "shown_mask": np.zeros_like(mask)}


def _label_ranks(scores: Float32Array, lists: CandidateLists) -> Float32Array:
    """Rank (from 0) of the choice by `scores`, infinite where it is absent; equal scores keep the list's order."""
    scores = np.where(lists.candidates > 0, scores, -np.inf)
    own = np.take_along_axis(scores, np.maximum(lists.labels, 0)[:, None], axis=1)
    before = np.arange(scores.shape[1])[None, :] < lists.labels[:, None]
    ranks = ((scores > own) | ((scores == own) & before)).sum(axis=1)
    return np.where(lists.labels >= 0, ranks, np.inf).astype(np.float32)


def _log_likelihoods(scores: Float32Array, lists: CandidateLists) -> Float32Array:
    """Logarithm of the softmax of the choice, `[num_lists]` float32; every list holds its choice."""
    scores = np.where(lists.candidates > 0, scores, -np.inf)
    scores -= scores.max(axis=1, keepdims=True)
    own = np.take_along_axis(scores, lists.labels[:, None], axis=1)[:, 0]
    return own - np.log(np.exp(scores).sum(axis=1))


def _parts(count: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))
