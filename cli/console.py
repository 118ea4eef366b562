"""What a person sees: progress on stderr, results as text."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Column, Table
from rich.text import Text

from recsys.progress import Progress

if TYPE_CHECKING:
    from rich.console import RenderableType

_PLAIN_WIDTH: Final = 120
"""Columns where stdout is no terminal; 80 would break tables."""

_QUIET_S: Final = 5.0
"""Least time between two plain lines about the same stage."""


class ConsoleProgress(Progress, Protocol):
    """Progress that holds the terminal until it is closed."""

    def close(self) -> None:
        """Ends the last stage and lets the terminal go; closing again does nothing."""


def open_progress() -> ConsoleProgress:
    """Returns live bars where stderr is a terminal, plain lines elsewhere."""
    console = Console(stderr=True)
    return LiveProgress(console) if console.is_terminal else LineProgress(sys.stderr)


class LiveProgress:
    """One bar for each stage; finished stages stay, with the time they took."""

    def __init__(self, console: Console) -> None:
        """Shows nothing until the first stage."""
        self._bars = Bars(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn(
                "{task.description}", markup=False, table_column=Column(ratio=3, no_wrap=True, overflow="ellipsis")
            ),
            BarColumn(bar_width=12, table_column=Column(min_width=12)),
            TextColumn("{task.fields[count]}", justify="right", table_column=Column(min_width=7, no_wrap=True)),
            TimeElapsedColumn(table_column=Column(min_width=7, no_wrap=True)),
            TextColumn(
                "[dim]{task.fields[figures]}[/]", table_column=Column(ratio=2, no_wrap=True, overflow="ellipsis")
            ),
            expand=True,
            console=console,
            redirect_stdout=False,
        )
        self._task: TaskID | None = None

    def stage(self, name: str, total: int | None = None) -> None:
        """A new bar begins; the one before it is complete."""
        self._complete()
        self._bars.start()
        self._task = self._bars.add_task(name, total=total, figures="", count="")

    def advance(self, done: int, **figures: float) -> None:
        """The bar moves."""
        if self._task is not None:
            total = self._bars.tasks[-1].total
            count = f"{done:,}" if total is None else f"{done:,}/{total:,.0f}"
            self._bars.update(self._task, completed=done, count=count, figures=format_figures(figures))

    def note(self, text: str) -> None:
        """Prints above the bars."""
        self._bars.console.print(text, style="yellow", markup=False, highlight=False)

    def close(self) -> None:
        """Ends the last bar and lets the terminal go."""
        self._complete()
        self._bars.stop()

    def _complete(self) -> None:
        if self._task is None:
            return
        task = self._bars.tasks[-1]
        total = task.total if task.total is not None else max(task.completed, 1)
        self._bars.update(self._task, total=total, completed=total)
        self._task = None


class LineProgress:
    """Plain lines with the time since the start, for logs and pipes."""

    def __init__(self, stream: TextIO) -> None:
        """Writes nothing until the first stage."""
        self._stream = stream
        self._start_s = time.monotonic()
        self._said_s = 0.0
        self._name = ""
        self._total: int | None = None

    def stage(self, name: str, total: int | None = None) -> None:
        """Writes the stage's name."""
        self._name, self._total = name, total
        self._said_s = time.monotonic()
        self._say(name)

    def advance(self, done: int, **figures: float) -> None:
        """Writes how far the stage is, at most every few seconds and when it is complete."""
        now_s = time.monotonic()
        if now_s - self._said_s < _QUIET_S and done != self._total:
            return
        self._said_s = now_s
        count = f"{done}/{self._total}" if self._total is not None else f"{done}"
        self._say(f"  {self._name}: {count}  {format_figures(figures)}".rstrip())

    def note(self, text: str) -> None:
        """Writes the text."""
        self._say(text)

    def close(self) -> None:
        """Nothing is held."""

    def _say(self, text: str) -> None:
        self._stream.write(f"[{time.monotonic() - self._start_s:6.1f} s] {text}\n")
        self._stream.flush()


def _cut(ratio: int) -> Column:
    """A column that gives way where the terminal is narrow."""
    return Column(ratio=ratio, no_wrap=True, overflow="ellipsis")


def format_figures(figures: Mapping[str, float]) -> str:
    """Returns `loss 0.123, rows per second 45,600`."""
    return ", ".join(f"{name.replace('_', ' ')} {format_number(value)}" for name, value in figures.items())


def print_to(stream: TextIO, renderable: RenderableType) -> None:
    """Prints for a person: in the width of the terminal or, elsewhere, in a width that fits the tables, unpadded.

    Plain text is never broken into lines: it may hold a command, which is there to be copied.
    """
    is_text = isinstance(renderable, str)
    if stream.isatty():
        Console(file=stream, highlight=False).print(renderable, soft_wrap=is_text)
        return
    plain = Console(file=io.StringIO(), width=_PLAIN_WIDTH, highlight=False)
    with plain.capture() as capture:
        plain.print(renderable, soft_wrap=is_text)
    stream.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))
    stream.flush()


def tabulate(rows: Mapping[str, object]) -> Table:
    """Returns a two-column table of names and values; the rows of a nested mapping follow its name."""
    table = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        if isinstance(value, Mapping):
            table.add_row(f"[bold]{name}[/]")
            for inner, one in value.items():
                table.add_row(f"  {inner}", Text(format_value(one)))
        else:
            table.add_row(f"[bold]{name}[/]", Text(format_value(value)))
    return table


def format_value(value: object) -> str:
    """Returns numbers as a person reads them, and a dash for nothing."""
    if isinstance(value, float):
        return format_number(value)
    return f"{value:,}" if isinstance(value, int) else "–" if value is None else str(value)


def format_number(value: float) -> str:
    """Returns whole numbers and large ones without a fraction, others with four digits."""
    return f"{value:,.0f}" if value == round(value) or abs(value) >= 1_000 else f"{value:.4g}"
