"""What a run of `tandem federate` tells."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from federated.simulation.checkpoint import RoundMetrics
from federated.simulation.privacy import Guarantee
from federated.simulation.release import Release
from recsys.metrics.intervals import Interval


@dataclass(frozen=True)
class FederationReport:
    """What a run gave.

    Attributes:
      base_version: The bundle whose device tower the run started from.
      version: The bundle that holds the new one; None where it was not released.
      release: What was decided about it, and why.
      privacy: What the rounds promise to each person; None where they promise nothing.
      run: Name of the folder under `federated/`.
      arms: "cloud_only", "before" and "after" to metric to interval, over the last private choices of the validation
        users, who took part in no round.
      differences: "after-cloud_only" and "after-before" to metric to interval.
      rounds: Metrics of every round.
      bytes_down: What one client receives in a round: the tower's weights as float32.
      bytes_up: What it sends: their change, as `aggregation.kind` encodes it, and its weight in the average.
      clients_per_s: Over all rounds, within TFF.
    """

    dataset: str
    split_fingerprint: str
    seed: int
    base_version: str
    version: str | None
    release: Release
    privacy: Guarantee | None
    run: str
    arms: dict[str, dict[str, Interval]]
    differences: dict[str, dict[str, Interval]]
    num_validation_users: int
    rounds: tuple[RoundMetrics, ...]
    bytes_down: int
    bytes_up: int
    clients_per_s: float
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Returns the report as one JSON-ready object."""
        return {**asdict(self), "release": {**asdict(self.release), "reason": self.release.explain()}}
