"""Who may ask the server for what: the guard in front of everything.

A page of any web site can send requests to a server on this machine, and can make its own name
point here. So a request must

- name this server as its host, which a page of another name cannot (DNS rebinding);
- hold the cookie that the printed address was exchanged for: other users of this machine, and
  pages of other sites, do not have it;
- come from a page of this server if it asks for data or changes something (Sec-Fetch-Site, Origin).

Everything else is refused before a handler sees it, and nothing of a request is kept beyond 2 MB.
"""

import asyncio
import ipaddress
import json
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import NamedTuple
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = [
    "HEADERS",
    "MOST_BODY",
    "Guard",
    "Keys",
    "is_loopback",
    "is_own_host",
    "read_body",
    "refuse",
    "with_headers",
]

MOST_BODY = 2_000_000
"""Longest body of a request, in bytes."""

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
"""Headers of every answer."""

_MOST_READ = 10  # times the longest body, before a connection is ended
_MOST_PATH = 500  # characters
_BODY_SECONDS = 20.0  # for the whole body of a request
_READS = ("GET", "HEAD")
_WRITES = ("POST",)
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_LOST = "open the address that picie studio printed in the terminal; it holds the token"
_ENTERED = (
    "<!doctype html><meta charset=utf-8><title>picie studio</title>"
    '<meta http-equiv="refresh" content="0; url=/"><a href="/">picie studio</a>'
)


class Keys(NamedTuple):
    """Secrets of one server.

    Attributes:
        token: in the printed address.
        session: in the cookie.
    """

    token: str
    session: str

    @classmethod
    def make(cls) -> "Keys":
        """Random ones."""
        return cls(secrets.token_urlsafe(24), secrets.token_urlsafe(24))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host: its name or address, without port."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_own_host(host: str, further: Collection[str]) -> bool:
    """Whether a Host header names this server; ports may differ (a tunnel has its own).

    Args:
        host: the header.
        further: names besides those of the loopback. With some, any numeric address is good as
            well, since only names can be made to point elsewhere.
    """
    name, colon, port = host.lower().rpartition(":")
    if not colon or host.endswith("]"):
        name = host.lower()
    elif not (port.isascii() and port.isdigit()):
        return False
    if name in _LOOPBACK or name in further:
        return True
    return bool(further) and _is_numeric(name)


