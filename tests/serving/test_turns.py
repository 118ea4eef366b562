from __future__ import annotations

import asyncio
import threading
import time

import pytest
from starlette.requests import Request

from recsys.config.serving import ServingSettings
from recsys.errors import ConfigError, OverloadError
from serving.deadline import DeadlineError
from serving.service import Service
from serving.turns import Turns


async def run_all(turns, works):
    return await asyncio.gather(*(turns.run(work) for work in works), return_exceptions=True)


def test_work_is_done_in_the_calling_thread_in_the_order_in_which_it_came():
    done = []
    works = [lambda place=place: done.append((place, threading.get_ident())) for place in range(3)]
    asyncio.run(run_all(Turns(10), works))
    assert done == [(place, threading.get_ident()) for place in range(3)]


def test_what_work_raises_reaches_its_caller_alone():
    def fail():
        raise ConfigError("no")

    error, answer = asyncio.run(run_all(Turns(10), [fail, lambda: 1]))
    assert isinstance(error, ConfigError)
    assert answer == 1


def test_who_comes_together_is_counted_before_the_first_is_worked_on_and_the_next_one_is_refused():
    turns, seen = Turns(max_queued=1), []
    first, second, third = asyncio.run(run_all(turns, [lambda: seen.append(turns.waiting)] * 3))
    assert (first, second) == (None, None)
    assert isinstance(third, OverloadError)
    with pytest.raises(OverloadError, match="Expected at most 2 requests at once, got one more"):
        raise third
    assert seen == [1, 0]


def test_a_caller_that_gives_up_leaves_the_queue_and_its_work_is_not_done():
    turns, done = Turns(max_queued=0), []

    async def give_up():
        task = asyncio.create_task(turns.run(lambda: done.append(1)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return await turns.run(lambda: turns.waiting)

    assert asyncio.run(give_up()) == 0
    assert done == []


@pytest.mark.parametrize("is_short", [True, False])
def test_whose_deadline_has_passed_is_told_so_and_nothing_is_done_for_him(bundled_workspace, is_short):
    service, done = Service.assemble(bundled_workspace, ServingSettings()), []
    headers = [(b"x-deadline-ms", b"50")]
    late = {"type": "http", "headers": headers, "tandem.start_s": time.perf_counter() - 1.0}
    with pytest.raises(DeadlineError, match="Expected to answer within `X-Deadline-Ms`, got more to do than fits"):
        asyncio.run(service.compute(Request(late), done.append, is_short=is_short))
    service.close()
    assert done == []
