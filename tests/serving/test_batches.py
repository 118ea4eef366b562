from __future__ import annotations

import asyncio
import threading
import time

import pytest
from starlette.requests import Request

from recsys.config.serving import ServingSettings
from recsys.errors import ConfigError, ContractError, OverloadError
from serving.batches import MAX_BATCH, MAX_LENGTH, Batches
from serving.deadline import DeadlineError
from serving.engine import Listed
from serving.observation import Stopwatch
from serving.service import Service


class Doubling:
    """Work that doubles numbers, refuses negative ones, and remembers its batches."""

    def __init__(self):
        self.batches = []

    def double(self, numbers, stopwatch):
        self.batches.append(list(numbers))
        with stopwatch.stage("double"):
            if min(numbers) < 0:
                raise ConfigError(f"Expected no negative number, got {min(numbers)}.")
            return [2 * number for number in numbers]


def nothing():
    pass


def gather(batches, calls):
    """Answers or errors of callers who come at the same moment: (number, work) each; a number is its list's length."""

    async def run():
        waits = (batches.run(number, number, work, nothing, Stopwatch()) for number, work in calls)
        return await asyncio.gather(*waits, return_exceptions=True)

    return asyncio.run(run())


def test_who_comes_together_is_answered_together_in_the_calling_thread():
    work, sizes, threads = Doubling(), [], []
    batches = Batches(20, lambda size: (sizes.append(size), threads.append(threading.get_ident())))
    assert gather(batches, [(number, work.double) for number in range(11)]) == list(range(0, 22, 2))
    assert work.batches == [list(range(MAX_BATCH)), list(range(MAX_BATCH, 11))]
    assert sizes == [MAX_BATCH, 11 - MAX_BATCH]
    assert set(threads) == {threading.get_ident()}


def test_answers_of_a_batch_go_out_before_the_next_one_is_begun():
    order, work = [], Doubling()
    batches = Batches(20, lambda size: order.append(f"batch of {size}"))

    async def call(number):
        await batches.run(number, number, work.double, nothing, Stopwatch())
        order.append(f"end {number}")

    async def run():
        await asyncio.gather(*(call(number) for number in range(MAX_BATCH + 1)))

    asyncio.run(run())
    ends = [f"end {number}" for number in range(MAX_BATCH + 1)]
    assert order == [f"batch of {MAX_BATCH}", *ends[:-1], "batch of 1", ends[-1]]


def test_a_batch_of_several_holds_no_more_candidates_than_may_be():
    work, lengths = Doubling(), [MAX_LENGTH - 1, 1, 1, MAX_LENGTH + 9, 2, MAX_LENGTH]
    assert gather(Batches(20, lambda _: None), [(length, work.double) for length in lengths]) == [
        2 * length for length in lengths
    ]
    assert work.batches == [[MAX_LENGTH - 1, 1], [1], [MAX_LENGTH + 9], [2], [MAX_LENGTH]]


def test_callers_of_two_bundles_are_not_mixed():
    old, new = Doubling(), Doubling()
    answers = gather(Batches(20, lambda _: None), [(1, old.double), (2, old.double), (3, new.double), (4, old.double)])
    assert answers == [2, 4, 6, 8]
    assert (old.batches, new.batches) == ([[1, 2], [4]], [[3]])


def test_what_work_raises_reaches_its_caller_alone_and_the_others_are_answered():
    work = Doubling()
    first, error, last = gather(Batches(20, lambda _: None), [(1, work.double), (-5, work.double), (3, work.double)])
    assert (first, last) == (2, 6)
    assert str(error) == "Expected no negative number, got -5."
    assert work.batches == [[1, -5, 3], [1], [-5], [3]]


def test_work_that_answers_too_few_is_an_error_and_nobody_waits_for_ever():
    answers = gather(Batches(20, lambda _: None), [(1, lambda numbers, _: []), (2, Doubling().double)])
    assert isinstance(answers[0], ValueError)
    assert answers[1] == 4


def test_figures_that_cannot_be_kept_cost_nobody_an_answer(caplog):
    def full(_):
        raise OSError(28, "No space left on device")

    work = Doubling()
    calls = [(number, work.double) for number in range(MAX_BATCH + 2)]
    assert gather(Batches(20, full), calls) == [2 * number for number, _ in calls]
    assert "No space left on device" in caplog.text


def test_who_comes_together_is_counted_before_the_first_is_worked_on_and_the_next_one_is_refused():
    work, seen = Doubling(), []
    batches = Batches(1, lambda _: seen.append(batches.waiting))
    first, second, third = gather(batches, [(number, work.double) for number in range(3)])
    assert (first, second) == (0, 2)
    with pytest.raises(OverloadError, match="Expected at most 2 requests at once, got one more"):
        raise third
    assert seen == [0]


def test_stages_of_the_batch_are_those_of_each_caller():
    stopwatches, work = [Stopwatch(), Stopwatch()], Doubling()
    batches = Batches(20, lambda _: None)

    async def run():
        await asyncio.gather(*(batches.run(1, 1, work.double, nothing, stopwatch) for stopwatch in stopwatches))

    asyncio.run(run())
    first, second = stopwatches
    assert first.laps == second.laps
    assert first.begins == second.begins
    assert first.laps["double"] > 0


def test_a_caller_that_gives_up_leaves_the_queue_and_its_work_is_not_done():
    work, batches = Doubling(), Batches(0, lambda _: None)

    async def give_up():
        task = asyncio.create_task(batches.run(1, 1, work.double, nothing, Stopwatch()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return await batches.run(2, 1, work.double, nothing, Stopwatch())

    assert asyncio.run(give_up()) == 4
    assert work.batches == [[2]]


def late_request():
    headers = [(b"x-deadline-ms", b"50")]
    return Request({"type": "http", "headers": headers, "tandem.start_s": time.perf_counter() - 1.0})


@pytest.mark.parametrize("is_short", [True, False])
def test_whose_deadline_has_passed_is_told_so_and_nothing_is_done_for_him(bundled_workspace, is_short):
    service, done = Service.assemble(bundled_workspace, ServingSettings()), []

    class Engine:
        def rerank_batch(self, lists, stopwatch):
            done.extend(lists)

    if is_short:
        answer = service.rerank(late_request(), Engine(), Listed([], [], []))
    else:
        answer = service.compute(late_request(), done.append)
    with pytest.raises(DeadlineError, match="Expected to answer within `X-Deadline-Ms`, got more to do than fits"):
        asyncio.run(answer)
    service.close()
    assert done == []


@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_a_list_whose_scores_overflow_does_not_spoil_those_beside_it(bundled_workspace, engine):
    service = Service.assemble(bundled_workspace, ServingSettings())
    fine = Listed(["i001"], ["i002", "i003"], [1.0, 2.0])
    wild = Listed(["i001"], ["i002", "i003"], [float("inf"), 1.0])

    async def run():
        requests = [Request({"type": "http", "headers": []}) for _ in range(3)]
        lists = [fine, wild, fine]
        waits = (service.rerank(request, engine, one) for request, one in zip(requests, lists, strict=True))
        return await asyncio.gather(*waits, return_exceptions=True)

    first, error, last = asyncio.run(run())
    service.close()
    assert first == last == engine.rerank(fine, Stopwatch())
    assert isinstance(error, ContractError)
