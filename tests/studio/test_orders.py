"""What can be ordered: each order runs the command that it shows, and its result can be opened."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from picie.cli.arguments import Export
from picie.export.masks import FORMATS as MASKS
from picie.export.masks import RASTER_FORMATS
from picie.inference.segmenter import load
from picie.studio import orders
from picie.studio.orders import FORMATS, MODELS, formats


def finished(served: Any, wish: dict[str, Any], state: str = "done") -> dict[str, Any]:
    """The job of an order, after it has ended."""
    answer = served.post("/api/jobs", wish)
    assert answer.status == 201, answer.json
    number = answer.json["id"]
    served.wait(lambda: served.studio.jobs.get(number).over, 300)
    job: dict[str, Any] = served.ask(f"/api/jobs/{number}").json
    assert job["state"] == state, job
    return job


def test_all_formats_are_offered() -> None:
    assert tuple(FORMATS) == MASKS
    assert set(MODELS) == {"onnx", "torch", "folder", "hub"}
    listed = formats()
    assert [one["format"] for one in listed] == [*FORMATS, *MODELS]
    assert [one["format"] for one in listed if one["rasters"]] == list(RASTER_FORMATS)
    assert {one["kind"] for one in listed} == {"export", "model"}
    assert Export.__doc__ is not None
    assert all(name in Export.__doc__ for name in FORMATS)


def test_what_a_format_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "find_spec", lambda name: None)
    needs = {one["format"]: one["install"] for one in formats()}
    assert needs["coco"] == 'pip install "picie[export]"'
    assert needs["geotiff"] == 'pip install "picie[geo]"'
    assert needs["onnx"] == 'pip install "picie[onnx]"'
    assert needs["hub"] == 'pip install "picie[hub]"'
    assert needs["png"] is needs["voc"] is needs["torch"] is needs["folder"] is None


@pytest.mark.parametrize(
    ("wish", "problem"),
    [
        ({}, "there is no order"),
        ({"kind": ["export"]}, "there is no order"),
        ({"kind": "export"}, "format = '' is unknown; known: png, coco"),
        ({"kind": "export", "format": "../png"}, "is unknown"),
        ({"kind": "export", "format": 3}, "is unknown"),
        ({"kind": "export", "format": "png", "photos": "move"}, "known: copy, link, none"),
        ({"kind": "export", "format": "coco", "polygons": "yes"}, "give true or false"),
        ({"kind": "model", "format": "tf"}, "is unknown"),
        ({"kind": "model", "format": "hub"}, "Give user/name"),
        ({"kind": "model", "format": "hub", "name": "--x"}, "does not begin with a dash"),
        ({"kind": "model", "format": "folder", "license": 7}, "give a short text"),
        ({"kind": "train"}, "there is a model already"),
    ],
)
def test_impossible_orders(ready: Any, wish: dict[str, Any], problem: str) -> None:
    before = len(ready.studio.jobs.all)
    answer = ready.post("/api/jobs", wish)
    assert answer.status == 400
    assert problem in answer.json["error"]
    assert len(ready.studio.jobs.all) == before


def test_a_format_without_its_packages(ready: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "find_spec", lambda name: None)
    answer = ready.post("/api/jobs", {"kind": "export", "format": "coco"})
    assert answer.status == 400
    assert 'pip install "picie[export]"' in answer.json["error"]


def test_nothing_is_exported_before_there_is_a_model(
    serving: Callable[..., Any], twelve_photos: Path, tmp_path: Path
) -> None:
    served = serving(twelve_photos, tmp_path / "run")
    served.wait_for_phase("setup")
    answer = served.post("/api/jobs", {"kind": "report"})
    assert (answer.status, "wait until the model is there" in answer.json["error"]) == (400, True)


def test_masks_are_exported(ready: Any) -> None:
    job = finished(ready, {"kind": "export", "format": "png", "photos": "none"})
    out = Path(job["out"])
    assert out == ready.studio.run / "exports" / "png"
    assert len([path for path in out.rglob("*.png")]) == 6
    assert {"sky", "ground"} <= set((out / "classes.txt").read_text().split())
    assert job["command"] == (
        f"picie export {ready.studio.run} --format png --images {ready.studio.photos_path} "
        f"--split train --photos none --out {ready.studio.run}/exports/png"
    )
    assert not [path for path in out.parent.iterdir() if path.name.startswith(".")]


def test_the_report_is_a_file(ready: Any) -> None:
    job = finished(ready, {"kind": "report"})
    assert job["file"] == "report.html"
    answer = ready.ask(f"/api/jobs/{job['id']}/file")
    assert answer.status == 200
    assert answer.body == Path(job["out"], "report.html").read_bytes()
    assert answer.headers["content-disposition"] == 'attachment; filename="report.html"'
    assert answer.headers["content-type"] == "application/octet-stream"
    assert "default-src 'self'" in answer.headers["content-security-policy"]


def test_the_model_as_a_folder(ready: Any) -> None:
    job = finished(ready, {"kind": "model", "format": "folder", "license": "mit"})
    shared = load(job["out"])
    assert {"sky", "ground"} <= set(shared.names)
    assert "license: mit" in Path(job["out"], "README.md").read_text()


def test_the_model_as_a_file(ready: Any) -> None:
    job = finished(ready, {"kind": "model", "format": "torch"})
    assert job["file"] == "model.pt2"
    assert Path(job["out"], "model.pt2").stat().st_size > 100_000


def test_no_hub_without_a_network(ready: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    job = finished(ready, {"kind": "model", "format": "hub", "name": "someone/model"}, "failed")
    assert "someone/model" in job["message"]
    assert "Traceback" not in job["message"]


def test_an_export_is_cancelled_without_a_trace(ready: Any) -> None:
    before = sorted(os.listdir(ready.studio.run / "exports"))
    job = ready.post("/api/jobs", {"kind": "export", "format": "voc"}).json
    ready.wait(lambda: ready.studio.jobs.get(job["id"]).state == "running")
    assert ready.post(f"/api/jobs/{job['id']}/cancel", {}).status == 200
    ready.wait(lambda: ready.studio.jobs.get(job["id"]).over)
    assert ready.studio.jobs.get(job["id"]).state == "cancelled"
    assert sorted(os.listdir(ready.studio.run / "exports")) == before
    assert ready.ask(f"/api/jobs/{job['id']}/file").status == 404


def test_nothing_accepted_is_no_labelled_set(ready: Any) -> None:
    job = finished(ready, {"kind": "labelled"}, "failed")
    assert "accept" in job["message"]


def test_what_was_taught_is_exported(ready: Any) -> None:
    """Strokes of a class that no cluster is named; so it comes last in this file."""
    stroke = {"act": "stroke", "photo": 0, "title": "pole", "points": [[5, 5], [30, 20]]}
    assert ready.post("/api/act", stroke | {"radius": 3}).status == 200
    ready.wait(lambda: ready.studio.is_taught)
    job = finished(ready, {"kind": "export", "format": "png", "photos": "none"})
    assert job["command"].startswith(f"picie teach {ready.studio.run} --images ")
    assert f"&& picie export {ready.studio.run}/taught --format png" in job["command"]
    assert "pole" in Path(job["out"], "classes.txt").read_text().split()
    assert (job["done"], job["total"]) == (1000, 1000)
    assert Path(job["out"]).name == "png-2"  # nothing is replaced
    assert load(ready.studio.run / "taught").labels is not None


def test_all_jobs_are_listed(ready: Any) -> None:
    listed = ready.ask("/api/jobs").json
    assert [job["id"] for job in listed] == [str(n + 1) for n in range(len(listed))]
    assert {job["state"] for job in listed} <= {"done", "failed", "cancelled"}
    assert ready.ask("/api/formats").json == json.loads(json.dumps(formats()))
