"""Lists that wait at the same moment, re-ranked together on the event loop, with a bound on how many wait.

A list of 100 is in its new order within a fifth of a millisecond. A thread for that costs more than it gives: the way
there and back, and each time that a model or numpy lets go of the interpreter lock, a wait to have it again. Measured
in one run, an answer took 2.5 ms by way of a thread and 1.3 without. Nobody is made to wait for company: a batch is who
has come by the time that the event loop turns to it. Whatever takes longer goes to the `Workers`; more cores are used
by more processes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from recsys.runtime.tower import SMALL_BATCH
from serving.observation import Stopwatch
from serving.workers import crowded

MAX_BATCH: Final = SMALL_BATCH
"""Lists at once. With more of them a list gets no cheaper, and the first one waits longer for the last."""

MAX_LENGTH: Final = 800
"""Candidates of all lists of a batch; one list may have more. Long lists cost what their arithmetic costs, together or
not, and LiteRT keeps the memory of the largest batch of each size."""

_GivenT = TypeVar("_GivenT")
_ResultT = TypeVar("_ResultT")

Work = Callable[[Sequence[_GivenT], Stopwatch], Sequence[_ResultT]]
"""Answers a batch: one result for each that is given, and on the stopwatch the stages of all."""


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[_GivenT, _ResultT]):
    given: _GivenT
    length: int
    work: Work[_GivenT, _ResultT]
    begin: Callable[[], None]
    stopwatch: Stopwatch
    result: asyncio.Future[_ResultT]


class Batches(Generic[_GivenT, _ResultT]):
    """Callers wait, in the order they came, until the batch that they are in is worked on. For one event loop."""

    def __init__(self, max_queued: int, record: Callable[[int], None]) -> None:
        """Begins with nobody waiting.

        Args:
          max_queued: How many may wait behind the one whose turn it is.
          record: Told the size of every batch.
        """
        self._capacity = 1 + max_queued
        self._record = record
        self._waiting: deque[_Waiting[_GivenT, _ResultT]] = deque()

    @property
    def waiting(self) -> int:
        """Callers that wait for their turn."""
        return len(self._waiting)

    async def run(
        self,
        given: _GivenT,
        length: int,
        work: Work[_GivenT, _ResultT],
        begin: Callable[[], None],
        stopwatch: Stopwatch,
    ) -> _ResultT:
        """Returns the result that `work` has for `given`, beside that of others who gave the same `work`.

        Args:
          given: What to work on.
          length: Its candidates.
          work: Must answer each as it would alone. What it raises over several it is asked for each alone, so that an
            error reaches the caller whom it is about.
          begin: Called when the turn has come; what it raises is raised here, and nothing is worked on.
          stopwatch: Takes the stages of the whole batch, for which this caller waits.

        Raises:
          OverloadError: If as many wait as may.
        """
        if len(self._waiting) >= self._capacity:
            raise crowded(self._capacity)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(given, length, work, begin, stopwatch, loop.create_future())
        if not self._waiting:
            # All requests that have arrived by now are counted before the first of them is worked on: else nobody
            # would ever be seen to wait, and a server that cannot keep up would keep everybody.
            loop.call_soon(self._next, loop)
        self._waiting.append(waiting)
        return await waiting.result

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        """Works on one batch; who waits behind it is heard after the network."""
        begun = [one for one in self._take() if _begin(one)]
        try:
            if begun:
                self._answer(begun)
                self._record(len(begun))
        finally:  # last, so that this batch's answers go out before the next one is begun
            if self._waiting:
                loop.call_soon(self._next, loop)

    def _take(self) -> list[_Waiting[_GivenT, _ResultT]]:
        """Takes the first who wait, as many as may be one batch."""
        batch = [self._waiting.popleft()]
        work, length = batch[0].work, batch[0].length
        while self._waiting and len(batch) < MAX_BATCH and self._waiting[0].work == work:
            length += self._waiting[0].length
            if length > MAX_LENGTH:
                break
            batch.append(self._waiting.popleft())
        return batch

    def _answer(self, batch: Sequence[_Waiting[_GivenT, _ResultT]]) -> None:
        stopwatch = Stopwatch()
        try:
            answered = list(zip(batch, batch[0].work([one.given for one in batch], stopwatch), strict=True))
        except Exception as error:  # noqa: BLE001 - it is raised where the caller waits
            if len(batch) == 1:
                batch[0].result.set_exception(error)
                return
            for one in batch:
                self._answer([one])
            return
        for one, result in answered:
            one.stopwatch.include(stopwatch)
            one.result.set_result(result)


def _begin(one: _Waiting[_GivenT, _ResultT]) -> bool:
    """Returns whether somebody still waits, and is to be worked for."""
    if one.result.done():
        return False
    try:
        one.begin()
    except Exception as error:  # noqa: BLE001 - it is raised where the caller waits
        one.result.set_exception(error)
        return False
    return True
