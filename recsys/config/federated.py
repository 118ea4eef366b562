"""Settings of `tandem federate`."""

from __future__ import annotations

from pydantic import Field

from recsys.config.settings import Settings


class DeviceSettings(Settings):
    """The device re-ranking tower and its local training."""

    history_length: int = Field(20, ge=1)
    hidden_units: tuple[int, ...] = (32, 16)
    num_candidates: int = Field(32, ge=2)
    """Candidates in one local training example: the one that was chosen and others of the same list."""
    max_examples: int = Field(64, ge=1)
    batch_size: int = Field(16, ge=1)
    local_epochs: int = Field(1, ge=1)
    learning_rate: float = Field(0.3, gt=0)


class RoundSettings(Settings):
    """Federated rounds in simulation."""

    num_rounds: int = Field(20, ge=1)
    clients_per_round: int = Field(50, ge=1)
    server_learning_rate: float = Field(1.0, gt=0)
    validation_users: int = Field(200, ge=1)
    worker_start_s: float = Field(60.0, gt=0)


class FederatedSettings(Settings):
    """Everything that `tandem federate` can be told."""

    device: DeviceSettings = DeviceSettings()
    rounds: RoundSettings = RoundSettings()
