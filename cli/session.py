"""The frame around a verb: who may write to stdout, what errors look like, and how long it took."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import typer

from recsys.errors import TandemError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cli.console import ConsoleProgress

INTERRUPTED = 130
TERMINATED = 143


class Session:
    """What a verb works with: a progress listener on stderr, and the one place that writes its result to stdout."""

    def __init__(self, stdout: TextIO, as_json: bool) -> None:
        """Starts the clock.

        Args:
          stdout: The caller's stdout.
          as_json: Whether the result is one JSON object, rather than text for a person.
        """
        from cli.console import open_progress

        self.as_json = as_json
        self.progress: ConsoleProgress = open_progress()
        self._stdout = stdout
        self._start_s = time.monotonic()

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return round(time.monotonic() - self._start_s, 3)

    def finish(self, result: Mapping[str, Any], *shown: RenderableType) -> None:
        """Writes the result: `result` as JSON where that was asked for, else what is `shown`."""
        self.progress.close()
        if self.as_json:
            self._write(json.dumps(result, ensure_ascii=False, allow_nan=False))
        else:
            from cli.console import print_to

            for renderable in shown:
                print_to(self._stdout, renderable)

    def fail(self, kind: str, message: str, exit_code: int) -> NoReturn:
        """Tells what went wrong, on stderr and, where JSON was asked for, also on stdout; then ends the command.

        Raises:
          typer.Exit: Always.
        """
        self.report_failure(kind, message, exit_code)
        sys.stderr.write(f"{message}\n")
        raise typer.Exit(exit_code)

    def report_failure(self, kind: str, message: str, exit_code: int) -> None:
        """Stops the progress; writes the error object where JSON was asked for."""
        self.progress.close()
        if self.as_json:
            self._write(json.dumps({"error": {"kind": kind, "message": message, "exit_code": exit_code}}))

    def _write(self, text: str) -> None:
        self._stdout.write(text + "\n")
        self._stdout.flush()


@contextmanager
def open_session(as_json: bool) -> Iterator[Session]:
    """Frames the work of a verb.

    Args:
      as_json: Whether the result is one JSON object.

    Yields:
      The session. Errors of Tandem's own family become their message and exit code, Ctrl-C becomes exit code 130;
      anything else is a bug and escapes with its traceback.
    """
    quieten()
    with _claim_stdout() as stdout, _heed_termination():
        session = Session(stdout, as_json)
        try:
            yield session
        except TandemError as error:
            session.fail(type(error).__name__, str(error), error.exit_code)
        except KeyboardInterrupt:
            session.fail("Interrupted", "Interrupted. Run the same command again to go on.", INTERRUPTED)
        except BrokenPipeError:
            # The reader of stdout (`| head`) has what it wanted.
            raise typer.Exit(0) from None
        except Exception as error:
            session.report_failure(type(error).__name__, str(error), 1)
            raise
        finally:
            session.progress.close()


def quieten() -> None:
    """Silences what TensorFlow and its friends say at import; what the person set in the environment stands.

    Level 3 keeps fatal messages. Errors below that reach us as Python exceptions; on a machine without a GPU the
    lines that level 2 still lets through are all about the missing GPU.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    os.environ.setdefault("GLOG_minloglevel", "2")


@contextmanager
def _claim_stdout() -> Iterator[TextIO]:
    """Yields the caller's stdout, and sends what anybody else writes there, C++ libraries included, to stderr.

    The duplicate is not inherited by child processes, so that none of them can hold a pipe open.
    """
    sys.stdout.flush()
    own = os.dup(1)
    os.dup2(2, 1)
    stdout = os.fdopen(own, "w", encoding="utf-8", closefd=False)
    try:
        yield stdout
    finally:
        sys.stdout.flush()
        os.dup2(own, 1)
        _close_quietly(stdout)
        os.close(own)


def _close_quietly(stdout: TextIO) -> None:
    try:
        stdout.close()
    except BrokenPipeError:
        return


@contextmanager
def _heed_termination() -> Iterator[None]:
    """Turns SIGTERM into an ordinary exit, so that every `finally` runs and no child process is left."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _exit_terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _exit_terminated(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(TERMINATED)
