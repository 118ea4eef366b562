"""The console's page and what only it asks for. All of it reads; none of it is part of the API, nor in its document."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request

from recsys.cascade.rooms import RoomSchedule
from recsys.contracts.events import MAX_ID_LENGTH
from recsys.storage.workspace import Workspace
from serving.console.bundles import BundlesAnswer, summarise_bundles
from serving.console.quality import read_reports
from serving.console.rounds import Run, read_runs
from serving.console.titles import ItemTitle, Titles
from serving.pages import Site, add_files
from serving.service import ServiceParameter

router = APIRouter(prefix="/console", include_in_schema=False)

SITE = Site("/console", "serving.console", {"script-src": "'self' 'wasm-unsafe-eval'"})
"""LiteRT is WebAssembly."""

MAX_PEOPLE = 50
MAX_TITLES = 200
MAX_BUNDLES = 50
MAX_RUNS = 20
MAX_REPORTS = 10

UserParameter = Annotated[str, Path(min_length=1, max_length=MAX_ID_LENGTH)]
ItemsParameter = Annotated[list[str], Query(alias="id", max_length=MAX_TITLES)]


@dataclass(frozen=True)
class ConsoleState:
    """What the console's routes keep between requests."""

    workspace: Workspace
    titles: Titles


async def _state_of(request: Request) -> ConsoleState:
    state: ConsoleState = request.app.state.console
    return state


StateParameter = Annotated[ConsoleState, Depends(_state_of)]


def install_console(app: FastAPI, workspace: Workspace) -> None:
    """Adds the page and its routes to an application.

    Args:
      app: The application; its service is there already.
      workspace: Whose bundles, rounds and reports are shown.
    """
    app.state.console = ConsoleState(workspace, Titles(workspace))
    app.include_router(router)


@dataclass(frozen=True)
class StartAnswer:
    """What the page needs to begin.

    Attributes:
      people: Some of those whose consented history the server holds.
      live_now_ms: A moment at which rooms are open: None where some are open now, or there never were any.
    """

    bundle_version: str
    dataset: str
    people: list[str]
    live_now_ms: int | None


@router.get("/api/start")
def start(service: ServiceParameter) -> StartAnswer:
    """Returns whom one can be, and when it is prime time."""
    engine = service.deployment.engine
    return StartAnswer(
        bundle_version=engine.manifest.version,
        dataset=engine.manifest.dataset,
        people=service.histories.user_ids(MAX_PEOPLE),
        live_now_ms=find_busy_moment(engine.cloud.rooms, time.time_ns() // 1_000_000),
    )


@router.get("/api/people/{user_id}")
def person(user_id: UserParameter, service: ServiceParameter) -> list[str]:
    """Returns the consented history of a person, oldest first: all that the cloud knows; nothing for a newcomer."""
    return list(service.histories.recent(user_id).item_ids)


@router.get("/api/items")
def items(item_ids: ItemsParameter, service: ServiceParameter, state: StateParameter) -> list[ItemTitle]:
    """Returns what items are called; unknown ones are left out."""
    return state.titles.find(service.deployment.engine, item_ids)


@router.get("/api/rounds")
def rounds(state: StateParameter) -> list[Run]:
    """Returns the federated runs of the workspace, the latest first."""
    return read_runs(state.workspace, MAX_RUNS)


@router.get("/api/bundles")
def bundles(service: ServiceParameter, state: StateParameter) -> BundlesAnswer:
    """Returns what was published, what is served, and what this process loaded or refused."""
    deployment = service.deployment
    served = deployment.engine.manifest.version if deployment.is_ready else None
    return summarise_bundles(state.workspace, served, list(deployment.swaps), MAX_BUNDLES)


@router.get("/api/quality")
def quality(state: StateParameter) -> list[dict[str, Any]]:
    """Returns the evaluations of the workspace, the latest first."""
    return read_reports(state.workspace, MAX_REPORTS)


add_files(router, SITE)


def find_busy_moment(rooms: RoomSchedule, now_ms: int) -> int | None:
    """Returns the latest moment at which most rooms were open; None where some are open now, or there are none."""
    if len(rooms.start_ms) == 0 or rooms.open_rooms(now_ms):
        return None
    ended = np.searchsorted(np.sort(rooms.end_ms), rooms.start_ms, side="right")
    num_open = np.arange(1, len(rooms.start_ms) + 1) - ended
    latest = len(num_open) - 1 - int(np.argmax(num_open[::-1]))
    return int(rooms.start_ms[latest])
