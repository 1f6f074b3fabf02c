"""A studio that answers on a port of this machine, as `picie studio` starts it."""

import gc
import http.client
import json
import shutil
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from picie.studio.app import make_app
from picie.studio.broadcast import Broadcast
from picie.studio.security import Guard
from picie.studio.server import Address, Server, listen
from picie.studio.studio import Options, Studio


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


@dataclass
class Served:
    """A running server, and a client that holds its cookie."""

    studio: Studio
    address: Address
    server: Server = field(init=False)

    def __post_init__(self) -> None:
        guard = Guard(make_app(self.studio), self.address.keys, self.address.port)
        self.server = Server(guard, self.address, ending=self.studio.broadcast.close)
        self._thread = threading.Thread(
            target=self.server.run, kwargs={"sockets": [self.address.socket]}
        )
        self._thread.start()
        self.wait(lambda: self.server.started)
        self.studio.start()

    @property
    def host(self) -> str:
        """What a request names as its host."""
        return f"127.0.0.1:{self.address.port}"

    @property
    def cookie(self) -> str:
        """Of a page that has exchanged the token."""
        return f"picie-{self.address.port}={self.address.keys.session}"

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        body: Any = None,
        headers: dict[str, str | None] | None = None,
        seconds: float = 20.0,
    ) -> Answer:
        """Ask as the page does; headers replace those of the page, None leaves one out."""
        own: dict[str, str | None] = {"Host": self.host, "Cookie": self.cookie}
        if method != "GET":
            own["Origin"] = f"http://{self.host}"
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.address.port, timeout=seconds)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in (own | (headers or {})).items():
                if value is not None:
                    connection.putheader(name, value)
            if content is not None and "Content-Length" not in (headers or {}):
                connection.putheader("Content-Length", str(len(content)))
            connection.endheaders(content)
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, named, response.read())
        finally:
            connection.close()

    def post(self, path: str, body: Any) -> Answer:
        """Post JSON as the page does."""
        return self.ask(path, method="POST", body=body)

    def wait(self, ready: Callable[[], object], seconds: float = 60.0) -> None:
        """Wait until something is so."""
        until = time.monotonic() + seconds
        while not ready():
            assert time.monotonic() < until, "it takes too long"
            time.sleep(0.02)

    def wait_for_phase(self, *phases: str) -> None:
        """Wait until the studio has reached one of these phases, or failed."""
        self.wait(lambda: self.studio.phase in (*phases, "failed"))
        assert self.studio.phase in phases, self.studio.message

    def end(self) -> None:
        """End the server and all that it works on."""
        self.server.should_exit = True
        self._thread.join(20)
        self.studio.stop()


class Command(subprocess.Popen[str]):
    """`picie studio` in a process of its own."""

    @property
    def address(self) -> str:
        """What it prints first, with the token."""
        assert self.stdout is not None
        return self.stdout.readline().removeprefix("picie studio: ").strip()


class Heard(Broadcast):
    """What pages are told."""

    def __init__(self) -> None:
        super().__init__()
        self.news: list[tuple[str, Mapping[str, Any]]] = []

    def publish(self, kind: str, data: Mapping[str, Any]) -> None:
        self.news.append((kind, data))


@pytest.fixture(scope="module", autouse=True)
def _collected() -> Iterator[None]:
    """Connections that a server left open are noticed here, not in a test of another file."""
    yield
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        gc.collect()


@pytest.fixture
def heard() -> Heard:
    """Records what pages are told."""
    return Heard()


@pytest.fixture
def command() -> Iterator[Callable[..., Command]]:
    """Starts `picie studio` with some arguments; until the end of the test."""
    processes: list[Command] = []

    def start(*arguments: str | Path, stderr: int = subprocess.PIPE) -> Command:
        line = [sys.executable, "-m", "picie", "studio", "--no-browser", *map(str, arguments)]
        processes.append(Command(line, stdout=subprocess.PIPE, stderr=stderr, text=True))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def serving() -> Iterator[Callable[..., Served]]:
    """Serves the studio of a folder of photos and a run; until the end of the module."""
    open_now: list[Served] = []

    def serve(photos: Path, run: Path, **options: Any) -> Served:
        studio = Studio(photos, run, Options(**options))
        open_now.append(Served(studio, listen("127.0.0.1", 0)))
        return open_now[-1]

    yield serve
    for served in open_now:
        served.end()


@pytest.fixture(scope="module")
def serving_scenes(
    serving: Callable[..., Served], scenes: Path, runs: dict[str, Path]
) -> Callable[[Path], Served]:
    """Serves nine photos, (48, 64) pixels, and a run without names: copies in a folder."""

    def serve(folder: Path) -> Served:
        shutil.copytree(runs["default"], folder / "run")
        shutil.copytree(scenes / "images", folder / "photos")
        served = serving(folder / "photos", folder / "run")
        served.wait_for_phase("ready")
        return served

    return serve


@pytest.fixture(scope="module")
def twelve_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 12 photos, (60, 80) pixels."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(12):
        pixels = np.full((60, 80, 3), 20 * number, np.uint8)
        pixels[:30] = 255 - pixels[:30]
        Image.fromarray(pixels).save(folder / f"{number:02d}.jpg")
    return folder


@pytest.fixture(scope="module")
def ready(
    serving: Callable[..., Served],
    runs: dict[str, Path],
    scenes: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Served:
    """The studio of a trained model, with names for two of its clusters."""
    run = tmp_path_factory.mktemp("ready") / "run"
    shutil.copytree(runs["default"], run)
    served = serving(scenes, run, split="train")
    served.wait_for_phase("ready")
    for node, title in ((0, "sky"), (1, "ground")):
        assert served.post("/api/act", {"act": "name", "node": node, "title": title}).status == 200
    return served
