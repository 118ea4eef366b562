"""Processes of their own: a verb of `tandem` that is killed, in its own group so that nothing can tidy up; modules."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recsys.errors import TrainingError
from recsys.storage.workspace import Workspace

_ROOT: Final = Path(__file__).resolve().parents[1]
_LAST_WORDS: Final = 2_000


@dataclass(frozen=True)
class Command:
    """A running command, the leader of its own process group.

    Attributes:
      log: What it writes on stderr.
      begin_s: When it began, by `time.perf_counter`.
    """

    process: subprocess.Popen[bytes]
    log: Path
    begin_s: float

    @classmethod
    def start(cls, verb: str, workspace: Workspace, seed: int, config: Path | None) -> Command:
        """Starts a verb on a workspace, in whose root its log lies then."""
        command = [sys.executable, "-m", "cli", verb, "--workspace", str(workspace.root), "--seed", str(seed)]
        command += ["--config", str(config)] if config else []
        log = workspace.root / f"{verb}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                command, env=_environment(), stdout=subprocess.DEVNULL, stderr=sink, start_new_session=True
            )
        return cls(process, log, time.perf_counter())

    def runs(self, timeout_s: float) -> bool:
        """Waits a while, and tells; if the wait is broken off, the process is not left behind."""
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return True
        except BaseException:
            self.stop()
            raise
        return False

    def end(self) -> int:
        """Waits for the end and returns the exit code; if the wait is broken off, the process is not left behind."""
        try:
            return self.process.wait()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Kills the whole group."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def read_log(self) -> str:
        """Returns what it has written so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def last_words(self) -> str:
        """Returns the end of that."""
        return self.read_log()[-_LAST_WORDS:]


def run_python(*arguments: str) -> None:
    """Runs Python to its end, where it finds this repository.

    Raises:
      TrainingError: If it ends otherwise than well; its last words are in the message.
    """
    run = subprocess.run([sys.executable, *arguments], env=_environment(), capture_output=True, text=True)
    if run.returncode:
        words, code = " ".join(arguments), run.returncode
        raise TrainingError(f"Expected `python {words}` to end well, got code {code}: {run.stderr[-_LAST_WORDS:]}")


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")])}
