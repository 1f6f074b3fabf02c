"""The workspace: every act is one event that others read, undo, and see at once."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import picie
from picie.annotation.events import Event
from picie.annotation.log import read_annotations
from picie.annotation.teach import annotated, teach
from picie.data.folder import open_folder
from picie.errors import ConfigError, DataError, ModelError, PicieError
from picie.inference.segmenter import Segmenter, load
from picie.models.class_names import read_classes
from picie.runs import TAUGHT_FOLDER
from picie.studio.photos import Photos
from picie.studio.work import REST, Worker
from picie.studio.workspace import Workspace
from picie.visualization.palette import palette
from picie.visualization.thumbnails import colour_code

NEWS = list[tuple[str, dict[str, Any]]]


class Desk:
    """A workspace, and what it has told the pages."""

    def __init__(self, run: Path, photos: Path, split: str = "train") -> None:
        self.run, self.news, self.worker = run, NEWS(), Worker()
        listed = Photos(open_folder(photos, split), run / "studio")
        self.space = Workspace(run, listed, self.worker, self._note)

    def _note(self, kind: str, data: Mapping[str, Any]) -> None:
        self.news.append((kind, dict(data)))

    def act(self, act: str, **values: Any) -> dict[str, Any]:
        """Do something, and check that the answer is JSON."""
        answer: dict[str, Any] = json.loads(json.dumps(self.space.act({"act": act, **values}, "p")))
        assert answer["state"] == json.loads(json.dumps(self.space.state()))
        return answer

    def name(self, node: int, title: str) -> dict[str, Any]:
        """Name a node."""
        return self.act("name", node=node, title=title)

    def stroke(self, title: str, photo: int = 0, **changes: Any) -> dict[str, Any]:
        """Draw a stroke."""
        points = [[8, 8], [30, 20.5]]
        return self.act(
            "stroke", **{"photo": photo, "title": title, "points": points, "radius": 6} | changes
        )

    def classes(self) -> dict[str, dict[str, Any]]:
        """The classes of the state by name."""
        return {one["name"]: one for one in self.space.state()["classes"]}

    def wait(self, *states: str) -> dict[str, Any]:
        """The state, once learning is settled or off."""
        until = time.monotonic() + 60
        while self.space.state()["head"]["state"] not in (states or ("settled", "none")):
            assert time.monotonic() < until
            time.sleep(0.01)
        return self.space.state()

    def end(self) -> None:
        """End its threads."""
        self.space.stop()
        self.worker.stop()


@pytest.fixture
def run(runs: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of a run."""
    return Path(shutil.copytree(runs["default"], tmp_path / "run"))


@pytest.fixture
def opened(run: Path, scenes: Path) -> Iterator[Callable[..., Desk]]:
    """Opens workspaces."""
    every: list[Desk] = []

    def make(folder: Path = run, photos: Path = scenes, split: str = "train") -> Desk:
        every.append(Desk(folder, photos, split))
        return every[-1]

    yield make
    for desk in every:
        desk.end()


@pytest.fixture
def desk(opened: Callable[..., Desk]) -> Desk:
    """An open workspace."""
    return opened()


def test_the_model_is_told_once(desk: Desk) -> None:
    info = json.loads(json.dumps(desk.space.model_info()))
    tree = desk.space.model.network.trees[0]
    assert (info["centroids"], info["trained"], info["taught"]) == (8, 3, None)
    assert info["tree"] == [[int(a), int(b), h] for a, b, h in tree.tolist()]
    assert len(info["node_colours"]) == 15
    assert len(set(info["palette"])) == 64
    assert 3 <= info["suggested"] <= 8
    assert [row[number] for number, row in enumerate(info["alike"])] == [100] * 8


def test_a_name_is_written_as_a_node_with_the_colour_on_screen(desk: Desk) -> None:
    answer = desk.name(9, "road")
    assert answer["said"] == ["node 9: road"]
    (one,) = read_classes(desk.run / "classes.toml").classes
    assert (one.name, one.clusters, one.nodes) == ("road", (), (9,))
    assert one.colour == desk.space.node_colours[9]
    assert desk.classes()["road"]["nodes"] == [9]
    assert answer["state"]["undo"] == "names: node 9: road"
    assert answer["event"] == desk.space.annotations.events[-1].id
    assert desk.news[-1] == ("state", {"end": 1, "page": "p"})
    assert load(desk.run).names[0] == "road"


