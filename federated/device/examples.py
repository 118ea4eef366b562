"""Local training examples, made on the device out of its own log and the lists that the cloud had sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from federated.device.targets import build_target
from recsys.config.federated import DeviceSettings
from recsys.contracts.arrays import Float32Array, Int32Array
from recsys.features.history import pad_history, standardise


@dataclass(frozen=True)
class Choice:
    """One private event and the list out of which it was chosen.

    Attributes:
      item_index: The item that was chosen.
      candidates: `[num_candidates]` int32, the cloud's list, best first.
      cloud_scores: `[num_candidates]` float32, the cloud's scores.
      query: `[dim]` float32, the device's own query vector before the event.
      history: `[num]` int32, items of interest before the event, oldest first.
      passed_over: `[num]` int32, candidates that were shown and not chosen, where impressions were logged.
    """

    item_index: int
    candidates: Int32Array
    cloud_scores: Float32Array
    query: Float32Array
    history: Int32Array
    passed_over: Int32Array = field(default_factory=lambda: np.zeros(0, np.int32))


@dataclass(frozen=True)
class LocalExamples:
    """What a device trains on; nothing of it ever leaves.

    Attributes:
      candidates: `[num_examples, num_candidates]` int32 item indexes, 0 is padding.
      cloud_scores: `[num_examples, num_candidates]` float32, standardised over the whole list.
      query: `[num_examples, dim]` float32.
      history: `[num_examples, history_length]` int32, padded on the left.
      target: `[num_examples, num_candidates]` float32, the share that each candidate should have; see `targets`.
    """

    candidates: Int32Array
    cloud_scores: Float32Array
    query: Float32Array
    history: Int32Array
    target: Float32Array

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.target)


def build_examples(
    choices: Sequence[Choice], dim: int, settings: DeviceSettings, rng: np.random.Generator
) -> LocalExamples:
    """Returns examples of the latest choices whose list held the chosen item: what the device really saw.

    Of each list the chosen item and a draw of the others are kept, some of which were seen and passed over.

    Args:
      choices: In the order of time.
      dim: Length of a query vector.
      settings: How many candidates, how much history, how many examples.
      rng: The device's own.
    """
    seen = [choice for choice in choices if (choice.candidates == choice.item_index).any()][-settings.max_examples :]
    examples = LocalExamples(
        candidates=np.zeros((len(seen), settings.num_candidates), np.int32),
        cloud_scores=np.zeros((len(seen), settings.num_candidates), np.float32),
        query=np.zeros((len(seen), dim), np.float32),
        history=np.zeros((len(seen), settings.history_length), np.int32),
        target=np.zeros((len(seen), settings.num_candidates), np.float32),
    )
    chosen = np.asarray([choice.item_index for choice in seen], np.int32)
    for row, choice in enumerate(seen):
        kept = _draw(choice, settings, rng)
        items, scores = choice.candidates[kept], standardise(choice.cloud_scores)[kept]
        examples.candidates[row, : len(kept)] = items
        examples.cloud_scores[row, : len(kept)] = scores
        examples.query[row] = choice.query
        examples.history[row] = pad_history(choice.history, settings.history_length)
        examples.target[row, : len(kept)] = build_target(items, scores, chosen[row:], settings)
    return examples


def _draw(choice: Choice, settings: DeviceSettings, rng: np.random.Generator) -> Int32Array:
    """Places, in the list's order, of the chosen item, of some that were seen and passed over, and of others."""
    is_chosen, was_seen = choice.candidates == choice.item_index, np.isin(choice.candidates, choice.passed_over)
    seen, others, room = np.flatnonzero(was_seen & ~is_chosen), np.flatnonzero(~is_chosen), settings.num_candidates - 1
    known = rng.choice(seen, min(int(settings.passed_over_share * room), len(seen)), replace=False)
    others = np.setdiff1d(others, known)
    drawn = rng.choice(others, min(room - len(known), len(others)), replace=False)
    return np.sort(np.concatenate([np.flatnonzero(is_chosen)[:1], known, drawn])).astype(np.int32)
