"""Examples below the help of a command."""

from __future__ import annotations


def example(*commands: str) -> str:
    """Returns an epilog that click does not re-wrap."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)
