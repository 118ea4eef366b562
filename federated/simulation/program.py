"""`tandem federate`: from the current bundle, through rounds, to a new bundle with a better device tower, if it is."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from federated.simulation.attendance import gather
from federated.simulation.checkpoint import RoundMetrics, RunFolder
from federated.simulation.clients import Clients
from federated.simulation.cohort import hold_out
from federated.simulation.hosts import execute_by
from federated.simulation.packed.store import hold_store, write_table
from federated.simulation.population import Population, read_tiers
from federated.simulation.privacy import SPENT_DELTA, SPENT_EPSILON, Guarantee, plan_rounds
from federated.simulation.release import AFTER, BEFORE, CLOUD_ONLY, Release, decide
from federated.simulation.report import FederationReport
from recsys.cascade.cloud import CloudModel
from recsys.config.federated import FederatedSettings
from recsys.contracts.arrays import Float64Array
from recsys.contracts.bundle import DEVICE_WEIGHTS_FILE
from recsys.errors import FederationError, WorkspaceError
from recsys.metrics.intervals import compare
from recsys.progress import Progress, Silent
from recsys.storage.lock import hold_lock
from recsys.storage.registry import Bundle, BundleRegistry
from recsys.storage.succession import publish_again
from recsys.storage.workspace import Workspace

if TYPE_CHECKING:
    import tensorflow as tf

    from federated.simulation.validation import Validation

_METRIC: Final = "ndcg_at_10"
_MIN_PEOPLE: Final = 2
_APART: Final = ("workers", "release", "personal", "strict", "strict_tower")
"""Sections of the settings that decide nothing about what a round does."""


def federate(
    workspace: Workspace,
    settings: FederatedSettings,
    seed: int,
    progress: Progress | None = None,
    *,
    must_resume: bool = False,
) -> FederationReport:
    """Trains the device tower in rounds over the private logs, and publishes a bundle with it if it is better.

    Better than the current one on people who took part in no round: see `release`.

    A run is named by the bundle it starts from, its settings and its seed. Killed and called again, it goes on after
    its last finished round and ends with the very same tower. Called again after it has published, it starts a new run
    from what it published; where it was not released, the same run is judged again, and more rounds go on from its
    last.

    Args:
      workspace: With device logs and a published bundle.
      settings: Of the device, the rounds and the release.
      seed: Of cohorts, of the candidates in examples, and of intervals.
      progress: Told after every round.
      must_resume: Whether it is an error if there is no such run to go on from.

    Raises:
      WorkspaceError: If there are no device logs, no bundle, fewer than two people with private choices, no space on
        the disk, or no run to go on from although there must be one.
      BundleError: If the bundle is altered, or its device tower is of another size than the settings say.
      FederationError: If TFF's worker does not start or dies (finished rounds are kept), or the rounds cannot keep to
        `privacy.epsilon`, because of what the tower has spent before.
      ConfigError: If no noise is enough for `privacy.epsilon`, no tower is within a budget of `tiers`, or a worker of
        `workers.addresses` does not answer or does not see the run's folder.
    """
    progress = progress or Silent()
    started = time.perf_counter()
    base = BundleRegistry(workspace).current()
    folder = RunFolder(workspace.federated / run_name(base.manifest.version, settings, seed))
    if must_resume and not folder.find_last(settings.rounds.num_rounds):
        raise WorkspaceError(
            f"Expected a run to go on from in {folder.root}, which these settings, seed {seed} and the current bundle "
            "name, got no finished round. Give the settings and the seed of the run that was cut off, or begin a new "
            "one without `--resume`."
        )
    with hold_lock(folder.root / ".lock"):
        folder.describe(_decisive(settings))
        return _Run(workspace, settings, seed, base, folder).complete(progress, started)


def run_name(base_version: str, settings: FederatedSettings, seed: int) -> str:
    """Names a run by all that decides what a round does; what becomes of the tower does not, nor who computes it.

    Nor does how many there are, unless they are private: then they decide about the noise.
    """
    digest = hashlib.sha256(json.dumps([_decisive(settings), seed], sort_keys=True).encode()).hexdigest()
    return f"{base_version}-{digest[:8]}"


def _decisive(settings: FederatedSettings) -> dict[str, Any]:
    """Returns, JSON-ready, the settings that decide what a round does."""
    idle = {"worker_start_s"} if settings.privacy.epsilon else {"worker_start_s", "num_rounds"}
    return settings.model_dump(mode="json", exclude={"rounds": idle} | dict.fromkeys(_APART, True))


@dataclass(frozen=True)
class _Run:
    workspace: Workspace
    settings: FederatedSettings
    seed: int
    base: Bundle
    folder: RunFolder

    def complete(self, progress: Progress, started: float) -> FederationReport:
        """Runs what is left of the rounds, decides, publishes and reports."""
        cloud = CloudModel.load(self.base)
        population = Population(self.workspace, cloud.catalogue)
        counts = self._count_choices(population)
        progress.stage("starting TensorFlow Federated")
        from federated.simulation.validation import Validation  # TensorFlow, and TFF below: 10 s, and only here
        from recsys.models.device_tower import is_untrained

        device, rounds = self.settings.device, self.settings.rounds
        tower = self._load_tower()
        is_first = is_untrained(tower, self.base.manifest.dim, device)
        progress.stage("making validation lists")
        held_out = hold_out(counts, rounds.validation_users)
        judges = frozenset(held_out)
        validation = Validation.build(cloud, population.logs(held_out), device, rounds.validation_choices)
        ndcg = {CLOUD_ONLY: validation.ndcg_of_cloud(), BEFORE: validation.ndcg(tower)}
        clients = Clients(cloud, population, device, self.seed)
        taking_part = {user_id: count for user_id, count in counts.items() if user_id not in judges}
        guarantee = self._promise(is_first, len(taking_part))
        metrics = self._run_rounds(tower, clients, taking_part, validation, guarantee, progress)
        ndcg[AFTER] = validation.ndcg(tower)
        release = decide(ndcg, is_first=is_first, settings=self.settings.release, seed=self.seed)
        progress.note(release.explain())
        progress.stage("publishing" if release.is_released else "keeping the current bundle")
        published = self._publish(tower, ndcg[AFTER], guarantee) if release.is_released else None
        return self._report(published, release, guarantee, tower, metrics, ndcg, started)

    def _promise(self, is_first: bool, num_people: int) -> Guarantee | None:
        """Returns what the rounds promise, if anything; a tower that was trained without is no start for it."""
        spent = self.base.manifest.metrics
        guarantee = plan_rounds(self.settings, num_people, spent)
        if guarantee and not is_first and SPENT_EPSILON not in spent:
            raise FederationError(
                f"Expected a device tower that is untrained or was trained under differential privacy in bundle "
                f"{self.base.manifest.version}, got one that was trained without: no epsilon can be promised of it. "
                "Begin with a new tower: `tandem train`."
            )
        return guarantee

    def _run_rounds(
        self,
        tower: tf.keras.Model,
        clients: Clients,
        counts: Mapping[str, int],
        validation: Validation,
        guarantee: Guarantee | None,
        progress: Progress,
    ) -> tuple[RoundMetrics, ...]:
        """Trains the tower; the examples of people lie in the run's folder only as long as that takes."""
        from federated.simulation.algorithms.registry import build_process
        from federated.simulation.packed.device_tower import PackedDeviceTower, example_fields
        from federated.simulation.packed.private import build_mechanism
        from federated.simulation.packed.robust import build_treatment
        from federated.simulation.packed.sub_block import SIZE_FIELD
        from federated.simulation.rounds import Federation
        from federated.simulation.sizes import plan_sizes

        settings, examples = self.settings, self.folder.root / "examples"
        tiers, dim = read_tiers(self.workspace), self.base.manifest.dim
        sizes = plan_sizes(counts, tiers, dim, settings)
        fields = example_fields(dim, settings.device) | (SIZE_FIELD if sizes else {})
        num_rows = sum(min(count, settings.device.max_examples) for count in counts.values())
        with hold_store(examples, fields, num_rows) as store:
            vectors = write_table(examples / "vectors.bin", validation.vectors)
            private = build_mechanism(guarantee, settings.privacy, self.seed) if guarantee else None
            treatment = private or build_treatment(settings, self.seed)
            packed, masks = PackedDeviceTower(vectors, settings.device), sizes.masks if sizes else None
            process = build_process(packed, store.columns, settings, treatment, masks)
            crowd, people = gather(counts, tiers, settings, tower.count_params(), self.seed), sorted(counts)
            federation = Federation(
                process, settings, self.seed, people, clients, store, validation, self.folder, guarantee, crowd, sizes
            )
            execution = execute_by(settings, examples, self.folder.worker_log, progress)
            return federation.run(tower, execution, progress)

    def _load_tower(self) -> tf.keras.Model:
        """Returns the tower with the weights of the base bundle."""
        from recsys.models.device_tower import build_device_tower
        from recsys.models.weights import restore_weights

        tower = build_device_tower(self.base.manifest.dim, self.settings.device)
        restore_weights(tower, self.base.read_bytes(DEVICE_WEIGHTS_FILE))
        return tower

    def _count_choices(self, population: Population) -> dict[str, int]:
        """Returns how many private choices each person has, where there are any."""
        counts = population.count_positives("private")
        if len(counts) < _MIN_PEOPLE:
            raise WorkspaceError(
                f"Expected at least {_MIN_PEOPLE} devices with private choices in {self.workspace.devices}, one to "
                f"train and one to judge, got {len(counts)}: the other histories are shorter than "
                "`split.min_positives`. Ingest a dataset with longer histories."
            )
        return counts

    def _publish(self, tower: tf.keras.Model, ndcg: Float64Array, guarantee: Guarantee | None) -> Bundle:
        """Publishes the base bundle with the new device tower in place of the old."""
        from recsys.models.device_export import export_device_files

        manifest = self.base.manifest
        new = export_device_files(tower, self.settings.device)
        kept = {name: value for name, value in manifest.metrics.items() if name not in (SPENT_EPSILON, SPENT_DELTA)}
        spent = {SPENT_EPSILON: guarantee.epsilon, SPENT_DELTA: guarantee.delta} if guarantee else {}
        return publish_again(
            BundleRegistry(self.workspace),
            self.base,
            new,
            parent=manifest.version,
            metrics={**kept, **spent, "device_validation_ndcg_at_10": float(ndcg.mean())},
        )

    def _report(
        self,
        published: Bundle | None,
        release: Release,
        guarantee: Guarantee | None,
        tower: tf.keras.Model,
        rounds: tuple[RoundMetrics, ...],
        ndcg: Mapping[str, Float64Array],
        started: float,
    ) -> FederationReport:
        values = {arm: {_METRIC: users} for arm, users in ndcg.items()}
        arms, differences = compare(values, [(AFTER, CLOUD_ONLY), (AFTER, BEFORE)], self.seed)
        from federated.simulation.traffic import Traffic

        traffic = Traffic.of(tower, self.settings)
        engine_s = sum(metrics.num_clients / metrics.clients_per_s for metrics in rounds if metrics.num_clients)
        return FederationReport(
            dataset=self.base.manifest.dataset,
            split_fingerprint=self.base.manifest.split_fingerprint,
            seed=self.seed,
            base_version=self.base.manifest.version,
            version=published.manifest.version if published else None,
            release=release,
            privacy=guarantee,
            run=self.folder.root.name,
            arms=arms,
            differences=differences,
            num_validation_users=release.num_users,
            rounds=rounds,
            bytes_down=traffic.bytes_down,
            bytes_up=traffic.bytes_up,
            clients_per_s=sum(metrics.num_clients for metrics in rounds) / engine_s if engine_s else 0.0,
            seconds=time.perf_counter() - started,
        )
