"""News reach all pages, in order; those that read too slowly are dropped."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from picie.studio import broadcast as module
from picie.studio.broadcast import Broadcast


async def begun(broadcast: Broadcast) -> AsyncIterator[bytes]:
    """A stream whose first line was read."""
    stream = broadcast.subscribe()
    assert stream is not None
    assert await anext(stream) == b"retry: 1000\n\n"
    return stream


def test_news_come_in_order_from_any_thread() -> None:
    broadcast = Broadcast()

    async def read() -> list[bytes]:
        first, second = await begun(broadcast), await begun(broadcast)
        for kind in ("photos", "job"):
            data = {"id": "1", "ids": [1, 2]}
            thread = threading.Thread(target=broadcast.publish, args=[kind, data])
            thread.start()
            thread.join()
        return [await anext(first), await anext(second)]

    first, second = asyncio.run(read())
    assert first == second
    assert first == (
        b'event: photos\ndata: {"id": "1", "ids": [1, 2]}\n\n'
        b'event: job\ndata: {"id": "1", "ids": [1, 2]}\n\n'
    )


def test_only_the_last_progress_waits() -> None:
    broadcast = Broadcast()

    async def read() -> bytes:
        stream = await begun(broadcast)
        for done in range(1000):
            broadcast.publish("progress", {"done": done})
            broadcast.publish("job", {"id": str(done % 2), "done": done})
        return await anext(stream)

    assert asyncio.run(read()).count(b"\n\n") == 3


@pytest.mark.parametrize(("size", "count"), [(1, 300), (100_000, 20)])
def test_a_slow_page_is_dropped(size: int, count: int) -> None:
    broadcast = Broadcast()

    async def read() -> list[bytes]:
        stream = await begun(broadcast)
        for number in range(count):
            broadcast.publish("photos", {"ids": [number], "text": "a" * size})
        return [piece async for piece in stream if piece.startswith(b"event")]

    assert asyncio.run(read()) == []
    assert broadcast._pages == set()


def test_a_stream_says_that_it_is_still_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HEARTBEAT", 0.01)

    async def read() -> bytes:
        return await anext(await begun(Broadcast()))

    assert asyncio.run(read()) == b": still here\n\n"


def test_closing_ends_all_streams() -> None:
    broadcast = Broadcast()

    async def read() -> int:
        streams = [await begun(broadcast) for _ in range(3)]
        asyncio.get_running_loop().call_later(0.05, broadcast.close)
        return sum([len([piece async for piece in stream]) for stream in streams])

    assert asyncio.run(read()) <= 3  # a last sign of life each
    assert asyncio.run(asyncio.to_thread(lambda: None)) is None

    async def late() -> bool:
        return broadcast.subscribe() is None

    assert asyncio.run(late())


def test_news_for_a_loop_that_has_ended_do_no_harm() -> None:
    broadcast = Broadcast()

    async def leave() -> AsyncIterator[bytes]:
        return await begun(broadcast)

    asyncio.run(leave())
    broadcast.publish("phase", {"phase": "ready"})
