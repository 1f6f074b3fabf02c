"""Addresses of the model, the names, the history, and the maps: answers and refusals."""

import struct
from typing import Any

import numpy as np
import pytest


def test_model_and_state_are_json(ready: Any) -> None:
    model, state = ready.ask("/api/model"), ready.ask("/api/state")
    assert (model.status, state.status) == (200, 200)
    assert model.json["centroids"] == 8
    assert {"end", "classes", "head", "questions"} <= set(state.json)


def test_an_act_answers_with_the_new_state(ready: Any) -> None:
    answer = ready.post("/api/act", {"act": "name", "node": 2, "title": "car", "page": "p"})
    assert answer.status == 200
    assert answer.json["said"] == ["node 2: car"]
    assert "car" in [one["name"] for one in answer.json["state"]["classes"]]
    assert ready.post("/api/act", {"act": "undo"}).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"3",
        b"[" * 9999,
        b'{"act": "dance"}',
        b'{"act": "accept", "photo": "../x"}',
    ],
)
def test_what_is_no_act_is_refused_with_a_text(ready: Any, body: bytes) -> None:
    answer = ready.ask("/api/act", method="POST", body=body)
    assert answer.status == 400
    assert answer.json["error"]


def test_maps_are_a_stream_of_frames(ready: Any) -> None:
    answer = ready.ask("/api/maps?photos=3,1,3,2")
    content, found = answer.body, dict[int, Any]()
    while content:
        number, version, width, height, each, good, _ = struct.unpack_from("<IIHHBBH", content)
        assert good == 1
        end = 16 + width * height * each
        found[number] = version, np.frombuffer(content[16:end], np.uint8)
        content = content[end:]
    assert set(found) == {1, 2, 3}
    assert {version for version, _ in found.values()} == {
        ready.studio.workspace.leaves.rows.version
    }
    assert all(leaves.max() < 8 for _, leaves in found.values())


@pytest.mark.parametrize(
    "photos", ["", "1,", "-1", "99", "a", "1.5", "²", "9" * 30, ",".join(["1"] * 600)]
)
def test_photos_that_are_not_there_have_no_maps(ready: Any, photos: str) -> None:
    answer = ready.ask(f"/api/maps?photos={photos.encode().hex() if photos == '²' else photos}")
    assert answer.status == 400
    assert answer.json["error"]


def test_a_fine_map_is_one_frame(ready: Any) -> None:
    answer = ready.ask("/api/fine/2")
    number, _, width, height, each, good, _ = struct.unpack_from("<IIHHBBH", answer.body)
    assert (number, width, height, each, good) == (2, 64, 48, 1, 1)
    assert ready.ask("/api/fine/99").status == 404
    assert ready.ask("/api/fine/x").status == 404


def test_nothing_is_there_before_the_model(serving: Any, twelve_photos: Any, tmp_path: Any) -> None:
    served = serving(twelve_photos, tmp_path / "run")
    served.wait_for_phase("setup")
    for path in ("/api/model", "/api/state", "/api/maps?photos=1", "/api/fine/1"):
        answer = served.ask(path)
        assert (answer.status, answer.json) == (503, {"error": "still starting"})
    assert served.post("/api/act", {"act": "undo"}).status == 503
