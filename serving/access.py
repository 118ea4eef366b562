"""Who may ask what, and how often: API keys with a scope and a rate.

Without a file of keys everybody may ask everything; then listen on this machine alone. Keys are kept as their SHA-256:
who reads the file cannot use them. They are long and random, so that no slow hash is needed.
"""

from __future__ import annotations

import hashlib
import math
import re
import threading
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, TypeAlias

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from recsys.errors import ConfigError
from serving.headers import header_of
from serving.problems import answer_problem

_PUBLIC: Final = re.compile(r"/healthz|/readyz|/openapi\.json|/docs(/.*)?|/console(/(?!api(/|$)).*)?", re.DOTALL)
"""Paths that everybody may ask: of the console its own files, since a browser that opens a page sends no key; the page
asks for one."""

_ADMIN: Final = re.compile(r"/metrics|/v1/users(/.*)?|/console/api(/.*)?", re.DOTALL)
"""Paths that only the scope `admin` may ask; all others are for both scopes."""

KeyScope: TypeAlias = Literal["device", "admin"]


class Grant(BaseModel):
    """One table of the file: what the holder of a key may do, and until when."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    scope: KeyScope
    requests_per_s: float = Field(gt=0)
    burst: int = Field(1, ge=1)
    expires: AwareDatetime | None = None


@dataclass
class Bucket:
    """A token bucket: `burst` requests at once, then `rate_per_s`."""

    rate_per_s: float
    burst: int
    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Begins full."""
        self._tokens, self._at_s = float(self.burst), self.clock()

    def take(self) -> float:
        """Takes a token and returns 0; where there is none, returns the seconds until there is one."""
        with self._lock:
            now_s = self.clock()
            self._tokens = min(self.burst, self._tokens + (now_s - self._at_s) * self.rate_per_s)
            self._at_s = now_s
            if self._tokens < 1.0:
                return (1.0 - self._tokens) / self.rate_per_s
            self._tokens -= 1.0
            return 0.0


def read_grants(path: Path) -> dict[str, Grant]:
    """Returns the grants of a file by the SHA-256 of their keys.

    Raises:
      ConfigError: If the file cannot be read, is no TOML, or a table is none of a key.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        grants = {name: Grant.model_validate(table) for name, table in tables.items()}
    except OSError as error:
        raise ConfigError(f"Expected a file of API keys at {path}, got: {error.strerror or error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "a table"
        raise ConfigError(
            f"Expected tables of `sha256`, `scope`, `requests_per_s` and perhaps `burst` and `expires` in {path}, "
            f"got in `{place}`: {first['msg']}."
        ) from error
    except ValueError as error:
        raise ConfigError(f"Expected TOML in {path}, got: {error}.") from error
    return {grant.sha256: grant for grant in grants.values()}


def scopes_of(path: str) -> tuple[KeyScope, ...]:
    """Returns the scopes whose keys may ask a path; none where everybody may, without a key."""
    if _PUBLIC.fullmatch(path):
        return ()
    return ("admin",) if _ADMIN.fullmatch(path) else ("device", "admin")


class Access:
    """Answers 401, 403 and 429 before anything else is read."""

    def __init__(
        self, app: ASGIApp, grants: Mapping[str, Grant], clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """Wraps an application.

        Args:
          app: What answers.
          grants: By the SHA-256 of their keys.
          clock: Tells the time, by which keys expire.
        """
        self._app = app
        self._grants = grants
        self._clock = clock
        self._buckets = {sha256: Bucket(grant.requests_per_s, grant.burst) for sha256, grant in grants.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on if its key allows it."""
        scopes = scopes_of(scope["path"]) if scope["type"] == "http" else ()
        refuse = self._judge(scope, scopes) if scopes else None
        await (self._app if refuse is None else refuse)(scope, receive, send)

    def _judge(self, scope: Scope, scopes: Sequence[KeyScope]) -> ASGIApp | None:
        """Returns the answer that refuses the request; None where it may pass, since its key has one of the scopes."""
        sha256 = hashlib.sha256(_key_of(scope)).hexdigest()
        grant = self._grants.get(sha256)
        if grant is None:
            detail = "Expected an API key of this server as `Authorization: Bearer KEY`, got none that it knows."
            return answer_problem(401, detail, kind="unauthenticated", headers={"WWW-Authenticate": "Bearer"})
        if grant.expires is not None and self._clock() >= grant.expires:
            until = f"{grant.expires.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
            detail = f"Expected a key that is still good, got one that expired at {until}. Ask for a new one."
            headers = {"WWW-Authenticate": 'Bearer error="invalid_token", error_description="The key expired"'}
            return answer_problem(401, detail, kind="key-expired", headers=headers)
        wait_s = self._buckets[sha256].take()
        if wait_s > 0:
            detail = f"Expected at most {grant.requests_per_s:g} requests a second with this key, got more. Ask later."
            return answer_problem(429, detail, kind="rate-limit", headers={"Retry-After": str(math.ceil(wait_s))})
        if grant.scope not in scopes:
            return answer_problem(403, "Expected a key of the scope `admin` here, got `device`.", kind="forbidden")
        return None


def _key_of(scope: Scope) -> bytes:
    scheme, _, key = (header_of(scope, b"authorization") or b"").partition(b" ")
    return key.strip() if scheme.lower() == b"bearer" else b""
