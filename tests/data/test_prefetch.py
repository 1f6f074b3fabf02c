import threading
import time
from collections.abc import Iterator

import pytest

from picie.data.prefetch import Prefetch

WAIT = 30.0  # seconds, for what comes at once


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


def square(number: int) -> int:
    return number * number


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_results_come_in_order(threads: int) -> None:
    for count in [0, 1, 20]:
        for ahead in [0, 1, 5, 100]:
            reader = Prefetch(square, range(count), threads=threads, ahead=ahead)
            assert list(reader) == [n * n for n in range(count)]
            reader.close()


def test_order_is_that_of_tasks_not_of_ends() -> None:
    second_is_done = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert second_is_done.wait(WAIT)
        else:
            second_is_done.set()
        return number

    reader = Prefetch(work, range(2), threads=2, ahead=1)
    assert list(reader) == [0, 1]
    reader.close()


def test_threads_work_ahead_and_no_further() -> None:
    taken: list[int] = []
    done = threading.Semaphore(0)

    def tasks() -> Iterator[int]:
        for number in range(10):
            taken.append(number)
            yield number

    def work(number: int) -> int:
        done.release()
        return number

    reader = Prefetch(work, tasks(), threads=1, ahead=3)
    assert taken == []
    for asked in range(1, 4):
        assert next(reader) == asked - 1
        assert taken == list(range(asked + 3))
    for _ in range(6):  # what was taken is worked on although nobody asks
        assert done.acquire(timeout=WAIT)
    reader.close()


def test_without_threads_the_caller_works_when_asked() -> None:
    seen: list[threading.Thread] = []
    reader = Prefetch(
        lambda _: seen.append(threading.current_thread()), range(5), threads=0, ahead=3
    )
    next(reader)
    assert seen == [threading.current_thread()]
    reader.close()


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, MemoryError])
def test_an_error_comes_where_its_result_would(threads: int, error: type[BaseException]) -> None:
    def work(number: int) -> int:
        if number == 2:
            raise error("in task 2")
        return number

    reader = Prefetch(work, range(5), threads=threads, ahead=4)
    assert [next(reader), next(reader)] == [0, 1]
    with pytest.raises(error, match="in task 2"):
        next(reader)
    reader.close()


def test_closing_begins_nothing_more_and_ends_the_iteration() -> None:
    begun: list[int] = []
    first, go_on = threading.Event(), threading.Event()

    def work(number: int) -> None:
        begun.append(number)
        if number == 1:
            first.set()
            assert go_on.wait(WAIT)

    reader = Prefetch(work, range(100), threads=1, ahead=50)
    next(reader)
    assert first.wait(WAIT)
    reader._closed.set()  # what `close` does first, while the thread is at task 1
    go_on.set()
    reader.close()
    assert begun == [0, 1]
    assert list(reader) == []
    reader.close()  # again, as several parts of a program may


def test_nothing_is_taken_without_room() -> None:
    full = threading.Event()
    reader = Prefetch(int, range(9), threads=1, ahead=5, room=lambda waiting: not full.is_set())
    assert next(reader) == 0
    full.set()
    assert [next(reader) for _ in range(5)] == [1, 2, 3, 4, 5]  # what was taken before
    full.clear()
    assert list(reader) == [6, 7, 8]
    reader.close()


def test_threads_that_are_stuck_do_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("picie.data.prefetch._PATIENCE", 0.1)
    go_on = threading.Event()

    def work(number: int) -> None:
        if number:
            go_on.wait(WAIT)

    reader = Prefetch(work, range(9), threads=4, ahead=5)
    next(reader)
    began = time.monotonic()
    reader.close()
    assert time.monotonic() - began < WAIT / 2
    assert all(thread.daemon for thread in reader._threads)
    go_on.set()
    for thread in reader._threads:
        thread.join(WAIT)
