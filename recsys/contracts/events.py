"""What a person did, where and when.

The vocabulary follows Metarank's event model (impressions are events too), with the actions of a livestream.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from recsys.errors import ContractError


class Surface(StrEnum):
    """Where something is shown: the item feed, or the livestream feed."""

    FEED = "feed"
    LIVE = "live"


class Action(StrEnum):
    """What a person did. The order is part of the contract: codes in example files are indexes into it."""

    IMPRESSION = "impression"
    CLICK = "click"
    LONG_VIEW = "long_view"
    LIKE = "like"
    FOLLOW = "follow"
    COMMENT = "comment"
    SHARE = "share"
    GIFT = "gift"
    RATING = "rating"
    DISLIKE = "dislike"


POSITIVE_ACTIONS: Final = frozenset(
    {
        Action.CLICK,
        Action.LONG_VIEW,
        Action.LIKE,
        Action.FOLLOW,
        Action.COMMENT,
        Action.SHARE,
        Action.GIFT,
        Action.RATING,
    }
)
"""Actions that count as interest: they make up a history and are what rankings are judged by."""

ACTION_CODES: Final[dict[str, int]] = {action.value: code for code, action in enumerate(Action)}
SURFACE_CODES: Final[dict[str, int]] = {surface.value: code for code, surface in enumerate(Surface)}

MIN_TIMESTAMP_MS: Final = 0
MAX_TIMESTAMP_MS: Final = 4_102_444_800_000
"""2100-01-01: a time beyond it is a unit mistake (microseconds), not an event."""

MAX_ID_LENGTH: Final = 128


@dataclass(frozen=True)
class Event:
    """One action of one person.

    Law: ids are 1 to 128 characters; `value` is finite and not negative, and present for a rating and a gift;
    an event of the live surface names its room, one of the feed none; the time lies between 1970 and 2100.
    """

    event_id: str
    user_id: str
    item_id: str
    action: Action
    surface: Surface
    timestamp_ms: int
    value: float | None = None
    position: int | None = None
    room_id: str | None = None

    def __post_init__(self) -> None:
        """Checks the law.

        Raises:
          ContractError: Naming the field, the rule and the value.
        """
        for name in ("event_id", "user_id", "item_id"):
            check_id(name, getattr(self, name))
        if not isinstance(self.action, Action):
            raise ContractError(f"Expected `action` out of {[a.value for a in Action]}, got {self.action!r}.")
        if not isinstance(self.surface, Surface):
            raise ContractError(f"Expected `surface` out of {[s.value for s in Surface]}, got {self.surface!r}.")
        if not MIN_TIMESTAMP_MS <= self.timestamp_ms < MAX_TIMESTAMP_MS:
            raise ContractError(
                f"Expected `timestamp_ms` between {MIN_TIMESTAMP_MS} and {MAX_TIMESTAMP_MS}, got {self.timestamp_ms}. "
                "Is the unit milliseconds?"
            )
        self._check_value()
        if self.position is not None and self.position < 0:
            raise ContractError(f"Expected `position` from 0 up, got {self.position}.")
        if (self.room_id is not None) != (self.surface is Surface.LIVE):
            raise ContractError(
                "Expected a `room_id` on the live surface and none on the feed, "
                f"got {self.room_id!r} on {self.surface}."
            )

    def _check_value(self) -> None:
        if self.value is None:
            if self.action in (Action.RATING, Action.GIFT):
                raise ContractError(f"Expected a `value` with a {self.action}, got none.")
        elif not (math.isfinite(self.value) and self.value >= 0):
            raise ContractError(f"Expected `value` to be finite and not negative, got {self.value}.")


def check_id(name: str, value: str) -> None:
    """Refuses an id that is empty or longer than `MAX_ID_LENGTH`.

    Raises:
      ContractError: Naming the field and the length that came.
    """
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_LENGTH:
        raise ContractError(f"Expected `{name}` to have 1 to {MAX_ID_LENGTH} characters, got {value!r:.60}.")
