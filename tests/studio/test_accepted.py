"""Accepted masks, marks in pixels, and the labelled set."""

import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from picie.annotation.cells import cells_of
from picie.annotation.events import Event, digest_of_image, new_event
from picie.annotation.log import append_events, change_names, read_annotations, undo
from picie.cli.app import main
from picie.data.folder import open_folder
from picie.data.images import read_image, upright_size
from picie.data.reading import Reading
from picie.errors import ConfigError, DataError
from picie.inference.segmenter import Segmenter, load
from picie.models.class_names import ClassNames, NamedClass, classes_text
from picie.runs import ACCEPTED_FOLDER, ANNOTATIONS_FILE
from picie.studio import accepted as module
from picie.studio.accepted import (
    Accepted,
    PaintedMask,
    labelled_set,
    painted,
    read_mask_file,
    write_mask,
)

NAMES = ClassNames(
    3,
    (NamedClass("sky", (0,)), NamedClass("road", (1,)), NamedClass("sign", (2,), ignore=True)),
)
NONE = 65535


class Place:
    """A run with names, photos that may be changed, and what the studio does with them."""

    def __init__(self, run: Path, photos: Path) -> None:
        self.run, self.photos = run, photos
        change_names(run, classes_text(NAMES), by="test")

    @property
    def model(self) -> Segmenter:
        return load(self.run)

    def history(self) -> Any:
        return read_annotations(self.run / ANNOTATIONS_FILE)

    def add(self, name: str, **values: Any) -> Event:
        folder = open_folder(self.photos, reading=Reading())
        photo = next(one for one in folder.photos if one.name == name)
        size, digest = upright_size(photo.path), digest_of_image(photo.path)
        event = new_event("test", image=name, size=size, digest=digest, **values)
        if event.act == "accept":
            Accepted(self.run, folder).keep(event, photo, self.model)
        append_events(self.run / ANNOTATIONS_FILE, [event])
        return event

    def mask(self, name: str) -> PaintedMask:
        folder = open_folder(self.photos, reading=Reading())
        return Accepted(self.run, folder).mask(self.history(), name)


@pytest.fixture
def place(runs: dict[str, Path], scenes: Path, tmp_path: Path) -> Place:
    photos = Path(shutil.copytree(scenes / "images", tmp_path / "photos"))
    return Place(Path(shutil.copytree(runs["default"], tmp_path / "run")), photos)


def by_title(mask: PaintedMask) -> NDArray[Any]:
    """(H, W) titles."""
    return np.array([*mask.titles, ""])[np.minimum(mask.ids, len(mask.titles))]


def predicted(place: Place, name: str) -> NDArray[Any]:
    model = place.model
    mask = model.predict(next(place.photos.glob(f"{name}.*")))
    titles = np.array([title if title in ("sky", "road") else "" for title in (*model.names, "")])
    found: NDArray[Any] = titles[mask]
    return found


def test_what_is_accepted_stays_as_it_was(place: Place) -> None:
    masks = {name: predicted(place, name) for name in [f"scene_000{n}" for n in range(9)]}
    name = max(masks, key=lambda name: len(np.unique(masks[name])))
    before = masks[name]
    assert len(np.unique(before)) > 1
    place.add(name, act="accept")
    np.testing.assert_array_equal(by_title(place.mask(name)), before)
    other = ClassNames(3, (NamedClass("sky", (1,)), NamedClass("road", (0,))))
    change_names(place.run, classes_text(other), by="test")
    assert (predicted(place, name) != before).any()
    np.testing.assert_array_equal(by_title(place.mask(name)), before)


def test_marks_are_drawn_over_it_before_and_after(place: Place) -> None:
    place.add("scene_0001", act="polygon", title="kerb", points=[[2, 2], [30, 2], [2, 30]])
    place.add("scene_0001", act="accept")
    place.add("scene_0001", act="box", title="sky", box=[5, 5, 12, 12])
    last = place.add("scene_0001", act="erase", points=[[4.5, 4.5]], radius=1)
    found = by_title(place.mask("scene_0001"))
    wanted = predicted(place, "scene_0001")
    down, across = np.mgrid[:48, :64] + 0.5
    kerb = (across > 2) & (down > 2) & (across + down < 32)
    wanted[kerb] = "kerb"
    wanted[5:12, 5:12] = "sky"
    hole = (across - 4.5) ** 2 + (down - 4.5) ** 2 <= 1
    wanted[hole] = predicted(place, "scene_0001")[hole]
    np.testing.assert_array_equal(found, wanted)
    assert undo(place.run).id == last.id
    assert by_title(place.mask("scene_0001"))[4, 4] == "kerb"


