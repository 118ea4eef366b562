"""For whoever runs the server: is it up, is it ready, how does it fare."""

from __future__ import annotations

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from serving.problems import NotReadyError, problems
from serving.service import ServiceParameter
from serving.wire.operation import HealthAnswer, ReadyAnswer

router = APIRouter(tags=["operation"])


@router.get("/healthz", summary="Is the process up?", responses=problems(500))
async def health() -> HealthAnswer:
    """Answers as long as the process is up, with or without a bundle."""
    return HealthAnswer(status="up")


@router.get("/readyz", summary="Is a bundle served?", responses=problems(500, 503))
async def ready(service: ServiceParameter) -> ReadyAnswer:
    """Answers 200 once a bundle is loaded; until then 503 and the reason."""
    deployment = service.deployment
    if not deployment.is_ready:
        raise NotReadyError(deployment.reason)
    manifest = deployment.engine.manifest
    return ReadyAnswer(status="ready", bundle_version=manifest.version, embedding_version=manifest.embedding_version)


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={
        200: {
            "description": "Prometheus text format.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **problems(500),
    },
)
async def metrics(service: ServiceParameter) -> Response:
    """Returns counters and latency histograms by route and stage, and the served bundle."""
    return Response(service.metrics.render(), media_type=CONTENT_TYPE_LATEST)
