"""Runs rounds: draw a cohort, train on its devices, average, judge, keep."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import asdict, dataclass, replace
from typing import Any

import tensorflow as tf
import tensorflow_federated as tff

from federated.simulation.algorithms.registry import local_weights
from federated.simulation.attendance import Attendance, Crowd
from federated.simulation.checkpoint import RoundMetrics, RunFolder
from federated.simulation.clients import ExampleSource
from federated.simulation.cohort import draw_each, sample_cohort
from federated.simulation.packed.cohort import cut_cohort, to_dataset
from federated.simulation.packed.device_tower import to_fields
from federated.simulation.packed.store import ExampleStore, Extent
from federated.simulation.packed.sub_block import size_of_examples
from federated.simulation.privacy import Guarantee
from federated.simulation.sizes import Sizes
from federated.simulation.traffic import Traffic
from federated.simulation.validation import Validation
from federated.simulation.views import split_weights
from recsys.config.federated import FederatedSettings
from recsys.models.curves import Curves
from recsys.progress import Progress

_State = Any  # what TFF's process carries from round to round; its structure is the process's own


@dataclass(frozen=True)
class Federation:
    """What rounds need.

    Attributes:
      process: How rounds change the tower (`algorithms.registry.build_process`).
      user_ids: Who can take part.
      store: Where the examples of people are kept for the worker, once they were drawn.
      guarantee: What the rounds promise; its noise is the process's. None where they promise nothing.
      crowd: Of those who can take part, where not all of them always come.
      sizes: Of their towers, where not all train the whole one.
    """

    process: tff.learning.templates.LearningProcess
    settings: FederatedSettings
    seed: int
    user_ids: Sequence[str]
    clients: ExampleSource
    store: ExampleStore
    validation: Validation
    folder: RunFolder
    guarantee: Guarantee | None = None
    crowd: Crowd | None = None
    sizes: Sizes | None = None

    def run(
        self, tower: tf.keras.Model, execution: AbstractContextManager[None], progress: Progress
    ) -> tuple[RoundMetrics, ...]:
        """Trains a tower in rounds, from the last finished one of the run folder; returns all rounds' metrics.

        Args:
          tower: Holds the weights to start from; at the end those of the last round.
          execution: In whose block TFF computes (`execute_on`, `execute_on_fleet`); its errors come through.
          progress: Told after every round.

        Raises:
          FederationError: If the workers die, the run folder is damaged, or a round would break the guarantee.
          WorkspaceError: If the disk is full.
        """
        num_rounds = self.settings.rounds.num_rounds
        with execution:
            state, rounds = self._restore(self._start(tower), progress)
            traffic = asdict(Traffic.of(tower, self.settings))
            progress.stage("federated rounds", num_rounds)
            with closing(Curves(self.folder.curves, [metrics.figures() for metrics in rounds])) as curves:
                for number in range(len(rounds) + 1, num_rounds + 1):
                    state, metrics = self._run_round(state, number)
                    self._assign(tower, state)
                    metrics = replace(metrics, ndcg_at_10=float(self.validation.ndcg(tower).mean()), **traffic)
                    rounds.append(metrics)
                    self.folder.save(rounds, [tf.convert_to_tensor(leaf).numpy() for leaf in tf.nest.flatten(state)])
                    curves.add(number, metrics.figures())
                    told = {name: getattr(metrics, name) for name in ("loss", "ndcg_at_10", "clients_per_s")}
                    progress.advance(number, **told, **traffic)
            self._assign(tower, state)
        return tuple(rounds)

    def _restore(self, initial: _State, progress: Progress) -> tuple[_State, list[RoundMetrics]]:
        checkpoint = self.folder.load(self.settings.rounds.num_rounds)
        if checkpoint is None:
            return initial, []
        progress.note(f"Going on after round {len(checkpoint.rounds)} of {self.folder.root}.")
        return tf.nest.pack_sequence_as(initial, checkpoint.leaves), list(checkpoint.rounds)

    def _run_round(self, state: _State, number: int) -> tuple[_State, RoundMetrics]:
        started = time.perf_counter()
        attendance = self._draw(number)
        extents = self._find_extents(attendance.came)
        counts = [extent.count for extent in extents.values() if extent.count]
        epsilon = self.guarantee.epsilon_after(number) if self.guarantee else None
        metrics = RoundMetrics(
            number,
            len(counts),
            sum(counts),
            0.0,
            0.0,
            0.0,
            0.0,
            epsilon,
            num_lost=len(attendance.lost),
            num_late=len(attendance.late),
            closed_after_s=attendance.seconds,
        )
        if not counts and not self.guarantee:  # nobody's list held the choice: the model stays as it is
            return state, replace(metrics, seconds=time.perf_counter() - started)
        packs = [to_dataset(pack) for pack in cut_cohort(extents, self.settings.rounds.users_per_pack)]
        called = time.perf_counter()
        output = self.process.next(state, packs)
        ended = time.perf_counter()
        return output.state, replace(
            metrics,
            loss=float(output.metrics["client_work"]["train"]["loss"]),
            seconds=ended - started,
            clients_per_s=len(counts) / (ended - called),
        )

    def _draw(self, number: int) -> Attendance:
        """The cohort; in private rounds everybody by themselves, as the guarantee has it."""
        if self.guarantee is not None:
            self.guarantee.check(number)
        rate = self.guarantee.sampling_rate if self.guarantee else None
        if self.crowd is not None:
            return self.crowd.attend(number, rate)
        if rate is None:
            return Attendance(
                tuple(sample_cohort(self.user_ids, self.settings.rounds.clients_per_round, self.seed, number))
            )
        return Attendance(tuple(draw_each(self.user_ids, rate, self.seed, number)))

    def _find_extents(self, cohort: Sequence[str]) -> dict[str, Extent]:
        """Writes the examples of people who were never drawn before; returns where everybody's lie."""
        absent = [user_id for user_id in cohort if user_id not in self.store]
        for user_id, examples in self.clients.build(absent):
            size = size_of_examples(self.sizes.of_user[user_id], len(examples)) if self.sizes else {}
            self.store.add(user_id, to_fields(examples) | size)
        return {user_id: self.store.extent(user_id) for user_id in cohort}

    def _start(self, tower: tf.keras.Model) -> _State:
        shared, local = split_weights([weight.numpy() for weight in tower.trainable_weights], self._local(tower))
        weights = tff.learning.models.ModelWeights(trainable=shared, non_trainable=local)
        return self.process.set_model_weights(self.process.initialize(), weights)

    def _assign(self, tower: tf.keras.Model, state: _State) -> None:
        """Gives the tower the server's weights; a device's own stay where they begin."""
        weights = self.process.get_model_weights(state).trainable
        shared, _ = split_weights(tower.trainable_weights, self._local(tower))
        for variable, value in zip(shared, weights, strict=True):
            variable.assign(value)

    def _local(self, tower: tf.keras.Model) -> frozenset[int]:
        return local_weights(self.settings.rounds.algorithm, len(tower.trainable_weights))
