"""`tandem demo`: the whole loop, once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import AsJson, ConfigPath, DataName, Seed, SourcePath
from cli.session import open_session

if TYPE_CHECKING:
    from cli.journey import Journey


def demo(
    data: DataName = "synthetic",
    source: SourcePath = None,
    workspace: Annotated[
        Path | None,
        typer.Option("--workspace", metavar="PATH", help="Folder for the results.  [default: .tandem/demo-DATA]"),
    ] = None,
    seed: Seed = 0,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Run the whole loop once.

    Ingest, train, federate, evaluate and serve, with one request and its answer. A repeated run skips what is done.
    """
    place = workspace or Path(".tandem") / f"demo-{data}"
    with open_session(as_json) as session:
        from recsys.config.demo import DemoSettings
        from recsys.config.settings import load_settings

        settings = load_settings(DemoSettings, config)
        from rich.text import Text

        from cli.console import tabulate
        from cli.journey import travel
        from cli.table import tabulate_evaluation
        from recsys.storage.workspace import Workspace

        journey = travel(Workspace(place), data, source, settings, seed, session.progress)
        result: dict[str, Any] = {**journey.to_json(), "workspace": str(place), "seconds": session.seconds}
        session.finish(
            result,
            *(Text(text) for text in _show_exchanges(journey)),
            tabulate_evaluation(result),
            tabulate({**journey.versions, **journey.reports, "seconds": session.seconds}),
            f"\nTry next:\n  tandem serve --workspace {place}\n  tandem federate --workspace {place} --rounds 10\n"
            f"  tandem evaluate --workspace {place} --json",
        )


def _show_exchanges(journey: Journey) -> list[str]:
    return [
        f"POST {exchange.path}\n{_shorten(exchange.request)}\n→ {_shorten(exchange.answer)}\n"
        for exchange in journey.exchanges
    ]


def _shorten(body: Mapping[str, Any]) -> str:
    """Returns JSON for the eye: three decimals, no nulls, one candidate a line. `--json` has it to the last digit."""
    rounded = json.loads(json.dumps(body), parse_float=lambda text: round(float(text), 3))
    candidates = rounded.pop("candidates", None)
    text = json.dumps(rounded)
    if candidates is None:
        return text
    lines = (json.dumps({key: value for key, value in one.items() if value is not None}) for one in candidates)
    return text.removesuffix("}") + ', "candidates": [\n  ' + ",\n  ".join(lines) + "]}"
