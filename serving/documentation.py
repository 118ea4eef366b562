"""The OpenAPI document: FastAPI's, with limits from the settings and examples out of the served bundle."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from recsys.config.serving import ServingSettings
from serving.access import scopes_of
from serving.deadline import PARAMETER
from serving.deployment import Deployment
from serving.examples import Examples, build_examples
from serving.problems import problems
from serving.wire.operation import Fault, Problem

DESCRIPTION: Final = (
    "The cloud proposes, the device decides: candidates with scores, item vectors to keep on the device, the towers "
    "that run there, and the same re-ranking for clients that cannot run a model. Errors are problem details "
    "(RFC 9457). The examples here work against the bundle that is served just now."
)

TAGS: Final = [
    {"name": "feed", "description": "What a person sees next."},
    {"name": "people", "description": "What people give, and their right to be forgotten."},
    {"name": "sync", "description": "What a device keeps: item vectors and towers."},
    {"name": "operation", "description": "For whoever runs the server."},
]

_PROBLEM: Final = Problem(
    type="urn:tandem:problem:validation",
    title="Unprocessable Content",
    status=422,
    detail="#/candidates/0/score: Input should be a finite number",
    errors=[Fault(detail="Input should be a finite number", pointer="#/candidates/0/score")],
)


_SCHEME: Final = "key"
_KEYS: Final = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key of this server. Its scope is `device` or `admin`, and `admin` opens all that `device` opens.",
}


_ID_HEADER: Final = "X-Request-Id"
_ID: Final = {
    "description": "Names the request in the server's log.",
    "required": True,
    "schema": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
    "example": "5f3a09c1d27be846",
}


class Documentation:
    """Makes the document, and makes it anew when another bundle is served."""

    def __init__(self, app: FastAPI, deployment: Deployment, settings: ServingSettings) -> None:
        """Makes nothing yet.

        Args:
          app: Whose routes are described.
          deployment: Whose catalogue gives the examples.
          settings: Whose limits are shown, and whether keys are asked for.
        """
        self._app = app
        self._deployment = deployment
        self._max_candidates = settings.max_candidates
        self._has_keys = bool(settings.keys_file)
        self._plain: dict[str, Any] | None = None
        self._made: tuple[str, dict[str, Any]] | None = None

    def render(self) -> dict[str, Any]:
        """Returns the document; without examples as long as no bundle is served."""
        if self._plain is None:
            self._plain = self._render_plain()
        if not self._deployment.is_ready:
            return self._plain
        engine = self._deployment.engine
        if self._made is None or self._made[0] != engine.manifest.version:
            document = copy.deepcopy(self._plain)
            insert_examples(document, build_examples(engine))
            self._made = (engine.manifest.version, document)
        return self._made[1]

    def _render_plain(self) -> dict[str, Any]:
        document = get_openapi(
            title=self._app.title,
            version=self._app.version,
            description=DESCRIPTION,
            tags=TAGS,
            routes=self._app.routes,
        )
        schemas = document["components"]["schemas"]
        schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schemas["Problem"].pop("$defs"))
        schemas["Problem"]["examples"] = [_PROBLEM.to_json()]
        schemas["Fault"]["examples"] = _PROBLEM.to_json()["errors"]
        schemas["RerankRequest"]["properties"]["candidates"]["maxItems"] = self._max_candidates
        schemas["RecommendRequest"]["properties"]["count"]["maximum"] = min(self._max_candidates, 500)
        schemas["RetrieveRequest"]["properties"]["count"]["maximum"] = self._max_candidates
        _describe_deadlines(document)
        if self._has_keys:
            _describe_keys(document)
        _describe_request_ids(document)
        return document


def _describe_deadlines(document: Mapping[str, Any]) -> None:
    """Gives the header to whatever may answer that it came too late."""
    for operations in document["paths"].values():
        for operation in operations.values():
            if "504" in operation["responses"]:
                operation.setdefault("parameters", []).append(PARAMETER)


def _describe_keys(document: dict[str, Any]) -> None:
    """Says of each operation which keys open it, and how others are refused."""
    document["components"]["securitySchemes"] = {_SCHEME: _KEYS}
    for path, operations in document["paths"].items():
        scopes = scopes_of(path)
        for operation in operations.values():
            operation["security"] = [{_SCHEME: [scope]} for scope in scopes]
            statuses = ((401, 429) if "device" in scopes else (401, 403, 429)) if scopes else ()
            refusals = {str(status): answer for status, answer in problems(*statuses).items()}
            operation["responses"] = dict(sorted({**refusals, **operation["responses"]}.items()))


def _describe_request_ids(document: dict[str, Any]) -> None:
    """Says of each answer that it has the header by which the log finds it."""
    document["components"]["headers"] = {_ID_HEADER: _ID}
    reference = {"$ref": f"#/components/headers/{_ID_HEADER}"}
    for operations in document["paths"].values():
        for operation in operations.values():
            for answer in operation["responses"].values():
                answer["headers"] = {**answer.get("headers", {}), _ID_HEADER: reference}


def insert_examples(document: dict[str, Any], examples: Examples) -> None:
    """Puts examples to the request bodies, the answers and the parameters they belong to."""
    for path, bodies in examples.bodies.items():
        content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        content["examples"] = {name: {"value": body} for name, body in bodies.items()}
        _insert_schema_example(document, content["schema"], next(iter(bodies.values())))
    for path, answer in examples.answers.items():
        for operation in document["paths"][path].values():
            content = operation["responses"]["200"]["content"]["application/json"]
            content["example"] = answer
            _insert_schema_example(document, content["schema"], answer)
    for path, parameters in examples.parameters.items():
        (operation,) = document["paths"][path].values()
        for parameter in operation["parameters"]:
            if parameter["name"] in parameters:
                parameter["example"] = parameters[parameter["name"]]


def _insert_schema_example(document: dict[str, Any], schema: Mapping[str, Any], value: Any) -> None:
    """Gives a component its example, and to the components within it the part that is theirs."""
    component = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    component["examples"] = [value]
    for name, field in component.get("properties", {}).items():
        for nested, part in _parts(field, value.get(name)):
            if "$ref" in nested and isinstance(part, dict):
                _insert_schema_example(document, nested, part)


def _parts(field: Mapping[str, Any], value: Any) -> list[tuple[Mapping[str, Any], Any]]:
    """Returns the schemas in a field with a value of each: the field's own, and that of its items or entries."""
    if isinstance(value, list):
        return [(field.get("items", {}), part) for part in value[:1]]
    if isinstance(value, dict) and "additionalProperties" in field:
        return [(field["additionalProperties"], part) for part in list(value.values())[:1]]
    return [(nested, value) for nested in field.get("anyOf", [field])]
