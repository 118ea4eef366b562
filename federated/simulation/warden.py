"""Runs one command and ends it when the process that wanted it is gone. Standard library only; run as a script.

    python warden.py PARENT_PID COMMAND [ARGUMENT ...]

The parent holds the write end of this process's stdin for as long as it wants the command to live. End of file, or
another parent, means that it is gone, however it went (also by SIGKILL): the command is killed at once. Should this
process itself be killed, the kernel kills the command (PR_SET_PDEATHSIG; it is bound to the forking thread, and this
process has only one).
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1
_POLL_S = 0.1


def watch(parent_pid: int, command: list[str]) -> int:
    """Runs the command until it ends or the parent is gone.

    Args:
      parent_pid: Process id of the process that started this one.
      command: Program and arguments.

    Returns:
      The command's exit code; 128 + the signal where it died of one; 0 where it was killed because the parent left.
    """
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent)
    try:
        while child.poll() is None:
            readable, _, _ = select.select([sys.stdin.fileno()], [], [], _POLL_S)
            if readable or os.getppid() != parent_pid:
                return 0
        return child.returncode if child.returncode >= 0 else 128 - child.returncode
    finally:
        child.kill()
        child.wait()


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(watch(int(sys.argv[1]), sys.argv[2:]))
