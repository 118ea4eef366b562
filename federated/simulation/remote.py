"""A TFF worker that somebody else started (`tandem federate worker`), perhaps on another machine."""

from __future__ import annotations

from typing import Any, Final

import grpc
import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from federated.simulation.execution import CHANNEL_OPTIONS, build_context
from federated.simulation.packed.store import Column, read_column
from federated.simulation.packed.training import map_column
from recsys.errors import ConfigError, FederationError

REMOTE_OPTIONS: Final = (
    *CHANNEL_OPTIONS,
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),  # a worker that was started again is found again at once
    # A machine may vanish and close nothing; servers refuse to be asked more often.
    ("grpc.keepalive_time_ms", 310_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 0),
)
_MAX_CONNECTIONS: Final = 3
"""How often one computation is sent to a worker whose connection breaks each time."""


class WorkerLostError(FederationError):
    """A worker no longer answers."""


class RemoteWorker:
    """A worker by its address.

    Attributes:
      address: `host:port`.
    """

    def __init__(self, address: str, channel: grpc.Channel, probe: Column, answer_s: float) -> None:
        """Sends nothing yet.

        Args:
          address: `host:port`.
          channel: To there; whoever opened it closes it.
          probe: A file of the run.
          answer_s: How long it may take until a connection stands.
        """
        self.address = address
        self._channel = channel
        self._probe = probe
        self._answer_s = answer_s
        self._executors: list[tff.framework.RemoteExecutor] = []
        self._stub = tff.framework.RemoteExecutorGrpcStub(channel)
        self._context = build_context(self._stub, self._connect, self._executors.append)
        self._num_connections = 0

    @property
    def is_connected(self) -> bool:
        """Whether a connection stands; where none does, one is tried again and again in the background."""
        return bool(self._stub.is_ready)

    def compute(self, computation: tff.Computation, argument: Any = None) -> Any:
        """Returns what the worker makes of an argument.

        Raises:
          WorkerLostError: If it does not answer, or breaks off several times.
        """
        self._num_connections = 0
        return self._context.invoke(computation, argument)

    def check(self) -> None:
        """Returns if the worker answers, and finds the file of the run where this machine has it.

        Raises:
          ConfigError: If no worker answers, what answers is none, or the file is not there or not the same.
        """

        @tff.tensorflow.computation
        def read() -> tf.Tensor:
            return map_column(self._probe)

        try:
            found = self.compute(read)
        except WorkerLostError as error:
            raise ConfigError(
                f"Expected a TFF worker at {self.address}, got no answer within {self._answer_s:g} s. Start it with "
                "`tandem federate worker --port PORT`; a firewall or proxy (`no_proxy`) may stand between."
            ) from error
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNIMPLEMENTED:
                raise ConfigError(
                    f"Expected a TFF worker at {self.address}, got another service. Is the port right?"
                ) from error
            raise self._explain_blindness(error.details()) from error
        if not np.array_equal(found, read_column(self._probe)):
            raise self._explain_blindness("a file of this name with another content")

    def forget(self) -> None:
        """Lets the worker, which lives on, free what it holds for this process."""
        for executor in self._executors:
            executor.close()
        self._executors.clear()

    def _explain_blindness(self, found: str) -> ConfigError:
        return ConfigError(
            f"Expected the worker at {self.address} to see the run's folder {self._probe.path.parent}, got: {found}. "
            "Keep the workspace on a disk that all machines share, under the same path on each."
        )

    def _connect(self) -> None:
        """Returns once a connection stands."""
        self._num_connections += 1
        try:
            if self._num_connections > _MAX_CONNECTIONS:
                raise grpc.FutureTimeoutError
            grpc.channel_ready_future(self._channel).result(self._answer_s)
        except grpc.FutureTimeoutError as error:
            raise WorkerLostError(f"Expected the worker at {self.address} to answer, got silence.") from error
