"""`tandem bench index`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.bench.results import write_result
from cli.options import DEFAULT_WORKSPACE, AsJson, Seed, WorkspacePath
from cli.session import open_session


def index(
    items: Annotated[int, typer.Option("--items", metavar="N", min=100, help="Size of the catalogue.")] = 1_000_000,
    dim: Annotated[int, typer.Option("--dim", metavar="N", min=4, help="Length of a vector.")] = 64,
    factory: Annotated[
        list[str] | None,
        typer.Option("--factory", metavar="NAME", help="auto, Flat, HNSW32, …; may be repeated.  [default: auto]"),
    ] = None,
    vectors: Annotated[
        list[str] | None,
        typer.Option("--vectors", metavar="WORLD", help="clustered or random; may be repeated.  [default: both]"),
    ] = None,
    queries: Annotated[int, typer.Option("--queries", metavar="N", min=2, help="Half choose the effort.")] = 200,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Compare the candidate index with exact search.

    Recall@100, throughput on one thread, bytes a vector and build time, on vectors like a tower's and on pure noise.
    """
    with open_session(as_json) as session:
        from benchmarks.index import bench_index
        from benchmarks.vectors import WORLDS
        from cli.index_table import tabulate_indexes
        from recsys.storage.workspace import Workspace

        worlds, factories = vectors or list(WORLDS), factory or ["auto"]
        result = bench_index(items, dim, worlds, factories, num_queries=queries, seed=seed, progress=session.progress)
        path = write_result(Workspace(workspace), f"index-{items}x{dim}", result)
        session.finish({**result, "report_json": str(path), "seconds": session.seconds}, *tabulate_indexes(result))
