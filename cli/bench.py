"""`tandem bench`: measurements, one command for each question."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.bench_federated import federated
from cli.options import DEFAULT_WORKSPACE, AsJson, ConfigPath, Seed, SourcePath, WorkspacePath
from cli.session import open_session

if TYPE_CHECKING:
    from rich.table import Table

    from benchmarks.comparison import Comparison
    from recsys.storage.workspace import Workspace

bench = typer.Typer(help="Measure quality, time and size; results go into reports/.", no_args_is_help=True)
bench.command(epilog="\b\nExamples:\n  tandem bench federated\n  tandem bench federated --slope 100000 --json")(
    federated
)


@bench.command(
    "query-tower", epilog="\b\nExamples:\n  tandem bench query-tower\n  tandem bench query-tower --users 500 --json"
)
def query_tower(
    users: Annotated[
        int | None, typer.Option("--users", metavar="N", min=1, help="At most so many people.  [default: all]")
    ] = None,
    bundle: Annotated[
        str | None, typer.Option("--bundle", metavar="VERSION", help="Version to measure.  [default: the current one]")
    ] = None,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Compare the devices' int8 query tower with the float one.

    Recall@100 of held-out events, bytes, and milliseconds of a call on one thread.
    """
    with open_session(as_json) as session:
        from benchmarks.query_tower import bench_query_tower
        from recsys.storage.workspace import Workspace

        place = Workspace(workspace)
        result = bench_query_tower(place, seed=seed, progress=session.progress, max_users=users, version=bundle)
        path = write_result(place, f"query-tower-{result['bundle_version']}", result)
        session.finish({**result, "report_json": str(path), "seconds": session.seconds}, tabulate_towers(result))


