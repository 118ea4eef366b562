"""The served bundle: its manifest, and the towers that a device downloads."""

from __future__ import annotations

import base64
from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from serving.engine import Engine
from serving.problems import UnknownFileError, binary, problems
from serving.routes.conditional import CONDITIONAL, ETAG, entity_headers, is_held
from serving.service import ServiceParameter
from serving.wire.operation import BundleAnswer, DeviceFileAnswer, ManifestAnswer

router = APIRouter(prefix="/v1/bundle", tags=["sync"])

FILE_MEDIA_TYPE = "application/octet-stream"
NameParameter = Annotated[str, Path(max_length=128, description="A name out of `device_files`.")]


@router.get("", summary="What is served", responses=problems(500, 503))
async def bundle(service: ServiceParameter) -> BundleAnswer:
    """Returns the signed manifest and the files that a device downloads.

    A device that finds another checksum than the one it was told has met a new bundle: it asks here again.
    """
    return describe_bundle(service.deployment.engine)


def describe_bundle(engine: Engine) -> BundleAnswer:
    """Returns the manifest, its signature and the files that a device downloads."""
    entries = engine.manifest.files
    return BundleAnswer(
        manifest=ManifestAnswer.from_contract(engine.manifest),
        signature=base64.b64encode(engine.signature).decode("ascii"),
        device_files=[
            DeviceFileAnswer(
                name=name,
                url=f"{router.prefix}/files/{name}",
                sha256=entries[name].sha256,
                size_bytes=entries[name].size_bytes,
            )
            for name in engine.device_files
        ],
    )


@router.get(
    "/files/{name}",
    summary="A tower for the device",
    response_class=Response,
    responses={
        200: binary(FILE_MEDIA_TYPE, "A LiteRT model. The entity tag is its sha256.", ETAG),
        304: {"description": "The client holds these bytes already (`If-None-Match`).", "headers": ETAG},
        **problems(404, 422, 500, 503),
    },
    openapi_extra=CONDITIONAL,
)
async def device_file(name: NameParameter, request: Request, service: ServiceParameter) -> Response:
    """Returns a file that devices run. Whatever else the bundle holds stays on the server."""
    engine = service.deployment.engine
    if name not in engine.device_files:
        raise UnknownFileError(f"Expected a file out of {', '.join(engine.device_files)}, got another name.")
    sha256 = engine.manifest.files[name].sha256
    if is_held(request, sha256):
        return Response(status_code=304, headers=entity_headers(sha256))
    return Response(engine.device_files[name], headers=entity_headers(sha256), media_type=FILE_MEDIA_TYPE)
