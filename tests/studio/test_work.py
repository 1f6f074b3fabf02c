"""One thread for everything that needs the model: order, errors, idle steps, the end."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from functools import partial

import pytest

from picie.errors import DataError, PicieError
from picie.studio.work import NOW, QUEUE, REST, VIEW, Worker


@pytest.fixture
def worker() -> Iterator[Worker]:
    """A worker that is ended after the test."""
    made = Worker()
    yield made
    made.stop()


def _held(worker: Worker) -> threading.Event:
    """Keep the thread busy until the event is set."""
    go, busy = threading.Event(), threading.Event()

    def hold() -> None:
        busy.set()
        go.wait(10)

    worker.run(NOW, hold)
    busy.wait(10)
    return go


def test_the_most_urgent_call_comes_first_then_the_first_one(worker: Worker) -> None:
    go, done = _held(worker), list[str]()
    for priority, name in ((REST, "c"), (VIEW, "a1"), (QUEUE, "b"), (VIEW, "a2"), (NOW, "0")):
        last = worker.run(priority, partial(done.append, name))
    assert worker.waiting == 5
    go.set()
    last.result(10)
    worker.run(REST, lambda: None).result(10)
    assert done == ["0", "a1", "a2", "b", "c"]


def test_results_and_errors_come_back_and_the_thread_goes_on(worker: Worker) -> None:
    def fail() -> None:
        raise DataError("no such photo")

    assert worker.run(VIEW, lambda: 3).result(10) == 3
    with pytest.raises(DataError, match="no such photo"):
        worker.run(VIEW, fail).result(10)
    assert worker.run(VIEW, threading.current_thread).result(10).name == "studio-work"


def test_a_cancelled_call_is_not_made(worker: Worker) -> None:
    go, done = _held(worker), list[int]()
    future = worker.run(VIEW, lambda: done.append(1))
    assert future.cancel()
    go.set()
    worker.run(REST, lambda: None).result(10)
    assert done == []


def test_idle_steps_take_turns_end_and_wait_for_calls(worker: Worker) -> None:
    go, done, ended = _held(worker), list[str](), threading.Event()

    def step(name: str, times: int) -> bool:
        done.append(name)
        if len(done) == 6:
            ended.set()
        return done.count(name) < times

    worker.idle(lambda: step("a", 2))
    worker.idle(lambda: step("b", 3))
    worker.run(REST, lambda: done.append("call"))
    go.set()
    assert ended.wait(10)
    assert done == ["call", "a", "b", "a", "b", "b"]


@pytest.mark.parametrize("error", [DataError("a full disk"), ValueError("a mistake")])
def test_an_idle_step_that_fails_ends_and_nothing_else(
    worker: Worker, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def step() -> bool:
        raise error

    worker.idle(step)
    assert worker.run(REST, lambda: 1).result(10) == 1
    while not caplog.records:
        worker.run(REST, lambda: None).result(10)
    assert "background has ended" in caplog.text


def test_the_end_cancels_what_waits(worker: Worker) -> None:
    go = _held(worker)
    waiting = worker.run(VIEW, lambda: 1)
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    with pytest.raises(CancelledError):
        waiting.result(10)
    go.set()
    stopping.join(10)
    assert worker.run(VIEW, lambda: 1).cancelled()
    worker.stop()  # again does no harm


def test_handlers_await_calls_and_learn_of_the_end(worker: Worker) -> None:
    async def ask() -> int:
        return await worker.await_(VIEW, lambda: 7)

    async def ask_and_leave() -> bool:
        task = asyncio.create_task(ask())
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return True
        return False

    assert asyncio.run(ask()) == 7
    go = _held(worker)
    assert asyncio.run(ask_and_leave())
    go.set()
    worker.stop()
    with pytest.raises(PicieError, match="closed meanwhile; reload"):
        asyncio.run(ask())