@bench.command(
    epilog="\b\nExamples:\n  tandem bench cloud --protocol P2\n"
    "  tandem bench cloud --protocol P3 --protocol P4 --seeds 3 --json\n"
    "  tandem bench cloud --arms transitions,blend,tandem_retrieval --config my_cloud.toml"
)
def cloud(
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            "--protocol", metavar="NAME", help="P1, P2, P3, P4, P4-full or P5; may be repeated.  [default: P2]"
        ),
    ] = None,
    arms: Annotated[
        str | None, typer.Option("--arms", metavar="NAMES", help="Models, with commas between.  [default: all]")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", min=1, help="Runs of each model that draws.")] = 1,
    source: SourcePath = None,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Compare the cloud's models with simple strong ones.

    Every model learns from the same log and answers the same requests of a published protocol. Finished models are
    kept in the workspace, so that a rerun goes on; figures and a page with plots go into its reports.
    """
    with open_session(as_json) as session:
        from benchmarks.arms import choose_arms
        from benchmarks.cloud import compare_models
        from benchmarks.protocols.registry import read_task
        from cli.comparison import tabulate_comparison
        from recsys.config.cloud import CloudSettings
        from recsys.config.settings import load_settings
        from recsys.storage.workspace import Workspace

        settings, chosen = load_settings(CloudSettings, config), choose_arms(arms)
        place, results, shown = Workspace(workspace), {}, []
        for name in protocol or ["P2"]:
            session.progress.stage(f"reading {name}")
            task, own_seeds = read_task(name, source), range(seed, seed + seeds)
            comparison = compare_models(task, place.root / "bench", chosen, settings, own_seeds, session.progress)
            results[name] = report_comparison(comparison, place)
            shown += tabulate_comparison(results[name])
        session.finish({"protocols": results, "seconds": session.seconds}, *shown)


@bench.command(epilog="\b\nExamples:\n  tandem bench survival\n  tandem bench survival --kills 3 --json")
def survival(
    kills: Annotated[int, typer.Option("--kills", metavar="N", min=1, help="Trainings to kill.")] = 10,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Kill `tandem train` at random moments and run it again.

    The bundle must be that of a training which was left alone, file for file.
    """
    with open_session(as_json) as session:
        from benchmarks.survival import bench_survival
        from recsys.storage.workspace import Workspace

        place = Workspace(workspace)
        result = bench_survival(place, kills=kills, seed=seed, progress=session.progress, config=config)
        path = write_result(place, "survival", result)
        session.finish({**result, "report_json": str(path), "seconds": session.seconds}, tabulate_kills(result))


@bench.command(
    epilog="\b\nExamples:\n  tandem bench likes\n  tandem bench likes --seeds 3 --config my_cloud.toml --json"
)
def likes(
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", min=1, help="Runs of Tandem's training.")] = 1,
    source: SourcePath = None,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Tell likes from dislikes (protocol P6, KuaiRand).

    AUC per person of the cloud's scores, beside what others made of the video.
    """
    with open_session(as_json) as session:
        from benchmarks.likes import compare_likes
        from benchmarks.protocols.like_or_dislike import read_like_or_dislike
        from cli.comparison import tabulate_comparison
        from recsys.config.cloud import CloudSettings
        from recsys.config.settings import load_settings
        from recsys.storage.workspace import Workspace

        settings, place = load_settings(CloudSettings, config), Workspace(workspace)
        session.progress.stage("reading kuairand")
        task, own_seeds = read_like_or_dislike(source), range(seed, seed + seeds)
        comparison = compare_likes(task, place.root / "bench", settings, own_seeds, session.progress)
        result = report_comparison(comparison, place)
        session.finish({**result, "seconds": session.seconds}, *tabulate_comparison(result))


def report_comparison(comparison: Comparison, workspace: Workspace) -> dict[str, Any]:
    """Writes the figures and the page into the workspace; returns the figures with the paths of both."""
    from cli.report.comparison import write_comparison

    json_path, html_path = write_comparison(comparison, workspace.reports)
    return {**comparison.to_json(), "report_json": str(json_path), "report_html": str(html_path)}


@bench.command(epilog="\b\nExamples:\n  tandem bench cold\n  tandem bench cold --config my_cloud.toml --json")
def cold(
    share: Annotated[
        float, typer.Option("--share", metavar="SHARE", min=0.01, max=0.5, help="Share of the items that is hidden.")
    ] = 0.1,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Measure retrieval on items that training never saw.

    Hides items from the training log, trains retrieval, and ranks the held-out events on them.
    """
    with open_session(as_json) as session:
        from recsys.config.cloud import CloudSettings
        from recsys.config.settings import load_settings

        settings = load_settings(CloudSettings, config)
        from benchmarks.cold.bench import bench_cold
        from recsys.storage.workspace import Workspace

        place = Workspace(workspace)
        result = bench_cold(place, settings, seed=seed, progress=session.progress, share=share)
        path = write_result(place, f"cold-{seed}", result)
        session.finish({**result, "report_json": str(path), "seconds": session.seconds}, tabulate_cold(result))


@bench.command(
    epilog="\b\nExamples:\n  tandem bench index\n  tandem bench index --items 200000 --factory auto --factory HNSW32\n"
    "  tandem bench index --vectors clustered --json"
)
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


def write_result(workspace: Workspace, name: str, result: Mapping[str, Any]) -> Path:
    """Writes a result into the workspace's reports; returns where it lies."""
    from recsys.storage.atomic import write_file

    path = workspace.reports / f"bench-{name}.json"
    write_file(path, (json.dumps(result, indent=1, sort_keys=True) + "\n").encode())
    return path


def tabulate_towers(result: Mapping[str, Any]) -> Table:
    """Returns one row per tower, and one for what int8 changes."""
    from rich.table import Table

    title = f"{result['dataset']}: {result['num_users']:,} people, {result['num_events']:,} held-out events"
    table = Table(title=title, caption="mean and 95 % bootstrap interval over people; one thread")
    for heading in ("query tower", "bytes", "ms (median)", "ms (95 %)", "Recall@100", "NDCG@10"):
        table.add_column(heading, justify="left" if heading == "query tower" else "right")
    for name, tower in result["towers"].items():
        table.add_row(
            name,
            f"{tower['size_bytes']:,}",
            f"{tower['median_ms']:.3f}",
            f"{tower['p95_ms']:.3f}",
            format_interval(tower["recall_at_100"]),
            format_interval(tower["ndcg_at_10"]),
        )
    change = result["differences"]["int8-float"]
    changes = (format_interval(change[metric], "+") for metric in ("recall_at_100", "ndcg_at_10"))
    table.add_row("int8 − float", "", "", "", *changes)
    return table


def tabulate_kills(result: Mapping[str, Any]) -> Table:
    """Returns one row per kill."""
    from rich.table import Table

    same = f"{result['num_same']} of {len(result['kills'])} bundles are the same"
    table = Table(title=same, caption=f"a whole training: {result['whole_seconds']:.1f} s")
    for heading, justify in (("killed after", "right"), ("during", "left"), ("rerun", "right"), ("bundle", "left")):
        table.add_column(heading, justify=justify)
    for kill in result["kills"]:
        during = kill["during"] if kill["was_killed"] else "had ended by itself"
        outcome = "differs: " + ", ".join(kill["differing"]) if kill["differing"] else "the same"
        table.add_row(f"{kill['moment_s']:.1f} s", during, f"{kill['rerun_seconds']:.1f} s", outcome)
    return table


def tabulate_cold(result: Mapping[str, Any]) -> Table:
    """Returns one row per arm, and one per difference to a baseline."""
    from rich.table import Table

    title = f"{result['dataset']}: {result['num_events']:,} events of {result['num_users']:,} people on hidden items"
    caption = f"{result['num_hidden']:,} of {result['num_items']:,} items hidden; mean and 95 % interval over people"
    table = Table(title=title, caption=caption)
    table.add_column("arm")
    headings = {
        "recall_at_100": "Recall@100 of all",
        "hidden_recall_at_10": "@10 of hidden",
        "hidden_recall_at_100": "@100 of hidden",
    }
    for heading in headings.values():
        table.add_column(heading, justify="right")
    for name, metrics in result["arms"].items():
        table.add_row(name, *(format_interval(metrics[metric]) for metric in headings))
    table.add_section()
    for name, metrics in result["differences"].items():
        table.add_row(name.replace("-", " − "), *(format_interval(metrics[metric], "+") for metric in headings))
    return table


def format_interval(interval: Mapping[str, float], sign: str = "") -> str:
    """Returns `0.1234  0.1200 … 0.1268`."""
    return f"{interval['mean']:{sign}.4f}  {interval['low']:{sign}.4f} … {interval['high']:{sign}.4f}"
