"""Threads that run the models, with a bounded queue before them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from recsys.errors import OverloadError

_ResultT = TypeVar("_ResultT")


class Workers:
    """A bounded pool: so many run, so many wait, and the next one is told to come back later.

    LiteRT and FAISS release the interpreter lock while they compute, so that threads use all cores; the event loop
    stays free for the network.
    """

    def __init__(self, num_threads: int, max_queued: int, prepare: Callable[[], None] | None = None) -> None:
        """Makes the pool; threads start with the first work.

        Args:
          num_threads: How many pieces of work run at once.
          max_queued: How many more may wait.
          prepare: Called once in each thread before its first work.
        """
        self._num_threads = num_threads
        self._capacity = num_threads + max_queued
        self._pending = 0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(num_threads, thread_name_prefix="tandem-worker", initializer=prepare)

    @property
    def pending(self) -> int:
        """Pieces of work that run or wait."""
        return self._pending

    async def run(self, work: Callable[[], _ResultT]) -> _ResultT:
        """Returns what `work` returns, run in a thread.

        Raises:
          OverloadError: If as many wait as may.
        """
        with self._lock:
            if self._pending >= self._capacity:
                raise crowded(self._capacity)
            self._pending += 1
        future = self._pool.submit(work)
        future.add_done_callback(self._finish)
        return await asyncio.wrap_future(future)

    def warm(self, work: Callable[[], object]) -> None:
        """Runs `work` once in every thread, so that no request pays for a thread's first use of a model.

        Raises:
          TandemError: Whatever `work` raises.
        """
        together = threading.Barrier(self._num_threads)

        def visit() -> None:
            together.wait()
            work()

        for future in [self._pool.submit(visit) for _ in range(self._num_threads)]:
            future.result()

    def close(self) -> None:
        """Lets running work end and drops what waits. No `warm` may be under way."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _finish(self, _: Future[_ResultT]) -> None:
        with self._lock:
            self._pending -= 1


def crowded(capacity: int) -> OverloadError:
    """Returns the error of who comes when as many as may are there already."""
    return OverloadError(f"Expected at most {capacity} requests at once, got one more. Try again in a second.")
