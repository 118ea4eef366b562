from __future__ import annotations

import asyncio
import threading

import faiss
import pytest

from recsys.config.serving import ServingSettings
from recsys.errors import ConfigError, OverloadError
from serving.service import Service
from serving.workers import Workers


@pytest.fixture
def workers():
    pool = Workers(num_threads=2, max_queued=1)
    yield pool
    pool.close()


async def run_all(workers, works):
    return await asyncio.gather(*(workers.run(work) for work in works), return_exceptions=True)


def test_work_is_done_off_the_calling_thread(workers):
    [thread] = asyncio.run(run_all(workers, [threading.get_ident]))
    assert thread != threading.get_ident()


def test_what_work_raises_reaches_the_caller(workers):
    def fail():
        raise ConfigError("no")

    [error] = asyncio.run(run_all(workers, [fail]))
    assert isinstance(error, ConfigError)


def test_beyond_threads_and_queue_work_is_refused_and_the_rest_is_done(workers):
    gate = threading.Event()

    async def crowd():
        tasks = [asyncio.create_task(workers.run(lambda: gate.wait(10))) for _ in range(3)]
        await asyncio.sleep(0)
        assert workers.pending == 3
        with pytest.raises(OverloadError, match="at most 3 requests at once"):
            await workers.run(lambda: None)
        gate.set()
        return await asyncio.gather(*tasks)

    assert asyncio.run(crowd()) == [True, True, True]
    assert workers.pending == 0


def test_a_caller_that_gives_up_does_not_free_the_place_of_work_that_runs(workers):
    gate, running = threading.Event(), threading.Event()

    def work():
        running.set()
        gate.wait(10)

    async def give_up():
        task = asyncio.create_task(workers.run(work))
        await asyncio.to_thread(running.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return workers.pending

    assert asyncio.run(give_up()) == 1
    gate.set()


def test_warming_visits_every_thread_once(workers):
    visited = []
    workers.warm(lambda: visited.append(threading.get_ident()))
    assert len(visited) == 2
    assert len(set(visited)) == 2
    [thread] = asyncio.run(run_all(workers, [threading.get_ident]))
    assert thread in visited


def test_what_goes_wrong_while_warming_is_told(workers):
    def fail():
        raise ConfigError("cold")

    with pytest.raises(ConfigError, match="cold"):
        workers.warm(fail)


def test_every_thread_is_prepared_before_its_first_work():
    prepared = []
    workers = Workers(2, 0, prepare=lambda: prepared.append(threading.get_ident()))
    workers.warm(lambda: None)
    workers.close()
    assert len(set(prepared)) == 2


def test_the_threads_of_a_service_search_without_threads_of_faiss(bundled_workspace):
    """OpenMP keeps the number for each calling thread: setting it in the main thread would not do."""
    service = Service.assemble(bundled_workspace, ServingSettings())
    numbers = []
    service.workers.warm(lambda: numbers.append(faiss.omp_get_max_threads()))
    service.close()
    assert numbers == [1, 1]
