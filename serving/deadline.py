"""How long a client is willing to wait, as it says itself: `X-Deadline-Ms`, counted from the request's first byte."""

from __future__ import annotations

import time
from typing import Any, Final

from starlette.requests import Request

from recsys.errors import ContractError, TandemError
from serving.headers import header_of

HEADER: Final = "X-Deadline-Ms"
MAX_MS: Final = 600_000

_NAME: Final = HEADER.lower().encode()
PARAMETER: Final[dict[str, Any]] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "Milliseconds that the client will wait, from the request's first byte. What cannot be done by then "
    "is answered 504 and not done.",
    "schema": {"type": "integer", "minimum": 1, "maximum": MAX_MS},
    "example": 60_000,
}
"""The header in the OpenAPI document."""


class DeadlineError(TandemError):
    """The client would have gone before the answer came."""

    http_status = 504


def seconds_left(request: Request) -> float | None:
    """Returns the seconds until the client's deadline, negative where it has passed; None where it names none.

    Raises:
      ContractError: If the header is no whole number of milliseconds from 1 to 600,000.
    """
    found = header_of(request.scope, _NAME)
    if found is None:
        return None
    text = found.decode("latin-1")
    if not (text.isascii() and text.isdecimal() and len(text) <= 6 and 1 <= int(text) <= MAX_MS):
        raise ContractError(f"Expected `{HEADER}` to be whole milliseconds from 1 to {MAX_MS}, got {text!r:.40}.")
    return int(text) / 1e3 - (time.perf_counter() - float(request.scope["tandem.start_s"]))


def missed() -> DeadlineError:
    """Returns the error of a deadline that could not be kept."""
    return DeadlineError(
        f"Expected to answer within `{HEADER}`, got more to do than fits. Nothing more is done for this request; "
        "send it again with more time, or later."
    )
