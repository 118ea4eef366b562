"""Errors as problem details (RFC 9457): every answer that is not a success has this one shape.

The text of an error that a client can mend is passed on. Of all others the client learns only that they happened, and
the request id under which the log tells more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from recsys.errors import ContractError, OverloadError, StoreAwayError, TandemError, VersionMismatchError
from serving.deadline import DeadlineError
from serving.observation import LOGGER, request_id_of
from serving.wire.operation import Fault, Problem

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = "1"
MAX_FAULTS: Final = 20

_TITLES: Final[dict[int, str]] = {413: "Content Too Large", 422: "Unprocessable Content"}
"""Names that HTTP has changed since Python 3.11."""

_RETRY: Final = ("Retry-After", "Seconds after which to ask again.", {"type": "integer", "minimum": 1})
_HEADERS: Final[dict[int, tuple[tuple[str, str, dict[str, Any]], ...]]] = {
    401: (("WWW-Authenticate", "`Bearer`, and what was wrong with the key.", {"type": "string"}),),
    429: (_RETRY,),
    503: (_RETRY,),
}
"""Status to name, description and schema of the headers that its problems have."""

_UNREADABLE: Final = (
    "Expected a JSON body, got one that cannot be read: broken syntax, nested too deeply, or a number of thousands of "
    "digits. Send one JSON object with `Content-Type: application/json`."
)


class NotReadyError(TandemError):
    """There is no bundle to answer with."""

    http_status = 503


class UnknownFileError(TandemError):
    """A device asks for a file that is none of its own."""

    http_status = 404


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns the OpenAPI description of the problems that a route answers with."""
    return {status: _describe(status) for status in statuses}


def _describe(status: int) -> dict[str, Any]:
    answer = {
        "description": _title(status),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    headers = {name: {"description": words, "schema": schema} for name, words, schema in _HEADERS.get(status, ())}
    return answer | ({"headers": headers} if headers else {})


def binary(media_type: str, description: str, headers: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Returns the OpenAPI description of an answer that is no JSON, with its headers."""
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    return {"description": description, "content": content, **({"headers": dict(headers)} if headers else {})}


def answer_problem(
    status: int,
    detail: str,
    *,
    kind: str | None = None,
    errors: Sequence[Fault] | None = None,
    headers: Mapping[str, str] | None = None,
    request_id: str | None = None,
) -> Response:
    """Returns a problem as an HTTP response.

    Args:
      status: HTTP status.
      detail: What was expected, what came and what to do.
      kind: Last part of the problem's type; None for a plain HTTP error.
      errors: The places that were refused.
      headers: Further response headers.
      request_id: Names the request in the log.
    """
    problem = Problem(
        type="about:blank" if kind is None else f"urn:tandem:problem:{kind}",
        title=_title(status),
        status=status,
        detail=detail,
        errors=None if errors is None else list(errors),
        request_id=request_id,
    )
    # ASCII JSON: a refused key of the body may hold half a surrogate pair, which UTF-8 cannot.
    content = json.dumps(problem.to_json()).encode("ascii")
    return Response(content, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def install_problems(app: FastAPI) -> None:
    """Makes every error of `app` a problem."""
    app.add_exception_handler(TandemError, answer_tandem_error)
    app.add_exception_handler(RequestValidationError, _answer_refusal)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(Exception, _answer_unexpected)


def kind_of(error: TandemError) -> str:
    """Returns the kind of a known error: its class name in kebab case without the ending.

    Example:
      >>> kind_of(VersionMismatchError("…"))
      'version-mismatch'
    """
    name = type(error).__name__.removesuffix("Error")
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


async def answer_tandem_error(request: Request, error: Exception) -> Response:
    """Returns the problem that a known error is, and logs it where the fault is the server's."""
    if isinstance(error, ContractError | VersionMismatchError | UnknownFileError | DeadlineError):
        return answer_problem(error.http_status, str(error), kind=kind_of(error))
    if isinstance(error, NotReadyError | OverloadError | StoreAwayError):
        headers = {"Retry-After": RETRY_AFTER_S}
        return answer_problem(error.http_status, str(error), kind=kind_of(error), headers=headers)
    LOGGER.error("request failed", extra={"fields": {"request_id": request_id_of(request.scope)}}, exc_info=error)
    return await _answer_unexpected(request, error)


async def _answer_refusal(request: Request, error: Exception) -> Response:
    problems: Sequence[Mapping[str, Any]] = error.errors() if isinstance(error, RequestValidationError) else ()
    if any(problem["type"] == "json_invalid" for problem in problems):
        return answer_problem(400, _UNREADABLE, kind="json")
    faults = [Fault(detail=_explain(problem), pointer=_point(problem["loc"])) for problem in problems[:MAX_FAULTS]]
    first = f"{faults[0].pointer}: {faults[0].detail}" if faults else "Expected another request."
    more = f" ({len(problems) - 1} more in `errors`.)" if len(problems) > 1 else ""
    return answer_problem(422, first + more, kind="validation", errors=faults)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return await _answer_unexpected(request, error)
    detail = str(error.detail)
    if error.status_code == HTTPStatus.BAD_REQUEST:
        return answer_problem(400, _UNREADABLE, kind="json")
    if error.status_code == HTTPStatus.NOT_FOUND and detail == HTTPStatus.NOT_FOUND.phrase:
        detail = "Expected a path of this service, got one that is none. /openapi.json lists them."
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "another method")
        detail = f"Expected {allowed} on this path, got {request.method:.16}."
    return answer_problem(error.status_code, detail, headers=error.headers)


async def _answer_unexpected(request: Request, error: Exception) -> Response:
    detail = "The service failed on this request; the fault is not yours. The server's log has it under `request_id`."
    return answer_problem(500, detail, request_id=request_id_of(request.scope))


def _title(status: int) -> str:
    return _TITLES.get(status) or HTTPStatus(status).phrase


def _point(location: Sequence[str | int]) -> str:
    """Returns a JSON pointer (RFC 6901) into the body, or the name of another place."""
    place, *path = location
    escaped = [str(part).replace("~", "~0").replace("/", "~1")[:64] for part in path]
    return "#" + "".join(f"/{part}" for part in escaped) if place == "body" else "/".join([str(place), *escaped])


def _explain(problem: Mapping[str, Any]) -> str:
    if problem["type"] == "extra_forbidden":
        return "Unknown key; remove it or correct its spelling."
    if problem["type"] in ("model_attributes_type", "missing") and len(problem["loc"]) == 1:
        return "Expected a JSON object with `Content-Type: application/json`."
    return str(problem["msg"]).removeprefix("Value error, ")
