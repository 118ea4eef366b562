"""Settings of `tandem federate`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import Field, PositiveFloat, field_validator

from recsys.config.settings import Settings

Algorithm = Literal["fed_avg", "fed_prox", "fed_adagrad", "fed_adam", "fed_yogi", "fed_recon"]
"""How rounds change the tower; one file each in federated/simulation/algorithms/."""

AggregatorKind = Literal["mean", "robust", "compressed", "secure"]
"""How updates become a mean; federated/README.md tells what each hides from whom."""

Share = Annotated[float, Field(gt=0, le=1)]
SharePerTier = Annotated[Mapping[str, Share], Field(min_length=1)]

_MAX_PORT: Final = 65_535


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
    passed_over_share: float = Field(0.0, ge=0, le=1)
    """Of the others, how many are taken from those which impressions say were seen and passed over."""
    teacher_share: float = Field(0.0, ge=0, lt=1)
    """Of what a list's scores are trained to be, how much the cloud's scores say, softened."""
    teacher_temperature: float = Field(1.0, gt=0)
    correction_share: float = Field(0.0, ge=0, lt=1)
    """Of the chosen item's share, how much goes to candidates that the person chose soon after it."""
    correction_window: int = Field(10, ge=1)
    """How many later choices are soon."""


class PersonalSettings(Settings):
    """What a device makes of the global tower for its own person alone, and when it shows that."""

    learning_rate: float = Field(0.1, gt=0)
    local_epochs: int = Field(1, ge=1)
    judged_share: float = Field(0.5, gt=0, lt=1)
    """Share of the private choices, the latest, that are not trained on and decide what is shown."""
    fallback: Literal["global", "cloud"] = "cloud"
    """Whose order is shown where no other one passes the gate."""
    margin: float = Field(1.3, ge=0)
    """Standard errors by which another order's gain over it must exceed 0."""


class RoundSettings(Settings):
    """Federated rounds in simulation."""

    num_rounds: int = Field(20, ge=1)
    clients_per_round: int = Field(50, ge=1)
    algorithm: Algorithm = "fed_avg"
    server_learning_rate: float = Field(1.0, gt=0)
    proximal_strength: float = Field(0.01, ge=0)
    adaptive_learning_rate: float = Field(0.01, gt=0)
    adaptive_momentum: float = Field(0.9, ge=0, lt=1)
    adaptive_decay: float = Field(0.99, gt=0, lt=1)
    adaptive_floor: float = Field(0.001, gt=0)
    reconstruction_epochs: int = Field(1, ge=1)
    reconstruction_rate: float = Field(0.3, gt=0)
    clip_norm: float = Field(0.0, ge=0)
    users_per_pack: int = Field(64, ge=1)
    validation_users: int = Field(200, ge=1)
    validation_choices: int = Field(3, ge=1)
    worker_start_s: float = Field(60.0, gt=0)


