"""Addresses of photos: their list, small copies, tiles, what is known of them, the queue, cards."""

import hashlib
import json
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio.to_thread import run_sync
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from picie.studio.photos import JPEG, TILE_SIDE
from picie.studio.work import QUEUE

if TYPE_CHECKING:
    from picie.studio.photos import Photos
    from picie.studio.queue import Queue
    from picie.studio.studio import Studio

__all__ = ["ROUTES"]

_AT_ONCE = 4  # photos decoded at the same time
_DECODING = anyio.CapacityLimiter(_AT_ONCE)
_MOST_NEXT = 50
_MOST_CELLS = 2048  # along the longer side of an accepted mask
_Part = TypeVar("_Part")


def _studio(request: Request) -> "Studio":
    studio: Studio = request.app.state.studio
    return studio


def _photos(request: Request) -> "Photos":
    return _there(_studio(request).photos)


def _there(part: _Part | None) -> _Part:
    """A part of the studio that is there already.

    Raises:
        HTTPException: it is not.
    """
    if part is None:
        raise HTTPException(503, "still starting")
    return part


def _json(data: Any) -> Response:
    """Plain values in ASCII, since names of files need not be valid text."""
    return Response(json.dumps(data, allow_nan=False), media_type="application/json")


def _number(request: Request, photos: "Photos") -> int:
    """The photo in the address.

    Raises:
        HTTPException: there is none of this number.
    """
    number = int(request.path_params["id"])
    if not 0 <= number < len(photos):
        raise HTTPException(404, f"there is no photo {number}; this folder has {len(photos)}")
    return number


def _picture(request: Request, key: str, content: bytes, kind: str) -> Response:
    """An image that the browser keeps, and asks for again only by its key."""
    tag = f'"{key}"'
    headers = {"etag": tag, "cache-control": "private, no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)


async def photos(request: Request) -> Response:
    """The list: names, times of change, and what was left out."""
    listed = _photos(request)
    notes = list(listed.folder.notes)
    return _json({"names": listed.names, "times": listed.times, "notes": notes})


async def thumbnail(request: Request) -> Response:
    """A small copy of a photo."""
    listed = _photos(request)
    number = _number(request, listed)
    kept = listed.kept_thumbnail(number)
    content, kind = (
        (kept, JPEG)
        if kept is not None
        else await run_sync(listed.thumbnail, number, limiter=_DECODING)
    )
    _studio(request).note_shown()
    return _picture(request, listed.keys[number], content, kind)


async def tile(request: Request) -> Response:
    """A tile of a photo."""
    listed = _photos(request)
    number = _number(request, listed)
    level, column, row = (int(request.path_params[name]) for name in ("level", "x", "y"))
    content, kind = await run_sync(listed.tile, number, level, column, row)
    return _picture(request, f"{listed.keys[number]}-{level}-{column}-{row}", content, kind)


async def photo(request: Request) -> Response:
    """What the large view needs: size, levels, marks, and whether its mask was accepted."""
    listed = _photos(request)
    number = _number(request, listed)
    info = await run_sync(listed.info, number)
    marks, accept = _annotated(_studio(request), listed.names[number])
    return _json({
        "id": number, "name": listed.names[number], "width": info.width, "height": info.height,
        "tile": TILE_SIDE, "levels": info.levels, "marks": marks,
        "accepted": accept is not None, "accept": accept, "problem": info.problem,
    })  # fmt: skip


def _annotated(studio: "Studio", name: str) -> tuple[list[Any], str | None]:
    """The marks of a photo, as lines of the history, and the id of what accepted its mask."""
    if studio.workspace is None:
        return [], None
    events = studio.workspace.annotations.by_image().get(name, ())
    marks = [event.to_json() for event in events if event.act not in ("accept", "audit")]
    return marks, next((event.id for event in reversed(events) if event.act == "accept"), None)


async def accepted(request: Request) -> Response:
    """The accepted mask of a photo with its marks: a line of JSON, then (h, w) uint16.

    The line has width, height and titles; the numbers are places in titles, 65535 = no class. At
    most 2048 pixels wide and high. Nothing (204) if it was taken back before the page had asked.
    """
    listed, masks = _photos(request), _there(_studio(request).accepted)
    history = _there(_studio(request).workspace).annotations
    name = listed.names[_number(request, listed)]
    if not masks.holds(history, name):
        return Response(status_code=204)
    mask = await run_sync(masks.mask, history, name, limiter=_DECODING)
    step = -(-max(mask.ids.shape) // _MOST_CELLS)
    cells = mask.ids[step // 2 :: step, step // 2 :: step]
    head = {"width": cells.shape[1], "height": cells.shape[0], "titles": mask.titles}
    content = json.dumps(head).encode() + b"\n" + cells.astype("<u2").tobytes()
    return Response(content, media_type="application/octet-stream")


async def counts(request: Request) -> Response:
    """The shares of the leaves in each photo, (N, P) or (N, R) uint16, little endian."""
    queue = await _ordered(request)
    content = await run_sync(lambda: queue.counts().astype("<u2").tobytes())
    return Response(content, media_type="application/octet-stream")


async def doubts(request: Request) -> Response:
    """How much the model doubts each photo, (N,) float32, little endian."""
    queue = await _ordered(request)
    return Response(queue.doubts().astype("<f4").tobytes(), media_type="application/octet-stream")


async def queue(request: Request) -> Response:
    """The photos that are worth a look next."""
    after = _whole(request, "after", -1)
    count = _whole(request, "count", 5)
    order = await _ordered(request)
    touched = _studio(request).touched()
    limited = max(1, min(count, _MOST_NEXT))
    numbers = await run_sync(order.next, touched, None if after < 0 else after, limited)
    return _json({"photos": numbers})


async def _ordered(request: Request) -> "Queue":
    """The queue, after its doubts were brought up to date in parts."""
    studio = _studio(request)
    order, worker = _there(studio.queue), _there(studio.worker)
    while await worker.await_(QUEUE, order.step):
        pass
    return order


async def card(request: Request) -> Response:
    """The card of a node."""
    cards = _there(_studio(request).cards)
    node = int(request.path_params["node"])
    return _json(await run_sync(cards.card, node))


async def crop(request: Request) -> Response:
    """A crop of a card."""
    cards = _there(_studio(request).cards)
    node, photo, cell = (_whole(request, name, -1) for name in ("node", "photo", "cell"))
    content = await run_sync(cards.crop, node, photo, cell, limiter=_DECODING)
    return _picture(request, hashlib.sha256(content).hexdigest()[:16], content, "image/webp")


def _whole(request: Request, name: str, default: int) -> int:
    """A whole number of the address.

    Raises:
        HTTPException: it is none.
    """
    text = request.query_params.get(name, str(default))
    if not text.removeprefix("-").isdecimal() or len(text) > 18:
        raise HTTPException(400, f"{name} = {text[:40]!r} is not a whole number")
    return int(text)


ROUTES = [
    Route("/api/photos", photos),
    Route("/api/thumbs/{id:int}", thumbnail),
    Route("/api/photo/{id:int}", photo),
    Route("/api/accepted/{id:int}", accepted),
    Route("/api/tile/{id:int}/{level:int}/{x:int}/{y:int}", tile),
    Route("/api/counts", counts),
    Route("/api/doubts", doubts),
    Route("/api/queue", queue),
    Route("/api/card/{node:int}", card),
    Route("/api/crop", crop),
]
