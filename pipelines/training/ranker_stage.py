"""Fits the ranker on the validation period, which retrieval was not fitted to and statistics did not count.

Of what retrieval proposes it learns what is chosen next; of what was shown, where the log tells of it, which tasks are
fulfilled. Both kinds of lists take turns in an epoch, in an order that the seed draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from pipelines.training.calibration import fit_calibration
from pipelines.training.fitting import FitReport, Limits, fit
from pipelines.training.lists import RankerLists, ShownLists, parts
from pipelines.training.requests import ndcg_at_10
from pipelines.training.scoring import Scorer, inputs_of, label_ranks, labels_of, signatures, taught_by
from pipelines.training.trail import Trail
from recsys.config.cloud import RankerSettings
from recsys.contracts.arrays import Float32Array, Int64Array
from recsys.errors import TrainingError
from recsys.features.tasks import CHOICE_TASK, TASKS
from recsys.metrics.ranking import auc
from recsys.models.ranker import Ranker
from recsys.progress import Progress

MIN_ANSWERS = 20
"""Times that a task must have been fulfilled, and not, among what was chosen of what was shown, to be learned."""

MIN_STOPPING_USERS = 50
"""Of fewer people the likelihood says less than chance does when to stop: then the last pass is kept."""

_MAX_SECONDS = 600.0
_STEPS = "steps"
_JUDGED_BY = "validation_log_likelihood"


@dataclass(frozen=True)
class RankerReport:
    """The fit, and both orders on users that neither trained nor stopped it (a choice outside the list counts 0).

    Attributes:
      num_lists: proposed lists that it learned from.
      num_shown: lists that were shown that it learned from.
      aucs: task to how well its chance tells what fulfils it from what does not, among all that was shown.
    """

    fit: FitReport
    num_lists: int
    num_shown: int
    retrieval_ndcg_at_10: float
    ranker_ndcg_at_10: float
    aucs: Mapping[str, float]


def choose_tasks(shown: ShownLists) -> tuple[str, ...]:
    """Returns the tasks that what was shown can teach, the choice always among them."""
    fulfilled = shown.fulfilled[shown.candidates > 0]
    fulfilled = fulfilled[fulfilled[:, TASKS.index(CHOICE_TASK)]]
    counts = fulfilled.sum(axis=0)
    enough = np.minimum(counts, len(fulfilled) - counts) >= MIN_ANSWERS
    return tuple(task for task, taught in zip(TASKS, enough, strict=True) if taught or task == CHOICE_TASK)


def fit_ranker(
    ranker: Ranker,
    lists: RankerLists,
    settings: RankerSettings,
    seed: int,
    progress: Progress,
    trail: Trail | None = None,
) -> RankerReport:
    """Trains and calibrates; of all users 10 % stop the training and calibrate, and another 10 % judge it.

    Taken up where an earlier run was cut off, if that left its `trail`.

    Raises:
      TrainingError: If no proposed list holds the choice and none was shown, or the loss diverges.
    """
    train, stop, judge = (lists.of_users(users) for users in _split_users(lists, seed))
    train, stop = train.to_learn(settings.max_examples), stop.to_learn(len(stop))
    stops = stop.num_users >= MIN_STOPPING_USERS
    if len(train) == 0:
        raise TrainingError(
            f"Expected validation items among the first {settings.num_candidates} candidates to train the ranker on, "
            f"got none in {len(lists)} lists. Train retrieval for longer, or raise `num_candidates`."
        )
    train = train.with_practice()
    ranker.adapt(train.features()[None])
    batches = _Batches(train, ranker.tasks, settings.batch_size, seed)
    falling = tf.keras.optimizers.schedules.CosineDecay(settings.learning_rate, settings.max_epochs * len(batches))
    ranker.compile(optimizer=tf.keras.optimizers.Adam(falling))
    inputs, signature = signatures(ranker.dim, len(ranker.tasks))
    scorer = Scorer(ranker, lists.vectors, tf.function(ranker.outputs_of, input_signature=[inputs]))
    # Of a few hundred lists NDCG says less than chance does; their likelihood moves smoothly.
    judged_by = _JUDGED_BY if stops else _STEPS
    limits = Limits(settings.max_epochs, settings.patience, _MAX_SECONDS, settings.averaging, judged_by)
    progress.stage("training the ranker", settings.max_epochs)
    report = fit(ranker, batches.epoch, signature, _judge_by(scorer, stop, stops, ranker), limits, progress, trail)
    _calibrate(ranker, scorer, stop)
    in_order = label_ranks(np.zeros(judge.proposed.candidates.shape, np.float32), judge.proposed)
    return RankerReport(
        fit=report,
        num_lists=len(train.proposed),
        num_shown=len(train.shown),
        retrieval_ndcg_at_10=ndcg_at_10(in_order),
        ranker_ndcg_at_10=ndcg_at_10(label_ranks(scorer.scores(judge.proposed), judge.proposed)),
        aucs=_measure_tasks(ranker.tasks, scorer, judge.shown),
    )


@dataclass(frozen=True)
class _Batches:
    """The batches of an epoch: of one kind each, the kinds in a drawn order."""

    lists: RankerLists
    tasks: tuple[str, ...]
    size: int
    seed: int

    def __len__(self) -> int:
        """Number of batches."""
        return sum(-(-len(lists) // self.size) for lists in (self.lists.proposed, self.lists.shown))

    def epoch(self, number: int) -> Iterator[dict[str, Float32Array]]:
        """Yields the batches of one epoch, the same ones each time."""
        rng = np.random.default_rng((self.seed, number))
        orders = [rng.permutation(len(lists)) for lists in (self.lists.proposed, self.lists.shown)]
        rows = [(kind, order[part]) for kind, order in enumerate(orders) for part in parts(len(order), self.size)]
        turns = rng.permutation(len(rows)) if len(orders[1]) else range(len(rows))
        for turn in turns:
            kind, chosen = rows[turn]
            yield self._of_shown(chosen) if kind else self._of_proposed(chosen)

    def _of_proposed(self, rows: Int64Array) -> dict[str, Float32Array]:
        """The choice is the one label, of the one task."""
        lists = self.lists.proposed.take(rows)
        labels = np.zeros((*lists.candidates.shape, len(self.tasks)), np.float32)
        labels[:, :, 0] = np.arange(lists.candidates.shape[1]) == lists.labels[:, None]
        mask = (lists.candidates > 0).astype(np.float32)
        masks = {"candidate_mask": mask, "shown_mask": np.zeros_like(mask)}
        return {**inputs_of(lists, self.lists.vectors), "labels": labels, **masks}

    def _of_shown(self, rows: Int64Array) -> dict[str, Float32Array]:
        lists = self.lists.shown.take(rows)
        mask = (lists.candidates > 0).astype(np.float32)
        labels = labels_of(lists, self.tasks).astype(np.float32)
        return {**inputs_of(lists, self.lists.vectors), "labels": labels, "candidate_mask": mask, "shown_mask": mask}


def _judge_by(scorer: Scorer, stop: RankerLists, stops: bool, ranker: Ranker) -> Callable[[], float]:
    """What a fit is to raise: the likelihood of held-out lists or, where these are few, the steps that it took."""
    if stops:
        return lambda: scorer.likelihood(stop)
    return lambda: float(ranker.optimizer.iterations)


def _calibrate(ranker: Ranker, scorer: Scorer, held: RankerLists) -> None:
    """Fits each task's slope and offset to what was shown to some users; where nothing was, to what was proposed."""
    if len(held.shown):
        outputs, labels = scorer.of_shown(held.shown)
    else:
        present = held.proposed.candidates > 0
        is_choice = np.arange(present.shape[1]) == held.proposed.labels[:, None]
        outputs, labels = scorer.outputs(held.proposed)[present], is_choice[present][:, None]
    fitted = [
        fit_calibration(outputs[taught, task].astype(np.float64), labels[taught, task])
        for task, taught in enumerate(taught_by(labels).T)
    ]
    slopes, offsets = np.ones(len(ranker.tasks)), np.zeros(len(ranker.tasks))
    slopes[: len(fitted)], offsets[: len(fitted)] = zip(*fitted, strict=True)
    ranker.calibrate(slopes, offsets)


def _measure_tasks(tasks: tuple[str, ...], scorer: Scorer, shown: ShownLists) -> dict[str, float]:
    outputs, labels = scorer.of_shown(shown)
    log_odds = scorer.ranker.log_odds_of(tf.constant(outputs)).numpy()
    values = {task: auc(log_odds[:, column], labels[:, column]) for column, task in enumerate(tasks)}
    return {task: value for task, value in values.items() if value is not None}


def _split_users(lists: RankerLists, seed: int) -> tuple[Int64Array, Int64Array, Int64Array]:
    """80, 10 and 10 % of the users."""
    users = np.unique(np.concatenate([lists.proposed.users, lists.shown.users]))
    users = np.random.default_rng(seed).permutation(users)
    num_held = max(1, len(users) // 10)
    return users[2 * num_held :], users[:num_held], users[num_held : 2 * num_held]
