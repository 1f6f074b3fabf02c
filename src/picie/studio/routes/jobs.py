"""Addresses of orders: exports, the report, the taught model, training."""

from typing import TYPE_CHECKING

from anyio.to_thread import run_sync
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from picie.errors import ConfigError
from picie.runtime.documents import parse_object
from picie.studio.jobs import Job
from picie.studio.orders import formats, order
from picie.studio.routes import plain_answer

if TYPE_CHECKING:
    from picie.studio.studio import Studio

__all__ = ["ROUTES"]


def _studio(request: Request) -> "Studio":
    studio: Studio = request.app.state.studio
    return studio


def _job(request: Request) -> Job:
    job = _studio(request).jobs.get(request.path_params["number"])
    if job is None:
        raise HTTPException(404, "there is no such job any more")
    return job


async def _list(request: Request) -> Response:
    return plain_answer(_studio(request).jobs.all)


async def _order(request: Request) -> Response:
    wish = parse_object(await request.body())
    if wish is None:
        raise ConfigError("the request is not a JSON object")
    job = await run_sync(order, _studio(request), wish)
    return plain_answer(job.to_json(), 201)


async def _show(request: Request) -> Response:
    job = _job(request)
    return plain_answer(job.to_json() | {"lines": list(job.lines)})


async def _cancel(request: Request) -> Response:
    job = _job(request)
    _studio(request).jobs.cancel(job.id)
    return plain_answer(job.to_json())


async def _file(request: Request) -> Response:
    job = _job(request)
    if job.file is None or not await run_sync(job.file.is_file):
        raise HTTPException(404, "this job has no file")
    return FileResponse(job.file, media_type="application/octet-stream", filename=job.file.name)


async def _formats(request: Request) -> Response:
    return plain_answer(await run_sync(formats))


ROUTES = [
    Route("/api/formats", _formats),
    Route("/api/jobs", _list),
    Route("/api/jobs", _order, methods=["POST"]),
    Route("/api/jobs/{number}", _show),
    Route("/api/jobs/{number}/cancel", _cancel, methods=["POST"]),
    Route("/api/jobs/{number}/file", _file),
]
