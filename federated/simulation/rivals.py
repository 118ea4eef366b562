"""Simple models that learned from the cloud's log, and rank the whole catalogue by nothing but a history.

The simulation knows only what it asks of them; who brings some along is what measures them (`benchmarks/edge_cloud`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from recsys.contracts.arrays import Float32Array, Int32Array


class Rivals(Protocol):
    """Several of them; may be sent to another process."""

    def score(self, history: Int32Array) -> Mapping[str, Float32Array]:
        """Returns what each model makes of a history: name to `[num_items + 1]` float32, higher is better.

        Args:
          history: `[num]` int32 item indexes, oldest first; may be empty. What is in it is scored like the rest.
        """