def test_undo_of_the_accepting_and_a_second_one(place: Place) -> None:
    first = place.add("scene_0001", act="accept")
    undo(place.run)
    with pytest.raises(DataError, match="was not accepted"):
        place.mask("scene_0001")
    before = predicted(place, "scene_0001")
    change_names(place.run, classes_text(ClassNames(3, (NamedClass("road", (0,)),))), by="test")
    second = place.add("scene_0001", act="accept")
    assert (by_title(place.mask("scene_0001")) != before).any()
    files = {path.stem for path in (place.run / ACCEPTED_FOLDER).iterdir()}
    assert files == {first.id, second.id}
    undo(place.run, of=second.id)
    undo_of_first = next(e for e in place.history().events if e.of == first.id)
    undo(place.run, of=undo_of_first.id)
    np.testing.assert_array_equal(by_title(place.mask("scene_0001")), before)


def test_a_class_that_is_renamed_is_renamed_in_accepted_masks(place: Place) -> None:
    place.add("scene_0001", act="accept")
    before = by_title(place.mask("scene_0001"))
    text = classes_text(NAMES).replace("road", "street")
    change_names(place.run, text, by="test", renamed=("road", "street"))
    after = by_title(place.mask("scene_0001"))
    np.testing.assert_array_equal(after, np.where(before == "road", "street", before))
    place.add("scene_0002", act="accept")  # with the new name
    made = labelled_set(place.run, place.photos, place.run / "set")
    assert made.classes == ("sky", "street")


def test_a_kill_leaves_an_accepting_with_its_mask_or_none(
    place: Place, kill_at: Callable[[int], AbstractContextManager[Any]]
) -> None:
    step, came = 0, True
    while came:
        with kill_at(step) as kill:
            place.add("scene_0003", act="accept")
        came, step = kill.came, step + 1
        accepts = [event for event in place.history().valid if event.act == "accept"]
        if accepts:
            assert place.mask("scene_0003").ids.shape == (48, 64)
    assert step > 3


def test_without_names_nothing_can_be_accepted(place: Place) -> None:
    change_names(place.run, "clusters = 3\n", by="test")
    with pytest.raises(ConfigError, match="no names"):
        place.add("scene_0001", act="accept")
    assert not (place.run / ACCEPTED_FOLDER).exists()


@pytest.mark.parametrize("titles", [("a", "b"), tuple(f"class {n}" for n in range(300))])
def test_a_mask_is_read_as_it_was_written(tmp_path: Path, titles: tuple[str, ...]) -> None:
    ids = np.arange(600).reshape(20, 30) % (len(titles) + 1)
    mask = PaintedMask(np.where(ids < len(titles), ids, NONE).astype(np.uint16), titles)
    write_mask(tmp_path / "a.png", mask)
    found = read_mask_file(tmp_path / "a.png")
    np.testing.assert_array_equal(found.ids, mask.ids)
    assert found.titles == titles


def test_damaged_masks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with pytest.raises(DataError, match="is gone; accept the photo again"):
        read_mask_file(path)
    path.write_bytes(b"no image")
    with pytest.raises(DataError, match="is damaged"):
        read_mask_file(path)
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(path)  # without titles
    with pytest.raises(DataError, match="is damaged"):
        read_mask_file(path)
    write_mask(path, PaintedMask(np.full((3, 4), 7, np.uint16), ("a", "b")))
    with pytest.raises(DataError, match="is damaged"):
        read_mask_file(path)


def test_an_event_that_was_written_by_hand_leads_nowhere(place: Place) -> None:
    line = {"id": "../../secret", "act": "accept", "image": "scene_0001", "size": [64, 48]}
    with (place.run / ANNOTATIONS_FILE).open("a") as file:
        file.write(json.dumps(line) + "\n")
    with pytest.raises(DataError, match="has no mask"):
        place.mask("scene_0001")


