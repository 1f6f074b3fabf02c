"""What a backend of Label Studio answers, and what it writes to the history of a run."""

import shutil
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from picie.annotation.cells import cells_of
from picie.annotation.log import read_annotations
from picie.annotation.teach import teach
from picie.data.folder import open_folder
from picie.errors import ConfigError, DataError
from picie.export.formats.labelstudio import brush, painted
from picie.inference.segmenter import load
from picie.integrations.label_studio import (
    Backend,
    Interface,
    PhotosByAddress,
    read_interface,
)
from picie.naming.name import name
from picie.runtime.progress import Reporter

SIZE = (48, 64)  # of the scenes
CONFIG = """<View><!-- <!DOCTYPE is no harm in a comment -->
  <Header value="$title"/> <Image name="photo" value="$picture"/>
  <BrushLabels name="tag" toName="photo">
    <Label value="road"/> <Label value="&#37;24x"/> <Label value="lake"/>
    <Label value="S" alias="sky"/>
  </BrushLabels>
</View>"""


@pytest.fixture
def run(runs: dict[str, Path], tmp_path: Path) -> Path:
    """A run with classes of strange names, an ignored cluster, and one without a name."""
    folder = tmp_path / "run"
    shutil.copytree(runs["default"], folder)
    name(folder, [("0", "road"), ("1", "$x"), ("2", "sky"), ("3", "ignore")], clusters=5)
    return folder


@pytest.fixture
def said() -> StringIO:
    """What the person at the terminal sees."""
    return StringIO()


@pytest.fixture
def backend(run: Path, scenes: Path, said: StringIO) -> Backend:
    reporter = Reporter()
    reporter.console.file = said
    return Backend(run, scenes, device="cpu", reporter=reporter)


def task(picture: object, number: int = 1) -> dict[str, Any]:
    return {"id": number, "data": {"picture": picture, "title": "t"}, "annotations": []}


def asked(*pictures: object) -> dict[str, Any]:
    tasks = [task(picture, number) for number, picture in enumerate(pictures)]
    return {"tasks": tasks, "label_config": CONFIG, "project": "1.2", "params": {}}


def result(label: str, inside: NDArray[np.bool_], **changes: Any) -> dict[str, Any]:
    height, width = inside.shape
    value = {"format": "rle", "rle": list(brush(inside)), "brushlabels": [label]}
    sides = {"original_width": width, "original_height": height, "image_rotation": 0}
    return {"type": "brushlabels", **sides, "value": value} | changes


def polygon(label: str, **changes: Any) -> dict[str, Any]:
    value = {"points": [[0, 0], [100, 0], [0, 100]], "closed": True, "polygonlabels": [label]}
    sides = {"original_width": SIZE[1], "original_height": SIZE[0], "image_rotation": 0}
    return {"type": "polygonlabels", **sides, "value": value} | changes


def hook(action: str, *results: Any, number: int = 5, **annotation: Any) -> dict[str, Any]:
    return {
        "action": action,
        "annotation": {"id": number, "result": list(results), **annotation},
        "task": task("/data/upload/1/0123abcd-scene_0001.jpg"),
        "project": {"id": 1, "label_config": CONFIG},
    }


def ball(row: int, column: int, radius: float) -> NDArray[np.bool_]:
    rows, columns = np.ogrid[: SIZE[0], : SIZE[1]]
    inside: NDArray[np.bool_] = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
    return inside


# --- the labelling interface


