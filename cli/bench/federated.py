"""`tandem bench federated`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import DEFAULT_WORKSPACE, AsJson, ConfigPath, Seed, WorkspacePath
from cli.session import open_session

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

    from cli.session import Session
    from recsys.storage.workspace import Workspace

_SLOPE = (100, 1_000, 10_000)

Learn = Annotated[bool, typer.Option("--learn", help="Compare what is learned, on the workspace's devices.")]
Arms = Annotated[
    list[str] | None, typer.Option("--arm", metavar="NAME", help="A way of learning; may be repeated.  [default: all]")
]


def federated(
    users: Annotated[int, typer.Option("--users", metavar="N", min=20, help="People in the cohort.")] = 1_000,
    slope: Annotated[
        list[int] | None,
        typer.Option("--slope", metavar="N", min=1, help="Cohort to time; may be repeated.  [default: 100 to 10,000]"),
    ] = None,
    rounds: Annotated[
        int, typer.Option("--rounds", metavar="N", min=0, help="Rounds over which memory is followed.")
    ] = 100,
    learn: Learn = False,
    arm: Arms = None,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Compare packed federated rounds with TFF's own.

    Clients a second of both on one cohort and how far their results lie apart; growing cohorts; memory over rounds.
    With --learn instead what each algorithm makes of the workspace's devices.
    """
    with open_session(as_json) as session:
        from benchmarks.federated import bench_federated
        from cli.bench.results import write_result
        from recsys.storage.workspace import Workspace

        place = Workspace(workspace)
        if learn or arm:
            _compare_learning(session, place, tuple(arm or ()), seed, config)
            return
        result = bench_federated(
            place, users=users, slope=slope or _SLOPE, rounds=rounds, seed=seed, progress=session.progress
        )
        path = write_result(place, f"federated-{users}", result)
        session.finish({**result, "report_json": str(path), "seconds": session.seconds}, *tabulate_federated(result))


def _compare_learning(
    session: Session, workspace: Workspace, arms: tuple[str, ...], seed: int, config: Path | None
) -> None:
    from benchmarks.learning import bench_learning
    from cli.bench.results import write_result
    from cli.report.learning import plot_learning
    from recsys.config.federated import FederatedSettings
    from recsys.config.settings import load_settings
    from recsys.storage.atomic import write_file

    settings = load_settings(FederatedSettings, config)
    result = bench_learning(workspace, settings=settings, seed=seed, progress=session.progress, names=arms)
    path = write_result(workspace, "federated-learning", result)
    plot = path.with_suffix(".svg")
    write_file(plot, plot_learning(result).encode())
    shown = {**result, "report_json": str(path), "report_svg": str(plot), "seconds": session.seconds}
    session.finish(shown, tabulate_learning(result))


def tabulate_learning(result: Mapping[str, Any]) -> Table:
    """Returns a row per way of learning."""
    from rich.table import Table

    from cli.bench.results import format_interval

    rounds = f"{result['num_rounds']} rounds of {result['clients_per_round']} out of {result['num_people']:,} people"
    title = f"{result['dataset']}: last private choices of {result['num_judges']:,} people who took no part"
    table = Table(title=title, caption=f"{rounds}; bytes are a client's in a round\n{_say_secure_sum(result)}")
    for heading in ("way", "NDCG@10", "on the cloud alone", "on fed_avg", "bytes up", "bytes down", "seconds"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for name, arm in result["arms"].items():
        gains = [result["differences"].get(f"{name}-{reference}") for reference in ("cloud_only", "fed_avg")]
        shown = [format_interval(gain["ndcg_at_10"], "+") if gain else "" for gain in gains]
        cost = result["costs"].get(name)
        costs = (f"{cost['bytes_up']:,}", f"{cost['bytes_down']:,}", f"{cost['seconds']:.1f}") if cost else ("", "", "")
        table.add_row(name, f"{arm['ndcg_at_10']['mean']:.4f}", *shown, *costs)
    return table


def _say_secure_sum(result: Mapping[str, Any]) -> str:
    found = result["secure_sum"]
    outcome = "is the plain one bit for bit" if found["is_equal"] else "DIFFERS from the plain one"
    lost = f"{found['num_lost']} of {found['num_devices']} devices lost"
    return f"a sum under masks, {lost}, {outcome}: {found['bytes_up']:,} bytes up, {found['bytes_down']:,} down"


def tabulate_federated(result: Mapping[str, Any]) -> list[Table]:
    """Returns a row per tower, a row per cohort, and a row per point at which memory was read."""
    from rich.table import Table

    towers = Table(title="one cohort", caption="clients a second: median round; TFF's own: one round")
    for heading in ("tower", "clients", "packed", "TFF's own", "ratio", "largest difference", "largest change"):
        towers.add_column(heading, justify="left" if heading == "tower" else "right")
    for name, tower in result["towers"].items():
        speeds = (f"{tower[key]:,.0f}" for key in ("packed_clients_per_s", "stock_clients_per_s", "ratio"))
        apart = (f"{tower[key]:.1e}" for key in ("largest_difference", "largest_change"))
        towers.add_row(name, f"{tower['num_users']:,}", *speeds, *apart)
    cohorts = Table(title="growing cohorts, reference tower")
    for heading in ("clients", "seconds", "clients a second"):
        cohorts.add_column(heading, justify="right")
    for point in result["slope"]:
        cohorts.add_row(f"{point['num_users']:,}", f"{point['seconds']:.3f}", f"{point['clients_per_s']:,.0f}")
    memory = Table(title="memory, reference tower", caption="without the pages of files")
    for heading in ("round", "worker", "parent"):
        memory.add_column(heading, justify="right")
    for point in result["memory"]:
        memory.add_row(
            f"{point['round']:,}", *(f"{point[key] / 1e6:,.0f} MB" for key in ("worker_bytes", "parent_bytes"))
        )
    return [towers, cohorts, memory]
