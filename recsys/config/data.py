"""Settings of `tandem ingest`."""

from __future__ import annotations

from pydantic import Field

from recsys.config.settings import Settings


class WorldSettings(Settings):
    """The synthetic world."""

    num_users: int = Field(1_000, ge=2)
    num_items: int = Field(1_200, ge=10)
    num_streamers: int = Field(150, ge=2)
    num_categories: int = Field(24, ge=2)
    num_days: int = Field(14, ge=1)
    sessions_per_user: int = Field(12, ge=3)
    slots_per_session: int = Field(12, ge=2)
    taste_dim: int = Field(12, ge=2)
    drift: float = Field(0.6, ge=0, le=1)
    position_bias: float = Field(0.6, ge=0)
    live_share: float = Field(0.25, ge=0, le=1)


class SplitSettings(Settings):
    """Protocol E: how each person's history is divided between cloud, device and test."""

    consented_fraction: float = Field(0.7, gt=0, lt=1)
    private_fraction: float = Field(0.2, gt=0, lt=1)
    min_positives: int = Field(10, ge=3)


class DataSettings(Settings):
    """Everything that `tandem ingest` can be told."""

    world: WorldSettings = WorldSettings()
    split: SplitSettings = SplitSettings()
