"""Addresses of photos, with stand-ins for what needs a model."""

import os
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from picie.annotation.events import new_event
from picie.annotation.log import Annotations
from picie.data.folder import open_folder
from picie.data.reading import Reading
from picie.studio.accepted import Accepted
from picie.studio.app import make_app
from picie.studio.photos import Photos


class Now:
    """A worker that does everything at once."""

    async def await_(self, priority: int, function: Any) -> Any:
        future: Future[Any] = Future()
        future.set_result(function())
        return future.result()


@pytest.fixture
def studio(tmp_path: Path) -> Any:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a", "b"):
        Image.fromarray(np.full((30, 40, 3), 99, np.uint8)).save(folder / f"{name}.png")
    (folder / "c.jpg").write_text("no photo")
    photos = Photos(open_folder(folder, reading=Reading()), tmp_path / "cache")
    nothing = dict.fromkeys(("workspace", "index", "queue", "cards", "checking", "worker"))
    return SimpleNamespace(
        photos=photos, touched=dict, is_preview=False, note_shown=lambda: None, **nothing
    )


@pytest.fixture
def client(studio: Any) -> TestClient:
    app: Starlette = make_app(studio)
    return TestClient(app)


ADDRESSES = [
    *("/api/counts", "/api/doubts", "/api/queue", "/api/card/3", "/api/check"),
    *("/api/crop?node=1&photo=1&cell=1", "/api/check/crop/1/1"),
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_before_the_model_is_there_the_answer_says_so(client: TestClient, address: str) -> None:
    answer = client.get(address)
    assert (answer.status_code, answer.json()) == (503, {"error": "still starting"})


def test_before_the_photos_are_there_the_answer_says_so(client: TestClient, studio: Any) -> None:
    studio.photos = None
    for address in ("/api/photos", "/api/thumbs/0", "/api/photo/0", "/api/tile/0/0/0/0"):
        answer = client.get(address)
        assert (answer.status_code, answer.json()) == (503, {"error": "still starting"})


def test_the_list_has_names_times_and_notes(client: TestClient) -> None:
    listed = client.get("/api/photos").json()
    assert listed["names"] == ["a", "b", "c"]
    assert len(listed["times"]) == 3
    assert listed["notes"] == []


def test_pictures_are_sent_once(client: TestClient) -> None:
    for address in ("/api/thumbs/0", "/api/tile/1/0/0/0"):
        first = client.get(address)
        assert first.headers["content-type"] == "image/jpeg"
        again = client.get(address, headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert client.get(address).content == first.content
    assert (
        client.get("/api/thumbs/0").headers["etag"] != client.get("/api/thumbs/1").headers["etag"]
    )


def test_a_photo_knows_its_marks(client: TestClient, studio: Any) -> None:
    shape = {"image": "a", "size": (40, 30)}
    events = (
        new_event("t", act="stroke", title="road", points=[[1, 2]], **shape),
        new_event("t", act="erase", points=[[1, 2]], **shape),
        new_event("t", act="accept", **shape),
    )
    plain = client.get("/api/photo/0").json()
    assert (plain["marks"], plain["accepted"], plain["accept"]) == ([], False, None)
    studio.workspace = SimpleNamespace(annotations=Annotations(events))
    found = client.get("/api/photo/0").json()
    assert [mark["act"] for mark in found.pop("marks")] == ["stroke", "erase"]
    assert found == {
        "id": 0, "name": "a", "width": 40, "height": 30, "tile": 512, "levels": 1,
        "accepted": True, "accept": events[-1].id, "problem": "",
    }  # fmt: skip


def test_a_mask_that_was_taken_back_meanwhile_is_nothing(
    client: TestClient, studio: Any, tmp_path: Path
) -> None:
    """The page asks for it after a reply that is no longer true."""
    studio.accepted = Accepted(tmp_path, open_folder(tmp_path / "photos"))
    studio.workspace = SimpleNamespace(annotations=Annotations(()))
    answer = client.get("/api/accepted/0")
    assert (answer.status_code, answer.content) == (204, b"")


def test_a_broken_photo_is_a_text_and_no_traceback(client: TestClient) -> None:
    for address in ("/api/thumbs/2", "/api/tile/2/0/0/0"):
        answer = client.get(address)
        assert answer.status_code == 400
        assert "c.jpg" in answer.json()["error"]
    assert "c.jpg" in client.get("/api/photo/2").json()["problem"]


@pytest.mark.parametrize(
    "address",
    ["/api/thumbs/3", "/api/photo/99999999999999999999", "/api/tile/3/0/0/0", "/api/thumbs/-1"],
)
def test_photos_that_do_not_exist_are_not_found(client: TestClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 404
    assert answer.json()["error"]


def test_what_is_known_is_binary(client: TestClient, studio: Any) -> None:
    counts = np.array([[1, 2], [65535, 0], [65535, 65535]], np.uint16)
    left = [2]

    def step() -> bool:
        left[0] -= 1
        return left[0] > 0

    values = np.array([0.5, np.nan], np.float32)
    studio.worker = Now()
    studio.queue = SimpleNamespace(step=step, doubts=lambda: values, counts=lambda: counts)
    assert client.get("/api/counts").content == counts.astype("<u2").tobytes()
    assert left == [0]
    left[0] = 2
    assert client.get("/api/doubts").content == values.astype("<f4").tobytes()
    assert left == [0]


def test_the_queue_is_asked_with_what_was_touched(client: TestClient, studio: Any) -> None:
    asked: list[Any] = []

    def following(*values: Any) -> list[int]:
        asked.append(values)
        return [2, 1]

    studio.worker, studio.touched = Now(), lambda: {"a": 1}
    studio.queue = SimpleNamespace(step=lambda: False, next=following)
    assert client.get("/api/queue?after=1&count=3").json() == {"photos": [2, 1]}
    assert client.get("/api/queue?count=9999").json() == {"photos": [2, 1]}
    assert asked == [({"a": 1}, 1, 3), ({"a": 1}, None, 50)]
    for wrong in ("x", "1.5", "9" * 30, "²"):
        answer = client.get(f"/api/queue?after={wrong}")
        assert answer.status_code == 400
        assert "is not a whole number" in answer.json()["error"]


def test_cards_and_crops(client: TestClient, studio: Any) -> None:
    studio.cards = SimpleNamespace(
        card=lambda node: {"node": node}, crop=lambda *place: str(place).encode()
    )
    assert client.get("/api/card/7").json() == {"node": 7}
    crop = client.get("/api/crop?node=7&photo=1&cell=65537")
    assert (crop.content, crop.headers["content-type"]) == (b"(7, 1, 65537)", "image/webp")


def test_names_that_are_no_valid_text_are_sent(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\xfe")
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "a.png")
    os.rename(tmp_path / "a.png", tmp_path / f"{name}.png")
    photos = Photos(open_folder(tmp_path, reading=Reading()), tmp_path / ".cache")
    studio: Any = SimpleNamespace(photos=photos, workspace=None, note_shown=lambda: None)
    client = TestClient(make_app(studio))
    assert client.get("/api/photos").json()["names"] == [name]
    assert client.get("/api/photo/0").json()["name"] == name
    assert client.get("/api/thumbs/0").status_code == 200
