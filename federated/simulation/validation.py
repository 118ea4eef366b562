"""How well a device tower orders what people chose last in private, which nobody trains on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import tensorflow as tf

from federated.device.examples import Choice
from federated.simulation.choices import ChoiceMaker
from federated.simulation.clients import NUM_CANDIDATES
from federated.simulation.replay import UserLog
from recsys.cascade.cloud import CloudModel
from recsys.config.federated import DeviceSettings
from recsys.contracts.arrays import Float32Array, Float64Array, Int32Array
from recsys.features.history import history_mask, pad_history, standardise
from recsys.metrics.ranking import ndcg_at, rank_of

CUT: Final = 10
_LISTS_PER_USER: Final = 2


@dataclass(frozen=True)
class Validation:
    """The last private choice of each validation user, before both kinds of list.

    Attributes:
      targets: `[num_lists]` int32, item indexes; a user's two lists are neighbours.
      candidates: `[num_lists, num_candidates]` int32, 0 is padding.
      cloud_scores: `[num_lists, num_candidates]` float32, standardised within the list.
      queries: `[num_lists, dim]` float32.
      histories: `[num_lists, history_length]` int32.
      vectors: `[num_items + 1, dim]` float32.
    """

    targets: Int32Array
    candidates: Int32Array
    cloud_scores: Float32Array
    queries: Float32Array
    histories: Int32Array
    vectors: Float32Array

    @classmethod
    def build(cls, cloud: CloudModel, logs: Iterable[UserLog], settings: DeviceSettings) -> Validation:
        """Makes the lists; people without a private choice are left out."""
        choices: list[Choice] = []
        for log in logs:
            maker = ChoiceMaker(cloud, log, NUM_CANDIDATES)
            choices += [maker.choice(row, fresh) for row in maker.private_rows[-1:] for fresh in (False, True)]
        return cls.from_choices(choices, cloud.vectors, settings)

    @classmethod
    def from_choices(cls, choices: Sequence[Choice], vectors: Float32Array, settings: DeviceSettings) -> Validation:
        """Pads lists to one length; two neighbouring choices belong to one user."""
        candidates = np.zeros((len(choices), NUM_CANDIDATES), np.int32)
        scores = np.zeros((len(choices), NUM_CANDIDATES), np.float32)
        for row, choice in enumerate(choices):
            if len(choice.candidates):
                candidates[row, : len(choice.candidates)] = choice.candidates
                scores[row, : len(choice.candidates)] = standardise(choice.cloud_scores)
        return cls(
            targets=np.asarray([choice.item_index for choice in choices], np.int32),
            candidates=candidates,
            cloud_scores=scores,
            queries=np.stack([choice.query for choice in choices]),
            histories=np.stack([pad_history(choice.history, settings.history_length) for choice in choices]),
            vectors=vectors,
        )

    def ndcg(self, tower: tf.keras.Model) -> Float64Array:
        """Returns NDCG@10 of each user, `[num_users]` float64: the mean of both lists; a missed choice counts 0."""
        scores = tower(
            {
                "candidates": self.vectors[self.candidates],
                "cloud_scores": self.cloud_scores,
                "query": self.queries,
                "history": self.vectors[self.histories],
                "history_mask": history_mask(self.histories),
            }
        )["score"].numpy()
        ranks = []
        for target, candidates, judged in zip(self.targets, self.candidates, scores, strict=True):
            shown = candidates > 0
            order = np.lexsort((candidates[shown], -judged[shown]))
            ranks.append(rank_of(int(target), candidates[shown][order]))
        return ndcg_at(np.asarray(ranks, np.int32), CUT).reshape(-1, _LISTS_PER_USER).mean(axis=1)
