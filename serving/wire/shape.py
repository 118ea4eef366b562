"""What all bodies are made of: a strict object, ids and numbers within bounds."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from recsys.contracts.events import MAX_ID_LENGTH

MAX_HISTORY = 1_000
"""Items of a history in one request; the towers read far fewer."""

MAX_EXCLUDED = 10_000
MAX_SCORE = 1e9
MAX_DIM = 4_096

ItemId = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH)]
Score = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-MAX_SCORE, le=MAX_SCORE)]
Component = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-1e4, le=1e4)]
"""One entry of a query vector. The bound is far above what a tower gives and keeps float32 from overflowing."""


class Wire(BaseModel):
    """A JSON object; an unknown key is an error, not a silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)
