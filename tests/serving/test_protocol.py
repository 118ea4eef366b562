from __future__ import annotations

import asyncio

import pytest

from serving.protocol import WholeAnswers

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


class Written(asyncio.Transport):
    """Remembers each call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.calls.append(bytes(data))

    def close(self) -> None:
        self.calls.append(b"closed")

    def is_closing(self) -> bool:
        return b"closed" in self.calls


def calls_after(*parts: bytes, turns: int = 0, is_closed: bool = False) -> list[bytes]:
    """Returns what the transport was called with when these were written, so many turns of the loop later."""

    async def write() -> list[bytes]:
        written = Written()
        answers = WholeAnswers(written, asyncio.get_running_loop())
        for part in parts:
            answers.write(part)
        if is_closed:
            answers.close()
        for _ in range(turns):
            await asyncio.sleep(0)
        assert answers.is_closing() == is_closed, "what is not about writing is the transport's own"
        return list(written.calls)  # asyncio gives the loop more turns before it ends

    return asyncio.run(write())


def test_head_and_body_go_out_in_one_call_and_what_follows_at_once():
    assert calls_after(HEAD, b"body") == [HEAD + b"body"]
    assert calls_after(HEAD, b"body", b"more", turns=2) == [HEAD + b"body", b"more"]


def test_two_answers_stay_in_their_order():
    assert calls_after(HEAD, b"body", HEAD, b"other", turns=2) == [HEAD + b"body", HEAD + b"other"]


def test_a_head_alone_waits_for_one_turn_and_no_longer():
    assert calls_after(HEAD) == []
    assert calls_after(HEAD, turns=1) == [HEAD]


@pytest.mark.parametrize("body", [b"x" * 100_000, HEAD + b"in the body", memoryview(b"a view")])
def test_nothing_is_lost_or_sent_twice_whatever_the_body(body):
    assert b"".join(calls_after(HEAD, body, turns=2)) == HEAD + body
    assert b"".join(calls_after(body, body, turns=2)) == bytes(body) * 2


def test_a_connection_is_closed_after_what_was_written():
    assert calls_after(HEAD, is_closed=True, turns=2) == [HEAD, b"closed"]
