"""Memory that the process has freed, given back to the system."""

from __future__ import annotations

import ctypes

import pyarrow as pa


def give_back() -> bool:
    """Gives back what Arrow and the C library keep of freed memory; returns whether the latter could.

    glibc keeps freed pages between those in use, in an arena of each thread: after large objects were exchanged for
    others, in another thread, they are what the process never seems to let go. Takes milliseconds.
    """
    pa.default_memory_pool().release_unused()
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # another C library
        return False
    return bool(trim(ctypes.c_size_t(0)))
