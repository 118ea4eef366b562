"""What a run leaves behind after each round, so that a killed one goes on where it was.

federated/<run>/settings.json      what its rounds do, and so what they hide from whom
federated/<run>/rounds.jsonl       one line per finished round
federated/<run>/state-00007.npz    the process's state after round 7: a round is finished once this file is there
federated/<run>/curves/            the figures of finished rounds, for TensorBoard
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from recsys.errors import FederationError
from recsys.storage.atomic import write_file

_SETTINGS_FILE: Final = "settings.json"
_ROUNDS_FILE: Final = "rounds.jsonl"


@dataclass(frozen=True)
class RoundMetrics:
    """What one round gave.

    Attributes:
      round_number: From 1.
      num_clients: Devices that sent an update; sampled people without a usable example send none.
      num_examples: Theirs together.
      loss: Mean local training loss, over the examples as each was met.
      ndcg_at_10: Of the validation users, with the new weights.
      seconds: The round with the making of its data, without validation.
      clients_per_s: `num_clients` by the time in TFF alone.
      epsilon: What is spent of everybody's privacy after this round; None where none was promised.
      num_lost: Selected devices that dropped out.
      num_late: Selected devices that reported when the round was closed.
      closed_after_s: When that was, on the devices' clocks; 0 where all of them always come.
      bytes_down: What one client received (`traffic`); 0 where a run of an earlier version did not count it.
      bytes_up: What it sent.
    """

    round_number: int
    num_clients: int
    num_examples: int
    loss: float
    ndcg_at_10: float
    seconds: float
    clients_per_s: float
    epsilon: float | None = None
    num_lost: int = 0
    num_late: int = 0
    closed_after_s: float = 0.0
    bytes_down: int = 0
    bytes_up: int = 0

    def figures(self) -> dict[str, float]:
        """Returns by name what can be drawn over the rounds."""
        return {name: value for name, value in asdict(self).items() if name != "round_number" and value is not None}


@dataclass(frozen=True)
class Checkpoint:
    """The state after the last of `rounds`: its leaves, in the order of the process's own structure."""

    rounds: tuple[RoundMetrics, ...]
    leaves: tuple[npt.NDArray[Any], ...]


class RunFolder:
    """The folder of one run."""

    def __init__(self, root: Path) -> None:
        """Touches nothing yet."""
        self.root = root

    @property
    def worker_log(self) -> Path:
        """Where the TFF worker's output goes."""
        return self.root / "worker.log"

    @property
    def curves(self) -> Path:
        """Where TensorBoard finds the figures of rounds."""
        return self.root / "curves"

    def describe(self, facts: Mapping[str, Any]) -> None:
        """Keeps what the rounds do, for whoever looks at them; no run reads it again.

        Args:
          facts: Settings, JSON-ready.

        Raises:
          WorkspaceError: If the disk is full or refuses.
        """
        write_file(self.root / _SETTINGS_FILE, (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode())

    def save(self, rounds: Sequence[RoundMetrics], leaves: Sequence[npt.NDArray[Any]]) -> None:
        """Keeps the end of a round.

        Args:
          rounds: All rounds so far.
          leaves: The state after the last.

        Raises:
          WorkspaceError: If the disk is full or refuses.
        """
        lines = "".join(json.dumps(asdict(metrics), sort_keys=True) + "\n" for metrics in rounds)
        write_file(self.root / _ROUNDS_FILE, lines.encode())
        buffer = io.BytesIO()
        np.savez(buffer, *leaves)
        write_file(self._state_file(len(rounds)), buffer.getvalue())

    def find_last(self, max_rounds: int) -> int:
        """Returns the number of the latest finished round up to `max_rounds`, 0 where there is none."""
        return next((number for number in range(max_rounds, 0, -1) if self._state_file(number).exists()), 0)

    def load(self, max_rounds: int) -> Checkpoint | None:
        """Returns the latest finished round up to `max_rounds`, or None where there is none.

        Raises:
          FederationError: If the files are not what `save` wrote.
        """
        last = self.find_last(max_rounds)
        if not last:
            return None
        try:
            lines = (self.root / _ROUNDS_FILE).read_text(encoding="utf-8").splitlines()
            rounds = tuple(RoundMetrics(**json.loads(line)) for line in lines[:last])
            with np.load(self._state_file(last), allow_pickle=False) as arrays:
                leaves = tuple(arrays[name] for name in arrays.files)
        except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise self._unreadable(str(error)) from error
        if [metrics.round_number for metrics in rounds] != list(range(1, last + 1)):
            raise self._unreadable(f"{len(rounds)} rounds")
        return Checkpoint(rounds, leaves)

    def _state_file(self, round_number: int) -> Path:
        return self.root / f"state-{round_number:05d}.npz"

    def _unreadable(self, found: str) -> FederationError:
        return FederationError(
            f"Expected the state of finished rounds in {self.root}, got: {found}. Remove the folder to start over."
        )
