"""The server: its port, its address, and its end."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from picie.errors import ConfigError
from picie.studio.app import make_app
from picie.studio.security import Guard, Keys, is_loopback
from picie.studio.studio import Studio

__all__ = ["Address", "Server", "listen", "serve"]

_HEADER_SECONDS = 10.0
_WRITE_SECONDS = 60.0
_END_SECONDS = 2
_LEAST_FILES = 8192
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
_WAITING = 2048  # connections


class Address:
    """Where a server listens.

    Attributes:
        socket: that listens.
        host: as asked for.
        port: its port.
        keys: its secrets.
    """

    def __init__(self, listener: socket.socket, host: str) -> None:
        self.socket = listener
        self.host = host
        self.port: int = listener.getsockname()[1]
        self.keys = Keys.make()

    @property
    def origin(self) -> str:
        """The address without a path, such as http://127.0.0.1:9090."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)
        host = f"[{host}]" if ":" in host and not host.startswith("[") else host
        return f"http://{host}:{self.port}"

    @property
    def url(self) -> str:
        """What a browser opens, with the token."""
        return f"{self.origin}/?token={self.keys.token}"

    @property
    def hosts(self) -> tuple[str, ...]:
        """Further names that it has; empty if only this machine reaches it."""
        if is_loopback(self.host):
            return ()
        return self.host, socket.gethostname(), socket.getfqdn()


def listen(host: str, port: int) -> Address:
    """Open a port; 0 = any free one.

    Raises:
        ConfigError: the port is taken, or no such host.
    """
    problem = f"{port} is no port"
    if 0 <= port < 65_536:
        try:
            return Address(_listener(host.strip("[]"), port), host)
        except OSError as error:
            problem = f"port {port} of {host} cannot be opened ({error.strerror or error})"
    raise ConfigError(f"{problem}; give another --port; 0 is any free one")


def _listener(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":  # there it would share the port with another program
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(_WAITING)
    except BaseException:
        listener.close()
        raise
    return listener


def serve(studio: Studio, address: Address, *, browser: bool) -> None:
    """Serve the page until a signal ends it.

    Args:
        studio: to serve; it is started and stopped here.
        address: made by `listen`.
        browser: open the page in the browser.
    """
    _allow_files()
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    app = Guard(make_app(studio), address.keys, address.port, address.hosts)
    server = Server(app, address, browser=browser, ending=studio.broadcast.close)
    studio.start()
    try:
        server.run(sockets=[address.socket])
    finally:
        studio.stop()


class Server(uvicorn.Server):
    """A server that says where it is as soon as it answers.

    Args:
        app: what answers.
        address: where.
        browser: open the page in the browser.
        ending: is called before the server waits for its last answers.
        line: what it says; the address of the studio if empty.
    """

    def __init__(
        self,
        app: ASGIApp,
        address: Address,
        *,
        browser: bool = False,
        ending: Callable[[], None] = lambda: None,
        line: str = "",
    ) -> None:
        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_END_SECONDS,
            timeout_keep_alive=30,
        )
        super().__init__(config)
        self._address = address
        self._browser = browser
        self._ending = ending
        self._line = line or f"picie studio: {address.url}"

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the port, and say so."""
        await super().startup(sockets)
        print(self._line, flush=True)
        if self._browser:
            threading.Thread(target=_show, args=[self._address.url], daemon=True).start()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Within the block, signals end the server politely; then they do what they did before."""
        before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for name in _SIGNALS:
                number = getattr(signal, name, None)  # Windows lacks SIGHUP
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                    before[number] = signal.signal(number, self.handle_exit)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        for number in self._captured_signals[:1]:
            signal.raise_signal(number)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End streams, then all else."""
        self._ending()
        await super().shutdown(sockets)


class _Protocol(H11Protocol):
    """Ends connections whose other side sends or reads hardly anything.

    A request must be there 10 s after its first byte, its body 20 s later (`security`); and what is
    sent must be read within a minute, 64 kB at a time.
    """

    _sending: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._sending = self.loop.call_later(_HEADER_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        busy = self.cycle is not None and not self.cycle.response_complete
        if busy and self._sending is not None:
            self._sending.cancel()
            self._sending = None
        elif not busy and self._sending is None:
            self._sending = self.loop.call_later(_HEADER_SECONDS, self.transport.abort)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reading = self.loop.call_later(_WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._sending, self._reading):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)


def _show(url: str) -> None:
    with contextlib.suppress(Exception):  # the address is printed as well
        webbrowser.open(url)


def _allow_files() -> None:
    """Allow as many connections as the system lets this process have."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _LEAST_FILES if hard == resource.RLIM_INFINITY else min(hard, _LEAST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
