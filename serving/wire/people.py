"""What people send, and their right to be forgotten."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from recsys.contracts.events import MAX_ID_LENGTH, MAX_TIMESTAMP_MS, MIN_TIMESTAMP_MS, Action, Event, Surface
from serving.wire.shape import ItemId, Wire


class EventGiven(Wire):
    """One action of one person, as `data/event_schema.md` has it."""

    event_id: ItemId = Field(description="Unique for ever; an id that came before counts once.")
    user_id: ItemId = Field(description="Who acted.")
    item_id: ItemId = Field(description="What was acted on; on the live surface the streamer.")
    action: Action = Field(description="What was done.")
    surface: Surface = Field(description="Where: `feed` or `live`.")
    timestamp_ms: int = Field(
        strict=True, ge=MIN_TIMESTAMP_MS, lt=MAX_TIMESTAMP_MS, description="When, in milliseconds since 1970 (UTC)."
    )
    value: float | None = Field(
        None, strict=True, allow_inf_nan=False, ge=0, le=1e9, description="Of a rating or a gift; seconds watched."
    )
    position: int | None = Field(
        None, strict=True, ge=0, le=32_767, description="Slot in the list that was shown, from 0."
    )
    room_id: str | None = Field(
        None, min_length=1, max_length=MAX_ID_LENGTH, description="The room on the live surface; absent on the feed."
    )

    @model_validator(mode="after")
    def _check_law(self) -> EventGiven:
        self.to_contract()
        return self

    def to_contract(self) -> Event:
        """Returns the event.

        Raises:
          ContractError: If it breaks the law of events.
        """
        return Event(**dict(self))


class EventsRequest(Wire):
    """Events of people who consented that the cloud learns from them."""

    consent: Literal[True] = Field(description="Must be true: each person consented to these events being kept.")
    events: list[EventGiven] = Field(min_length=1, description="In any order; all are kept or none.")

    @field_validator("consent", mode="before")
    @classmethod
    def _check_consent(cls, consent: object) -> object:
        if consent is not True:
            raise ValueError("Expected `true`, got another value. What people did not consent to must not be sent.")
        return consent


class EventsAnswer(Wire):
    """The events are on the disk."""

    accepted: int = Field(description="Events that were new.")
    duplicates: int = Field(description="Events whose id had come before.")
    degraded: bool = Field(description="Whether recommendations do not know of them before the next training.")


class ForgottenAnswer(Wire):
    """A person is forgotten."""

    status: Literal["forgotten", "pending"] = Field(
        description="`forgotten`; or `pending`: for all that is served, and the files follow."
    )
