"""A typed client of the service: deadlines, retries, and problems as errors.

Bodies and answers are the service's own types (`serving.wire`), so that what it would refuse is mostly refused here.
Every call may be sent again without harm: an event id counts once, and forgetting twice is forgetting. So whatever a
second attempt may mend is tried again: no answer, 429 and 503, after what `Retry-After` says and a drawn while more,
which doubles; drawn, so that clients that were refused together do not come back together.

Example:
  wish = RecommendRequest(surface=Surface.FEED, count=10, history=["i001"])
  with Client("http://localhost:8080", key="...") as client:
      answer = client.recommend(wish, within_s=0.2)
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Final, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from recsys.errors import TandemError
from serving.wire.feed import (
    RecommendAnswer,
    RecommendRequest,
    RerankAnswer,
    RerankRequest,
    RetrieveAnswer,
    RetrieveRequest,
)
from serving.wire.operation import BundleAnswer, Fault, Problem, ReadyAnswer
from serving.wire.people import EventsAnswer, EventsRequest, ForgottenAnswer

DEADLINE: Final = "X-Deadline-Ms"
MAX_DEADLINE_MS: Final = 600_000
MAX_PAUSE_S: Final = 5.0
"""Longest drawn part of a pause; what `Retry-After` says is kept to, however long."""

_AnswerT = TypeVar("_AnswerT", bound=BaseModel)


class ProblemError(TandemError):
    """The service answered with a problem.

    Attributes:
      status: HTTP status.
      kind: Last part of the problem's type; empty for a plain HTTP error.
      faults: The places of the request that were refused.
      request_id: Names the request in the server's log, where it may be asked for.
    """

    def __init__(self, problem: Problem) -> None:
        """Takes over what the problem says; its detail is the message."""
        super().__init__(problem.detail)
        self.http_status = self.status = problem.status
        self.kind = "" if problem.type == "about:blank" else problem.type.rpartition(":")[2]
        self.faults: Sequence[Fault] = problem.errors or ()
        self.request_id = problem.request_id


class RefusedError(ProblemError):
    """The request is wrong; sent again it would be refused again."""


class AccessError(ProblemError):
    """The key is missing, unknown, or not of the scope."""


class BusyError(ProblemError):
    """Too many requests, or no bundle yet: still so after the last attempt, or no time was left for another.

    Attributes:
      retry_after_s: What the service asked to wait.
    """

    retry_after_s: float = 0.0


class DeadlineMissedError(TandemError):
    """There was no answer within the time that the caller gave."""

    http_status = 504


class UnreachableError(TandemError):
    """There was no answer at all."""

    http_status = 503


class FaultyServerError(ProblemError):
    """The service failed on the request, or what answered is not the service."""


class Client:
    """One service, over connections that are kept; may be used from several threads."""

    def __init__(
        self, url: str, *, key: str = "", timeout_s: float = 10.0, max_retries: int = 3, pause_s: float = 0.1
    ) -> None:
        """Connects nothing yet.

        Args:
          url: Of the service, without a path.
          key: API key, where the service asks for one.
          timeout_s: What one attempt may take at most.
          max_retries: Attempts beyond the first.
          pause_s: The drawn part of the first pause is up to so long, that of the next up to twice as long.
        """
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_s)
        self._timeout_s, self._max_retries, self._pause_s = timeout_s, max_retries, pause_s

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(self, *failure: object) -> None:
        """Closes the connections."""
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def recommend(self, wish: RecommendRequest, within_s: float | None = None) -> RecommendAnswer:
        """Returns candidates, best first.

        Args:
          wish: What is wanted, and for whom.
          within_s: When the answer is worth nothing any more, all attempts together; the service is told.

        Raises:
          RefusedError: If the service refuses the request; `faults` says where.
          AccessError: If the key does not open this.
          BusyError: If the service has no room, after all attempts or for the time that is left.
          DeadlineMissedError: If the answer did not come in time.
          UnreachableError: If none came at all.
          FaultyServerError: If the service failed, or something else answered.
        """
        return self._post("/v1/recommend", wish, RecommendAnswer, within_s)

    def retrieve(self, wish: RetrieveRequest, within_s: float | None = None) -> RetrieveAnswer:
        """Returns the nearest items of a vector. Arguments and errors as of `recommend`."""
        return self._post("/v1/retrieve", wish, RetrieveAnswer, within_s)

    def rerank(self, wish: RerankRequest, within_s: float | None = None) -> RerankAnswer:
        """Returns candidates in a new order. Arguments and errors as of `recommend`."""
        return self._post("/v1/rerank", wish, RerankAnswer, within_s)

    def send_events(self, events: EventsRequest, within_s: float | None = None) -> EventsAnswer:
        """Returns once the events are on the service's disk. Arguments and errors as of `recommend`."""
        return self._post("/v1/events", events, EventsAnswer, within_s)

    def forget(self, user_id: str, within_s: float | None = None) -> ForgottenAnswer:
        """Forgets a person; the status is `pending` where files follow. Arguments and errors as of `recommend`."""
        name = quote(user_id, safe="").replace(".", "%2E")  # else `..` would be the folder above
        return _read(self._call("DELETE", f"/v1/users/{name}", None, within_s), ForgottenAnswer)

    def bundle(self, within_s: float | None = None) -> BundleAnswer:
        """Returns what is served. Arguments and errors as of `recommend`."""
        return _read(self._call("GET", "/v1/bundle", None, within_s), BundleAnswer)

    def ready(self, within_s: float | None = None) -> ReadyAnswer:
        """Returns once the service serves a bundle. Arguments and errors as of `recommend`."""
        return _read(self._call("GET", "/readyz", None, within_s), ReadyAnswer)

    def _post(self, path: str, body: BaseModel, kind: type[_AnswerT], within_s: float | None) -> _AnswerT:
        return _read(self._call("POST", path, body.model_dump_json(exclude_none=True).encode(), within_s), kind)

    def _call(self, method: str, path: str, content: bytes | None, within_s: float | None) -> httpx.Response:
        """Returns the first good answer."""
        end_s = None if within_s is None else time.monotonic() + within_s
        attempt = 0
        while True:
            try:
                return self._attempt(method, path, content, end_s)
            except (BusyError, UnreachableError) as error:
                asked_s = error.retry_after_s if isinstance(error, BusyError) else 0.0
                drawn_s = random.uniform(0.0, min(self._pause_s * 2.0**attempt, MAX_PAUSE_S))
                is_late = end_s is not None and time.monotonic() + asked_s + drawn_s >= end_s
                if attempt >= self._max_retries or is_late:
                    raise
                time.sleep(asked_s + drawn_s)
                attempt += 1

    def _attempt(self, method: str, path: str, content: bytes | None, end_s: float | None) -> httpx.Response:
        headers = {} if content is None else {"Content-Type": "application/json"}
        timeout_s = self._timeout_s
        if end_s is not None:
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                raise _missed()
            headers[DEADLINE] = str(min(max(1, int(left_s * 1e3)), MAX_DEADLINE_MS))
            timeout_s = min(timeout_s, left_s)
        try:
            response = self._http.request(method, path, content=content, headers=headers, timeout=timeout_s)
        except httpx.TimeoutException as error:
            if end_s is not None and time.monotonic() >= end_s:
                raise _missed() from error
            raise UnreachableError(f"Expected an answer within {timeout_s:g} s, got none.") from error
        except httpx.TransportError as error:
            raise UnreachableError(
                f"Expected an answer from {self._http.base_url}, got: {error or type(error).__name__}. Is it running?"
            ) from error
        if response.is_success:
            return response
        raise _explain(response)


