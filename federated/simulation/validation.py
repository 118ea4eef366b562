"""How well a device tower orders what people chose last in private who take part in no round."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from federated.device.examples import Choice
from federated.simulation.choices import ChoiceMaker
from federated.simulation.clients import NUM_CANDIDATES
from federated.simulation.user_log import UserLog
from recsys.cascade.cloud import CloudModel
from recsys.config.federated import DeviceSettings
from recsys.contracts.arrays import Float32Array, Float64Array, Int32Array
from recsys.features.history import history_mask, pad_history, standardise
from recsys.metrics.ranking import ndcg_at, rank_of

CUT: Final = 10
_LISTS_PER_CALL: Final = 512
"""Bounds the memory: a list of 100 takes about 150 KB in the tower."""


@dataclass(frozen=True)
class Validation:
    """The last private choices of each validation user, each before both kinds of list.

    Attributes:
      users: `[num_lists]` int32, rising: whose list it is.
      targets: `[num_lists]` int32, item indexes.
      candidates: `[num_lists, num_candidates]` int32, 0 is padding.
      cloud_scores: `[num_lists, num_candidates]` float32, standardised within the list.
      queries: `[num_lists, dim]` float32.
      histories: `[num_lists, history_length]` int32.
      vectors: `[num_items + 1, dim]` float32.
    """

    users: Int32Array
    targets: Int32Array
    candidates: Int32Array
    cloud_scores: Float32Array
    queries: Float32Array
    histories: Int32Array
    vectors: Float32Array

    @classmethod
    def build(
        cls, cloud: CloudModel, logs: Iterable[UserLog], settings: DeviceSettings, num_choices: int
    ) -> Validation:
        """Makes the lists; people without a private choice are left out.

        Args:
          cloud: Sends the lists.
          logs: Of the validation users.
          settings: Of the tower.
          num_choices: Of each user, the last.
        """
        choices: list[list[Choice]] = []
        for log in logs:
            maker = ChoiceMaker(cloud, log, NUM_CANDIDATES)
            rows = maker.private_rows[-num_choices:]
            choices.append([maker.choice(row, fresh) for row in rows for fresh in (False, True)])
        return cls.from_choices(choices, cloud.vectors, settings)

    @classmethod
    def from_choices(
        cls, choices: Sequence[Sequence[Choice]], vectors: Float32Array, settings: DeviceSettings
    ) -> Validation:
        """Pads the lists of users to one length; users without any are left out."""
        owned = [own for own in choices if own]
        flat = [choice for own in owned for choice in own]
        candidates = np.zeros((len(flat), NUM_CANDIDATES), np.int32)
        scores = np.zeros((len(flat), NUM_CANDIDATES), np.float32)
        for row, choice in enumerate(flat):
            if len(choice.candidates):
                candidates[row, : len(choice.candidates)] = choice.candidates
                scores[row, : len(choice.candidates)] = standardise(choice.cloud_scores)
        return cls(
            users=np.repeat(np.arange(len(owned), dtype=np.int32), [len(own) for own in owned]),
            targets=np.asarray([choice.item_index for choice in flat], np.int32),
            candidates=candidates,
            cloud_scores=scores,
            queries=np.stack([choice.query for choice in flat]),
            histories=np.stack([pad_history(choice.history, settings.history_length) for choice in flat]),
            vectors=vectors,
        )

    def ndcg(self, tower: tf.keras.Model, item_bias: Float32Array | None = None) -> Float64Array:
        """Returns NDCG@10 of each user, `[num_users]` float64: the mean of the user's lists; a missed choice counts 0.

        Args:
          tower: Of `build_device_tower`.
          item_bias: `[num_items + 1]` float32, added to the scores of items if it is given.
        """
        starts = range(0, len(self.targets), _LISTS_PER_CALL)
        scores = np.concatenate([self._score(tower, slice(row, row + _LISTS_PER_CALL)) for row in starts])
        return self._judge(scores if item_bias is None else scores + item_bias[self.candidates])

    def ndcg_each(self, tower: tf.keras.Model, weights: Sequence[npt.NDArray[np.float32]]) -> Float64Array:
        """Returns the same where each user has a tower of their own.

        Args:
          tower: Of `build_device_tower`; holds the weights of the last user afterwards.
          weights: Of each user, `[num_users, …]` float32 each, in the order of the tower's.
        """
        scores = []
        for user, rows in enumerate(np.split(np.arange(len(self.users)), np.flatnonzero(np.diff(self.users)) + 1)):
            for variable, own in zip(tower.trainable_weights, weights, strict=True):
                variable.assign(own[user])
            scores.append(self._score(tower, slice(int(rows[0]), int(rows[-1]) + 1)))
        return self._judge(np.concatenate(scores))

    def ndcg_of_cloud(self) -> Float64Array:
        """Returns the same of the cloud's own order."""
        return self._judge(self.cloud_scores)

    def _score(self, tower: tf.keras.Model, rows: slice) -> Float32Array:
        histories = self.histories[rows]
        return tower(
            {
                "candidates": self.vectors[self.candidates[rows]],
                "cloud_scores": self.cloud_scores[rows],
                "query": self.queries[rows],
                "history": self.vectors[histories],
                "history_mask": history_mask(histories),
            }
        )["score"].numpy()

    def _judge(self, scores: Float32Array) -> Float64Array:
        ranks = []
        for target, candidates, judged in zip(self.targets, self.candidates, scores, strict=True):
            shown = candidates > 0
            order = np.lexsort((candidates[shown], -judged[shown]))
            ranks.append(rank_of(int(target), candidates[shown][order]))
        gains = ndcg_at(np.asarray(ranks, np.int32), CUT)
        return np.bincount(self.users, gains) / np.bincount(self.users)
