import contextlib
from collections.abc import Iterator

import pytest
import torch

from picie.runtime.profiler import Clock


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    time = [0.0]
    monkeypatch.setattr("picie.runtime.profiler.time.perf_counter", lambda: time[0])
    return time


def test_parts_add_up(now: list[float]) -> None:
    clock = Clock(on=True, device=torch.device("cpu"))
    for seconds in (1.0, 2.5):
        with clock.part("forward"):
            now[0] += seconds
    now[0] += 10  # belongs to no part
    with contextlib.suppress(KeyError), clock.part("views"):  # an error ends a part too
        now[0] += 0.5
        raise KeyError
    assert clock.seconds == {"forward": 3.5, "views": 0.5}
    assert clock.network_share(7.0) == 0.5


def test_waiting_is_not_the_work_between(now: list[float]) -> None:
    def slow() -> Iterator[str]:
        for item in "ab":
            now[0] += 2
            yield item

    clock = Clock(on=True)
    for _ in clock.waits(slow()):
        now[0] += 100
    assert clock.seconds == {"waiting for images": 4}


def test_the_table_names_the_network_and_the_rest(now: list[float]) -> None:
    clock = Clock(on=True)
    for name, seconds in (("views", 1.0), ("backward", 6.0)):
        with clock.part(name):
            now[0] += seconds
    lines = clock.table(10.0).splitlines()
    assert [line.split()[0] for line in lines] == ["backward", "views", "everything", "network:"]
    assert lines[0].endswith("60.0 % network")
    assert lines[1].endswith("10.0 %")
    assert lines[2].endswith("30.0 %")
    assert lines[3] == "  network: 60.0 % of 10.0 s"


def test_a_clock_that_is_off_measures_nothing() -> None:
    clock = Clock()
    with clock.part("views"):
        pass
    assert list(clock.waits([1, 2])) == [1, 2]
    assert clock.seconds == {}
