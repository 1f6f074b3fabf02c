"""The server of a machine-learning backend of Label Studio: who may ask it what.

The address that it prints ends in a secret. Label Studio puts what it asks behind that address,
also for the webhook that it creates by itself, which carries no password. So the address is all
that a person has to copy, and whoever does not have it is refused; so is every page in a browser.
The secret stays the same for a run, because Label Studio keeps the address.
"""

import asyncio
import json
import logging
import os
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from picie.errors import PicieError
from picie.integrations.label_studio import Backend
from picie.runs import STUDIO_FOLDER
from picie.runtime.documents import parse_object
from picie.runtime.files import writing
from picie.runtime.progress import Reporter
from picie.studio.security import is_own_host, read_body, refuse, with_headers
from picie.studio.server import Address, Server

__all__ = ["MOST_BODY", "Door", "make_app", "secret_of", "serve"]

MOST_BODY = 32_000_000
"""Longest body of a request, in bytes: an annotation holds the masks of a whole photo."""

_FILE = "label-studio.secret"
_SECRET = re.compile(r"[A-Za-z0-9_-]{20,100}")
_DOCKER = "host.docker.internal"  # what containers call the machine that they run on
_BROWSERS = ("origin", "sec-fetch-site")  # headers that only pages send

_Answer = Callable[[Mapping[str, Any]], dict[str, Any]]


def secret_of(run: Path) -> str:
    """The secret of a run, in a file that only its owner can read; made if there is none.

    Args:
        run: folder that is annotated.

    Raises:
        PicieError: it cannot be written.
    """
    path = run / STUDIO_FOLDER / _FILE
    with suppress(OSError, ValueError):
        if _SECRET.fullmatch(kept := path.read_text(encoding="ascii").strip()):
            return kept
    made = secrets.token_urlsafe(24)
    with writing(path):
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "w", encoding="ascii") as opened:
            opened.write(made + "\n")
    return made


def serve(backend: Backend, address: Address, *, reporter: Reporter) -> None:
    """Answer until a signal ends it.

    Args:
        backend: to serve.
        address: made by `listen`.
        reporter: is told of requests that cannot be answered.

    Raises:
        PicieError: the secret cannot be kept.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    secret = secret_of(backend.run)
    app = Door(make_app(backend, reporter), secret, address.hosts, reporter=reporter)
    line = f"picie serve: {address.origin}/{secret}"
    Server(app, address, line=line).run(sockets=[address.socket])


class Door:
    """Refuses requests of strangers, and hands on the others without the secret.

    Args:
        app: what answers them.
        secret: first part of the path.
        hosts: further names of the server, as for `is_own_host`.
        reporter: is told of bodies that are too long or too slow: what they held is lost.
    """

    def __init__(
        self, app: ASGIApp, secret: str, hosts: tuple[str, ...] = (), *, reporter: Reporter
    ) -> None:
        self._app, self._secret, self._reporter = app, secret, reporter
        self._hosts = {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        guarded, headers = with_headers(send), Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await refuse(guarded, *refusal)
            return
        path = scope["path"][len(self._secret) + 1 :] or "/"

        async def refused(status: int, text: str) -> None:
            self._reporter.say(f"{path}: {text}; nothing of it was read")
            await refuse(guarded, status, text, close=True)

        body = await read_body(headers, receive, refused, MOST_BODY)
        if body is None:
            return

        async def replay() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app({**scope, "path": path, "raw_path": path.encode()}, replay, guarded)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """Status and text of a refusal."""
        hosts = headers.getlist("host")
        named = len(hosts) == 1 and (
            is_own_host(hosts[0], self._hosts) or hosts[0].partition(":")[0].lower() == _DOCKER
        )
        if not named:
            return 421, "this server does not have that name"
        given = scope["path"].removeprefix("/").partition("/")[0].encode()
        if not secrets.compare_digest(given, self._secret.encode()):
            return 401, "use the whole address that picie serve printed, with the secret at its end"
        if any(name in headers for name in _BROWSERS):
            return 403, "only Label Studio may ask this server, no page in a browser"
        return None


def make_app(backend: Backend, reporter: Reporter) -> Starlette:
    """The application of a backend, without its door.

    Args:
        backend: answers.
        reporter: is told of requests that cannot be answered.
    """

    def posted(path: str, answer: _Answer, status: int = 200) -> Route:
        turn = asyncio.Lock()  # in the order in which they come

        async def endpoint(request: Request) -> Response:
            values = parse_object(await request.body())
            if values is None:
                return JSONResponse({"error": "the request is not a JSON object"}, 400)
            try:
                async with turn:
                    made = await run_in_threadpool(answer, values)
            except PicieError as error:
                reporter.say(f"{path}: {error}")
                return JSONResponse({"error": str(error)}, 400)
            return Response(json.dumps(made), status, media_type="application/json")

        return Route(path, endpoint, methods=["POST"])

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "UP", "model_class": "picie"})

    async def broken(request: Request, error: Exception) -> Response:
        text = f"unexpected {type(error).__name__}: {error}"
        return JSONResponse({"error": text}, 500)

    handlers: Mapping[Any, Callable[[Request, Exception], Awaitable[Response]]]
    handlers = {Exception: broken}
    return Starlette(
        routes=[
            *(Route(path, health, methods=["GET"]) for path in ("/", "/health")),
            posted("/setup", backend.setup),
            posted("/predict", backend.predict),
            posted("/webhook", backend.webhook, 201),
        ],
        exception_handlers=handlers,
    )
