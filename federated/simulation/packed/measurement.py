"""Measures packed rounds: beside TFF's own on one cohort, over cohorts that grow, over many rounds."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from federated.simulation.algorithms.registry import build_process
from federated.simulation.execution import execute_on
from federated.simulation.packed.cohort import cut_cohort, to_dataset
from federated.simulation.packed.store import ExampleStore, Extent, hold_store
from federated.simulation.packed.subjects import Subject
from federated.simulation.stock import build_stock_process
from federated.simulation.worker import Worker, run_worker
from recsys.progress import Progress

_START_S: Final = 60.0
_STOCK_WARM_UP: Final = 20
"""Clients of a round that is not timed, in which TFF compiles."""


@dataclass(frozen=True)
class Bench:
    """Everything that packed rounds need, with a worker that listens.

    Attributes:
      extents: Of everybody in the store, by a number written as text.
    """

    subject: Subject
    store: ExampleStore
    process: tff.learning.templates.LearningProcess
    worker: Worker
    extents: Mapping[str, Extent]
    seed: int

    def time_rounds(self, num_users: int, num_rounds: int) -> list[float]:
        """Returns the seconds of each of some rounds with the first people, one behind the other, after a warm-up."""
        state, seconds = start(self.process, self.subject.draw_weights(self.seed)), []
        for _ in range(num_rounds + 1):
            began = time.perf_counter()
            state = self.process.next(state, self._cut(num_users)).state
            seconds.append(time.perf_counter() - began)
        return seconds[1:]

    def average(self, num_users: int) -> list[np.ndarray[Any, Any]]:
        """Returns the weights after one round with the first people."""
        state = start(self.process, self.subject.draw_weights(self.seed))
        return read_weights(self.process, self.process.next(state, self._cut(num_users)).state)

    def trace_memory(self, num_users: int, num_rounds: int, every: int) -> list[dict[str, int]]:
        """Returns the memory of the worker and of this process after every so many rounds, files left out."""
        state, trace = start(self.process, self.subject.draw_weights(self.seed)), []
        for number in range(1, num_rounds + 1):
            state = self.process.next(state, self._cut(num_users)).state
            if number == 1 or number % every == 0:
                worker = _memory_of(_child_of(self.worker.warden.pid))
                trace.append({"round": number, "worker_bytes": worker, "parent_bytes": _memory_of(os.getpid())})
        return trace

    def _cut(self, num_users: int) -> list[tf.data.Dataset]:
        people = {str(number): self.extents[str(number)] for number in range(num_users)}
        return [to_dataset(pack) for pack in cut_cohort(people, self.subject.settings.rounds.users_per_pack)]


@contextmanager
def hold_bench(folder: Path, subject: Subject, num_users: int, seed: int, progress: Progress) -> Iterator[Bench]:
    """Draws people, writes their examples, builds the process and starts a worker; all is gone afterwards.

    Args:
      folder: Where the examples and the worker's output go meanwhile.
      subject: The tower and its examples.
      num_users: People to draw.
      seed: Of everything that is drawn.
      progress: Told of the stages.

    Raises:
      FederationError: If the worker does not start or dies.
      WorkspaceError: If the disk is full or refuses.
    """
    progress.stage(f"drawing {num_users:,} people for the {subject.name} tower")
    with hold_store(folder / "examples", subject.fields, num_users * subject.num_examples) as store:
        extents = {str(number): store.add(str(number), subject.draw(seed, number)) for number in range(num_users)}
        process = build_process(subject.pack(folder / "examples"), store.columns, subject.settings)
        with run_worker(folder / "worker.log", _START_S) as worker, execute_on(worker):
            yield Bench(subject, store, process, worker, extents, seed)


def compare_with_stock(
    folder: Path, subject: Subject, num_users: int, num_rounds: int, seed: int, progress: Progress
) -> dict[str, Any]:
    """Returns clients a second of packed rounds and of TFF's own on one cohort, and how far their results lie apart.

    Args:
      folder: As of `hold_bench`, whose errors these are.
      subject: The tower and its examples.
      num_users: The cohort.
      num_rounds: Packed rounds to time; of TFF's own it is one.
      seed: Of everything that is drawn.
      progress: Told of the stages.
    """
    stock = build_stock_process(subject.stock_model, subject.settings)
    with hold_bench(folder, subject, num_users, seed, progress) as bench:
        progress.stage(f"timing {num_rounds} packed rounds of {num_users:,} clients")
        packed_s = bench.time_rounds(num_users, num_rounds)
        averaged = bench.average(num_users)
        progress.stage(f"timing one of TFF's own with {num_users:,} clients")
        datasets = [subject.stock_dataset(subject.draw(seed, number)) for number in range(num_users)]
        state = start(stock, subject.draw_weights(seed))
        stock.next(state, datasets[:_STOCK_WARM_UP])
        began = time.perf_counter()
        output = stock.next(state, datasets)
        stock_s = time.perf_counter() - began
        expected = read_weights(stock, output.state)
    median_s = float(np.median(packed_s))
    return {
        "num_users": num_users,
        "examples_per_user": subject.num_examples,
        "packed_seconds": packed_s,
        "packed_clients_per_s": num_users / median_s,
        "stock_clients_per_s": num_users / stock_s,
        "ratio": stock_s / median_s,
        "largest_difference": float(max(np.abs(a - b).max() for a, b in zip(averaged, expected, strict=True))),
        "largest_change": float(
            max(np.abs(a - b).max() for a, b in zip(averaged, subject.draw_weights(seed), strict=True))
        ),
    }


def start(process: tff.learning.templates.LearningProcess, weights: Sequence[np.ndarray[Any, Any]]) -> Any:
    """Returns the state of a process before its first round from these weights."""
    given = tff.learning.models.ModelWeights(trainable=list(weights), non_trainable=[])
    return process.set_model_weights(process.initialize(), given)


def read_weights(process: tff.learning.templates.LearningProcess, state: Any) -> list[np.ndarray[Any, Any]]:
    """Returns the weights in a state."""
    return [np.asarray(weight) for weight in process.get_model_weights(state).trainable]


def _memory_of(pid: int) -> int:
    """Returns the bytes that a process holds and no file backs (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


def _child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()[0])
