"""`tandem serve`: the recommend and re-rank API."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from cli.options import DEFAULT_WORKSPACE, AsJson, ConfigPath, Seed, WorkspacePath
from cli.session import open_session


def serve(
    host: Annotated[
        str | None, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.  [default: 127.0.0.1]")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="N", min=0, max=65_535, help="0 takes a free one.  [default: 8080]")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", min=1, help="Processes that serve.  [default: 1]")
    ] = None,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Serve the current bundle over HTTP.

    Writes its address as soon as it answers, and runs until Ctrl-C.
    """
    del seed  # every verb takes it; nothing is drawn here
    # Before numpy and FAISS are imported, here or in the processes that this one starts. The products of a request are
    # small: OpenBLAS's second thread waits for them in a loop that takes a core from those who answer.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with open_session(as_json) as session:
        from recsys.config.serving import ServingSettings
        from recsys.config.settings import load_settings

        settings = load_settings(ServingSettings, config)
        from recsys.storage.workspace import Workspace

        told = {"host": host, "port": port, "num_workers": workers}
        settings = settings.model_copy(update={name: value for name, value in told.items() if value is not None})

        def announce(url: str) -> None:
            result = {"url": url, "workspace": str(workspace), "seconds": session.seconds}
            session.finish(result, f"Serving {workspace} at {url} (try {url}/docs); Ctrl-C ends it.")

        if settings.num_workers == 1:
            from serving.server import serve as serve_forever
        else:
            from serving.crew import serve_by_many as serve_forever
        serve_forever(Workspace(workspace), settings, announce)
