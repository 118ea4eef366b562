"""A verb of `tandem` as a real command that is killed: in a process group of its own, so that nothing can tidy up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

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
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")])}
        log = workspace.root / f"{verb}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.DEVNULL, stderr=sink, start_new_session=True
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