def test_picie_name_undoes_what_the_studio_did_and_comments_stay(desk: Desk) -> None:
    path = desk.run / "classes.toml"
    text = 'clusters = 3\n\n# the street\n[[classes]]\nname = "road"  # grey\nclusters = [1]\n'
    path.write_text(text)
    desk.name(0, "car")
    assert "# the street\n" in path.read_text()
    assert "# grey" in path.read_text()
    picie.name(desk.run, undo=True)
    assert path.read_text() == text


def test_clusters_of_an_old_file_hold_at_another_cut(
    opened: Callable[..., Desk], run: Path
) -> None:
    picie.name(run, {"0": "road", "2": "ignore"})
    before = picie.load(run).centroid_ids.tolist()
    desk = opened()
    shown = desk.classes()
    assert shown["road"]["colour"] == colour_code(palette(1)[0])  # as in masks
    assert shown["ignore"]["ignore"]
    state = desk.act("cut", clusters=5)["state"]
    assert state["clusters"] == 5
    assert read_classes(run / "classes.toml").clusters == 5
    after = picie.load(run)
    assert [i == 0 for i in after.centroid_ids.tolist()] == [i == 0 for i in before]
    assert desk.classes()["road"] == shown["road"]
    with pytest.raises(ConfigError, match="2 to 8 clusters"):
        desk.act("cut", clusters=9)


def test_a_class_keeps_its_colour_whatever_comes_after(desk: Desk) -> None:
    desk.name(0, "a")
    desk.stroke("bird")
    colours = {name: one["colour"] for name, one in desk.classes().items()}
    desk.name(14, "everything")
    desk.name(0, "a")
    desk.name(1, "b")
    desk.act("cut", clusters=7)
    desk.stroke("crow", 1)
    desk.name(2, "bird")
    now = {name: one["colour"] for name, one in desk.classes().items()}
    assert {name: now[name] for name in colours} == colours
    assert len(set(now.values())) == len(now) == 5
    assert desk.classes()["bird"]["nodes"] == [2]


def test_all_acts_on_names(desk: Desk) -> None:
    desk.act("name", nodes=[0, 1, 1], title="thing")
    assert sorted(desk.classes()["thing"]["leaves"]) == [0, 1]
    desk.act("unname", node=1)
    assert desk.classes()["thing"]["leaves"] == [0]
    desk.act("colour", title="thing", colour="#102030")
    assert desk.classes()["thing"]["colour"] == "#102030"
    desk.name(2, "ignore")
    assert desk.classes()["ignore"]["ignore"]
    desk.act("clear", title="thing")
    assert list(desk.classes()) == ["ignore"]
    for _ in range(5):
        desk.act("undo")
    assert desk.classes() == {}
    with pytest.raises(ConfigError, match="nothing to undo"):
        desk.act("undo")
    for _ in range(4):
        desk.act("redo")
    assert set(desk.classes()) == {"thing", "ignore"}
    state = desk.space.state()
    assert (state["end"], state["acts"]) == (14, 14)
    assert state["redo"] == "names: removed class 'thing'"


def test_a_new_name_takes_the_marks_of_the_class_with_it(desk: Desk) -> None:
    desk.name(0, "car")
    desk.stroke("car")
    desk.stroke("bird", 1)
    desk.wait()
    colours = {name: one["colour"] for name, one in desk.classes().items()}
    desk.act("rename", title="car", to="vehicle")
    assert desk.classes()["vehicle"] == desk.classes()["vehicle"] | {
        "nodes": [0],
        "colour": colours["car"],
    }
    assert [event.title for event in desk.space.annotations.marks] == ["vehicle", "bird"]
    answer = desk.act("rename", title="bird", to="crow")
    assert answer["state"]["extra"] == ["crow"]
    assert desk.classes()["crow"]["colour"] == colours["bird"]
    assert desk.wait()["extra"] == ["crow"]
    taught = load(desk.run).taught(annotated(desk.run, desk.space.photos.folder))
    assert {"vehicle", "crow"} <= set(taught.names)
    assert not {"car", "bird"} & set(taught.names)
    answer = desk.act("undo")
    assert answer["state"]["extra"] == ["bird"]
    desk.act("undo")
    assert [event.title for event in desk.space.annotations.marks] == ["car", "bird"]
    assert {name: one["colour"] for name, one in desk.classes().items()} == colours


