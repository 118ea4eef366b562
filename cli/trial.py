"""A trial of the served API: starts `tandem serve` on a free port, asks it twice as a client would, and ends it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow.compute as pc
import pyarrow.parquet as pq

from federated.simulation import warden
from recsys.contracts.events import POSITIVE_ACTIONS, Surface
from recsys.errors import WorkspaceError
from recsys.storage.workspace import Workspace

COUNT: Final = 5
"""Candidates to ask for: enough to see the order change, few enough to read."""

_RECENT: Final = 5
_TIMEOUT_S: Final = 30.0
_READY_S: Final = 60.0


@dataclass(frozen=True)
class Exchange:
    """One request and its answer."""

    path: str
    request: dict[str, Any]
    answer: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Returns the three as one object."""
        return {"path": self.path, "request": self.request, "answer": self.answer}


@dataclass(frozen=True)
class Person:
    """Somebody to ask for: who it is, the moment, and what was liked lately."""

    user_id: str
    now_ms: int
    history: list[str]


def try_api(workspace: Workspace) -> list[Exchange]:
    """Serves the workspace, asks for a person's candidates, has them re-ranked, and ends the server.

    Raises:
      WorkspaceError: If the server does not start or refuses a request; its own words are in the message.
    """
    person = choose_person(workspace)
    with run_server(workspace.root) as url:
        asked = {"surface": Surface.FEED.value, "count": COUNT, "user_id": person.user_id, "now_ms": person.now_ms}
        recommended = ask(url, "/v1/recommend", asked)
        given = {"history": person.history, "candidates": recommended.answer["candidates"]}
        return [recommended, ask(url, "/v1/rerank", given)]


def choose_person(workspace: Workspace) -> Person:
    """Returns the person of the first device shard with the most private behaviour, as of the last of it.

    Raises:
      WorkspaceError: If nobody has a private log.
    """
    shard = min(workspace.devices.glob("shard-*.parquet"), default=None)
    if shard is None:
        raise WorkspaceError(f"Expected device shards in {workspace.devices}, got none. Run `tandem ingest`.")
    columns = ["user_id", "item_id", "action", "surface", "timestamp_ms", "part"]
    events = pq.read_table(shard, columns=columns)
    liked = pc.is_in(events["action"], pc.cast([action.value for action in POSITIVE_ACTIONS], events["action"].type))
    private = events.filter(
        pc.and_(pc.equal(events["part"], "private"), pc.and_(liked, pc.equal(events["surface"], Surface.FEED.value)))
    )
    if private.num_rows == 0:
        raise WorkspaceError(
            f"Expected private behaviour in {shard}, got none. Ingest longer histories, or lower `split.min_positives`."
        )
    counts = pc.value_counts(private["user_id"]).to_pylist()
    user_id = max(counts, key=lambda entry: (entry["counts"], entry["values"]))["values"]
    own = private.filter(pc.equal(private["user_id"], user_id)).sort_by("timestamp_ms")
    return Person(user_id, own["timestamp_ms"][-1].as_py(), own["item_id"].to_pylist()[-_RECENT:])


@contextmanager
def run_server(workspace: Path) -> Iterator[str]:
    """Runs `tandem serve` on a free port as long as the block lasts.

    Yields:
      The base URL, once it answers. The server runs under a warden, which ends it also where this process is killed.

    Raises:
      WorkspaceError: If it ends before it answers; its own words are on stderr.
    """
    serve = [sys.executable, "-m", "cli", "serve", "--workspace", str(workspace), "--port", "0", "--json"]
    server = subprocess.Popen(
        [sys.executable, "-I", "-S", str(Path(warden.__file__)), str(os.getpid()), *serve],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for this process to answer
        text=True,
    )
    try:
        yield _await_url(server)
    finally:
        for pipe in (server.stdin, server.stdout):
            if pipe:
                pipe.close()
        server.wait(_TIMEOUT_S)


def _await_url(server: subprocess.Popen[str]) -> str:
    """Returns the address that `tandem serve --json` writes as soon as the bundle answers.

    Raises:
      WorkspaceError: If the server ends instead, or is not ready in time (it waits for a sound bundle).
    """
    if server.stdout is None or not select.select([server.stdout], [], [], _READY_S)[0]:
        raise WorkspaceError(f"Expected the server to be ready within {_READY_S:g} s; its log above says why not.")
    result = json.loads(server.stdout.readline() or "{}")
    if "url" not in result:
        raise WorkspaceError(f"Expected the server to start, got exit code {server.wait(_TIMEOUT_S)}; see above.")
    return str(result["url"])


def ask(url: str, path: str, request: dict[str, Any]) -> Exchange:
    """Posts a request.

    Raises:
      WorkspaceError: If the server refuses it or does not answer.
    """
    body = json.dumps(request).encode()
    message = urllib.request.Request(url + path, body, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(message, timeout=_TIMEOUT_S) as response:
            return Exchange(path, request, json.load(response))
    except urllib.error.HTTPError as error:
        raise WorkspaceError(f"Expected an answer from {path}, got {error.code}: {error.read().decode()}") from error
    except urllib.error.URLError as error:
        raise WorkspaceError(f"Expected an answer from {url}{path}, got {error.reason}.") from error
