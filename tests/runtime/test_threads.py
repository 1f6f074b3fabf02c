import threading
from collections.abc import Iterator

import pytest
import torch

from picie.runtime.devices import for_each


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_every_index_is_worked_on_once_and_alone() -> None:
    done: list[tuple[int, str, int]] = []
    for_each(
        lambda i: done.append((i, threading.current_thread().name, torch.get_num_threads())), 9
    )
    assert sorted(i for i, _, _ in done) == list(range(9))
    assert all(name.startswith("picie-compute") and threads == 1 for _, name, threads in done)
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_threads_that_start_later_compute_as_ever() -> None:
    for_each(lambda _: None, 4)
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert found == [2]


@pytest.mark.usefixtures("two_threads")
def test_an_error_comes_to_the_caller() -> None:
    def work(index: int) -> None:
        if index == 3:
            raise KeyError("third")

    with pytest.raises(KeyError, match="third"):
        for_each(work, 5)
    for_each(lambda _: None, 5)  # and the threads go on


def test_one_thread_needs_no_other() -> None:
    names: list[str] = []
    for_each(lambda _: names.append(threading.current_thread().name), 3)  # see conftest
    assert names == [threading.current_thread().name] * 3
    for_each(lambda _: names.clear(), 0)
    assert len(names) == 3