def test_the_brush_of_an_interface() -> None:
    interface = read_interface(CONFIG)
    assert (interface.brush, interface.image, interface.variable) == ("tag", "photo", "picture")
    assert interface.labels == ("road", "%24x", "lake", "sky")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("<View>", "cannot be read: no element found"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><View/>', "cannot be read"),
        ('<View><Image name="a" value="a.jpg"/></View>', "has no Image with the address of a task"),
        ('<View><Text name="a" value="$a"/><BrushLabels toName="a"/></View>', "has no Image"),
    ],
)
def test_other_interfaces_are_refused(text: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_interface(text)


def test_an_interface_without_a_brush_gets_no_masks(backend: Backend, run: Path) -> None:
    outlines = CONFIG.replace("BrushLabels", "PolygonLabels")
    assert read_interface(outlines) == Interface("photo", "picture")
    problem = r"no BrushLabels for its Image, .* paste what picie"
    with pytest.raises(ConfigError, match=problem):
        backend.setup({"schema": outlines})
    with pytest.raises(ConfigError, match=problem):
        backend.predict(asked("scene_0000.jpg") | {"label_config": outlines})
    told = hook("ANNOTATION_CREATED", polygon("sky"))
    told["project"]["label_config"] = outlines
    assert backend.webhook(told) == {"status": "ok", "marks": 1}


def test_setup_wants_a_label_that_is_a_class(backend: Backend, said: StringIO) -> None:
    version = backend.setup({"schema": CONFIG})["model_version"]
    assert version.startswith("picie-")
    assert said.getvalue() == "the project has no label cluster 4: predictions leave them out\n"
    other = CONFIG.replace("road", "Road").replace("&#37;", "").replace('"sky"', '"Sky"')
    with pytest.raises(ConfigError, match=r"\(Road, 24x, lake, Sky\) is a class .* \(road, %24x"):
        backend.setup({"schema": other})
    assert backend.setup({"schema": backend.label_config}) == {"model_version": version}


# --- photos


@pytest.fixture
def places(tmp_path: Path) -> PhotosByAddress:
    folder = tmp_path / "my photos"
    for path in ("a b(1).jpg", "one/c.jpg", "two/c.jpg", "c.jpg", "one/d.jpg", "one/#e.png"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(folder / path)
    return PhotosByAddress(open_folder(folder))


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("/data/local-files/?d=my%20photos/one/c.jpg", "one/c"),
        ("/data/local-files/?d=exports/ls/images/two/c.jpg", "two/c"),
        ("/data/local-files/?d=exports/ls/images/one/%2523e.png", "one/#e"),
        ("/data/local-files/?d=my%20photos/c.jpg", "c"),
        ("/data/upload/3/8f3a2b1c-a_b1.jpg", "a b(1)"),
        ("/data/upload/3/8f3a2b1c-d.jpg", "one/d"),
        ("http://localhost:8080/one/d.jpg?x=1", "one/d"),
        ("s3://bucket/photos/two/c.jpg", "two/c"),
        ("a b(1).jpg", "a b(1)"),
    ],
)
def test_photos_are_found_by_the_end_of_an_address(
    places: PhotosByAddress, address: str, found: str
) -> None:
    assert places.find(address).name == found


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("/data/upload/3/8f3a2b1c-c.jpg", "several photos"),
        ("http://host/elsewhere/c.jpg", "several photos"),
        ("/data/upload/3/8f3a2b1c-f.jpg", "was not in the folder"),
        ("../../etc/passwd", "was not in the folder"),
        ("http://[", "was not in the folder"),
        ("/one/d.png", "was not in the folder"),
        (7, "no address"),
    ],
)
def test_doubtful_addresses_are_refused(
    places: PhotosByAddress, address: Any, problem: str
) -> None:
    with pytest.raises(DataError, match=problem):
        places.find(address)


# --- predictions


def test_predictions_are_the_masks_of_the_model(
    backend: Backend, run: Path, scenes: Path, said: StringIO
) -> None:
    names = ["scene_0001.jpg", "missing.jpg", "scene_0000.jpg", "scene_0001.jpg"]
    answer = backend.predict(asked(*(f"/data/upload/1/0123abcd-{one}" for one in names)))
    assert "task 1: '/data/upload/1/0123abcd-missing.jpg': was not in the folder" in said.getvalue()
    assert said.getvalue().endswith("masks for 3 of 4 tasks\n")
    [first], missing, [second], [again] = answer["results"]
    assert (missing, again) == ([], first)
    model = load(run, device="cpu")
    labels = {"road": 0, "%24x": 1, "sky": 2}
    for one, prediction in (("scene_0001", first), ("scene_0000", second)):
        assert prediction["model_version"] == answer["model_version"]
        assert 0 < prediction["score"] <= 1
        wanted = model.predict(scenes / "images" / f"{one}.jpg")
        found = np.full(SIZE, -1)
        for region in prediction["result"]:
            assert (region["from_name"], region["to_name"]) == ("tag", "photo")
            assert 0 < region["score"] <= 1
            [label] = region["value"]["brushlabels"]
            found[painted(bytes(region["value"]["rle"]), *SIZE)] = labels[label]
        assert np.array_equal(found, np.where(wanted == 3, -1, wanted))  # no label for cluster 4


def test_label_studio_decodes_predictions(backend: Backend) -> None:
    converter = pytest.importorskip("label_studio_sdk.converter.brush")
    [[prediction]] = backend.predict(asked("scene_0000.jpg"))["results"]
    for region in prediction["result"]:
        alpha = converter.decode_rle(region["value"]["rle"]).reshape(*SIZE, 4)[..., 3]
        assert np.array_equal(alpha == 255, painted(bytes(region["value"]["rle"]), *SIZE))


def test_many_tasks_are_asked_for_one_by_one(backend: Backend) -> None:
    assert len(backend.predict(asked(*["scene_0000.jpg"] * 65))["results"]) == 1


# --- annotations


