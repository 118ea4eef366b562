"""One round over several TFF workers, some of which may be lost on the way.

TFF splits a computation at its aggregation (`compile_to_mergeable_comp_form`): what is done up to the sum over clients,
how two sums become one, and what is done with the whole. Here the clients of a round, which are packs, are cut into
parts; whoever of the workers is free takes the next part, and a part whose worker was lost is taken by another. Sums
are merged in the order of the parts. So neither how many workers there are, nor which of them was lost and when,
changes a bit of the result (on machines of one kind), and a killed run may go on with other workers. No worker keeps
anything between two calls.

TFF's own context for this form (`MergeableCompExecutionContext`) does not do: its contexts share one event loop, which
their calls block, so that the workers take turns; a call to a lost worker is repeated for ever; and sums are merged
as they arrive, so that with three workers their last bits are chance.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import grpc
import tensorflow_federated as tff

from federated.simulation.execution import hear_interrupts
from federated.simulation.packed.store import Column
from federated.simulation.remote import REMOTE_OPTIONS, RemoteWorker, WorkerLostError
from recsys.config.federated import WorkersSettings
from recsys.errors import FederationError
from recsys.progress import Progress

_MAX_PARTS: Final = 8
"""Parts of a round, and so workers that are busy at once: few, because each costs a call, which ships the graph."""

_POLL_S: Final = 0.05

_SETTLE_S: Final = 0.3
"""Before channels are closed: gRPC's own thread looks every 0.2 s, and complains if one is closed before it has."""


@contextmanager
def execute_on_fleet(settings: WorkersSettings, probe: Column, progress: Progress) -> Iterator[None]:
    """Sends every TFF computation of the block (in this thread) to workers that others have started.

    Args:
      settings: With the addresses.
      probe: A file of the run, which all workers must see.
      progress: Told of workers that are lost.

    Raises:
      ConfigError: If a worker does not answer, is none, or does not see the file.
      FederationError: If no worker is left.
    """
    hear_interrupts()
    with ExitStack() as stack:
        pool = ThreadPoolExecutor(len(settings.addresses), "worker")
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)  # closed channels end what still runs
        workers = []
        for address in settings.addresses:
            channel = stack.enter_context(grpc.insecure_channel(address, REMOTE_OPTIONS))
            workers.append(RemoteWorker(address, channel, probe, settings.answer_s))
        stack.callback(time.sleep, _SETTLE_S)
        for worker in workers:
            worker.check()
        fleet = Fleet(workers, settings, pool, progress)
        with tff.framework.get_context_stack().install(fleet):
            yield
        fleet.forget()