def test_the_new_name_of_another_class_makes_one_of_both(desk: Desk) -> None:
    desk.name(0, "car")
    desk.name(1, "truck")
    desk.stroke("truck")
    desk.act("rename", title="truck", to="car")
    assert desk.classes()["car"]["leaves"] == [0, 1]
    assert list(desk.classes()) == ["car"]
    desk.act("undo")
    assert set(desk.classes()) == {"car", "truck"}


def test_marks_of_all_kinds_are_events(desk: Desk) -> None:
    desk.stroke("a", points=[[-5, 10], [70, 48.5]])  # is moved into the photo
    desk.act("polygon", photo=1, title="a", points=[[1, 1], [9, 1], [5, 9]])
    desk.act("box", photo=1, title="b", box=[5, 5, 90, 20])
    desk.act("segment", photo=2, title="b", rings=[[[1, 1], [9, 1], [5, 9]]])
    desk.act("erase", photo=2, points=[[5, 5]], radius=2)
    desk.act("accept", photo=3)
    events = read_annotations(desk.run / "annotations.jsonl").events
    acts: list[str] = [event.act for event in events]
    assert acts == ["stroke", "polygon", "box", "segment", "erase", "accept"]
    assert list(events[0].points) == [(0, 10), (64, 48)]
    assert list(events[2].points) == [(5, 5), (64, 20)]
    assert {event.by for event in events} == {"studio"}
    state = desk.space.state()
    assert state["touched"] == {0: 1, 1: 2, 2: 1}
    assert state["accepted"] == [3]
    assert [one["name"] for one in state["classes"]] == ["a", "b"]
    assert desk.wait()["head"]["marks"] == 3  # of the segment, the eraser has left nothing


def test_accepting_is_told_before_it_is_recorded(desk: Desk) -> None:
    def refuse(event: Event) -> None:
        assert event.act == "accept"
        raise DataError("the disk is full")

    desk.space.accepting = refuse
    with pytest.raises(DataError, match="full"):
        desk.act("accept", photo=3)
    assert desk.space.state()["end"] == 0


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"act": "dance"}, "there is no such act"),
        ({}, "there is no such act"),
        ({"act": ["name"]}, "there is no such act"),
        ({"act": "name", "title": "a"}, "node = None; give a number"),
        ({"act": "name", "node": 99, "title": "a"}, "there is no node 99"),
        ({"act": "name", "node": True, "title": "a"}, "give a number"),
        ({"act": "name", "nodes": [], "title": "a"}, "one or more nodes"),
        ({"act": "name", "nodes": [{}], "title": "a"}, "give a number"),
        ({"act": "name", "node": 1, "title": ""}, "give text"),
        ({"act": "name", "node": 1, "title": "cluster 3"}, "is reserved"),
        ({"act": "name", "node": 14, "title": "ignore"}, "every cluster is ignored"),
        ({"act": "unname", "node": 1}, "has no name"),
        ({"act": "rename", "title": "a", "to": "b"}, "there is no class 'a'"),
        ({"act": "colour", "title": "a", "colour": "#000000"}, "there is no class 'a'"),
        ({"act": "colour", "title": "a", "colour": "red"}, "is not a colour"),
        ({"act": "clear", "title": "a"}, "no such class"),
        ({"act": "cut", "clusters": 1}, "2 to 8"),
        ({"act": "cut", "clusters": "5"}, "give a number"),
        ({"act": "undo", "of": "123"}, "there is no event"),
        ({"act": "redo"}, "nothing to redo"),
        ({"act": "stroke", "photo": 99, "title": "a"}, "there is no photo 99"),
        ({"act": "stroke", "photo": 0, "title": "a"}, "points"),
        ({"act": "stroke", "photo": 0, "title": "a", "points": [[1, "2"]]}, "points"),
        ({"act": "stroke", "photo": 0, "points": [[1, 2]]}, "title = None"),
        ({"act": "stroke", "photo": 0, "title": "a", "points": [[1, 2]], "radius": -1}, "radius"),
        ({"act": "box", "photo": 0, "title": "a", "box": [1, 2]}, "4 numbers"),
        ({"act": "segment", "photo": 0, "title": "a", "rings": 3}, "lists of 3"),
        ({"act": "segment", "photo": 0, "title": "a", "rings": [3]}, "lists of 3"),
        ({"act": "polygon", "photo": 0, "title": "a", "points": [[1, 2]]}, "points"),
    ],
)  # fmt: skip
def test_values_that_cannot_be_used_change_nothing(
    desk: Desk, values: dict[str, Any], problem: str
) -> None:
    with pytest.raises(PicieError, match=problem):
        desk.space.act(values)
    assert desk.space.state()["end"] == 0
    assert not (desk.run / "annotations.jsonl").exists()
    assert not (desk.run / "classes.toml").exists()


