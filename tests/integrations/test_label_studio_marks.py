"""What people draw in Label Studio becomes areas of a history, or a sentence that says why not."""

import base64
import math
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from picie.annotation.cells import cells_of
from picie.annotation.events import Event
from picie.data.folder import Photo, open_folder
from picie.errors import ConfigError
from picie.export.formats.labelstudio import brush
from picie.integrations import label_studio_marks
from picie.integrations.label_studio_marks import marks_of_annotation

W, H = 64, 48
CLASSES = {"%24x": "$x"}
CENTRES = np.meshgrid(np.arange(W) + 0.5, np.arange(H) + 0.5)  # of pixels: x, y


@pytest.fixture
def photo(tmp_path: Path) -> Photo:
    Image.new("RGB", (W, H)).save(tmp_path / "one.png")
    [found] = open_folder(tmp_path).photos
    return found


def read(photo: Photo, *results: Any, **annotation: Any) -> tuple[list[Event], list[str]]:
    given = {"result": list(results)} | annotation
    return marks_of_annotation(given, photo, CLASSES, image="photo", by="test")


def drawn(kind: str, label: Any = "sky", **value: Any) -> dict[str, Any]:
    """A result as the browser sends it: the key of its labels is the name of its type."""
    sides = {"original_width": W, "original_height": H, "image_rotation": 0}
    return {
        "id": "a",
        "type": kind,
        "to_name": "photo",
        "value": {kind: [label], **value},
        **sides,
    }


def brushed(inside: NDArray[np.bool_], **changes: Any) -> dict[str, Any]:
    return drawn("brushlabels", format="rle", rle=list(brush(inside))) | changes


def bitmask(image: Image.Image, head: str = "data:image/png;base64,") -> dict[str, Any]:
    file = BytesIO()
    image.save(file, "PNG")
    return drawn("bitmasklabels", imageDataURL=head + base64.b64encode(file.getvalue()).decode())


def triangle(**value: Any) -> dict[str, Any]:
    return drawn("polygonlabels", points=[[0, 0], [100, 0], [0, 100]], **value)


def ball(row: int, column: int, radius: float) -> NDArray[np.bool_]:
    x, y = CENTRES
    inside: NDArray[np.bool_] = (x - 0.5 - column) ** 2 + (y - 0.5 - row) ** 2 <= radius**2
    return inside


def pixels(event: Event) -> NDArray[np.bool_]:
    return cells_of(event, (H, W))


# --- outlines


def test_polygons_are_in_per_cent_of_both_sides(photo: Photo) -> None:
    [mark], notes = read(photo, triangle(closed=True))
    x, y = CENTRES
    assert (mark.act, mark.title, mark.image, mark.size) == ("polygon", "sky", "one", (W, H))
    assert list(mark.points) == [(0, 0), (W, 0), (0, H)]
    assert np.array_equal(pixels(mark), x / W + y / H < 1)
    assert notes == []
    assert mark.digest


@pytest.mark.parametrize("angle", [0, 30, 205.5])
def test_rectangles_turn_around_their_first_corner(photo: Photo, angle: float) -> None:
    box = drawn("rectanglelabels", x=50, y=50, width=25, height=12.5, rotation=angle)
    [mark], _ = read(photo, box)
    x, y = CENTRES[0] - W / 2, CENTRES[1] - H / 2
    turn = math.radians(angle)
    along, across = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    assert np.array_equal(
        pixels(mark), (along > 0) & (along < W / 4) & (across > 0) & (across < H / 8)
    )


@pytest.mark.parametrize("angle", [0, 45, None])
def test_ellipses_turn_around_their_middle(photo: Photo, angle: float | None) -> None:
    oval = drawn("ellipselabels", x=50, y=50, radiusX=30, radiusY=15, rotation=angle)
    [mark], _ = read(photo, oval)
    x, y = CENTRES[0] - W / 2, CENTRES[1] - H / 2
    turn = math.radians(angle or 0)
    along, across = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    wanted = (along / (0.3 * W)) ** 2 + (across / (0.15 * H)) ** 2 < 1
    assert (pixels(mark) != wanted).sum() <= 2  # 128 corners are not quite round


