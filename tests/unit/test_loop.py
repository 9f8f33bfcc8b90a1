"""The capture loop's epoll: handlers, timers, and what becomes of one that fails."""

import os
import socket
from collections.abc import Iterator

import pytest

from hark.tap.loop import IN, OUT, Loop


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_who_has_something_is_called_with_what_it_has(ends: tuple[socket.socket, socket.socket]) -> None:
    one, other = ends
    loop, events = Loop(), []
    loop.add(one.fileno(), IN, events.append)
    assert loop.once(0) == 0
    assert events == []
    other.send(b"x")
    assert loop.once(1) == 1
    assert events == [IN]
    loop.change(one.fileno(), IN | OUT)
    loop.once(1)
    assert events[1:] == [IN | OUT]


def test_who_was_removed_is_called_no_more(ends: tuple[socket.socket, socket.socket]) -> None:
    """Also in the same round: the first handler closes what the second one is for."""
    loop, called = Loop(), []

    def remove(fd: int, by: int) -> None:
        called.append(by)
        loop.remove(fd)

    one, other = ends
    for mine, others in ((one, other), (other, one)):
        loop.add(mine.fileno(), OUT, lambda event, mine=mine, others=others: remove(others.fileno(), mine.fileno()))
    assert loop.once(1) == 2
    assert len(called) == 1
    loop.remove(one.fileno())
    loop.remove(other.fileno())
    assert loop.once(0) == 0


def test_a_descriptor_that_was_closed_may_be_another_s(ends: tuple[socket.socket, socket.socket]) -> None:
    """The number is used again: the new one has a handler of its own."""
    loop, called = Loop(), []
    reader, writer = os.pipe()
    loop.add(reader, IN, lambda event: called.append("old"))
    loop.remove(reader)
    os.close(reader)
    again, more = os.pipe()
    assert again == reader
    loop.add(again, IN, lambda event: called.append("new"))
    os.write(more, b"x")
    loop.once(1)
    assert called == ["new"]
    for fd in (writer, again, more):
        os.close(fd)


def test_timers_in_their_order_and_no_sooner() -> None:
    loop, called = Loop(), []
    for name, seconds in (("third", 0.04), ("first", 0.0), ("second", 0.0), ("never", 60.0)):
        loop.later(seconds, lambda name=name: called.append(name))
    loop.once(0)
    assert called == ["first", "second"]
    for _ in range(1000):
        if len(called) > 2:
            break
        loop.once(1)  # not longer than until the next timer
    assert called == ["first", "second", "third"]


def test_a_timer_may_set_another() -> None:
    loop, called = Loop(), []

    def again() -> None:
        called.append(len(called))
        if len(called) < 5:
            loop.later(0.0, again)

    loop.later(0.0, again)
    for _ in range(100):
        loop.once(0)
    assert called == [0, 1, 2, 3, 4]


def test_what_a_handler_raises_is_its_own_affair(ends: tuple[socket.socket, socket.socket]) -> None:
    """It goes to its `failed`, and the others of the round are called; without one it leaves the loop."""
    one, other = ends
    loop, failures, called = Loop(), [], []

    def fail(*_: object) -> None:
        raise ValueError("a fault")

    loop.add(one.fileno(), OUT, fail, failures.append)
    loop.add(other.fileno(), OUT, called.append)
    loop.later(0.0, fail, failures.append)
    loop.once(1)
    assert [str(failure) for failure in failures] == ["a fault", "a fault"]
    assert called == [OUT]
    loop.remove(one.fileno())
    loop.add(one.fileno(), OUT, fail)  # the earlier one's `failed` is gone with it
    with pytest.raises(ValueError, match="a fault"):
        loop.once(1)
    loop.remove(one.fileno())
    loop.later(0.0, fail)
    with pytest.raises(ValueError, match="a fault"):
        loop.once(1)