def marks() -> list[Event]:
    shape = {"image": "a", "size": (90, 70)}
    ring = [[[10, 10], [60, 12], [55, 60], [8, 50]], [[20, 20], [40, 20], [40, 40], [20, 40]]]
    return [
        new_event("t", act="stroke", title="a", points=[[3, 60], [80, 3]], radius=5.5, **shape),
        new_event("t", act="stroke", title="b", points=[[88, 68]], radius=0, **shape),
        new_event("t", act="segment", title="c", rings=ring, **shape),
        new_event("t", act="box", title="a", box=[70, 60, 90, 70], **shape),
        new_event("t", act="polygon", title="d", points=[[0, 0], [0.2, 0], [0, 0.2]], **shape),
        new_event("t", act="erase", points=[[30, 0], [30, 70]], radius=2, **shape),
    ]


def test_pixels_of_a_mark_are_those_of_its_geometry() -> None:
    blank = PaintedMask(np.full((70, 90), NONE, np.uint16), ())
    wanted = np.full((70, 90), "", "<U1")
    for event in marks():
        wanted[cells_of(event, (70, 90))] = event.title
        found = painted(blank, [event])
        covered = cells_of(event, (70, 90))
        drawn = by_title(found) != ""
        np.testing.assert_array_equal(drawn, covered & (event.act != "erase"))
    np.testing.assert_array_equal(by_title(painted(blank, marks())), wanted)
    assert wanted[0, 0] == "d"
    assert wanted[30, 28] == ""  # erased, and inside the hole anyway
    assert wanted[15, 40] == "c"
    assert painted(blank, []) is blank


def test_random_marks_are_drawn_alike() -> None:
    draws = np.random.default_rng(0)
    blank = PaintedMask(np.full((70, 90), NONE, np.uint16), ())
    for number in range(200):
        points = (draws.random((draws.integers(3, 9), 2)) * (90, 70)).tolist()
        act = ("stroke", "polygon")[number % 2]
        radius = {"radius": float(draws.random() * 9)} if act == "stroke" else {}
        event = new_event(
            "t", act=act, title="a", points=points, image="a", size=(90, 70), **radius
        )
        drawn = by_title(painted(blank, [event])) == "a"
        np.testing.assert_array_equal(drawn, cells_of(event, (70, 90)))


def test_a_large_area_is_filled_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    event = marks()[2]
    whole = cells_of(event, (700, 900))
    monkeypatch.setattr("picie.annotation.cells._MOST", 901 * 3)
    np.testing.assert_array_equal(cells_of(event, (700, 900)), whole)


# --- the labelled set


def test_evaluate_reads_the_labelled_set(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("scene_0001", "scene_0004"):
        place.add(name, act="accept")
    place.add("scene_0001", act="box", title="kerb", box=[0, 0, 9, 9])
    place.add("scene_0002", act="box", title="tree", box=[0, 0, 9, 9])  # not accepted
    out = tmp_path / "set"
    made = labelled_set(place.run, place.photos, out)
    assert (made.images, made.notes) == (2, ())
    assert made.classes == ("sky", "road", "kerb")
    assert (out / "classes.txt").read_text() == "sky\nroad\nkerb\n"
    files = {str(path.relative_to(out)) for path in out.rglob("*.*")}
    names = ("scene_0001", "scene_0004")
    assert files == {
        "classes.txt", *(f"images/{n}.jpg" for n in names), *(f"masks/{n}.png" for n in names)
    }  # fmt: skip
    for name in names:
        copy, original = out / "images" / f"{name}.jpg", place.photos / f"{name}.jpg"
        assert copy.read_bytes() == original.read_bytes()
    stored = np.array(Image.open(out / "masks" / "scene_0001.png"))
    titles = np.array(["sky", "road", "kerb", *[""] * 253])[stored]
    np.testing.assert_array_equal(titles, by_title(place.mask("scene_0001")))
    main(["evaluate", str(place.run), str(out), "--json", str(tmp_path / "scores.json")])
    capsys.readouterr()
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["accuracy"] > 90


@pytest.mark.parametrize("orientation", [3, 6, 7])
def test_masks_of_turned_photos_are_upright(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], orientation: int
) -> None:
    image = Image.open(place.photos / "scene_0001.jpg")
    exif = image.getexif()
    exif[274] = orientation
    path = place.photos / "turned.jpg"
    image.save(path, exif=exif.tobytes(), quality=95)
    place.add("turned", act="accept")
    height, width = read_image(path).shape[:2]
    place.add("turned", act="box", title="sky", box=[width - 9, 0, width, 5])
    out = tmp_path / "set"
    place.add("turned", act="box", title="road", box=[0, 0, 9, 5])
    labelled_set(place.run, place.photos, out)
    stored = np.array(Image.open(out / "masks" / "turned.png"))
    assert stored.shape == (height, width)
    assert (stored[:5, -9:] == 0).all()
    assert (stored[:5, :9] == 1).all()
    main(["evaluate", str(place.run), str(out), "--json", str(tmp_path / "scores.json")])
    capsys.readouterr()
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["accuracy"] > 0


