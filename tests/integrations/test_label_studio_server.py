"""The server of the backend: what Label Studio gets, and who gets nothing."""

import http.client
import json
import shutil
import stat
import sys
import threading
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from picie.errors import PicieError
from picie.integrations import label_studio_server
from picie.integrations.label_studio import Backend
from picie.integrations.label_studio_server import Door, make_app, secret_of
from picie.runtime.progress import Reporter
from picie.studio.server import Server, listen

SECRET = "s" * 32
Answer = tuple[int, Any]


class Asked:
    """A backend that answers at a port of this machine."""

    def __init__(self, backend: Backend, said: StringIO) -> None:
        reporter = Reporter()
        reporter.console.file = said
        self.backend, self.said = backend, said
        address = listen("127.0.0.1", 0)
        self.port = address.port
        door = Door(make_app(backend, reporter), SECRET, address.hosts, reporter=reporter)
        self._server = Server(door, address, line=f"picie serve: {address.origin}/{SECRET}")
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [address.socket]}
        )
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def end(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)

    def ask(self, path: str, body: Any = None, *, secret: str = SECRET, **headers: str) -> Answer:
        """Ask as Label Studio does: POST with a body, else GET."""
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        method = "GET" if body is None else "POST"
        connection.request(method, f"/{secret}{path}", content, named)
        response = connection.getresponse()
        text = response.read()
        connection.close()
        assert "access-control-allow-origin" not in response.headers
        is_json = response.headers["content-type"] == "application/json"
        return response.status, json.loads(text) if is_json else text


@pytest.fixture(scope="module")
def server(
    runs: dict[str, Path], scenes: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Asked]:
    run = tmp_path_factory.mktemp("served") / "run"
    shutil.copytree(runs["default"], run)
    started = Asked(Backend(run, scenes, device="cpu"), StringIO())
    yield started
    started.end()


def test_the_life_of_a_project(server: Asked) -> None:
    config = server.backend.label_config
    assert server.ask("/health") == (200, {"status": "UP", "model_class": "picie"})
    status, answer = server.ask("/setup", {"schema": config, "project": "1.2", "hostname": ""})
    assert (status, list(answer)) == (200, ["model_version"])
    task = {"id": 3, "data": {"image": "/data/upload/1/0123abcd-scene_0000.jpg"}}
    status, answer = server.ask("/predict", {"tasks": [task], "label_config": config})
    [[prediction]] = answer["results"]
    assert status == 200
    assert prediction["result"][0]["type"] == "brushlabels"
    annotation = {"id": 1, "result": prediction["result"]}
    hook = {"task": task, "annotation": annotation, "project": {"id": 1, "label_config": config}}
    status, answer = server.ask("/webhook", {"action": "ANNOTATION_CREATED", **hook})
    assert (status, answer["status"]) == (201, "ok")


def test_what_does_not_fit_is_said_here_and_there(server: Asked) -> None:
    status, answer = server.ask("/setup", {"schema": "<View/>"})
    assert status == 400
    assert "has no Image" in answer["error"]
    assert f"/setup: {answer['error']}" in server.said.getvalue()
    for body in (b"", b"{", b"[1]", b"[" * 100_000):
        assert server.ask("/predict", body)[0] == 400
    assert server.ask("/predict", {"tasks": 3, "label_config": ""})[0] == 400
    assert server.ask("/other")[0] == 404
    assert server.ask("/health", {})[0] == 405


def test_strangers_are_refused(server: Asked) -> None:
    for secret in ("", "health", "s" * 31, "s" * 33, "%73" * 31):
        status, answer = server.ask("/health", secret=secret)
        assert status == 401
        assert "the whole address" in answer["error"]
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("OPTIONS", "*")  # a path without "/"
    assert connection.getresponse().status == 401
    connection.close()
    assert server.ask("/health", Host="evil.example")[0] == 421
    assert server.ask("/health", Host=f"host.docker.internal:{server.port}")[0] == 200
    assert server.ask("/health", Origin=f"http://127.0.0.1:{server.port}")[0] == 403
    assert server.ask("/health", Sec_Fetch_Site="none")[0] == 403


def test_long_bodies_are_refused(server: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_studio_server, "MOST_BODY", 1000)
    assert server.ask("/webhook", {"action": "x" * 980})[0] == 201
    assert server.ask("/webhook", {"action": "x" * 2000})[0] == 413
    assert (
        "/webhook: the request is larger than 0 MB; nothing of it was read\n"
        in server.said.getvalue()
    )


def test_errors_are_answers(server: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = {"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 6}]}
    for error, status in ((PicieError("the disk is full"), 400), (KeyError("the disk"), 500)):

        def broken(*_: Any, error: Exception = error) -> int:
            raise error

        monkeypatch.setattr(server.backend, "_replace", broken)
        found, answer = server.ask("/webhook", gone)
        assert (found, "the disk" in answer["error"]) == (status, True)
    assert server.ask("/health")[0] == 200


def test_the_secret_of_a_run_stays(tmp_path: Path) -> None:
    secret = secret_of(tmp_path)
    path = tmp_path / "studio" / "label-studio.secret"
    assert secret_of(tmp_path) == secret
    assert len(secret) == 32
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("short\n")
    assert secret_of(tmp_path) not in (secret, "short")
    shutil.rmtree(tmp_path / "studio")
    (tmp_path / "studio").write_text("a file")
    with pytest.raises(PicieError, match="studio"):
        secret_of(tmp_path)
