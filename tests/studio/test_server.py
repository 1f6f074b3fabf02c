"""The server: its port, the line that it prints, and its end."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from picie.errors import ConfigError
from picie.studio.server import listen

Open = Callable[..., Any]


@pytest.fixture
def started(command: Open, twelve_photos: Path, tmp_path: Path) -> Open:
    """Starts `picie studio` on photos without a model."""
    return partial(command, twelve_photos, "--out", tmp_path / "run")


def ask(url: str, path: str = "", **headers: str) -> http.client.HTTPResponse:
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    connection.request("GET", path or f"{parts.path}?{parts.query}", headers=headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


def test_one_line_has_all_that_a_browser_needs(started: Open) -> None:
    process = started("--quiet")
    url = process.address
    assert url.startswith("http://127.0.0.1:")
    entered = ask(url)
    assert entered.status == 303
    cookie = entered.headers["set-cookie"].split(";")[0]
    assert cookie.startswith(f"picie-{urlsplit(url).port}=")
    assert ask(url, "/", Cookie=cookie).status == 200
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_are_told(started: Open, number: signal.Signals) -> None:
    process = started()
    url = process.address
    with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0)) as client:
        cookie = ask(url).headers["set-cookie"].split(";")[0]
        request = f"GET /api/events HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n"
        client.sendall(request.encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert time.monotonic() - began < 5  # an open page does not hold it up
    said = "everything you did is saved; run the same command again to go on"
    assert err.splitlines()[-1].endswith(f"stopped by {number.name}; {said}")
    assert "Traceback" not in err


def test_the_screen_is_there_before_torch(twelve_photos: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "import picie.cli.studio, picie.studio.server, picie.studio.app\n"
        "from picie.studio.studio import Options, Studio\n"
        "from pathlib import Path\n"
        f"studio = Studio(Path({str(twelve_photos)!r}), Path({str(tmp_path)!r}), Options())\n"
        "studio._list()\n"
        "assert studio.photos.thumbnail(0)\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_port_that_is_taken() -> None:
    first = listen("127.0.0.1", 0)
    with pytest.raises(ConfigError, match=f"port {first.port} of 127.0.0.1 cannot be opened"):
        listen("127.0.0.1", first.port)
    first.socket.close()


@pytest.mark.parametrize(("host", "port"), [("no.such.host.invalid", 0), ("127.0.0.1", 70_000)])
def test_an_impossible_address(host: str, port: int) -> None:
    with pytest.raises(ConfigError, match="give another --port"):
        listen(host, port)


def test_addresses_that_a_browser_can_open() -> None:
    anywhere = listen("0.0.0.0", 0)
    assert anywhere.url.startswith(f"http://127.0.0.1:{anywhere.port}/?token=")
    assert socket.gethostname() in anywhere.hosts
    anywhere.socket.close()
    local = listen("localhost", 0)
    assert local.hosts == ()
    local.socket.close()
    if socket.has_ipv6 and os.path.exists("/proc/net/if_inet6"):
        six = listen("::1", 0)
        assert six.url.startswith(f"http://[::1]:{six.port}/")
        six.socket.close()