def test_nothing_is_overwritten(place: Place, tmp_path: Path) -> None:
    place.add("scene_0001", act="accept")
    (tmp_path / "set").mkdir()
    with pytest.raises(ConfigError, match="exists already"):
        labelled_set(place.run, place.photos, tmp_path / "set")


def test_a_set_without_photos_is_an_error(place: Place, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no photo of .* was accepted"):
        labelled_set(place.run, place.photos, tmp_path / "set")
    assert list(tmp_path.glob("*set*")) == []
    assert list(tmp_path.glob(".part*")) == []


def test_what_cannot_be_used_is_left_out_and_named(place: Place, tmp_path: Path) -> None:
    for name in ("scene_0000", "scene_0001", "scene_0002", "scene_0003"):
        last = place.add(name, act="accept")
    shutil.copy(place.photos / "scene_0004.jpg", place.photos / "scene_0001.jpg")
    (place.photos / "scene_0002.jpg").unlink()
    (place.run / ACCEPTED_FOLDER / f"{last.id}.png").unlink()
    made = labelled_set(place.run, place.photos, tmp_path / "set")
    assert made.images == 1
    gone, changed, lost = made.notes
    assert "1 accepted photos are not in" in gone
    assert changed.startswith("scene_0001 is left out")
    assert "has changed since it was accepted" in changed
    assert lost.startswith("scene_0003 is left out")


def test_photos_of_one_name_and_in_folders_keep_their_masks(place: Place, tmp_path: Path) -> None:
    (place.photos / "deep").mkdir()
    shutil.copy(place.photos / "scene_0001.jpg", place.photos / "deep" / "one.jpg")
    Image.fromarray(read_image(place.photos / "scene_0005.jpg")).save(
        place.photos / "scene_0001.png"
    )
    for name in ("deep/one", "scene_0001.png"):
        place.add(name, act="accept")
    labelled_set(place.run, place.photos, tmp_path / "set")
    again = open_folder(tmp_path / "set", labelled=True)
    assert [photo.name for photo in again.photos] == ["deep/one", "scene_0001"]
    masks = [np.array(Image.open(photo.mask_file or "")) for photo in again.photos]
    wanted = [place.mask(name).ids for name in ("deep/one", "scene_0001.png")]
    for mask, ids in zip(masks, wanted, strict=True):
        np.testing.assert_array_equal(mask, np.minimum(ids, 255))


def test_pages_become_images_of_their_own(place: Place, tmp_path: Path) -> None:
    pages = [Image.open(place.photos / f"scene_000{n}.jpg") for n in (0, 1)]
    photos = tmp_path / "stack"
    photos.mkdir()
    pages[0].save(photos / "a.tif", save_all=True, append_images=pages[1:])
    folder = open_folder(photos, reading=Reading(pages="all"))
    second = folder.photos[1]
    event = new_event("test", act="accept", image=second.name, size=(64, 48))
    Accepted(place.run, folder).keep(event, second, place.model)
    append_events(place.run / ANNOTATIONS_FILE, [event])
    labelled_set(place.run, folder, tmp_path / "set")
    (photo,) = open_folder(tmp_path / "set", labelled=True).photos
    assert photo.name == "a_p002"
    np.testing.assert_array_equal(read_image(photo.path), np.array(pages[1]))


def test_too_many_classes_are_an_error(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.add("scene_0001", act="accept")
    for number in range(3):
        box = [number, 0, number + 1, 1]
        place.add("scene_0001", act="box", title=f"class {number}", box=box)
    monkeypatch.setattr(module, "_MOST_CLASSES", 4)
    with pytest.raises(ConfigError, match="more than 4 classes"):
        labelled_set(place.run, place.photos, tmp_path / "set")
    assert list(tmp_path.glob(".part*")) == []