def test_ignore_is_no_class_to_rename(desk: Desk) -> None:
    desk.name(0, "ignore")
    desk.name(1, "a")
    for values in ({"title": "ignore", "to": "b"}, {"title": "a", "to": "ignore"}):
        with pytest.raises(ConfigError, match="ignore"):
            desk.act("rename", **values)
    with pytest.raises(ConfigError, match="has this name already"):
        desk.act("rename", title="a", to="a")


def test_an_act_that_is_sent_twice_is_done_once(desk: Desk) -> None:
    first = desk.space.act({"act": "name", "node": 0, "title": "a", "key": "17"})
    again = desk.space.act({"act": "name", "node": 0, "title": "a", "key": "17"})
    assert first["event"] == again["event"]
    assert desk.space.state()["end"] == 1


def test_what_other_processes_do_is_noticed(desk: Desk) -> None:
    desk.name(0, "a")
    picie.name(desk.run, {"1": "b"})
    until = time.monotonic() + 20
    while "b" not in desk.classes():
        assert time.monotonic() < until
        time.sleep(0.05)
    assert desk.news[-1] == ("state", {"end": 2, "page": ""})
    (desk.run / "classes.toml").write_text("no names")
    while not desk.space.state()["problems"]:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert set(desk.classes()) == {"a", "b"}  # the last good ones
    with pytest.raises(ConfigError, match=r"classes\.toml"):
        desk.name(2, "c")
    desk.stroke("a")
    desk.act("undo")
    assert desk.act("undo")["state"]["problems"] == []
    assert "changed by hand" in desk.space.state()["redo"]


def test_two_writers_lose_nothing(desk: Desk, run: Path) -> None:
    def write(node: int) -> None:
        picie.name(run, {f"n{node}": f"other {node}"})

    threads = [threading.Thread(target=write, args=(node,)) for node in (4, 5)]
    for thread in threads:
        thread.start()
    for node in range(3):
        desk.name(node, f"own {node}")
    for thread in threads:
        thread.join()
    desk.stroke("own 0")
    assert set(desk.classes()) == {"own 0", "own 1", "own 2", "other 4", "other 5"}
    assert desk.space.annotations.problems == ()


def test_a_second_start_shows_the_same(opened: Callable[..., Desk]) -> None:
    desk = opened()
    desk.name(0, "a")
    desk.stroke("bird")
    desk.stroke("a", 1)
    first = desk.wait()
    desk.end()
    again = opened().wait()
    first["head"].pop("version")
    again["head"].pop("version")
    assert again == first


def test_questions_follow_names(desk: Desk) -> None:
    asked = desk.space.state()["questions"]
    assert {one["node"] for one in asked} == set(range(8))
    assert all(one["share"] is None for one in asked)
    desk.name(9, "road")
    asked = desk.space.state()["questions"]
    assert asked[-1]["name"] == "road"
    assert list(asked[-1]["children"]) == [int(n) for n in desk.space.model_info()["tree"][1][:2]]


