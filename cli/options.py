"""The options that every verb takes, so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

DEFAULT_WORKSPACE: Final = Path(".tandem")

WorkspacePath = Annotated[
    Path, typer.Option("--workspace", metavar="PATH", help="Folder that holds everything runs produce.")
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, max=2**31 - 1, help="Equal seeds give equal results.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, all else on stderr.")]
ConfigPath = Annotated[
    Path | None, typer.Option("--config", metavar="PATH", help="TOML file with settings; unknown keys are refused.")
]
DataName = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="NAME",
        help="synthetic, movielens-1m, movielens-100k, movielens-latest-small, kuairand or events.",
    ),
]
MaybeDataName = Annotated[
    str | None,
    typer.Option(
        "--data", metavar="NAME", help="Dataset to ingest where the workspace is empty.  [default: synthetic]"
    ),
]
SourcePath = Annotated[
    Path | None,
    typer.Option("--from", metavar="PATH", help="Where the data lies; otherwise TANDEM_DATA, then a download."),
]
