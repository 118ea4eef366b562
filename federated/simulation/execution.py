"""Makes TFF compute in a worker that we own (`worker.py`), in place of one that it would start by itself."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import grpc
import tensorflow_federated as tff

from federated.simulation.worker import Worker
from recsys.errors import FederationError

_MAX_MESSAGE_BYTES: Final = 2_000_000_000
CHANNEL_OPTIONS: Final = (
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
)
_CONNECT_S: Final = 30.0
_POLL_S: Final = 0.01


@contextmanager
def execute_on(worker: Worker) -> Iterator[None]:
    """Sends every TFF computation of the block (in this thread) to the worker.

    TFF repeats a call that failed for want of a connection, for ever; here it is told when the worker is gone.

    Raises:
      FederationError: If the worker cannot be reached, or dies during a computation of the block.
    """
    hear_interrupts()
    with grpc.insecure_channel(worker.address, CHANNEL_OPTIONS) as channel:
        stub = tff.framework.RemoteExecutorGrpcStub(channel)
        _await_connection(stub, worker)
        with tff.framework.get_context_stack().install(build_context(stub, worker.check)):
            yield


def build_context(
    stub: tff.framework.RemoteExecutorGrpcStub,
    check: Callable[[], None],
    keep: Callable[[tff.framework.RemoteExecutor], None] = lambda _: None,
) -> tff.framework.SyncExecutionContext:
    """Returns the context that computes in one worker.

    Args:
      stub: Of the worker.
      check: Called before anything is sent to it for the first time, and again when a connection broke; what it raises
        ends the computation.
      keep: Given what stands for the worker's memory of this process, to be closed where the worker lives on.
    """

    def build_executor(cardinalities: Mapping[tff.framework.PlacementLiteral, int]) -> tff.framework.RemoteExecutor:
        check()
        executor = tff.framework.RemoteExecutor(stub)
        executor.set_cardinalities({tff.CLIENTS: 0, **cardinalities})
        keep(executor)
        return executor

    return tff.framework.SyncExecutionContext(
        executor_fn=tff.framework.ResourceManagingExecutorFactory(build_executor),
        compiler_fn=tff.backends.native.desugar_and_transform_to_native,
        transform_args=tff.tensorflow.transform_args,
        transform_result=tff.tensorflow.transform_result,
    )


def hear_interrupts() -> None:
    """Takes jax's callback off the garbage collector.

    Python swallows what is raised in such a callback, so a Ctrl-C or SIGTERM that came during one was lost and the
    rounds went on. jax (a dependency of TFF) frees its device arrays there; none are made here.
    """
    gc.callbacks[:] = [callback for callback in gc.callbacks if not _is_of_jax(callback)]


def _is_of_jax(callback: object) -> bool:
    return getattr(callback, "__module__", "").partition(".")[0] in ("jax", "jaxlib")


def _await_connection(stub: tff.framework.RemoteExecutorGrpcStub, worker: Worker) -> None:
    deadline = time.monotonic() + _CONNECT_S
    while not stub.is_ready:
        worker.check()
        if time.monotonic() > deadline:
            raise FederationError(
                f"Expected a connection to the TFF worker at {worker.address} within {_CONNECT_S:g} s, got none. "
                "Does a proxy or firewall stand between? Set `no_proxy=localhost`."
            )
        time.sleep(_POLL_S)
