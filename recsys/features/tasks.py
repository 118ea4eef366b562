"""What the ranker foresees of a candidate: one task per kind of response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from recsys.contracts.events import POSITIVE_ACTIONS, Action

TASK_ACTIONS: Final[Mapping[str, frozenset[Action]]] = {
    "click": POSITIVE_ACTIONS,
    "long_view": frozenset({Action.LONG_VIEW}),
    "like": frozenset({Action.LIKE}),
    "follow": frozenset({Action.FOLLOW}),
    "gift": frozenset({Action.GIFT}),
}
"""Task to the actions that fulfil it. A click is any interest at all: who likes an item has taken it up."""

TASKS: Final = tuple(TASK_ACTIONS)

CHOICE_TASK: Final = TASKS[0]
"""The task that every log knows, even one without impressions."""