def test_an_annotation_becomes_marks_and_a_new_one_takes_its_place(
    backend: Backend, run: Path, said: StringIO
) -> None:
    log = run / "annotations.jsonl"
    names = len(read_annotations(log).valid)
    ring = ball(20, 30, 12) & ~ball(20, 30, 5) | ball(40, 60, 3)
    first = hook("ANNOTATION_CREATED", result("%24x", ring), result("lake", ~ring))
    assert backend.webhook(first) == {"status": "ok", "marks": 2}
    marks = read_annotations(log).marks
    assert [(mark.title, mark.image, mark.by) for mark in marks] == [
        ("$x", "scene_0001", "Label Studio annotation 5"),
        ("lake", "scene_0001", "Label Studio annotation 5"),
    ]
    assert marks[0].digest
    assert np.array_equal(cells_of(marks[0], SIZE), ring)
    backend.webhook(hook("ANNOTATION_CREATED", result("sky", ball(5, 5, 4)), number=6))
    backend.webhook(hook("ANNOTATION_UPDATED", result("road", ring)))
    assert [mark.title for mark in read_annotations(log).marks] == ["sky", "road"]
    assert "scene_0001: annotated with road, in place of what was there\n" in said.getvalue()
    backend.webhook(hook("ANNOTATION_UPDATED", result("road", ring), was_cancelled=True))
    gone = {"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 6}], "project": {"id": 1}}
    assert backend.webhook(gone) == {"status": "ok", "undone": 1}
    assert len(read_annotations(log).valid) == names
    assert read_annotations(log).problems == ()


def test_masks_and_outlines_are_read_in_their_order(
    backend: Backend, run: Path, said: StringIO
) -> None:
    point = {"type": "keypointlabels", "value": {"x": 1, "y": 2, "width": 1}}
    given = [result("sky", ball(20, 30, 12)), polygon("lake"), point]
    elsewhere = polygon("road", to_name="other")
    assert backend.webhook(hook("ANNOTATION_CREATED", *given, elsewhere))["marks"] == 2
    marks = read_annotations(run / "annotations.jsonl").marks
    assert [(mark.act, mark.title) for mark in marks] == [("segment", "sky"), ("polygon", "lake")]
    first, second, last = said.getvalue().splitlines()
    assert "a result is left out: 'keypointlabels' is no brush" in first
    assert "a result is left out: it is of another image of the task, 'other'" in second
    assert last == "scene_0001: annotated with lake, sky"


def test_several_annotations_of_one_request_stand_alone(
    backend: Backend, run: Path, scenes: Path, tmp_path: Path, said: StringIO
) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(scenes / "images", photos)
    reporter = Reporter()
    reporter.console.file = said
    served = Backend(run, photos, device="cpu", reporter=reporter)
    (photos / "scene_0000.jpg").unlink()
    many = hook("ANNOTATIONS_CREATED")
    many["annotation"] = [{"id": n, "result": [polygon("sky")]} for n in (1, 2)]
    many["task"] = [task(f"scene_000{n}.jpg") for n in (0, 1)]
    assert served.webhook(many) == {"status": "ok", "marks": 1}
    assert "annotation 1 is left out: " in said.getvalue()
    many["task"].pop()
    with pytest.raises(ConfigError, match="give a task for each annotation"):
        served.webhook(many)


def test_an_annotation_does_not_wait_for_masks(backend: Backend) -> None:
    """Label Studio waits a second for the answer of a webhook."""
    with backend._lock:  # as during a prediction
        assert backend.webhook(hook("ANNOTATION_CREATED", polygon("sky")))["marks"] == 1


def test_what_does_nothing_is_said(backend: Backend, run: Path, said: StringIO) -> None:
    backend.webhook({"action": "TASKS_DELETED", "tasks": [{"id": 1}]})
    backend.webhook({"action": "START_TRAINING"})
    assert "what was annotated in them still counts\n" in said.getvalue()
    assert f"nothing is trained; call picie teach {run} --images " in said.getvalue()


def test_other_news_change_nothing(backend: Backend, run: Path, said: StringIO) -> None:
    before = (run / "annotations.jsonl").read_bytes()
    for action in ("TASKS_CREATED", "START_TRAINING", None, ["a"]):
        assert backend.webhook({"action": action}) == {"status": "ignored"}
    elsewhere = hook("ANNOTATION_CREATED") | {"task": task("/data/upload/1/0123abcd-x.jpg")}
    for _ in range(2):
        assert backend.webhook(elsewhere) == {"status": "ok", "marks": 0}
    assert said.getvalue().count("annotation 5 is left out: '/data/upload/1/0123abcd-x.jpg'") == 2
    assert (run / "annotations.jsonl").read_bytes() == before
    with pytest.raises(ConfigError, match="annotation: give an object"):
        backend.webhook({"action": "ANNOTATION_CREATED"})
    with pytest.raises(ConfigError, match="id = '5'"):
        backend.webhook(hook("ANNOTATION_CREATED", id="5"))


def test_the_model_follows_what_it_is_taught(
    backend: Backend, run: Path, scenes: Path, said: StringIO
) -> None:
    backend.webhook(hook("ANNOTATION_CREATED", result("lake", ball(20, 30, 12))))
    teach(run, scenes, device="cpu")
    reporter = Reporter()
    reporter.console.file = said
    served = Backend(run / "taught", scenes, device="cpu", reporter=reporter)
    assert served.run == run
    before = served.setup({"schema": CONFIG})["model_version"]
    backend.webhook(hook("ANNOTATION_UPDATED", result("sky", ball(20, 30, 12))))
    teach(run, scenes, device="cpu")
    after = served.predict(asked("scene_0001.jpg"))["model_version"]
    assert after != before
    assert f"the model has changed: {after}\n" in said.getvalue()
    (run / "taught" / "config.json").write_text("{")
    assert served.setup({"schema": CONFIG}) == {"model_version": after}
    assert "the model has changed, and cannot be read yet: " in said.getvalue()
