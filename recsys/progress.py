"""How long work tells what it is doing, whoever listens (a terminal, a log, nobody)."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """A listener to long work. Stages follow each other; each may count its steps."""

    def stage(self, name: str, total: int | None = None) -> None:
        """A new stage begins; the one before it is done.

        Args:
          name: What is being done, in the words of the product ("training retrieval").
          total: How many steps it has, where that is known.
        """

    def advance(self, done: int, **figures: float) -> None:
        """The stage has done `done` steps so far; `figures` are its latest results (loss, rows per second)."""

    def note(self, text: str) -> None:
        """Something a person should read once."""


class Silent:
    """A listener that hears nothing."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Ignores the stage."""

    def advance(self, done: int, **figures: float) -> None:
        """Ignores the step."""

    def note(self, text: str) -> None:
        """Ignores the note."""
