"""What a device keeps of the lists that the cloud sent: those out of which its person chose something."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from federated.device.examples import Choice
from federated.device.vector_cache import VectorCache
from recsys.cascade.rerank import QueryEncoder
from recsys.contracts.feed import Candidate


@dataclass(frozen=True)
class SeenChoice:
    """A choice and the list that it was made from, by ids, so that it outlives a change of the vectors.

    Attributes:
      item_id: What was chosen.
      candidates: The list as the cloud sent it, best first.
      history: Items of interest before the choice, oldest first.
      passed_over: Candidates that were seen and not chosen.
    """

    item_id: str
    candidates: tuple[Candidate, ...]
    history: tuple[str, ...]
    passed_over: tuple[str, ...] = ()


class ChoiceMemory:
    """The latest choices, oldest first; a full memory forgets the oldest."""

    def __init__(self, max_choices: int = 128) -> None:
        """Starts empty.

        Args:
          max_choices: How many are kept.
        """
        self._choices: deque[SeenChoice] = deque(maxlen=max_choices)

    def __len__(self) -> int:
        """Choices kept."""
        return len(self._choices)

    def keep(self, choice: SeenChoice) -> None:
        """Takes a choice."""
        self._choices.append(choice)

    def choices(self, cache: VectorCache, encoder: QueryEncoder) -> Iterator[Choice]:
        """Yields the choices as training wants them, with the vectors and the query of today.

        Candidates without a vector are left out, as in re-ranking, and so are choices whose own item has none.

        Args:
          cache: Numbers the items, as in `VectorCache.table`.
          encoder: Makes the query vector of each history.
        """
        for seen in self._choices:
            indexes = cache.indexes([candidate.item_id for candidate in seen.candidates])
            known, (chosen,) = indexes > 0, cache.indexes([seen.item_id])
            scores = np.asarray([candidate.score for candidate in seen.candidates], np.float32)
            history, passed_over = cache.indexes(seen.history), cache.indexes(seen.passed_over)
            if chosen:
                yield Choice(
                    item_index=int(chosen),
                    candidates=indexes[known],
                    cloud_scores=scores[known],
                    query=encoder.encode(cache.vectors(seen.history)),
                    history=history[history > 0],
                    passed_over=passed_over[passed_over > 0],
                )
