"""The `tandem` command.

Importing this module imports typer and nothing heavy: `tandem --help` answers at once.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated, Final

import typer
from typer.core import TyperGroup

from cli.bench.group import bench
from cli.bundles import bundles
from cli.demo import demo
from cli.epilog import example
from cli.evaluate import evaluate
from cli.federate import federation
from cli.ingest import ingest
from cli.serve import serve
from cli.train import train

_ORDER: Final = ("demo", "ingest", "train", "federate", "evaluate", "serve", "bundles", "bench")


class _InOrder(TyperGroup):
    """Lists the verbs as they follow each other in use; typer has those with verbs of their own at the end."""

    def list_commands(self, ctx: typer.Context) -> list[str]:
        """Returns the names of the verbs."""
        return sorted(super().list_commands(ctx), key=_ORDER.index)


app = typer.Typer(
    name="tandem",
    cls=_InOrder,
    help="An edge-cloud recommender: a large cloud model and a small model on every device learn and rank together.",
    epilog="Start with:  tandem demo",
    add_completion=False,
    no_args_is_help=True,
    # Plain help and plain tracebacks: rich's own cost 0.3 s, and a traceback should be one that tools can read.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"tandem {version('tandem')}")
        raise typer.Exit


@app.callback()
def _tandem(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """An edge-cloud recommender: a large cloud model and a small model on every device learn and rank together."""


app.command(epilog=example("tandem demo", "tandem demo --data movielens-1m --json > result.json"))(demo)
app.command(
    epilog=example(
        "tandem ingest --data synthetic --seed 7",
        "tandem ingest --data events --from my_events.csv",
        "tandem ingest --append --from tuesday_events.csv",
    )
)(ingest)
app.command(
    epilog=example(
        "tandem train", "tandem train --fine-tune", "tandem train --data movielens-1m --config my_cloud.toml"
    )
)(train)
app.add_typer(federation, name="federate")
app.command(epilog=example("tandem evaluate", "tandem evaluate --users 500 --json | jq .arms"))(evaluate)
app.command(epilog=example("tandem serve --port 8080", "tandem serve --host 0.0.0.0 --config my_serving.toml"))(serve)
app.command(epilog=example("tandem bundles", "tandem bundles --json | jq -r .current"))(bundles)
app.add_typer(bench, name="bench")


def main() -> None:
    """Runs the command line."""
    try:
        app()
    except SystemExit as end:
        _leave(end.code)
        raise


def _leave(code: str | int | None) -> None:
    """Ends the process at once where TFF was used: its threads would abort the interpreter on its way out.

    They are C++ threads in a call; Python's own shutdown unwinds them where C++ forbids it, and the exit code would be
    that of an abort. By now every `finally` has run and the result is written.
    """
    if "tensorflow_federated" not in sys.modules or isinstance(code, str):
        return
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)
