"""Item vectors for devices: whole, or what changed since the version that a device holds."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from recsys.exchange.message import MEDIA_TYPE, Codec
from serving.problems import binary, problems
from serving.routes.conditional import CONDITIONAL, ETAG, entity_headers, is_held
from serving.service import ServiceParameter

router = APIRouter(prefix="/v1/embeddings", tags=["sync"])

CodecParameter = Annotated[
    Codec,
    Query(description="How components travel. `float16` halves the bytes and loses nothing: vectors are made to fit."),
]
BaseParameter = Annotated[
    str,
    Query(
        pattern="^[0-9a-f]{16}$",
        description="The embedding version that the device holds: the `version` in its snapshot's metadata.",
    ),
]


@router.get(
    "/snapshot",
    summary="All item vectors",
    response_class=Response,
    responses={
        200: binary(MEDIA_TYPE, "Arrow IPC stream of `item_id` and `vector`; its metadata names the version.", ETAG),
        304: {"description": "The client holds this version already (`If-None-Match`).", "headers": ETAG},
        **problems(422, 429, 500, 503, 504),
    },
    openapi_extra=CONDITIONAL,
)
async def snapshot(request: Request, service: ServiceParameter, codec: CodecParameter = "float16") -> Response:
    """Returns all item vectors of the served bundle. The entity tag is their version."""
    engine = service.deployment.engine
    version = engine.manifest.embedding_version
    if is_held(request, version):
        return Response(status_code=304, headers=entity_headers(version))
    message = await service.compute(request, lambda _: service.archive.snapshot(engine, codec))
    return Response(message, headers=entity_headers(version), media_type=MEDIA_TYPE)


@router.get(
    "/delta",
    summary="Item vectors that changed",
    response_class=Response,
    responses={
        200: binary(MEDIA_TYPE, "Arrow IPC stream: rows to set, and rows without a vector for ids to drop."),
        204: {"description": "`base` is the served version: nothing changed."},
        **problems(409, 422, 429, 500, 503, 504),
    },
)
async def delta(
    request: Request, service: ServiceParameter, base: BaseParameter, codec: CodecParameter = "float16"
) -> Response:
    """Returns what leads from the version that a device holds to the served one.

    204 where they are the same. 409 where the base is not known here any more: take the snapshot then.
    """
    engine = service.deployment.engine
    if base == engine.manifest.embedding_version:
        return Response(status_code=204)
    message = await service.compute(request, lambda _: service.archive.delta(engine, base, codec))
    return Response(message, media_type=MEDIA_TYPE)
