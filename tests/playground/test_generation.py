"""Work in a thread of its own ends within one frame, with its page, and when nobody looks."""

from collections.abc import Generator
from itertools import count
from threading import Event
from time import sleep

import pytest

from fulcra.errors import InputError
from fulcra.playground.generation import Generation, Sessions, Stop


class Endless:
    """Work without an end that counts its frames and notes when it was closed."""

    def __init__(self, pause: float = 0.001) -> None:
        self.pause, self.made, self.closed = pause, 0, Event()

    def __call__(self, stop: Stop) -> Generator[int]:
        try:
            for self.made in count(1):
                yield self.made
                sleep(self.pause)
                if stop.stopped:
                    break
            if not stop.left:
                yield -1
        finally:
            self.closed.set()


def test_frames_come_in_order_and_the_last_is_never_missed() -> None:
    frames = list(Generation(lambda stop: (i for i in range(2000)), Stop()).frames())
    assert frames == sorted(frames)
    assert frames[-1] == 1999


def test_a_stop_ends_the_work_within_one_frame_and_keeps_its_last_word() -> None:
    stop, work = Stop(), Endless(0.05)
    frames = Generation(work, stop).frames()
    assert next(frames) >= 1
    stop.stop()
    made = work.made
    assert list(frames)[-1] == -1
    assert work.made <= made + 1
    assert work.closed.is_set()


def test_frames_that_nobody_takes_any_more_end_the_work() -> None:
    work = Endless()
    frames = Generation(work, Stop()).frames()
    next(frames)
    frames.close()
    assert work.closed.wait(5)


def test_work_that_nobody_looks_at_ends_by_itself() -> None:
    work = Endless()
    generation = Generation(work, Stop(), patience=0.1)
    assert generation.wait(5)
    assert work.closed.is_set()


def test_a_refusal_of_the_work_reaches_whoever_looks() -> None:
    def refused(stop: Stop) -> Generator[int]:
        yield 1
        raise InputError("no")

    frames = Generation(refused, Stop()).frames()
    with pytest.raises(InputError, match="no"):
        list(frames)


def test_a_page_has_one_generation_and_ends_it_when_it_goes() -> None:
    sessions = Sessions()
    sessions.begin("a")
    first = sessions.of("a")
    sessions.begin("b")
    sessions.begin("a")
    assert first.left
    assert not sessions.of("a").stopped
    sessions.stop("a")
    assert sessions.of("a").stopped
    assert not sessions.of("a").left
    assert not sessions.of("b").stopped
    sessions.end("b", first)
    assert sessions.stop("b")
    sessions.end("b", sessions.of("b"))
    assert not sessions.stop("b")
    sessions.leave("a")
    sessions.leave("a")
    assert sessions.of("a").left
