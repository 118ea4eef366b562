"""The loop in one process: every verb's work in turn, so that TensorFlow is loaded once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.evaluate import report_evaluation
from cli.trial import Exchange, try_api
from federated.simulation.evaluation import Evaluation, evaluate
from federated.simulation.program import federate
from pipelines.ingestion import ingest
from pipelines.job import train
from recsys.config.demo import DemoSettings
from recsys.progress import Progress
from recsys.storage.workspace import Workspace


@dataclass(frozen=True)
class Journey:
    """What one pass through the loop gave.

    Attributes:
      versions: The bundle of the cloud, and the one with the federated device model; None where it was not released.
      reports: Paths of the report by name.
      exchanges: Requests to the served API and their answers.
    """

    evaluation: Evaluation
    versions: dict[str, str | None]
    reports: dict[str, Any]
    exchanges: list[Exchange]

    def to_json(self) -> dict[str, Any]:
        """Returns the evaluation's JSON with the versions, the report's paths and the served answers."""
        return {
            **self.evaluation.to_json(),
            "versions": self.versions,
            **self.reports,
            "served": [exchange.to_json() for exchange in self.exchanges],
        }


def travel(
    workspace: Workspace, data: str, source: Path | None, settings: DemoSettings, seed: int, progress: Progress
) -> Journey:
    """Ingests, trains, federates, evaluates and serves.

    Args:
      workspace: Where results lie; what is complete there is not done again.
      data: Name of the dataset.
      source: Its place, or None.
      settings: Of each side.
      seed: Of everything.
      progress: A listener.

    Raises:
      TandemError: As each side raises it.
    """
    progress.note(f"1/5 ingest {data} into {workspace.root}")
    ingest(workspace, data, settings.data, seed, source, progress)
    progress.note("2/5 train the cloud")
    cloud = train(workspace, settings.cloud, seed, progress, settings.federated.device)
    progress.note("3/5 federate the devices")
    federation = federate(workspace, settings.federated, seed, progress)
    progress.note("4/5 evaluate the held-out period")
    evaluation = evaluate(workspace, seed=seed, settings=settings.federated, progress=progress)
    reports = report_evaluation(evaluation, workspace)
    progress.note("5/5 serve, ask and re-rank")
    progress.stage("starting the server")
    exchanges = try_api(workspace)
    versions = {"cloud": cloud.manifest.version, "federated": federation.version}
    return Journey(evaluation, versions, reports, exchanges)