def _explain(response: httpx.Response) -> TandemError:
    """Returns the error that stands for an answer which is none."""
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        return FaultyServerError(_foreign(response))
    if problem.status in (401, 403):
        return AccessError(problem)
    if problem.status == 504:
        return DeadlineMissedError(problem.detail)
    if problem.status in (429, 503):
        busy = BusyError(problem)
        seconds = response.headers.get("Retry-After", "")
        busy.retry_after_s = float(seconds) if seconds.isdecimal() else 0.0
        return busy
    return RefusedError(problem) if problem.status < 500 else FaultyServerError(problem)


def _read(response: httpx.Response, kind: type[_AnswerT]) -> _AnswerT:
    try:
        return kind.model_validate_json(response.content)
    except ValidationError as error:
        raise FaultyServerError(_foreign(response)) from error


def _foreign(response: httpx.Response) -> Problem:
    """Returns the problem of an answer that no Tandem gives, of this version at least."""
    kind = response.headers.get("content-type", "no content type")
    detail = (
        f"Expected an answer of Tandem's service at {response.request.url.path}, got status {response.status_code} "
        f"with {kind!r:.60}. Is the URL that of the service, and is it of the same version?"
    )
    return Problem(type="about:blank", title="Foreign answer", status=response.status_code, detail=detail)


def _missed() -> DeadlineMissedError:
    return DeadlineMissedError(
        "Expected an answer within the time given, got none. Give more time, or ask again later."
    )
