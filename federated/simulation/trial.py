"""Ways of learning side by side: the same people, cohorts, examples and start, judged by the same last choices.

Those who judge take part in no round. Where an arm leaves each person weights of their own, these are made from the
judge's earlier private choices, as on their device, and the later ones judge.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from federated.simulation import model
from federated.simulation.algorithms.fed_recon import reconstruct_with
from federated.simulation.algorithms.registry import build_training, compose_algorithm, local_weights
from federated.simulation.checkpoint import RunFolder
from federated.simulation.clients import Clients
from federated.simulation.cohort import hold_out, sample_cohort
from federated.simulation.execution import execute_on
from federated.simulation.packed.device_tower import PackedDeviceTower, example_fields, to_fields
from federated.simulation.packed.encodings import FLOAT_BYTES, count_upload_bytes
from federated.simulation.packed.poison import poison
from federated.simulation.packed.private import build_mechanism
from federated.simulation.packed.robust import build_treatment
from federated.simulation.packed.store import Column, ExampleStore, Extent, hold_store, write_table
from federated.simulation.population import Population
from federated.simulation.privacy import plan_rounds
from federated.simulation.rounds import Federation
from federated.simulation.rows import train_rows
from federated.simulation.stock import build_stock_process
from federated.simulation.validation import Validation
from federated.simulation.views import View, restore, split_weights
from federated.simulation.worker import Worker, run_worker
from recsys.cascade.cloud import CloudModel
from recsys.config.federated import FederatedSettings
from recsys.contracts.arrays import Float64Array
from recsys.models.device_tower import build_device_tower
from recsys.progress import Progress
from recsys.storage.registry import Bundle
from recsys.storage.workspace import Workspace

_POISON: Final = 10.0
"""How many times over poisoners send the reverse of their updates."""

_Arrays = list[np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Arm:
    """A way of learning.

    Attributes:
      settings: Of its rounds.
      view: Which weights each judge makes their own; "global" is none.
      epochs: Passes over a judge's examples from which they are made.
      learning_rate: Of these passes.
      poisoned_share: Of the people who take part, how many work against all others.
      kind: `packed` rounds, TFF's own (`stock`), packed ones of a tower with a bias of each item (`rows`), the same
        with the correction of their heat (`heated_rows`), or `none`.
    """

    settings: FederatedSettings
    view: View = "global"
    epochs: int = 1
    learning_rate: float = 0.3
    poisoned_share: float = 0.0
    kind: Literal["packed", "stock", "rows", "heated_rows", "none"] = "packed"


@dataclass(frozen=True)
class Outcome:
    """What an arm gave.

    Attributes:
      ndcg: `[num_judges]` float64, NDCG@10.
      seconds: Of the rounds.
      bytes_up: Of one client in a round.
      bytes_down: As above.
    """

    ndcg: Float64Array
    seconds: float
    bytes_up: int
    bytes_down: int


@dataclass(frozen=True)
class Trial:
    """Everything that the arms share, with a worker that listens.

    Attributes:
      cloud: Sends the lists.
      clients: Builds the examples of those who take part.
      counts: Private choices of each of them.
      store: Holds everybody's examples.
      judged: Examples of the judges, out of their earlier choices, in the order of the validation.
      validation: The judges' later choices.
      vectors: Of items.
      worker: Where TFF computes.
      folder: For the states of rounds.
      seed: Of cohorts, noise and who is a poisoner.
    """

    cloud: CloudModel
    clients: Clients
    counts: Mapping[str, int]
    store: ExampleStore
    judged: Sequence[Extent]
    validation: Validation
    vectors: Column
    worker: Worker
    folder: Path
    seed: int

    def run(self, name: str, arm: Arm, progress: Progress) -> Outcome:
        """Runs the rounds of an arm from the untrained tower, and judges.

        Args:
          name: Of the arm.
          arm: What is done.
          progress: Told of the rounds.

        Raises:
          FederationError: If the worker dies.
          ConfigError: If no noise is enough for its `privacy.epsilon`, or a secure sum might overflow.
        """
        began, item_bias = time.perf_counter(), None
        stock = self._run_stock(arm) if arm.kind == "stock" else None
        tower = build_device_tower(self.cloud.manifest.dim, arm.settings.device)
        if stock is not None:
            restore(tower, stock)
        elif arm.kind == "packed":
            self._run_rounds(name, arm, tower, progress)
        elif arm.kind != "none":
            extents = {user_id: self.store.extent(user_id) for user_id in self.counts}
            is_heated = arm.kind == "heated_rows"
            execution = execute_on(self.worker)
            item_bias = train_rows(
                tower, self.vectors, self.store, extents, arm.settings, execution, self.seed, is_heated=is_heated
            )
        seconds = time.perf_counter() - began
        shapes = [tuple(weight.shape.as_list()) for weight in tower.trainable_weights]
        shapes += [] if item_bias is None else [item_bias.shape]
        shared, _ = split_weights(shapes, local_weights(arm.settings.rounds.algorithm, len(shapes)))
        has_rounds = arm.kind != "none"
        return Outcome(
            ndcg=self._judge(arm, tower) if item_bias is None else self.validation.ndcg(tower, item_bias),
            seconds=seconds,
            bytes_up=has_rounds * count_upload_bytes(shared, arm.settings.aggregation),
            bytes_down=has_rounds * FLOAT_BYTES * sum(math.prod(shape) for shape in shapes),
        )

    def _run_rounds(self, name: str, arm: Arm, tower: tf.keras.Model, progress: Progress) -> None:
        settings, people = arm.settings, sorted(self.counts)
        guarantee = plan_rounds(settings, len(people), {})
        mechanism = build_mechanism(guarantee, settings.privacy, self.seed) if guarantee else None
        training = build_training(PackedDeviceTower(self.vectors, settings.device), self.store.columns, settings)
        if arm.poisoned_share:
            poisoners = sample_cohort(people, round(arm.poisoned_share * len(people)), self.seed, 0)
            training = poison(training, [self.store.extent(user_id) for user_id in poisoners], _POISON)
        process = compose_algorithm(training, settings, mechanism or build_treatment(settings, self.seed))
        folder = RunFolder(self.folder / "rounds" / name)
        rounds = Federation(
            process, settings, self.seed, people, self.clients, self.store, self.validation, folder, guarantee
        )
        rounds.run(tower, execute_on(self.worker), progress)

    def _run_stock(self, arm: Arm) -> _Arrays:
        """Returns the weights after rounds of TFF's own with the same cohorts.

        The process is built before any tower is: see `build_stock_process`.
        """
        device, rounds = arm.settings.device, arm.settings.rounds
        process = build_stock_process(model.model_builder(self.cloud.vectors, device), arm.settings)
        start = [weight.numpy() for weight in build_device_tower(self.cloud.manifest.dim, device).trainable_weights]
        given = tff.learning.models.ModelWeights(trainable=start, non_trainable=[])
        with execute_on(self.worker):
            state = process.set_model_weights(process.initialize(), given)
            for number in range(1, rounds.num_rounds + 1):
                cohort = sample_cohort(self.counts, rounds.clients_per_round, self.seed, number)
                datasets = [model.to_dataset(examples, device) for examples in self.clients.examples(cohort)]
                state = process.next(state, datasets).state
            return [np.asarray(weight) for weight in process.get_model_weights(state).trainable]

    def _judge(self, arm: Arm, tower: tf.keras.Model) -> Float64Array:
        places = [place for place, extent in enumerate(self.judged) if extent.count]
        if arm.view == "global" or not places:
            return self.validation.ndcg(tower)
        changes = {"reconstruction_epochs": arm.epochs, "reconstruction_rate": arm.learning_rate}
        rounds = arm.settings.rounds.model_copy(update=changes)
        training = build_training(
            PackedDeviceTower(self.vectors, arm.settings.device), self.store.columns, arm.settings
        )
        own = reconstruct_with(training, rounds, arm.view)
        start = [weight.numpy() for weight in tower.trainable_weights]
        shared, local = split_weights(start, own.local)
        weights = [np.repeat(weight[None], len(self.judged), axis=0) for weight in start]
        rows, counts = (
            tf.constant([getattr(self.judged[place], name) for place in places], tf.int32)
            for name in ("start", "count")
        )
        made = own.reconstruct([tf.constant(weight) for weight in [*shared, *local]], rows, counts, every_batch=True)
        for whole, part in zip(weights, made, strict=True):
            whole[places] = part.numpy()
        return self.validation.ndcg_each(tower, weights)


@contextmanager
def hold_trial(
    workspace: Workspace, bundle: Bundle, settings: FederatedSettings, folder: Path, seed: int, progress: Progress
) -> Iterator[Trial]:
    """Makes everybody's examples, starts a worker, and gives the trial; all is gone afterwards.

    Args:
      workspace: With device logs.
      bundle: Whose cloud sends the lists.
      settings: Of the device and of those who judge; alike for all arms.
      folder: Where everything goes meanwhile.
      seed: As of `Trial`.
      progress: Told of the stages.

    Raises:
      FederationError: If the worker does not start.
      WorkspaceError: If there are no device logs, or no space on the disk.
    """
    cloud, rounds = CloudModel.load(bundle), settings.rounds
    population = Population(workspace, cloud.catalogue)
    counts = population.count_positives("private")
    judges = hold_out(counts, rounds.validation_users)
    taking_part = {user_id: count for user_id, count in counts.items() if user_id not in set(judges)}
    progress.stage("making examples of people", len(counts))
    logs = list(population.logs(judges))
    validation = Validation.build(cloud, logs, settings.device, rounds.validation_choices)
    clients = Clients(cloud, population, settings.device, seed)
    earlier = Clients(cloud, population, settings.device, seed, num_left=rounds.validation_choices)
    num_rows = sum(min(count, settings.device.max_examples) for count in counts.values())
    examples = folder / "examples"
    with hold_store(examples, example_fields(cloud.manifest.dim, settings.device), num_rows) as store:
        built = chain(clients.build(taking_part), earlier.build(judges))
        for number, (user_id, own) in enumerate(built, start=1):
            store.add(user_id, to_fields(own))
            progress.advance(number)
        judged = [store.extent(log.user_id) for log in logs]
        vectors = write_table(examples / "vectors.bin", cloud.vectors)
        with run_worker(folder / "worker.log", rounds.worker_start_s) as worker:
            yield Trial(cloud, clients, taking_part, store, judged, validation, vectors, worker, folder, seed)