class WorkersSettings(Settings):
    """Where rounds are computed, if not in a worker of the command's own; it changes last bits at most."""

    addresses: tuple[str, ...] = ()
    """`host:port` of each worker."""
    lost: Literal["drop", "retry"] = "drop"
    """What is done about a worker that no longer answers, beside that the others do its part."""
    answer_s: float = Field(10.0, gt=0)

    @field_validator("addresses")
    @classmethod
    def _check_addresses(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for address in addresses:
            host, _, port = address.rpartition(":")
            if not (host and port.isascii() and port.isdecimal() and 0 < int(port) <= _MAX_PORT):
                raise ValueError(f"expected workers as host:port, separated by commas, got {address!r}")
        if len(set(addresses)) < len(addresses):
            raise ValueError(f"expected each worker once, got {list(addresses)}")
        return addresses


class PopulationSettings(Settings):
    """When devices are available, how fast they are, and how many get lost; by default all of them always come."""

    over_selection: float = Field(1.0, ge=1)
    deadline_s: float = Field(0.0, ge=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    most_available: Share | SharePerTier = 1.0
    """Of all devices, or by tier; of a device of another tier the least of them."""
    least_available: Share | SharePerTier = 1.0
    peak_hour: float = Field(3.0, ge=0, lt=24)
    first_hour: float = Field(20.0, ge=0, lt=24)
    minutes_per_round: float = Field(30.0, gt=0)
    example_ms: Mapping[str, PositiveFloat] = Field({"low": 40.0, "mid": 10.0, "high": 4.0}, min_length=1)
    """Of local training, by tier; a device of another tier is as slow as the slowest."""
    bytes_per_s: Mapping[str, PositiveFloat] = Field(
        {"low": 50_000.0, "mid": 500_000.0, "high": 2_000_000.0}, min_length=1
    )


class TierSettings(Settings):
    """How large a tower the devices of a tier train; without budgets all train the whole one."""

    sizes: tuple[float, ...] = Field((0.25, 0.5, 1.0), min_length=1)
    """Shares of the units of each hidden layer, the smallest first."""
    weight_bytes: Mapping[str, PositiveFloat] = {}
    """Of the tower's weights at most, by tier; a device of another tier has the tightest."""
    example_ms: Mapping[str, PositiveFloat] = {}
    """Of local training at most, by tier likewise."""

    @field_validator("sizes")
    @classmethod
    def _check_sizes(cls, sizes: tuple[float, ...]) -> tuple[float, ...]:
        if list(sizes) != sorted(set(sizes)) or sizes[0] <= 0 or sizes[-1] > 1:
            raise ValueError(f"expected shares above 0 and at most 1, the smallest first, got {list(sizes)}")
        return sizes


class AggregationSettings(Settings):
    """How updates become a mean where privacy adds no noise; all kinds but `mean` zero and clip by moving bounds."""

    kind: AggregatorKind = "mean"
    first_clip_norm: float = Field(0.4, gt=0)
    unclipped_share: float = Field(0.8, gt=0, lt=1)
    clip_learning_rate: float = Field(0.2, ge=0)
    first_peak: float = Field(0.5, gt=0)
    kept_share: float = Field(0.98, gt=0, lt=1)
    zero_factor: float = Field(2.0, ge=1)
    zero_floor: float = Field(0.0, ge=0)
    compressed_bits: int = Field(8, ge=1, le=16)
    secure_bits: int = Field(16, ge=2, le=24)


class PrivacySettings(Settings):
    """How little all rounds together may tell of one person; where `epsilon` is 0, nothing is promised."""

    epsilon: float = Field(0.0, ge=0)
    delta: float = Field(1e-5, gt=0, lt=1)
    first_clip_norm: float = Field(0.1, gt=0)
    unclipped_share: float = Field(0.5, gt=0, lt=1)
    clip_learning_rate: float = Field(0.2, ge=0)


class ReleaseSettings(Settings):
    """When the tower that the rounds made is published."""

    tolerance: float = Field(0.005, ge=0)
    publish_anyway: bool = False


class StrictSettings(Settings):
    """Retrieval learned from nothing but secure sums over devices."""

    max_history: int = Field(800, ge=2)
    """Latest choices of a device that count."""
    min_devices: int = Field(10, ge=1)
    """On how many devices an item was chosen at least, for it to be in tables."""
    window: int = Field(30, ge=1)
    decay: float = Field(0.8, gt=0, le=1)
    levels: int = Field(16, ge=1)
    """What a pair at lag 1 counts, and no cell of a device exceeds."""
    half_life: float = Field(2.0, gt=0)
    popularity: float = Field(0.15, ge=0)
    ease_l2: float = Field(200.0, gt=0)
    recency_ease_l2: float = Field(400.0, gt=0)
    recency_floor: float = Field(0.05, ge=0, le=1)
    recency_half_life: float = Field(3.0, gt=0)
    users_per_pack: int = Field(500, ge=1)
    worker_start_s: float = Field(60.0, gt=0)


class StrictTowerSettings(Settings):
    """A sequence tower that rounds learn over the items of strict federation."""

    dim: int = Field(48, ge=2)
    """Numbers of an item's row."""
    history_length: int = Field(30, ge=1)
    num_heads: int = Field(4, ge=1)
    head_dim: int = Field(16, ge=1)
    num_negatives: int = Field(100, ge=1)
    num_rounds: int = Field(60, ge=1)
    devices_per_round: int = Field(600, ge=1)
    local_epochs: int = Field(1, ge=1)
    learning_rate: float = Field(0.5, gt=0)
    clip_norm: float = Field(0.0, ge=0)
    adaptive_learning_rate: float = Field(0.02, gt=0)
    steady_share: float = Field(0.5, ge=0, lt=1)
    """Share of the rounds before the server's rate begins to fall."""
    adaptive_momentum: float = Field(0.9, ge=0, lt=1)
    adaptive_decay: float = Field(0.99, gt=0, lt=1)
    adaptive_floor: float = Field(0.0001, gt=0)
    blend_weight: float = Field(2.0, ge=0)
    """What the tower's scores count beside the blend's, both standardised."""
    users_per_pack: int = Field(100, ge=1)


class FederatedSettings(Settings):
    """Everything that `tandem federate` can be told, and what `tandem bench strict` can in `strict…`."""

    device: DeviceSettings = DeviceSettings()
    personal: PersonalSettings = PersonalSettings()
    rounds: RoundSettings = RoundSettings()
    workers: WorkersSettings = WorkersSettings()
    population: PopulationSettings = PopulationSettings()
    tiers: TierSettings = TierSettings()
    aggregation: AggregationSettings = AggregationSettings()
    privacy: PrivacySettings = PrivacySettings()
    release: ReleaseSettings = ReleaseSettings()
    strict: StrictSettings = StrictSettings()
    strict_tower: StrictTowerSettings = StrictTowerSettings()