class Guard:
    """Refuses requests of strangers, and adds the headers of every answer.

    Args:
        app: what answers the others.
        keys: of this server.
        port: of this server, which names the cookie: cookies do not know ports.
        hosts: further names that the server may have in requests, as for `is_own_host`.
    """

    def __init__(self, app: ASGIApp, keys: Keys, port: int, hosts: tuple[str, ...] = ()) -> None:
        self._app = app
        self._keys = keys
        self._cookie = f"picie-{port}"
        self._hosts = {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        guarded = with_headers(send)
        headers = Headers(scope=scope)
        refused = self._refusal(scope, headers)
        if refused is None and self._enters(scope):
            await self._enter(headers, guarded)
        elif refused is not None:
            await refuse(guarded, *refused)
        else:
            await self._pass(scope, headers, receive, guarded)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """Status and text of a refusal."""
        method, path = scope["method"], scope["path"]
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not is_own_host(hosts[0], self._hosts):
            return 421, "this server does not have that name; " + _LOST
        if method not in _READS + _WRITES:
            return 405, f"{method[:16]} is not a request that this server answers"
        if len(path) > _MOST_PATH:
            return 414, "the address is too long"
        if self._enters(scope) and method in _READS:
            given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[-1]
            good = secrets.compare_digest(given.encode(), self._keys.token.encode())
            return (
                None if good else (401, "the token in this address is of another start; " + _LOST)
            )
        if not self._knows(headers):
            return 401, _LOST
        site = headers.get("sec-fetch-site")
        if method in _WRITES:
            return _write_refusal(headers, hosts[0], site)
        if path.startswith("/api/") and site not in (None, "same-origin", "none"):
            return 403, "only the page of this server may ask for this"
        return None

    def _enters(self, scope: Scope) -> bool:
        return scope["path"] == "/" and b"token=" in scope["query_string"]

    def _knows(self, headers: Headers) -> bool:
        """Whether a request holds the cookie."""
        expected = self._keys.session.encode()
        for line in headers.getlist("cookie"):
            for part in line.split(";"):
                name, _, value = part.strip().partition("=")
                if name == self._cookie and secrets.compare_digest(value.encode(), expected):
                    return True
        return False

    async def _enter(self, headers: Headers, send: Send) -> None:
        """Exchange the token for the cookie.

        A browser that was sent here by another site would not send the new cookie along when it is
        redirected, because it is meant for this site only. So it gets a page that leads on.
        """
        cookie = f"{self._cookie}={self._keys.session}; Path=/; HttpOnly; SameSite=Strict"
        extra = [(b"set-cookie", cookie.encode()), (b"cache-control", b"no-store")]
        if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
            await _send(send, 303, b"", "text/plain", [*extra, (b"location", b"/")])
        else:
            await _send(send, 200, _ENTERED.encode(), "text/html; charset=utf-8", extra)

    async def _pass(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        """Hand the request on, with its whole body."""
        body = await read_body(headers, receive, partial(refuse, send, close=True))
        if body is None:
            return
        given = started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        async def replay() -> Message:
            nonlocal given
            if given:
                return await receive()  # tells when the client leaves
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        try:
            await self._app(scope, replay, sending)
        except asyncio.CancelledError:  # what it waited for, if not the request itself
            task = asyncio.current_task()
            if task is None or task.cancelling() or started:
                raise
            await refuse(send, 503, "the model has changed; ask again")


def _write_refusal(headers: Headers, host: str, site: str | None) -> tuple[int, str] | None:
    """Why a request that changes something is refused, if it is."""
    origin = headers.get("origin")
    own = (f"http://{host.lower()}", f"https://{host.lower()}")
    if origin is not None and origin.lower() not in own:
        return 403, "only the page of this server may change something"
    if site is not None and site != "same-origin":
        return 403, "only the page of this server may change something"
    if origin is None and site is None:
        return 403, f"send the header Origin: http://{host}"
    return None


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


async def read_body(
    headers: Headers,
    receive: Receive,
    refused: Callable[[int, str], Awaitable[None]],
    most: int = MOST_BODY,
) -> bytes | None:
    """The whole body of a request; None if the client has left, or was refused.

    What is too long, whatever its header says, is read all the same up to a limit, and forgotten:
    whoever is still sending does not see the answer.

    Args:
        headers: of the request.
        receive: its body.
        refused: answers with a status and a text if a body is too long or comes too slowly; it
            ends the connection.
        most: longest body, in bytes.
    """
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            body = await _whole(headers, receive, most)
    except ConnectionError:
        return None
    except TimeoutError:
        await refused(408, "the request came too slowly; send it again")
        return None
    if body is None:
        await refused(413, f"the request is larger than {most // 1_000_000} MB")
    return body


async def _whole(headers: Headers, receive: Receive, most: int) -> bytes | None:
    """The body; None if it is too long."""
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()) or int(length) > _MOST_READ * most:
        return None
    parts, total, more = [], 0, True
    while more and total <= _MOST_READ * most:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        part = message.get("body", b"")
        total += len(part)
        more = message.get("more_body", False)
        if total <= most:
            parts.append(part)
        else:
            parts.clear()
    return b"".join(parts) if total <= most else None


def with_headers(send: Send) -> Send:
    """Sends answers with the headers that each of them has."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return guarded


async def refuse(send: Send, status: int, text: str, *, close: bool = False) -> None:
    """Answer with an error.

    Args:
        send: of the request.
        status: of HTTP.
        text: what is wrong.
        close: end the connection.
    """
    extra = [(b"connection", b"close")] if close else []
    await _send(send, status, json.dumps({"error": text}).encode(), "application/json", extra)


async def _send(
    send: Send, status: int, body: bytes, kind: str, extra: list[tuple[bytes, bytes]]
) -> None:
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *extra]})
    await send({"type": "http.response.body", "body": body})
