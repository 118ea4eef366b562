"""A sequence tower learned by rounds on top of secure sums: no choice leaves its device.

The tower begins with what the sums give (`start_weights`). In each round a cohort downloads it whole; each device
trains a submodel on a stretch of its own choices; the sum of their updates, divided by how many are likely to touch a
row (`fed_sub_avg.py`), is a gradient to the server's Adam (`adaptive.py`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_federated as tff

from federated.device.sequence import NUM_TABLES, SequenceWeights
from federated.device.submodel import Submodel, draw_submodel
from federated.simulation.algorithms.adaptive import adam
from federated.simulation.algorithms.fed_sub_avg import HeatCorrected, correct
from federated.simulation.cohort import sample_cohort
from federated.simulation.execution import execute_on
from federated.simulation.packed.cohort import cut_cohort, to_dataset
from federated.simulation.packed.parts import compose
from federated.simulation.packed.store import Column, hold_store
from federated.simulation.strict.sequence_tower import PackedSequenceTower, submodel_fields
from federated.simulation.strict.submodels import SubmodelTraining, expect_heat
from federated.simulation.worker import run_worker
from recsys.config.federated import RoundSettings, StrictTowerSettings
from recsys.contracts.arrays import Float32Array, Int32Array, Int64Array
from recsys.errors import FederationError
from recsys.progress import Progress

_ADAPTIVE: Final = {"adaptive_learning_rate", "adaptive_momentum", "adaptive_decay", "adaptive_floor"}
_FAINT: Final = 0.02
_FIRST_SHARPNESS: Final = 0.0
_POPULARITY: Final = 0.3
"""How much of the logarithm of its count an item's score begins with."""


@dataclass(frozen=True, eq=False)
class LearnedTower:
    """What rounds made.

    Attributes:
      weights: After the last round.
      losses: Of each round: the mean over its devices, each at its own steps.
      num_uploads: Over all rounds and devices.
      seconds: Of all rounds.
    """

    weights: SequenceWeights
    losses: tuple[float, ...]
    num_uploads: int
    seconds: float


def learn_tower(
    histories: Sequence[Int32Array],
    start: SequenceWeights,
    counts: Int64Array,
    folder: Path,
    settings: StrictTowerSettings,
    *,
    worker_start_s: float,
    seed: int,
    progress: Progress,
) -> LearnedTower:
    """Returns the tower after the last round; the same for the same seed.

    Args:
      histories: Of each device that can take part, `[num]` int32 places among the items that are kept, -1 for others.
      start: What rounds begin with (`start_weights`).
      counts: `[num_items]` int64, how many devices chose each item that is kept: the first secure sum.
      folder: Holds local examples, and the worker's output, meanwhile.
      settings: Of the tower and of rounds.
      worker_start_s: How long the worker may take to listen.
      seed: Of the cohorts, the stretches and the items drawn.
      progress: Told after every round.

    Raises:
      FederationError: If the worker does not start or dies, or nobody has two choices of items that are kept.
      WorkspaceError: If the disk is full or refuses.
    """
    if not _find_able(histories):
        raise FederationError(
            "Expected devices with two choices of items that are kept, got none. Lower `strict.min_devices`."
        )
    began = time.perf_counter()
    most = settings.num_rounds * min(settings.devices_per_round, len(histories))
    losses, num_uploads = [], 0
    with (
        run_worker(folder / "tower.log", worker_start_s) as worker,
        execute_on(worker),
        hold_store(folder / "submodels", submodel_fields(settings), max(1, most)) as store,
    ):
        process = build_process(store.columns, start, counts, len(histories), settings)
        state = process.set_model_weights(
            process.initialize(), tff.learning.models.ModelWeights(trainable=list(start), non_trainable=[])
        )
        progress.stage("tower rounds", settings.num_rounds)
        for number in range(1, settings.num_rounds + 1):
            extents = {
                f"{number}/{device}": store.add(f"{number}/{device}", to_fields(submodel))
                for device, submodel in draw_cohort(histories, len(start.rows), settings, seed, number)
            }
            output = process.next(state, [to_dataset(pack) for pack in cut_cohort(extents, settings.users_per_pack)])
            state = output.state
            losses.append(float(output.metrics["client_work"]["train"]["loss"]))
            num_uploads += len(extents)
            progress.advance(number, loss=losses[-1])
        learned = [np.asarray(part, np.float32) for part in process.get_model_weights(state).trainable]
    return LearnedTower(SequenceWeights(*learned), tuple(losses), num_uploads, time.perf_counter() - began)


