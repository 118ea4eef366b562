"""`tandem bench likes`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.bench.results import report_comparison
from cli.options import DEFAULT_WORKSPACE, AsJson, ConfigPath, Seed, SourcePath, WorkspacePath
from cli.session import open_session


def likes(
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", min=1, help="Runs of Tandem's training.")] = 1,
    device: Annotated[
        bool, typer.Option("--device", help="Also keep the latest part private, and train the device's tower on it.")
    ] = False,
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
        from recsys.config.federated import FederatedSettings
        from recsys.config.settings import load_settings
        from recsys.storage.workspace import Workspace

        settings, place = load_settings(CloudSettings, config), Workspace(workspace)
        session.progress.stage("reading kuairand")
        task, own_seeds = read_like_or_dislike(source), range(seed, seed + seeds)
        rounds = FederatedSettings() if device else None
        comparison = compare_likes(task, place.root / "bench", settings, own_seeds, session.progress, rounds)
        result = report_comparison(comparison, place)
        session.finish({**result, "seconds": session.seconds}, *tabulate_comparison(result))
