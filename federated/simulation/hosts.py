"""Where rounds are computed: in a worker of the command's own, or in those that `tandem federate worker` started."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from federated.simulation.packed.store import write_table
from federated.simulation.worker import Worker, run_worker
from recsys.config.federated import FederatedSettings
from recsys.progress import Progress

_TOKEN_BYTES: Final = 16


@contextmanager
def execute_by(settings: FederatedSettings, examples: Path, log_path: Path, progress: Progress) -> Iterator[None]:
    """Lets TFF compute where the settings say.

    Args:
      settings: With addresses of workers, or without; then one lives as long as the block.
      examples: The folder of the run's examples. Workers of others must see it: a file that nobody can have guessed is
        written into it, and each must read the same.
      log_path: Where a worker of the command's own writes.
      progress: Told of workers that are lost.

    Raises:
      ConfigError: If a worker that was named does not answer, or does not see the folder.
      FederationError: If the own worker does not start or dies, or none of the named ones is left.
    """
    from federated.simulation.execution import execute_on  # TensorFlow Federated: 10 s, which a worker does without
    from federated.simulation.fleet import execute_on_fleet

    if settings.workers.addresses:
        token = np.frombuffer(secrets.token_bytes(_TOKEN_BYTES), np.int32)
        with execute_on_fleet(settings.workers, write_table(examples / "probe.bin", token), progress):
            yield
    else:
        with run_worker(log_path, settings.rounds.worker_start_s) as worker, execute_on(worker):
            yield


def host_worker(folder: Path, port: int, start_s: float, announce: Callable[[Worker], None]) -> None:
    """Runs a worker for others, until this process is told to end; it ends with it, however that goes.

    Args:
      folder: Where its output goes while it lives; after a bad end it stays there.
      port: To listen on; 0 takes a free one.
      start_s: How long it may take until it listens.
      announce: Called once it listens.

    Raises:
      ConfigError: If somebody else listens on the port.
      FederationError: If it does not start, or dies.
    """
    log_path = folder / f"worker-{os.getpid()}.log"
    with run_worker(log_path, start_s, port=port) as worker:
        announce(worker)
        try:
            worker.warden.wait()
        except (KeyboardInterrupt, SystemExit):
            log_path.unlink(missing_ok=True)
            raise
        worker.check()
