"""What can be shown: items, and the live rooms of streamers."""

from __future__ import annotations

from dataclasses import dataclass

from recsys.contracts.events import Surface, check_id
from recsys.errors import ContractError


@dataclass(frozen=True)
class Item:
    """One entry of the catalogue. On the live surface it stands for a streamer, whose rooms come and go.

    Law: the id is 1 to 128 characters; categories are distinct.
    """

    item_id: str
    surface: Surface
    title: str
    categories: tuple[str, ...] = ()
    creator_id: str | None = None
    published_ms: int | None = None

    def __post_init__(self) -> None:
        """Checks the law.

        Raises:
          ContractError: Naming the field and the value.
        """
        check_id("item_id", self.item_id)
        if len(set(self.categories)) != len(self.categories):
            raise ContractError(f"Expected distinct `categories` for item {self.item_id!r}, got {self.categories}.")


@dataclass(frozen=True)
class Room:
    """One livestream of a streamer, open from `start_ms` (inclusive) to `end_ms` (exclusive).

    Law: it ends after it starts; `end_ms` is None while nobody knows the end.
    """

    room_id: str
    item_id: str
    start_ms: int
    end_ms: int | None = None

    def __post_init__(self) -> None:
        """Checks the law.

        Raises:
          ContractError: Naming the field and the value.
        """
        check_id("room_id", self.room_id)
        check_id("item_id", self.item_id)
        if self.end_ms is not None and self.end_ms <= self.start_ms:
            raise ContractError(
                f"Expected room {self.room_id!r} to end after its start {self.start_ms}, got `end_ms` {self.end_ms}."
            )

    def is_open(self, now_ms: int) -> bool:
        """Whether the room can be entered at `now_ms`."""
        return self.start_ms <= now_ms and (self.end_ms is None or now_ms < self.end_ms)
