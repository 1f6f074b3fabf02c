"""How far the studio is, and the news of everything."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from picie.studio.routes import plain_answer
from picie.studio.studio import Studio

__all__ = ["ROUTES"]


async def _status(request: Request) -> Response:
    studio: Studio = request.app.state.studio
    return plain_answer(studio.status())


async def _events(request: Request) -> Response:
    studio: Studio = request.app.state.studio
    stream: Any = studio.broadcast.subscribe()
    if stream is None:
        return plain_answer({"error": "too many pages are open; close some"}, 503)
    return StreamingResponse(stream, media_type="text/event-stream")


ROUTES = [Route("/api/status", _status), Route("/api/events", _events)]