def test_what_lies_outside_is_cut_off(photo: Photo) -> None:
    wide = drawn("polygonlabels", points=[[-100, 50], [50, -100], [200, 50], [50, 200]])
    concave = drawn("polygonlabels", points=[[50, 50], [150, 10], [110, 50], [150, 90]])
    bow = drawn("polygonlabels", points=[[10, 10], [90, 90], [90, 10], [10, 90]])
    corner = drawn("rectanglelabels", x=90, y=-5, width=20, height=30)
    beside = drawn("rectanglelabels", x=101, y=5, width=20, height=30)
    marks, notes = read(photo, wide, concave, bow, corner, beside)
    x, y = CENTRES[0] / W, CENTRES[1] / H
    assert pixels(marks[0]).all()
    assert np.array_equal(pixels(marks[1]), (x > 0.5) & (abs(y - 0.5) < (x - 0.5) * 0.4))
    assert np.array_equal(pixels(marks[2]), (abs(y - 0.5) < abs(x - 0.5)) & (abs(x - 0.5) < 0.4))
    assert np.array_equal(pixels(marks[3]), (x > 0.9) & (y < 0.25))
    assert notes == [
        "one: a result is left out: there is nothing in it, or it lies outside of the image"
    ]


# --- masks


def test_what_people_paint_in_the_browser_is_read(photo: Photo) -> None:
    """Its streams have other widths, lists of values, and edges that are half transparent."""
    alpha = (ball(20, 30, 12) * 255).astype(np.uint8)
    alpha[20, 42:44], alpha[20, 44:46] = 128, 127
    values = np.repeat(alpha.ravel(), 4).tolist()
    bits = f"{len(values):032b}{7:05b}" + "".join(f"{width - 1:04b}" for width in (3, 4, 8, 16))
    for start in range(0, len(values), 200):  # lists of up to 200 values, or one that repeats
        part = values[start : start + 200]
        if len(set(part)) == 1:
            bits += f"110{len(part) - 1:08b}{part[0]:08b}"
        else:
            bits += f"010{len(part) - 1:08b}" + "".join(f"{value:08b}" for value in part)
    data = [int(bits[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(bits), 8)]
    [mark], _ = read(photo, drawn("brushlabels", format="rle", rle=data))
    assert np.array_equal(pixels(mark), alpha >= 128)


def test_bitmasks_are_the_opacity_of_a_png(photo: Photo) -> None:
    inside = ball(20, 30, 12) & ~ball(20, 30, 5)
    black = np.zeros((H, W, 4), np.uint8)
    black[..., 3] = np.where(inside, 128, 127)
    [mark], notes = read(photo, bitmask(Image.fromarray(black)))
    assert (mark.act, notes) == ("segment", [])
    assert np.array_equal(pixels(mark), inside)


def test_masks_of_many_corners_become_coarser(
    photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_studio_marks, "_MOST_POINTS", 100)
    dots = np.zeros((H, W), np.bool_)
    dots[::3, ::3] = True
    [mark], _ = read(photo, brushed(dots | ball(9, 9, 9)))
    assert 0 < sum(map(len, mark.rings)) <= 100
    _, [note] = read(photo, drawn("polygonlabels", points=[[n, n] for n in range(101)]))
    assert "more than 100 corners" in note


# --- labels, and what is left out


def test_labels_may_stand_apart_from_the_tool(photo: Photo) -> None:
    """By the setting of the project that is one result with the labels beside, or two of one id."""
    points = [[0, 0], [50, 0], [0, 50]]
    bare = drawn("polygon", points=points)
    del bare["value"]["polygon"]
    merged = drawn("polygon", points=points, labels=["road"])
    del merged["value"]["polygon"]
    named = drawn("labels", "%24x", points=points)
    marks, notes = read(photo, bare, named, merged | {"id": "b"})
    assert [mark.title for mark in marks] == ["$x", "road"]
    assert notes == []
    assert read(photo, bare)[1] == [
        "one: a result is left out: it has no label; give it one, and submit it again"
    ]


def test_the_order_of_regions_stays(photo: Photo) -> None:
    below, above = brushed(ball(20, 20, 15)), triangle()
    above["value"]["polygonlabels"] = ["lake"]
    assert [mark.title for mark in read(photo, below, above)[0]] == ["sky", "lake"]
    assert [mark.title for mark in read(photo, above, below)[0]] == ["lake", "sky"]


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (brushed(ball(9, 9, 5), original_width=65), "an image of (65, 48), not 64 x 48"),
        (brushed(ball(9, 9, 5), image_rotation=90), "turn it back"),
        (brushed(ball(9, 9, 5), to_name="other"), "another image of the task, 'other'"),
        (brushed(np.zeros((H, W), np.bool_)), "nothing in it"),
        (drawn("brushlabels", format="rle", rle=[1]), "the end is missing"),
        (drawn("brushlabels", format="rle", rle=[256]), "no list of bytes"),
        (drawn("brushlabels", format="rle", rle=["a"]), "no list of bytes"),
        (drawn("brushlabels", format="rle", rle="abc"), "no list of bytes"),
        (drawn("brushlabels", format="rle", rle=9), "no list of bytes"),
        (drawn("brushlabels", format="coco", rle=[0] * 9), "the format 'coco', not 'rle'"),
        (drawn("brushlabels", format="rle", rle=[0] * 9), "another size"),
        (drawn("brushlabels", rle=[], brushlabels=[]), "it has no label"),
        (drawn("brushlabels", "cluster 3", rle=[]), "'cluster 3' is reserved"),
        (bitmask(Image.new("RGBA", (W, H + 1))), "a mask of another size"),
        (bitmask(Image.new("RGBA", (W, H))), "nothing in it"),
        (bitmask(Image.new("L", (1, 1)), "data:image/webp;base64,"), "no PNG, but 'data:image/w"),
        (drawn("bitmasklabels", imageDataURL="data:image/png;base64,AAAA"), "cannot be read"),
        (drawn("bitmasklabels", imageDataURL=7), "no PNG, but '7'"),
        (triangle(closed=False), "its outline is open; close it"),
        (triangle(labels=["wet"]), "it has the labels 'sky', 'wet'; give it one"),
        (drawn("polygonlabels", points=[[1, 2], [3, 4]]), "fewer than three corners"),
        (drawn("polygonlabels", points={"a": 1}), "fewer than three corners"),
        (drawn("polygonlabels", points=[[1, 2], [3, 4], [5]]), "no pairs of numbers"),
        (drawn("polygonlabels", points=[[1, 2], [3, 4], [5, math.nan]]), "no numbers"),
        (drawn("polygonlabels", points=[[1, 2], [3, 4], [5, "6"]]), "no numbers"),
        (drawn("polygonlabels", points=[[1, 2], [3, 4], [5, 1e300]]), "no numbers"),
        (drawn("polygonlabels", points=[[1, 2]] * 3), "nothing in it"),
        (drawn("rectanglelabels", x=1, y=2, width=0, height=3), "nothing in it"),
        (drawn("rectanglelabels", x=1, width=9, height=3), "no numbers"),
        (drawn("ellipselabels", x=1, y=2, radiusX=3, radiusY=4, rotation="a"), "no numbers"),
        (drawn("keypointlabels", x=1, y=2, width=0.2), "'keypointlabels' is no brush, bitmask"),
        (drawn("vectorlabels", vertices=[]), "'vectorlabels' is no brush, bitmask, polygon"),
        (drawn("textarea", x=1, y=2, width=3, height=4), "'textarea' is no brush"),
        ({"type": "relation", "from_id": "a", "to_id": "b"}, "'relation' is no brush"),
        ({"type": ["a"], "value": {"rle": []}}, "['a'] is no brush"),
        ("text", "it is no object"),
    ],
)
def test_results_that_are_no_areas_are_told(photo: Photo, bad: Any, problem: str) -> None:
    [mark], [note] = read(photo, bad, brushed(ball(9, 9, 5)))
    assert mark.title == "sky"
    assert note.startswith("one: a result is left out: ")
    assert problem in note


def test_like_results_are_told_together(photo: Photo) -> None:
    answers = [{"id": n, "type": "choices", "value": {"choices": ["wet"]}} for n in range(3)]
    assert read(photo, *answers)[1] == [
        "one: 3 results are left out: 'choices' is no brush, bitmask, polygon, rectangle or ellipse"
    ]


def test_results_are_a_list(photo: Photo) -> None:
    assert read(photo, result=None) == ([], [])
    assert read(photo, result=[]) == ([], [])
    for wrong in (7, {"a": 1}, "abc"):
        with pytest.raises(ConfigError, match=r"annotation: result = .*; give a list"):
            read(photo, result=wrong)
