"""CVAT's own client annotates a task of a server on this machine with the masks of a model."""

import io
import json
import math
import shutil
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from cvat_sdk import make_client
from cvat_sdk.auto_annotation import BadFunctionError, annotate_task
from cvat_sdk.core import Config
from cvat_sdk.masks import decode_mask
from PIL import Image

from picie.errors import ConfigError, MissingExtraError
from picie.export.formats.polygons import area
from picie.inference.predict_each import filled
from picie.inference.segmenter import Segmenter, load
from picie.integrations import cvat
from picie.naming.name import name

TASK = 7
TIME = "2026-01-31T09:12:44Z"


class Server(ThreadingHTTPServer):
    """The few addresses of CVAT that its client needs to annotate a task.

    Args:
        photos: of the task; its frames.
        labels: names and kinds of the task.
    """

    def __init__(self, photos: list[Path], labels: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.photos, self.labels = photos, labels
        self.uploads: list[tuple[str, str, Any]] = []
        self.unknown: list[str] = []

    def answer(self, path: str, query: dict[str, list[str]]) -> Any:
        """What CVAT says to a GET."""
        match path.removeprefix("/api").rstrip("/"):
            case "/server/about":
                about = {"name": "CVAT", "description": "", "version": "2.80.0"}
                return about | {"logo_url": "", "subtitle": ""}
            case "/tasks/7":
                return {
                    "id": TASK, "url": "", "name": "scenes", "organization": None, "size": 3,
                    "data_chunk_size": 2, "data_original_chunk_type": "imageset",
                    "data_compressed_chunk_type": "imageset", "mode": "annotation",
                    "dimension": "2d", "created_date": TIME, "updated_date": TIME,
                    "jobs": {"count": 1, "completed": 0, "validation": 0, "url": ""},
                    "labels": {"url": ""},
                }  # fmt: skip
            case "/labels":
                labels = [
                    {"id": 100 + number, "name": label, "type": kind, "color": "#ffffff",
                     "attributes": [], "sublabels": [], "task_id": TASK, "has_parent": False}
                    for number, (label, kind) in enumerate(self.labels.items())
                ]  # fmt: skip
                return {"count": len(labels), "next": None, "previous": None, "results": labels}
            case "/tasks/7/data/meta":
                frames = [
                    {"name": photo.name, "width": 64, "height": 48, "related_files": 0}
                    for photo in self.photos
                ]
                return {
                    "frames": frames, "deleted_frames": [1], "image_quality": 70, "size": 3,
                    "start_frame": 0, "stop_frame": 2, "chunk_size": 2, "frame_filter": "",
                    "storage_method": "cache", "storage": "local", "sorting_method": "natural",
                    "chunks_updated_date": TIME, "included_frames": None, "original_frames": None,
                }  # fmt: skip
            case "/tasks/7/data":
                assert (query["type"], query["quality"]) == (["chunk"], ["original"])
                return self._chunk(int(query["number"][0]))
        self.unknown.append(path)
        return None

    def _chunk(self, number: int) -> bytes:
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            for photo in self.photos[2 * number : 2 * number + 2]:
                archive.write(photo, photo.name)
        return data.getvalue()


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        answer = self.server.answer(url.path, parse_qs(url.query))
        is_file = isinstance(answer, bytes)
        self._send(200 if answer is not None else 404, answer if is_file else json.dumps(answer))

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.uploads.append((self.command, self.path, body))
        self._send(200, json.dumps(body | {"version": 1, "tracks": []}))

    do_PUT = do_PATCH

    def _send(self, status: int, body: str | bytes) -> None:
        data = body.encode() if isinstance(body, str) else body
        kind = "application/zip" if isinstance(body, bytes) else "application/vnd.cvat+json"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


@contextmanager
def serving(photos: list[Path], labels: dict[str, str]) -> Iterator[Server]:
    with Server(photos, labels) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def named(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two classes, an ignored cluster, and clusters without names."""
    run = tmp_path_factory.mktemp("cvat") / "run"
    shutil.copytree(runs["default"], run)
    name(run, [("0", "#1"), ("1,2", "tall grass"), ("5", "ignore")], clusters=6)
    return run


@pytest.fixture(scope="module")
def segmenter(named: Path) -> Segmenter:
    return load(named)


@pytest.fixture(scope="module")
def photos(scenes: Path) -> list[Path]:
    return sorted((scenes / "images").rglob("*.*"))[:3]


def annotate(server: Server, cache: Path, function: cvat.Function, **options: Any) -> list[Any]:
    """The shapes that CVAT's client uploads."""
    host = f"http://127.0.0.1:{server.server_port}"
    with make_client(host) as client:
        client.config = Config(cache_dir=cache)
        annotate_task(client, TASK, function, **options)
    assert server.unknown == []
    [(_, _, body)] = server.uploads
    assert body["tags"] == []
    shapes: list[Any] = body["shapes"]
    return shapes


def test_a_task_gets_the_masks_of_the_model(
    named: Path, segmenter: Segmenter, photos: list[Path], tmp_path: Path
) -> None:
    labels = {"%231": "any", "tall grass": "mask"} | dict.fromkeys(segmenter.names[2:], "any")
    with serving(photos, labels) as server:
        shapes = annotate(server, tmp_path, cvat.create(str(named)))
    assert {shape["frame"] for shape in shapes} == {0, 2}  # 1 was deleted
    assert {(shape["type"], shape["source"]) for shape in shapes} == {("mask", "auto")}
    ignored = 0
    for frame in (0, 2):
        wanted = filled(segmenter.predict_image(Image.open(photos[frame])), 20)
        assert wanted.mask is not None
        assert wanted.confidence is not None
        height, width = wanted.mask.shape
        found = np.full((height, width), -1)
        for shape in shapes:
            if shape["frame"] == frame:
                inside = decode_mask(shape["points"], image_width=width, image_height=height)
                assert (found[inside] == -1).all()
                found[inside] = shape["label_id"] - 100
                mean = wanted.confidence[inside].mean() / 255
                assert shape["score"] == pytest.approx(mean)
        assert np.array_equal(found, wanted.mask)
        ignored += int((found < 0).sum())
    assert ignored


def test_polygons_cover_the_same_pixels(
    named: Path, segmenter: Segmenter, photos: list[Path], tmp_path: Path
) -> None:
    function = cvat.create(str(named))
    with serving(photos, {label.name: "polygon" for label in function.spec.labels}) as server:
        with pytest.raises(BadFunctionError, match="type 'mask' in the function"):
            annotate(server, tmp_path, function)
        shapes = annotate(server, tmp_path, function, conv_mask_to_poly=True, clear_existing=True)
        assert server.uploads.pop()[0] == "PUT"
        assert annotate(server, tmp_path, cvat.create(str(named), shapes="polygon")) == shapes
    wanted = filled(segmenter.predict_image(Image.open(photos[0])), 20).mask
    assert wanted is not None
    for number in range(segmenter.clusters):
        rings = [
            np.array(shape["points"]).reshape(-1, 2).astype(np.int64)
            for shape in shapes
            if (shape["frame"], shape["label_id"]) == (0, 100 + number)
        ]
        assert sum(map(area, rings)) == 2 * (wanted == number).sum()


def test_a_threshold_leaves_out_doubtful_regions(
    named: Path, photos: list[Path], tmp_path: Path
) -> None:
    function = cvat.create(str(named))
    with serving(photos, {label.name: "any" for label in function.spec.labels}) as server:
        every = annotate(server, tmp_path, function)
        least = float(np.median([shape["score"] for shape in every]))
        server.uploads.clear()
        some = annotate(server, tmp_path, function, conf_threshold=least)
    assert some == [shape for shape in every if shape["score"] >= least]
    assert 0 < len(some) < len(every)


def test_labels_have_names_and_colours(named: Path, segmenter: Segmenter) -> None:
    labels = cvat.create(str(named)).spec.labels
    assert [label.name for label in labels] == ["%231", "tall grass", *segmenter.names[2:]]
    assert [bytes.fromhex(label.color[1:]) for label in labels] == [
        bytes(colour) for colour in segmenter.colours
    ]


def test_what_cannot_be_used_is_said(
    named: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="-p model=str:"):
        cvat.create()
    with pytest.raises(ConfigError, match="'masks': give mask or polygon"):
        cvat.create(str(named), shapes="masks")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="min_area -1"):
        cvat.create(str(named), min_area=-1)
    with pytest.raises(ConfigError, match=r"min_area = '9', .* -p min_area=int:20"):
        cvat.create(str(named), min_area="9")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"tolerance = '1': .* -p tolerance=float:1"):
        cvat.create(str(named), tolerance="1")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="tolerance = nan"):
        cvat.create(str(named), tolerance=math.nan)
    run = tmp_path / "run"
    shutil.copytree(named, run)
    name(run, [("0", "x" * 65)])
    with pytest.raises(ConfigError, match="65 characters"):
        cvat.create(str(run))
    monkeypatch.setitem(sys.modules, "cvat_sdk.auto_annotation", None)
    with pytest.raises(MissingExtraError, match=r"picie\[cvat\]"):
        cvat.create(str(named))
