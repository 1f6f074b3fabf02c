"""Addresses of the model, the names, the history, and the maps."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from picie.errors import PicieError

if TYPE_CHECKING:
    from picie.studio.studio import Studio
    from picie.studio.work import Worker
    from picie.studio.workspace import Workspace

__all__ = ["ROUTES"]

_MOST_MAPS = 512  # in one request
_TOGETHER = 6  # maps that are made in one go, when their features are in memory
_LONGEST_BODY = 2_000_000


async def _model(request: Request) -> Response:
    workspace = _workspace(request)
    if workspace is None:
        return _starting()
    return JSONResponse(await run_sync(workspace.model_info))


async def _state(request: Request) -> Response:
    workspace = _workspace(request)
    if workspace is None:
        return _starting()
    return JSONResponse(await run_sync(workspace.state))


async def _act(request: Request) -> Response:
    workspace = _workspace(request)
    if workspace is None:
        return _starting()
    body = await request.body()
    try:
        values: Any = json.loads(body) if len(body) <= _LONGEST_BODY else None
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        return _refused("an act is a JSON object of at most 2 MB")
    page = values.get("page")
    try:
        answer = await run_sync(workspace.act, values, page if isinstance(page, str) else "")
    except PicieError as error:
        return _refused(str(error))
    return JSONResponse(answer)


async def _maps(request: Request) -> Response:
    workspace, worker = _workspace(request), _studio(request).worker
    if workspace is None or worker is None:
        return _starting()
    numbers = _numbers(request.query_params.get("photos", ""), len(workspace.photos))
    if not numbers:
        return _refused(f"photos: give 1 to {_MOST_MAPS} numbers of photos, with commas between")
    stream = _frames(workspace, worker, numbers)
    return StreamingResponse(stream, media_type="application/octet-stream")


async def _frames(
    workspace: "Workspace", worker: "Worker", numbers: Sequence[int]
) -> AsyncIterator[bytes]:
    """Frames, those first that take the least time."""
    from picie.studio.work import VIEW

    leaves = workspace.leaves
    ready = [number for number in numbers if leaves.is_ready(number)]
    others = [number for number in numbers if number not in set(ready)]
    groups = [ready[first : first + _TOGETHER] for first in range(0, len(ready), _TOGETHER)]
    with suppress(PicieError):  # it was closed: the page asks again for what is missing
        for group in [*groups, *([number] for number in others)]:
            yield b"".join(await worker.await_(VIEW, partial(leaves.frames, group)))


async def _fine(request: Request) -> Response:
    from picie.studio.work import VIEW

    workspace, worker = _workspace(request), _studio(request).worker
    if workspace is None or worker is None:
        return _starting()
    number = int(request.path_params["id"])
    if number >= len(workspace.photos):
        return JSONResponse({"error": f"there is no photo {number}"}, 404)
    content = await worker.await_(VIEW, lambda: workspace.leaves.fine(number))
    return Response(content, media_type="application/octet-stream")


def _numbers(text: str, count: int) -> list[int]:
    """The photos of a request, each once; none if the text is anything else."""
    words = text.split(",")
    if len(words) > _MOST_MAPS or not all(w.isascii() and w.isdigit() for w in words):
        return []
    numbers = list(dict.fromkeys(int(word[:10]) for word in words))
    return numbers if max(numbers) < count else []


def _studio(request: Request) -> "Studio":
    studio: Studio = request.app.state.studio
    return studio


def _workspace(request: Request) -> "Workspace | None":
    return _studio(request).workspace


def _starting() -> Response:
    return _refused("still starting", 503)


def _refused(error: str, status: int = 400) -> Response:
    return JSONResponse({"error": error}, status)


ROUTES = [
    Route("/api/model", _model),
    Route("/api/state", _state),
    Route("/api/act", _act, methods=["POST"]),
    Route("/api/maps", _maps),
    Route("/api/fine/{id:int}", _fine),
]