def build_process(
    columns: Mapping[str, Column],
    start: SequenceWeights,
    counts: Int64Array,
    num_people: int,
    settings: StrictTowerSettings,
) -> tff.learning.templates.LearningProcess:
    """Returns rounds of submodels: FedAdam, corrected for how many devices are likely to touch a row.

    Args:
      columns: Where submodels lie.
      start: Gives the shapes.
      counts: As of `learn_tower`.
      num_people: Who could take part.
      settings: Of rounds.
    """
    training = SubmodelTraining(
        PackedSequenceTower([tuple(part.shape) for part in start]),
        columns,
        batch_size=1,
        num_epochs=settings.local_epochs,
        learning_rate=settings.learning_rate,
        clip_norm=settings.clip_norm,
        num_tables=NUM_TABLES,
    )
    factors = correct(expect_heat(counts, num_people, settings.num_negatives), num_people)
    step = adam(RoundSettings(**settings.model_dump(include=_ADAPTIVE)))
    slowing = tff.learning.optimizers.schedule_learning_rate(step, lambda done: _slow_down(done, settings))
    return compose(training, HeatCorrected(slowing, dict.fromkeys(range(NUM_TABLES), factors)))


def _slow_down(done: tf.Tensor, settings: StrictTowerSettings) -> tf.Tensor:
    """The server's rate after so many rounds: at first the same, then falling evenly to 0 behind the last round."""
    left = 1.0 - tf.cast(done, tf.float32) / settings.num_rounds
    return settings.adaptive_learning_rate * tf.minimum(1.0, left / (1.0 - settings.steady_share))


def draw_cohort(
    histories: Sequence[Int32Array], num_items: int, settings: StrictTowerSettings, seed: int, round_number: int
) -> Iterator[tuple[int, Submodel]]:
    """Yields who takes part in a round, and what each trains on; those without two choices never do.

    Args:
      histories: As of `learn_tower`.
      num_items: In the table.
      settings: Of rounds.
      seed: This, the round and the device decide all draws.
      round_number: From 1.
    """
    for device in map(int, sample_cohort(_find_able(histories), settings.devices_per_round, seed, round_number)):
        rng = np.random.default_rng([seed, round_number, device])
        submodel = draw_submodel(histories[device], num_items, settings, rng)
        if submodel is not None:
            yield device, submodel


def _find_able(histories: Sequence[Int32Array]) -> list[str]:
    """Names of devices that have something to learn from."""
    return [f"{device:08d}" for device, history in enumerate(histories) if np.count_nonzero(history >= 0) >= 2]


def to_fields(submodel: Submodel) -> dict[str, npt.NDArray[Any]]:
    """Returns a submodel by field, as one example."""
    return {name: value[None] for name, value in asdict(submodel).items()}


def start_weights(
    transitions: Int64Array, counts: Int64Array, settings: StrictTowerSettings, seed: int
) -> SequenceWeights:
    """Returns the tower that secure sums alone give.

    Items' rows are the strongest eigenvectors of log(1 + how much more often two follow each other than by chance), in
    either order; heads look back over 1, 4, 16, … choices, and take of each row what those vectors say follows.

    Args:
      transitions: `[num_items, num_items]` int64, the secure sum.
      counts: `[num_items]` int64, how many devices chose each item.
      settings: Sizes.
      seed: Draws what is not from the sums.

    Raises:
      FederationError: If there are fewer items than a row has numbers.
    """
    num_items, dim, heads = len(counts), settings.dim, settings.num_heads
    if num_items < dim:
        raise FederationError(f"Expected at least {dim} items, as many as `strict_tower.dim`, got {num_items}.")
    rows, signs = _embed(transitions, dim)
    rng = np.random.default_rng([seed, dim])

    def faint(*shape: int) -> Float32Array:
        return rng.normal(0.0, _FAINT, shape).astype(np.float32)

    half_lives = 4.0 ** np.arange(heads)
    shares = 2.0 ** -np.arange(heads)
    return SequenceWeights(
        rows=rows,
        biases=(_POPULARITY * np.log((counts + 1.0) / (counts.mean() + 1.0))).astype(np.float32),
        queries=faint(heads, dim, settings.head_dim),
        keys=faint(heads, dim, settings.head_dim),
        values=(shares[:, None, None] * np.diag(signs)).astype(np.float32),
        recency=(-np.log(2.0) * np.arange(settings.history_length) / half_lives[:, None]).astype(np.float32),
        hidden=rng.normal(0.0, dim**-0.5, (dim, 2 * dim)).astype(np.float32),
        hidden_biases=np.zeros(2 * dim, np.float32),
        output=np.zeros((2 * dim, dim), np.float32),
        sharpness=np.asarray(_FIRST_SHARPNESS, np.float32),
    )


def _embed(transitions: Int64Array, dim: int) -> tuple[Float32Array, Float32Array]:
    """Rows of length 1 on average, `[num_items, dim]`, and the signs of their eigenvalues, `[dim]`."""
    both = (transitions + transitions.T).astype(np.float64)
    sums = np.maximum(both.sum(axis=1), 1.0)
    lift = np.log1p(both * both.sum() / np.outer(sums, sums))
    lift -= lift.mean(axis=0, keepdims=True)
    lift -= lift.mean(axis=1, keepdims=True)
    values, vectors = np.linalg.eigh(lift)
    strongest = np.argsort(-np.abs(values), kind="stable")[:dim]
    rows = vectors[:, strongest] * np.sqrt(np.abs(values[strongest]))
    length = max(float(np.sqrt(np.mean(np.sum(rows**2, axis=1)))), 1e-12)
    return (rows / length).astype(np.float32), np.sign(values[strongest]).astype(np.float32)
