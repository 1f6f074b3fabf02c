"""Addresses of the check: its state, its beginning, answers, and the crops of its questions."""

import asyncio
import json
from typing import TYPE_CHECKING, Any

from anyio.to_thread import run_sync
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from picie.errors import ConfigError

if TYPE_CHECKING:
    from picie.studio.checking import Checking

__all__ = ["ROUTES"]


def _checking(request: Request) -> "Checking":
    checking: Checking | None = request.app.state.studio.checking
    if checking is None:
        raise HTTPException(503, "still starting")
    return checking


def _json(data: Any) -> Response:
    """Plain values in ASCII, since names of files need not be valid text."""
    return Response(json.dumps(data, allow_nan=False), media_type="application/json")


async def _values(request: Request) -> dict[str, Any]:
    """The JSON object of the body.

    Raises:
        HTTPException: it is none.
    """
    try:
        values = json.loads(await request.body() or b"{}")
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise HTTPException(400, "the request is not a JSON object")
    return values


async def show(request: Request) -> Response:
    """The state of the check."""
    return _json(await run_sync(_checking(request).state))


async def start(request: Request) -> Response:
    """Begin a check, in place of the one before."""
    checking, values = _checking(request), await _values(request)
    options: dict[str, Any] = {
        name: _number(values, name, kind)
        for name, kind in (("checks", int), ("seed", int), ("target", float))
        if values.get(name) is not None
    }
    await run_sync(lambda: checking.start(**options))
    return _json(await run_sync(checking.state))


async def answer(request: Request) -> Response:
    """Record an answer."""
    checking, values = _checking(request), await _values(request)
    number, right = _number(values, "number", int), values.get("right")
    title = values.get("title") or ""
    if not isinstance(right, bool) or not isinstance(title, str):
        raise ConfigError("an answer has number, right (true or false), and title (text)")
    await run_sync(lambda: checking.answer(int(number), right=right, title=title))
    return _json(await run_sync(checking.state))


async def crop(request: Request) -> Response:
    """The crop of a question."""
    checking = _checking(request)
    audit, number = (int(request.path_params[name]) for name in ("audit", "number"))
    content = await asyncio.shield(asyncio.wrap_future(checking.crop(audit, number)))
    headers = {"cache-control": "no-store"}
    return Response(content, media_type="image/webp", headers=headers)


def _number(values: dict[str, Any], name: str, kind: type) -> int | float:
    value = values.get(name)
    if type(value) is int or (type(value) is float and kind is float):
        return kind(value)  # type: ignore[no-any-return]
    raise ConfigError(f"{name} is not a {'whole ' * (kind is int)}number")


ROUTES = [
    Route("/api/check", show, methods=["GET"]),
    Route("/api/check", start, methods=["POST"]),
    Route("/api/check/answer", answer, methods=["POST"]),
    Route("/api/check/crop/{audit:int}/{number:int}", crop),
]
