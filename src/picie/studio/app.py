"""The application: routes, files of the page, and errors as text."""

import re
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from picie.errors import PicieError
from picie.studio.routes import annotate, check, jobs, photos, plain_answer, status
from picie.studio.studio import Studio

__all__ = ["PAGE", "make_app"]

PAGE = Path(__file__).parent / "page"
"""Folder of the page's files."""

_NOUNS = (annotate, check, jobs, photos, status)
_NAME = re.compile(r"(?:[a-z]+/)?[a-z0-9_]+\.(?P<kind>html|css|js|svg|png)")
_KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
}


def make_app(studio: Studio) -> Starlette:
    """The application of a studio, without its guard."""
    routes = [_guarded(route) for noun in _NOUNS for route in noun.ROUTES]
    routes += [Route("/", _index), Route("/{name:path}", _file)]
    handlers: Any = {PicieError: _refused, HTTPException: _http_error, Exception: _broken}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    app.state.studio = studio
    return app


def _guarded(route: Route) -> Route:
    """A route that changes nothing as long as the model only stands in for the real one."""
    if "POST" not in (route.methods or ()) or route.path.startswith("/api/jobs"):
        return route
    endpoint = route.endpoint

    async def unless_training(request: Request) -> Response:
        if request.app.state.studio.is_preview:
            raise HTTPException(409, "these are first masks; wait until the training is finished")
        answer: Response = await endpoint(request)
        return answer

    return Route(route.path, unless_training, methods=["POST"])


def _index(request: Request) -> Response:
    return _page_file("index.html")


def _file(request: Request) -> Response:
    return _page_file(request.path_params["name"])


def _page_file(name: str) -> Response:
    """A file of the page; its name can only be that of a file in its folder, or one below."""
    match = _NAME.fullmatch(name)
    path = PAGE / name
    if match is None or path.resolve() != PAGE.resolve() / name or not path.is_file():
        raise HTTPException(404, "there is no such page")
    headers = {"Cache-Control": "no-cache"}
    return Response(path.read_bytes(), media_type=_KINDS[match["kind"]], headers=headers)


def _refused(request: Request, error: Exception) -> Response:
    return plain_answer({"error": str(error)}, 400)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answer = plain_answer({"error": error.detail}, error.status_code)
    answer.headers.update(error.headers or {})
    return answer


def _broken(request: Request, error: Exception) -> Response:
    """The answer to what is an error in picie itself; the terminal shows where it is."""
    name = type(error).__name__
    text = f"unexpected {name}: {error}; the terminal that runs picie studio shows more"
    return plain_answer({"error": text}, 500)
