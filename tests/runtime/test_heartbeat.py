"""Signs of life between two of a run, which threads play here; real ones are in `test_nodes`."""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
import torch

from picie.errors import DataError, PicieError
from picie.runtime import heartbeat
from picie.runtime.heartbeat import Heartbeat, Member

Make = Callable[..., Heartbeat]


@pytest.fixture
def make() -> Make:
    """Makes the heartbeats of one run; each has a connection of its own."""
    stores: Any = torch.distributed
    served = stores.TCPStore("127.0.0.1", 0, is_master=True, timeout=timedelta(seconds=5))

    def one(rank: int, node: str = "", count: int = 2) -> Heartbeat:
        store = stores.TCPStore("127.0.0.1", served.port, is_master=False)
        member = Member(rank, "host", node or str(rank), "gloo", "1")
        return Heartbeat(store, member, count, beat=0.01)

    return one


def meet(first: Heartbeat, second: Heartbeat) -> list[Member]:
    other = threading.Thread(target=second.meet)
    other.start()
    members = first.meet(limit=5)
    other.join()
    return members


def test_members_introduce_themselves(make: Make) -> None:
    members = meet(make(0, "a"), make(1, "b"))
    assert [str(one) for one in members] == [
        "process 0 (on host, node a)",
        "process 1 (on host, node b)",
    ]


def test_who_does_not_come_is_numbered(make: Make) -> None:
    with pytest.raises(PicieError, match=r"1 of 2 processes have not come .* \(number 1\)"):
        make(0).meet(limit=0.05)


def test_a_wait_ends_when_all_have_come_however_late(make: Make) -> None:
    first, second = make(0), make(1)
    passed: list[str] = []

    def late() -> None:
        time.sleep(0.1)
        passed.append("late")
        second.wait()

    other = threading.Thread(target=late)
    other.start()
    first.wait()
    assert passed == ["late"]
    other.join()


def test_an_error_reaches_all_and_one_of_each_node_tells_it(make: Make) -> None:
    failing, near, far = make(0, "a", 3), make(1, "a", 3), make(2, "b", 3)
    far.advice = "go on"
    caught: list[Any] = []
    with ExitStack() as others:
        for one in (near, far):
            thread = threading.Thread(target=_wait_for_ever, args=(one, caught))
            thread.start()
            others.callback(thread.join)
        with pytest.raises(DataError) as error, failing.beating():
            raise DataError("no photos\nmore")
        caught.append(error.value)
    texts = {str(one) for one in caught}
    why = "process 0 (on host, node a) stopped: no photos"
    assert texts == {"no photos\nmore", f"{why}; run the same command again", f"{why}; go on"}
    assert sorted(one.told for one in caught) == [False, False, True]


def _wait_for_ever(one: Heartbeat, caught: list[Any]) -> None:
    with pytest.raises(PicieError) as error, one.beating():
        one.wait()
    caught.append(error.value)


def test_silence_is_noticed_and_named(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "_SILENT", 5)
    first, second = make(0), make(1)
    meet(first, second)
    second._store.set("beat/1", "7")  # once, and never again
    text = r"^process 1 \(on host, node 1\) of this run has fallen silent"
    with pytest.raises(PicieError, match=text), first.beating():
        first.wait()


def test_a_broken_connection_is_explained_by_who_is_silent(make: Make) -> None:
    first, second = make(0), make(1)
    meet(first, second)
    error = first.explain(RuntimeError("Connection closed by peer\nstack"))
    assert "process 1 (on host, node 1) of this run has fallen silent" in str(error)


def test_without_a_store_the_place_is_named(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("closed")

    monkeypatch.setenv("MASTER_ADDR", "node-a")
    monkeypatch.setenv("MASTER_PORT", "29500")
    lonely = Heartbeat(Gone(), Member(1, "host", "", "gloo", "1"), 2, beat=0.01)
    with pytest.raises(PicieError, match="nothing answers at node-a:29500 any more"):
        lonely.wait()
