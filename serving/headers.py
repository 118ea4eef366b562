"""Header fields of a request, read where they lie: Starlette's `Headers` decodes all of them to find one."""

from __future__ import annotations

from starlette.types import Scope


def header_of(scope: Scope, name: bytes) -> bytes | None:
    """Returns the first value of a header field; None where there is none.

    Args:
      scope: Of the request.
      name: In lower case, as servers write the names of a scope.
    """
    for given, value in scope["headers"]:
        if given == name:
            found: bytes = value
            return found
    return None