def test_seconds_leave_out_the_breaks(desk: Desk) -> None:
    lines = [
        {"act": "names", "id": str(number), "time": f"2026-01-31T{time}Z", "by": "x"}
        for number, time in enumerate(["09:00:00", "09:01:00", "12:00:00", "12:00:30"])
    ]
    (desk.run / "annotations.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    until = time.monotonic() + 20
    while desk.space.state()["acts"] < 4:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert desk.space.state()["seconds"] == 90


def test_a_model_that_was_replaced_is_refused(desk: Desk, runs: dict[str, Path]) -> None:
    path = desk.run / "model.safetensors"
    path.unlink()
    shutil.copy(runs["default"] / "model.safetensors", path)
    with pytest.raises(ModelError, match="has replaced the model; start the studio again"):
        desk.name(0, "a")


def test_a_photo_that_is_gone_is_a_problem(
    opened: Callable[..., Desk], tmp_path: Path, scenes: Path
) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(scenes / "images", photos)
    desk = opened(photos=photos, split="")
    desk.space.photos.folder.photos[1].path.unlink()
    with pytest.raises(DataError, match="scene_0001"):
        desk.stroke("a", 1)
    assert desk.space.state()["end"] == 0


def test_the_run_of_a_taught_model_is_opened_instead(
    opened: Callable[..., Desk], run: Path, scenes: Path, tmp_path: Path
) -> None:
    desk = opened()
    desk.name(0, "a")
    desk.stroke("a")
    desk.wait()
    teach(run, scenes)
    inside = opened(run / TAUGHT_FOLDER)
    assert inside.space.run == run
    assert inside.space.model_info()["taught"] is None
    alone = Path(shutil.copytree(run / TAUGHT_FOLDER, tmp_path / "alone"))
    desk = opened(alone)
    assert "was taught already" in desk.space.model_info()["taught"]
    desk.name(1, "b")
    with pytest.raises(ConfigError, match="open the run that it was made from"):
        desk.stroke("b")


def test_a_model_with_two_views_is_named_in_the_first(
    opened: Callable[..., Desk], runs: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(runs["reference"], tmp_path / "reference"))
    desk = opened(folder)
    desk.name(0, "a")
    desk.stroke("a")
    desk.stroke("b", 1)
    assert desk.wait()["extra"] == ["b"]
    frames = desk.worker.run(REST, lambda: desk.space.leaves.frames([0, 1])).result(60)
    assert all(len(frame) > 16 for frame in frames)
    desk.worker.run(REST, lambda: desk.space.leaves.fine(0)).result(60)


def test_a_model_without_a_tree_is_named_by_its_clusters(
    opened: Callable[..., Desk], run: Path, tmp_path: Path
) -> None:
    network = load(run).network
    rows, groups = network.centroids[0][:4], network.groups.new_tensor([0, 1, 2, 3])
    network.set_centroids([rows], [groups], [rows[:, 0]])
    Segmenter(network, load(run).config).save(tmp_path / "plain")
    desk = opened(tmp_path / "plain")
    info = desk.space.model_info()
    assert (info["tree"], info["suggested"], len(info["node_colours"])) == ([], 4, 4)
    desk.name(2, "road")
    assert desk.classes()["road"]["leaves"] == [2]
    assert desk.space.state()["questions"] == []
    with pytest.raises(ConfigError, match="form no tree"):
        desk.name(5, "x")
    with pytest.raises(ConfigError, match="cannot be cut"):
        desk.act("cut", clusters=3)
    desk.stroke("road")
    desk.wait("settled")


def test_colours_of_the_page_can_be_kept_for_masks(desk: Desk) -> None:
    desk.name(0, "a")
    desk.stroke("bird")
    shown = {name: one["colour"] for name, one in desk.classes().items()}
    desk.space.pin()
    names = read_classes(desk.run / "classes.toml").classes
    assert {one.name: one.colour for one in names} == shown
    end = desk.space.state()["end"]
    desk.space.pin()
    assert desk.space.state()["end"] == end


def test_the_state_is_fast(desk: Desk) -> None:
    for number in range(30):
        desk.stroke(f"class {number % 5}", number % 6)
    start = time.thread_time()
    for _ in range(10):
        desk.space.state()
    assert (time.thread_time() - start) / 10 < 0.02


@pytest.mark.parametrize(
    ("known", "failed", "enough"), [(0, 6, False), (3, 0, False), (3, 3, True)]
)
def test_questions_have_shares_once_enough_photos_are_known(
    desk: Desk, known: int, failed: int, enough: bool
) -> None:
    """Ten photos, or all that can be read; before, the clusters with most centroids come first."""
    total = len(desk.space.photos)
    assert total == 6
    index: Any = SimpleNamespace(
        known=np.arange(total) < known,
        seen=known + failed,
        counts=lambda: np.full((total, desk.space.leaves.rows.count), 100, np.uint16),
    )
    desk.space.index = index
    questions = desk.space.state()["questions"]
    assert all((one["share"] is not None) == enough for one in questions)
