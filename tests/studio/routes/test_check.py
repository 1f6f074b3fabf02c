"""Addresses of the check."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from picie.errors import ConfigError
from picie.studio.app import make_app


class Heard:
    """A check that notes what it is asked."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def state(self) -> dict[str, Any]:
        return {"state": "ready", "calls": len(self.calls)}

    def start(self, **values: Any) -> None:
        self.calls.append(("start", values))

    def answer(self, number: int, *, right: bool, title: str) -> None:
        if number > 9:
            raise ConfigError("there is no question 10")
        self.calls.append((number, right, title))

    def crop(self, audit: int, number: int) -> "Future[bytes]":
        made: Future[bytes] = Future()
        made.set_result(f"{audit} {number}".encode())
        return made


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def client(heard: Heard) -> TestClient:
    studio: Any = SimpleNamespace(checking=heard, is_preview=False)
    return TestClient(make_app(studio))


def test_a_check_begins_with_what_is_given(client: TestClient, heard: Heard) -> None:
    assert client.get("/api/check").json() == {"state": "ready", "calls": 0}
    client.post("/api/check", json={"checks": 50, "seed": 3, "target": 2.5})
    client.post("/api/check", json={"target": 2})
    assert client.post("/api/check").json() == {"state": "ready", "calls": 3}
    assert heard.calls == [
        ("start", {"checks": 50, "seed": 3, "target": 2.5}),
        ("start", {"target": 2.0}),
        ("start", {}),
    ]


def test_answers_are_recorded(client: TestClient, heard: Heard) -> None:
    client.post("/api/check/answer", json={"number": 1, "right": True})
    answer = client.post("/api/check/answer", json={"number": 2, "right": False, "title": "car"})
    assert answer.json() == {"state": "ready", "calls": 2}
    assert heard.calls == [(1, True, ""), (2, False, "car")]
    refused = client.post("/api/check/answer", json={"number": 10, "right": True})
    assert (refused.status_code, refused.json()) == (400, {"error": "there is no question 10"})


@pytest.mark.parametrize(
    ("address", "body"),
    [
        ("/api/check", b"["),
        ("/api/check", b"[1]"),
        ("/api/check", b"\xff"),
        ("/api/check", b'{"checks": 1.5}'),
        ("/api/check", b'{"checks": true}'),
        ("/api/check", b'{"target": "5"}'),
        ("/api/check/answer", b"{}"),
        ("/api/check/answer", b'{"number": 1}'),
        ("/api/check/answer", b'{"number": 1, "right": 1}'),
        ("/api/check/answer", b'{"number": 1, "right": false, "title": 3}'),
        ("/api/check/answer", b"[" * 100_000),
    ],
)
def test_wrong_values_are_refused(
    client: TestClient, heard: Heard, address: str, body: bytes
) -> None:
    answer = client.post(address, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert heard.calls == []


def test_crops_are_pictures(client: TestClient) -> None:
    crop = client.get("/api/check/crop/3/4")
    assert (crop.content, crop.headers["content-type"]) == (b"3 4", "image/webp")
    assert client.get("/api/check/crop/3/x").status_code == 404
