"""What a device makes of the global tower for its own person, and whether it shows that.

The earlier part of the private choices is trained on; the later part decides (`gate`), and between the cloud's order
and the global tower's all of them do. Nothing of either leaves.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from federated.device.examples import Choice, build_examples
from federated.device.gate import Order, choose_order
from federated.device.training import LocalTrainer, LocalUpdate
from recsys.cascade.rerank import Reranker
from recsys.config.federated import DeviceSettings, PersonalSettings
from recsys.contracts.arrays import Float32Array, Int32Array
from recsys.metrics.ranking import MISSED, rank_of


class PersonalTower:
    """The global tower, and beside it the one that a person's device has made its own.

    Attributes:
      general: Scores by the tower as it came.
      own: Scores by the tower as it was trained here; the same until `train` was called.
    """

    def __init__(self, model: bytes, vectors: Float32Array, device: DeviceSettings, personal: PersonalSettings) -> None:
        """Loads the tower.

        Args:
          model: LiteRT flatbuffer of the tower that can be trained; its own sizes count, not the settings'.
          vectors: `[num_items + 1, dim]` float32, row 0 zero.
          device: How many of the latest examples are trained on.
          personal: How they are trained on, and what decides.

        Raises:
          BundleError: If the bytes are no device tower that can be trained.
        """
        self.general, self.own = Reranker(model, "infer"), Reranker(model, "infer")
        self._trainer = LocalTrainer(model)
        self._vectors = vectors
        sizes = {"num_candidates": self._trainer.num_candidates, "history_length": self.own.history_length}
        self._device = device.model_copy(update=sizes)
        self._personal = personal

    def train(self, choices: Sequence[Choice], rng: np.random.Generator) -> LocalUpdate:
        """Starts from the global tower and trains it on a person's choices; returns what became of it.

        Args:
          choices: In the order of time.
          rng: The device's own; draws the candidates of each example.
        """
        examples = build_examples(choices, self._vectors.shape[1], self._device, rng)
        update = self._trainer.train(examples, self._vectors, self._personal.learning_rate, self._personal.local_epochs)
        self.own.restore(update.weights)
        return update

    def decide(self, later: Sequence[Choice], earlier: Sequence[Choice] = ()) -> Order:
        """Returns whose order to show for lists of this kind.

        Args:
          later: Than all that the own tower was trained on, in the order of time.
          earlier: The choices that it was trained on, before such lists.
        """
        choices = [*earlier, *later]
        ranks = {
            Order.CLOUD: [rank_of(choice.item_index, choice.candidates) for choice in choices],
            Order.GLOBAL: [self._rank(choice, self.general) for choice in choices],
            Order.PERSONAL: [self._rank(choice, self.own) for choice in later],
        }
        arrays: dict[Order, Int32Array] = {order: np.asarray(places, np.int32) for order, places in ranks.items()}
        return choose_order(arrays, self._personal.margin, Order(self._personal.fallback))

    def _rank(self, choice: Choice, reranker: Reranker) -> int:
        if choice.item_index not in choice.candidates:
            return MISSED
        scores = reranker.rerank(
            self._vectors[choice.candidates],
            choice.cloud_scores,
            choice.query,
            self._vectors[choice.history[-reranker.history_length :]],
        )
        return rank_of(choice.item_index, choice.candidates[np.lexsort((choice.candidates, -scores))])


def split_choices(num_choices: int, judged_share: float) -> int:
    """Returns how many choices, the earliest, are trained on; the rest decides.

    Example:
      >>> split_choices(5, 0.5)
      3
    """
    return num_choices - int(num_choices * judged_share)
