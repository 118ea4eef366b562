"""Training windows: long histories cut into pieces, all of whose places are targets, and their candidates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipelines.training.examples import Sequences
from recsys.contracts.arrays import Float32Array, Int32Array, Int64Array

Batch = dict[str, Int32Array | Float32Array]


@dataclass(frozen=True)
class Windows:
    """Pieces of the training period, `[num_windows]` int64 each.

    Attributes:
      users: whose.
      starts: place in `Sequences.items` of the first target.
      ends: place after the last target; at most `history_length` further.
    """

    users: Int64Array
    starts: Int64Array
    ends: Int64Array


def cut_windows(sequences: Sequences, length: int, rng: np.random.Generator) -> Windows:
    """Cuts each user's training period so that every item of it is a target exactly once.

    A user with more than `length` items is cut at a random phase, so that over the epochs every item is
    predicted from short and from long histories.

    Args:
      sequences: All users.
      length: Targets of a window at most.
      rng: Draws the phases.
    """
    first, last = sequences.offsets[:-1], sequences.train_ends
    num_targets = last - first
    phase = rng.integers(1, length + 1, sequences.num_users)
    head = np.where(num_targets > length, phase, num_targets)
    num_windows = np.where(num_targets > 0, 1 + -(-(num_targets - head) // length), 0)
    users = np.repeat(np.arange(sequences.num_users), num_windows)
    number = np.arange(len(users)) - np.repeat(np.cumsum(num_windows) - num_windows, num_windows)
    ends = np.minimum(first[users] + head[users] + number * length, last[users])
    starts = np.where(number > 0, first[users] + head[users] + (number - 1) * length, first[users])
    return Windows(users, starts, ends)


class WindowBatches:
    """Batches of one training run, drawn anew each epoch from (seed, epoch) alone."""

    def __init__(
        self, sequences: Sequences, num_items: int, length: int, batch_size: int, num_negatives: int, seed: int
    ) -> None:
        """Counts what the correction for sampling needs.

        Args:
          sequences: All users.
          num_items: Items of the vocabulary.
          length: Slots of a window.
          batch_size: Windows of a batch.
          num_negatives: Uniform negatives of a batch; a catalogue no larger than this is taken whole.
          seed: Draws order, phases and negatives.
        """
        self._sequences = sequences
        self._num_items = num_items
        self._length = length
        self._batch_size = batch_size
        self._num_negatives = num_negatives
        self._seed = seed
        self._takes_all = num_items <= num_negatives
        self._log_probability = self._draw_log_probability()

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yields the batches of an epoch (see `RetrievalModel.compute_loss`); the last may have fewer windows."""
        windows, rng = self._cut(number)
        order = rng.permutation(len(windows.users))
        for start in range(0, len(order), self._batch_size):
            rows = order[start : start + self._batch_size]
            yield self._batch(windows.users[rows], windows.starts[rows], windows.ends[rows], rng)

    def num_batches(self, number: int) -> int:
        """Returns how many batches an epoch has; the phases of the windows make it vary a little."""
        return -(-len(self._cut(number)[0].users) // self._batch_size)

    def _cut(self, number: int) -> tuple[Windows, np.random.Generator]:
        """The windows of an epoch, and the generator that goes on drawing its order and negatives."""
        rng = np.random.default_rng((self._seed, number))
        return cut_windows(self._sequences, self._length, rng), rng

    def _batch(self, users: Int64Array, starts: Int64Array, ends: Int64Array, rng: np.random.Generator) -> Batch:
        history = self._sequences.padded_histories(users, ends - 1, self._length)
        places = ends[:, None] - self._length + np.arange(self._length)
        target = np.where(places >= starts[:, None], self._sequences.items[np.maximum(places, 0)], 0)
        target = target.astype(np.int32)
        if self._takes_all:
            items = np.arange(self._num_items + 1, dtype=np.int32)
        else:
            negatives = rng.choice(self._num_items, self._num_negatives, replace=False) + 1
            items = np.unique(np.concatenate([[0], history.ravel(), target.ravel(), negatives])).astype(np.int32)
            history = np.searchsorted(items, history).astype(np.int32)
            target = np.searchsorted(items, target).astype(np.int32)
        return {
            "items": items,
            "log_probability": self._log_probability[items],
            "history": history,
            "target": target,
        }

    def _draw_log_probability(self) -> Float32Array:
        """Logarithm of each item's chance to be a candidate of a batch, `[num_items + 1]`."""
        if self._takes_all:
            return np.zeros(self._num_items + 1, np.float32)
        train = self._sequences.items[~self._sequences.is_validation]
        share = np.bincount(train, minlength=self._num_items + 1) / max(len(train), 1)
        missed = (1.0 - share) ** min(self._batch_size * self._length, len(train))
        drawn = self._num_negatives / self._num_items
        return np.log(1.0 - missed * (1.0 - drawn)).astype(np.float32)
