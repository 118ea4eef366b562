"""The life of TFF's worker process: the one place that starts it, and the reason that none is ever left behind.

TFF's own default context starts `worker_binary` with the caller's stdout and stops it in a `__del__`, so that
`tandem federate | tee log` would wait for ever. Here the worker writes into a file of its own and lives under a warden
(`warden.py`), which ends it when this process is gone: by return, exception, Ctrl-C, SIGTERM or SIGKILL.
Nothing here imports TFF.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from recsys.errors import ConfigError, FederationError

_WARDEN = Path(__file__).with_name("warden.py")
_TALKATIVE = {"TF_CPP_MIN_LOG_LEVEL": "0", "GLOG_minloglevel": "0"}
"""The worker writes to a file of its own: there its words are wanted, however silent the caller keeps itself."""

_POLL_S = 0.02
_STOP_S = 10.0
_TAIL_LINES = 15


@dataclass(frozen=True)
class Worker:
    """A running worker process.

    Attributes:
      address: `localhost:port` of its gRPC service. It listens on all interfaces without authentication (TFF has no
        flag for it): run simulations where the network is trusted.
      log_path: Where its output goes.
      warden: The process that watches over it.
    """

    address: str
    log_path: Path
    warden: subprocess.Popen[bytes]

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.address.rpartition(":")[2])

    def check(self) -> None:
        """Returns if the worker lives.

        Raises:
          FederationError: If it has ended; the message ends with the tail of its log.
        """
        code = self.warden.poll()
        if code is not None:
            raise FederationError(
                f"Expected a running TFF worker, got one that ended with code {code}. Run the command again: finished "
                f"rounds are kept. Its last words, from {self.log_path}:\n{self.tail()}"
            )

    def tail(self) -> str:
        """Returns the last lines of the worker's output."""
        lines = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-_TAIL_LINES:])


@contextmanager
def run_worker(log_path: Path, start_s: float, command: Sequence[str] | None = None, port: int = 0) -> Iterator[Worker]:
    """Starts a worker, waits until it listens, and ends it when the block is left.

    Args:
      log_path: File for the worker's output; an earlier one is overwritten.
      start_s: How long it may take until it listens.
      command: Another program in the worker's place; `--port=…` is appended. None means TFF's own.
      port: To listen on; 0 takes a free one.

    Raises:
      ConfigError: If somebody else listens on the port.
      FederationError: If the program is missing, ends before it listens, or does not listen in time.
    """
    program = list(command) if command is not None else [str(find_worker_binary())]
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with closing(_reserve_port(port)) as reservation, log_path.open("wb") as log:
        number = reservation.getsockname()[1]
        warden = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_WARDEN), str(os.getpid()), *program, f"--port={number}"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env={**os.environ, **_TALKATIVE},
            start_new_session=True,  # Ctrl-C is for the parent to answer, not for the worker
        )
        worker = Worker(f"localhost:{number}", log_path, warden)
        try:
            _await_listening(worker, number, start_s)
            yield worker
        finally:
            _end(warden)


def find_worker_binary() -> Path:
    """Returns TFF's worker program, without importing TFF.

    Raises:
      FederationError: If TFF is not installed, or has no worker for this platform.
    """
    spec = importlib.util.find_spec("tensorflow_federated")
    if spec is None or spec.origin is None:
        raise FederationError("Expected tensorflow-federated to be installed, got none. Install `tandem[federated]`.")
    binary = Path(spec.origin).parent / "data" / "worker_binary"
    if not binary.is_file():
        raise FederationError(
            f"Expected TFF's worker program at {binary}, got none. Install tensorflow-federated anew."
        )
    return binary


def _reserve_port(port: int) -> socket.socket:
    """Returns a bound socket that does not listen.

    The worker, which sets SO_REUSEPORT too, can bind beside it, while nobody else is given the port. Without it two
    workers could share a port, and each other's calls. So they could where both were given it: one that is given must
    be free of such sockets too.
    """
    family, host = (socket.AF_INET6, "::") if socket.has_dualstack_ipv6() else (socket.AF_INET, "")
    try:
        if port:
            with socket.socket(family, socket.SOCK_STREAM) as alone:
                alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # past connections do not count
                alone.bind((host, port))
        reservation = socket.socket(family, socket.SOCK_STREAM)
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reservation.bind((host, port))
    except OSError as error:
        raise ConfigError(
            f"Expected port {port} to be free for a TFF worker, got: {error.strerror}. Give another `--port`, or 0 for "
            "a free one."
        ) from error
    return reservation


def _await_listening(worker: Worker, port: int, start_s: float) -> None:
    deadline = time.monotonic() + start_s
    while True:
        worker.check()
        try:
            socket.create_connection(("localhost", port), timeout=1.0).close()
        except OSError as error:
            if time.monotonic() > deadline:
                raise FederationError(
                    f"Expected the TFF worker to listen within {start_s:g} s, got silence. Raise "
                    f"`rounds.worker_start_s`. Its last words, from {worker.log_path}:\n{worker.tail()}"
                ) from error
            time.sleep(_POLL_S)
        else:
            return


def _end(warden: subprocess.Popen[bytes]) -> None:
    """Closes the warden's stdin, which makes it kill the worker; kills the warden where that does not help."""
    if warden.stdin is not None:
        warden.stdin.close()
    try:
        warden.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        warden.kill()  # the kernel ends the worker with it
        warden.wait()
