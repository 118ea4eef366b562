"""Keeps the chatter of libraries out of a person's sight; what goes wrong is raised, not logged."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_logs(level: int = logging.WARNING) -> Iterator[None]:
    """Mutes log records up to `level`."""
    before = logging.root.manager.disable
    logging.disable(max(level, before))
    try:
        yield
    finally:
        logging.disable(before)