class Fleet(tff.framework.SyncContext):
    """Workers that share the parts of a computation out among themselves."""

    def __init__(
        self, workers: Sequence[RemoteWorker], settings: WorkersSettings, pool: ThreadPoolExecutor, progress: Progress
    ) -> None:
        """All workers answered just now.

        Args:
          workers: One or more.
          settings: What is done about one that is lost.
          pool: With a thread for each.
          progress: Told of those that are lost or come back.
        """
        self._workers = workers
        self._settings = settings
        self._pool = pool
        self._progress = progress
        self._lost: set[str] = set()
        self._forms: dict[tff.Computation, tff.framework.MergeableCompForm] = {}
        self._ends: dict[tuple[tff.Computation, int], tff.Computation] = {}

    def invoke(self, comp: tff.Computation, arg: Any) -> Any:
        """Returns the result of a computation; TFF calls it.

        Raises:
          FederationError: If no worker is left.
        """
        if self._settings.lost == "retry":
            self._take_back()
        parts = cut_clients(arg, comp.type_signature.parameter)
        if len(parts) == 1:
            return self._compute(comp, arg)
        form, end = self._compile(comp, len(parts))
        sums = tff.structure.Struct.unnamed(*self._compute_all(form.up_to_merge, parts))
        result = self._compute(end, tff.structure.Struct.unnamed(parts[0], sums))
        return tff.types.type_to_py_container(result, comp.type_signature.result)

    def forget(self) -> None:
        """Lets the workers free what they hold for this process."""
        for worker in self._living():
            worker.forget()

    def _compile(
        self, computation: tff.Computation, num_parts: int
    ) -> tuple[tff.framework.MergeableCompForm, tff.Computation]:
        """Returns a computation split at its sums over clients, and what follows on the sums of so many parts."""
        form = self._forms.get(computation)
        if form is None:
            form = self._forms[computation] = tff.backends.native.compile_to_mergeable_comp_form(computation)
        end = self._ends.get((computation, num_parts))
        if end is None:
            end = self._ends[computation, num_parts] = build_end(form, num_parts)
        return form, end

    def _compute(self, computation: tff.Computation, argument: Any) -> Any:
        return self._compute_all(computation, [argument])[0]

    def _compute_all(self, computation: tff.Computation, arguments: Sequence[Any]) -> list[Any]:
        """Returns a result for each argument, in their order, whoever computed it."""
        results: dict[int, Any] = {}
        while len(results) < len(arguments):
            waiting = deque(place for place in range(len(arguments)) if place not in results)
            workers = self._find_workers()[: len(waiting)]
            tasks = [self._pool.submit(_work, worker, computation, arguments, waiting, results) for worker in workers]
            for worker, task in zip(workers, tasks, strict=True):
                if not task.result():
                    self._lose(worker)
        return [results[place] for place in range(len(arguments))]

    def _living(self) -> list[RemoteWorker]:
        return [worker for worker in self._workers if worker.address not in self._lost]

    def _find_workers(self) -> list[RemoteWorker]:
        """Returns those who are not lost; where all are, waits for one to come back, if the settings say so."""
        deadline = time.monotonic() + self._settings.answer_s
        while not (living := self._living()):
            if self._settings.lost == "drop" or time.monotonic() > deadline:
                raise FederationError(
                    f"Expected one of the workers {', '.join(self._settings.addresses)} to answer, got silence from "
                    "all. Start them again (`tandem federate worker`) and run the command again: finished rounds are "
                    "kept."
                )
            time.sleep(_POLL_S)
            self._take_back()
        return living

    def _lose(self, worker: RemoteWorker) -> None:
        self._lost.add(worker.address)
        self._progress.note(f"Lost the worker {worker.address}; {len(self._living())} left to do its part.")

    def _take_back(self) -> None:
        for worker in self._workers:
            if worker.address in self._lost and worker.is_connected:
                worker.check()
                self._lost.remove(worker.address)
                self._progress.note(f"The worker {worker.address} is back.")


def cut_clients(argument: Any, signature: tff.Type | None) -> list[Any]:
    """Cuts what a computation is given into parts for fewer clients each, in their order; they depend on nothing else.

    Args:
      argument: Of the computation; a structure of the parameter's elements, or none.
      signature: The parameter's type, in which values of clients are elements of their own.

    Returns:
      At least one part; each has what is the server's, and its share of what is the clients'.
    """
    types = [own for _, own in tff.structure.iter_elements(signature)] if isinstance(signature, tff.StructType) else []
    is_clients = [isinstance(own, tff.FederatedType) and own.placement is tff.CLIENTS for own in types]
    if not any(is_clients):
        return [argument]
    values = tff.structure.to_elements(argument)
    num_clients = next(len(value) for (_, value), is_own in zip(values, is_clients, strict=True) if is_own)
    num_parts = max(1, min(num_clients, _MAX_PARTS))
    ends = [num_clients * place // num_parts for place in range(num_parts + 1)]
    return [
        tff.structure.Struct(
            (name, value[begin:end] if is_own else value)
            for (name, value), is_own in zip(values, is_clients, strict=True)
        )
        for begin, end in itertools.pairwise(ends)
    ]


def build_end(form: tff.framework.MergeableCompForm, num_parts: int) -> tff.Computation:
    """Returns the computation from any part of the argument and the sums of all, in their order, to the result.

    Args:
      form: Of the whole computation.
      num_parts: How many parts there are.
    """
    sums_type = tff.StructType([(None, form.merge.type_signature.result)] * num_parts)

    @tff.federated_computation(sums_type)
    def merge(sums: Any) -> Any:
        return functools.reduce(form.merge, sums)

    @tff.federated_computation(form.up_to_merge.type_signature.parameter, tff.FederatedType(sums_type, tff.SERVER))
    def end(part: Any, sums: Any) -> Any:
        return form.after_merge(part, tff.federated_map(merge, sums))

    return end


def _work(
    worker: RemoteWorker,
    computation: tff.Computation,
    arguments: Sequence[Any],
    waiting: deque[int],
    results: dict[int, Any],
) -> bool:
    """Lets a worker compute what waits, until nothing does; returns whether it lives."""
    while True:
        try:
            place = waiting.popleft()
        except IndexError:
            return True
        try:
            results[place] = worker.compute(computation, arguments[place])
        except WorkerLostError:
            waiting.append(place)
            return False
