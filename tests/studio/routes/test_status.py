"""Addresses of the status and of the news."""

import http.client
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def served(serving: Callable[..., Any], twelve_photos: Path, tmp_path: Path) -> Any:
    made = serving(twelve_photos, tmp_path / "\udcffrun")  # a name that is not text
    made.wait_for_phase("setup")
    return made


def test_status_is_plain_text_whatever_names_are(served: Any) -> None:
    answer = served.ask("/api/status")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["photos"] == 12
    assert answer.json["title"] == "\udcffrun"


def test_news_arrive_as_events(served: Any) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.address.port, timeout=20)
    connection.request("GET", "/api/events", headers={"Cookie": served.cookie})
    answer = connection.getresponse()
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.readline() == b"retry: 1000\n"
    served.studio.enter("setup", "again")
    lines = [answer.readline() for _ in range(3)]
    assert lines[1] == b"event: phase\n"
    assert json.loads(lines[2].removeprefix(b"data: "))["message"] == "again"
    connection.close()
