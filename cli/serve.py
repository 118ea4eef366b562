"""`tandem serve`: the recommend and re-rank API."""

from __future__ import annotations

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
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Serve the current bundle over HTTP.

    Writes its address as soon as it answers, and runs until Ctrl-C.
    """
    del seed  # every verb takes it; nothing is drawn here
    with open_session(as_json) as session:
        from recsys.config.serving import ServingSettings
        from recsys.config.settings import load_settings

        settings = load_settings(ServingSettings, config)
        from recsys.storage.workspace import Workspace
        from serving.server import serve as serve_forever

        changes = {name: value for name, value in {"host": host, "port": port}.items() if value is not None}

        def announce(url: str) -> None:
            result = {"url": url, "workspace": str(workspace), "seconds": session.seconds}
            session.finish(result, f"Serving {workspace} at {url} (try {url}/docs); Ctrl-C ends it.")

        serve_forever(Workspace(workspace), settings.model_copy(update=changes), announce)
