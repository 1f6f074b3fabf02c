"""Lines of annotations.jsonl: what is read, what is refused, and what is written again."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from picie.annotation.events import Event, digest_of_image, new_event, parse_event
from picie.errors import ConfigError

IMAGE = {"image": "street/0001", "size": [480, 360], "digest": "9f86d081884c7d65"}
LINES: dict[str, dict[str, Any]] = {
    "stroke": IMAGE | {"class": "road", "points": [[10, 200.5], [40, 210]], "radius": 3},
    "polygon": IMAGE | {"class": "sky", "points": [[0, 0], [480, 0], [480, 90]]},
    "box": IMAGE | {"class": "car", "box": [300, 220, 340, 250]},
    "segment": IMAGE | {"class": "tree", "rings": [[[10, 10], [90, 10], [90, 80]]]},
    "cluster": IMAGE | {"class": "road", "point": [20, 340]},
    "erase": IMAGE | {"points": [[30, 205]], "radius": 8},
    "accept": IMAGE,
    "audit": IMAGE
    | {"point": [33, 70], "predicted": "sky", "right": False, "class": "tree"}
    | {"model": "5d41402abc4b2a76"},
    "names": {"before": "", "after": "0a1b2c3d4e5f6789", "changes": ["cluster 3: road"]},
    "undo": {"of": "0001"},
}
DESCRIPTIONS = {
    "stroke": "stroke of road in street/0001",
    "polygon": "polygon of sky in street/0001",
    "box": "box of car in street/0001",
    "segment": "segment of tree in street/0001",
    "cluster": "cluster in street/0001: road",
    "erase": "eraser in street/0001",
    "accept": "mask of street/0001 accepted",
    "audit": "audit answer in street/0001",
    "names": "names: cluster 3: road",
    "undo": "undo of 0001",
}


def line(act: str) -> dict[str, Any]:
    common = {"id": "8f3a", "time": "2026-01-31T09:12:44Z", "by": "studio", "act": act}
    return copy.deepcopy(common | LINES[act])


@pytest.mark.parametrize("act", LINES)
def test_each_act_comes_back_as_it_was_written(act: str) -> None:
    event = parse_event(line(act), "here")
    assert json.dumps(event.to_json()) == json.dumps(line(act))  # also the order of its keys
    assert parse_event(event.to_json(), "here") == event
    assert event.description == DESCRIPTIONS[act]


def test_a_line_by_hand_may_be_short() -> None:
    short = {"id": "x", "act": "stroke", "image": "a", "size": [4, 3], "class": "road"}
    event = parse_event(short | {"points": [[1, 2]]}, "here")
    assert event == Event(
        "x", "stroke", "", "hand", "a", (4, 3), title="road", points=((1.0, 2.0),)
    )
    more = short | {"points": [[1, 2]], "colour": "red"}
    assert parse_event(more, "here") == event
    assert parse_event(short | {"class": "ignore", "points": [[4, 3]]}, "here").title == "ignore"


def test_an_audit_answer_needs_no_class() -> None:
    answer = line("audit") | {"right": True, "class": ""}
    assert parse_event(answer, "here").title == ""
    del answer["class"]
    assert parse_event(answer, "here").right


def test_names_changed_by_hand_say_so_and_long_lists_are_cut() -> None:
    assert Event("x", "names").description == "names: changed by hand"
    many = Event("x", "names", changes=("a", "b", "c", "d", "e"))
    assert many.description == "names: a; b; c and 2 more"


@pytest.mark.parametrize(
    ("act", "change", "message"),
    [
        ("accept", {"act": "lasso"}, "here: act = 'lasso'; give one of stroke, polygon, box, segm"),
        ("accept", {"act": ["box"]}, "here: act = ['box']; give one of"),
        ("accept", {"id": ""}, "here: id = ''; give text, or remove the line"),
        ("accept", {"image": 7}, "here: image = 7; give text"),
        ("accept", {"time": 7}, "here: time = 7; give text"),
        ("accept", {"size": [480, 0]}, "size = [480, 0]; give [width, height] in whole pixels"),
        ("accept", {"size": [480.5, 9]}, "size = [480.5, 9]; give"),
        ("accept", {"size": [True, 9]}, "size = [True, 9]; give"),
        ("stroke", {"class": ""}, "class = ''; give text"),
        ("stroke", {"class": " road"}, "the name ' road' begins or ends with a space"),
        ("stroke", {"class": "cluster 7"}, "'cluster 7' is reserved"),
        ("stroke", {"points": []}, "points = []; give a list of 1 to 10000 points [x, y]"),
        ("polygon", {"points": [[0, 0], [1, 1]]}, "give a list of 3 to 100000 points"),
        ("stroke", {"points": [[0, 0, 0]]}, "points = [[0, 0, 0]]; give a list"),
        ("stroke", {"points": [[0, 1]] * 10_001}, "give a list of 1 to 10000 points"),
        ("stroke", {"points": [[0, float("nan")]]}, "points = [[0, nan]]; give"),
        ("stroke", {"points": [[0, 10**400]]}, "give a list of"),
        ("stroke", {"points": [[0, True]]}, "give a list of"),
        ("stroke", {"points": [[0, 361]]}, "here: the point (0, 361) is outside the image (480 x"),
        ("stroke", {"points": [[-0.5, 0]]}, "the point (-0.5, 0) is outside the image"),
        ("segment", {"rings": [[[0, 0], [481, 0], [5, 5]]]}, "the point (481, 0) is outside"),
        ("segment", {"rings": [[[0, 0]]]}, "give lists of 3 or more points, 100000 in all"),
        ("segment", {"rings": [[[0, 0]] * 60_000] * 2}, "give lists of 3 or more points, 100000"),
        ("segment", {"rings": []}, "rings = []; give lists of 3 or more"),
        ("stroke", {"radius": -1}, "radius = -1; give 0 to 480, the longer side in pixels"),
        ("erase", {"radius": 481}, "radius = 481; give 0 to 480"),
        ("box", {"box": [1, 2, 3]}, "box = [1, 2, 3]; give 4 numbers in [ ]"),
        ("box", {"box": [0, 0, 500, 9]}, "the point (500, 9) is outside"),
        ("audit", {"right": 1}, "right = 1; give true or false"),
        ("audit", {"predicted": None}, "predicted = None; give text"),
        ("names", {"changes": "road"}, "changes = 'road'; give a list of texts"),
        ("names", {"changes": [1]}, "changes = [1]; give a list of texts"),
        ("undo", {"of": ""}, "of = ''; give text"),
    ],
)
def test_what_cannot_be_is_named(act: str, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_event(line(act) | change, "here")
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("act", LINES)
def test_what_is_missing_is_named(act: str) -> None:
    optional = {
        "time",
        "by",
        "digest",
        "radius",
        "before",
        "after",
        "changes",
        "predicted",
        "model",
    }
    for key in line(act):
        short = line(act)
        del short[key]
        if key in optional or (act, key) == ("audit", "class"):
            parse_event(short, "here")
            continue
        with pytest.raises(ConfigError, match=f"here: has no {key}; give "):
            parse_event(short, "here")


@pytest.mark.parametrize("values", [[1], "text", None, 7])
def test_only_objects_are_events(values: Any) -> None:
    with pytest.raises(ConfigError, match="here: is not a JSON object; correct or remove the line"):
        parse_event(values, "here")


def test_values_of_all_kinds_are_taken_or_refused(wrong_values: list[Any]) -> None:
    for act in LINES:
        for key in line(act):
            for value in [*wrong_values, [wrong_values], [[value] for value in wrong_values]]:
                try:
                    event = parse_event(line(act) | {key: value}, "here")
                except ConfigError as error:
                    assert len(str(error)) < 1_000  # noqa: PT017 (either may happen)
                else:
                    json.dumps(event.to_json(), allow_nan=False)


def test_new_events_have_ids_and_times_and_are_checked() -> None:
    points = ((1.5, 2.0), (3.0, 4.0))
    first = new_event("me", act="stroke", image="a", size=(9, 9), title="road", points=points)
    assert (first.by, first.title, first.points, first.radius) == ("me", "road", points, 0.0)
    assert first.time.endswith("Z")
    assert new_event("me", act="undo", of="x").id != new_event("me", act="undo", of="x").id
    with pytest.raises(ConfigError, match="annotation by me: has no image"):
        new_event("me", act="accept")


def test_the_lines_of_the_docs_are_events() -> None:
    page = Path(__file__).parents[2] / "docs" / "annotations.md"
    lines = [text for text in page.read_text(encoding="utf-8").splitlines() if text[:1] == "{"]
    events = [parse_event({"id": "x"} | json.loads(text), "docs") for text in lines]
    assert {event.act for event in events} == set(LINES)


def test_digests_of_images(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"test")
    assert digest_of_image(path) == "9f86d081884c7d65"
    assert digest_of_image(tmp_path) == digest_of_image(tmp_path / "gone") == ""


def test_the_new_name_of_a_class_is_part_of_a_change_of_names() -> None:
    event = new_event("t", act="names", before="a", after="b", renamed=["car", "bus"])
    assert event.renamed == ("car", "bus")
    assert parse_event(event.to_json(), "x") == event
    assert "renamed" not in new_event("t", act="names", before="a", after="b").to_json()
    for wrong in (3, ["a"], ["a", 3], ["a", ""], ["a", " b"]):
        with pytest.raises(ConfigError):
            new_event("t", act="names", before="a", after="b", renamed=wrong)
