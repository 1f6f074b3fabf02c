"""Acts of a page, as JSON values: what they change in the names, and the events of marks."""

from typing import Any

import pytest

from picie.errors import ConfigError
from picie.inference.segmenter import Segmenter
from picie.models.class_names import ClassNames
from picie.naming.assign import ClusterTree
from picie.studio.acts import mark, naming, text, whole


@pytest.fixture
def names(model: Segmenter) -> ClassNames:
    return ClassNames.of(3, {"road": [0], "sky": [1]})


def after(model: Segmenter, names: ClassNames, **values: Any) -> tuple[ClassNames, list[str]]:
    def tree(clusters: int) -> ClusterTree:
        return ClusterTree(model.network.centroid_set(), clusters)

    step, _ = naming(values, tree, [one.name for one in names.merged])
    return step(names)


def test_a_name_is_given_to_a_node(model: Segmenter, names: ClassNames) -> None:
    tree = ClusterTree(model.network.centroid_set(), 3)
    node = tree.node_of(2)
    assert node is not None
    changed, said = after(model, names, act="name", node=node, title=" tree ")
    assert changed.merged[-1].name == "tree"
    assert changed.merged[-1].nodes == (node,) or changed.merged[-1].clusters == (2,)
    assert len(said) == 1


def test_a_renamed_class_keeps_its_clusters(model: Segmenter, names: ClassNames) -> None:
    changed, _ = after(model, names, act="rename", title="road", to="street")
    assert [(one.name, one.clusters) for one in changed.merged] == [("street", (0,)), ("sky", (1,))]


def test_another_cut_keeps_what_is_named(model: Segmenter, names: ClassNames) -> None:
    changed, _ = after(model, names, act="cut", clusters=2)
    assert changed.clusters == 2
    before, later = model.named(names), model.cut(2).named(changed)
    owners = [(one.names, one.centroid_ids.tolist()) for one in (before, later)]
    for title in ("road", "sky"):
        first, second = (
            [place for place, number in enumerate(ids) if number == titles.index(title)]
            for titles, ids in owners
        )
        assert first == second


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"act": "name", "node": -1, "title": "road"}, "node"),
        ({"act": "name", "node": True, "title": "road"}, "node"),
        ({"act": "name", "node": 1, "title": " "}, "title"),
        ({"act": "name", "nodes": [], "title": "road"}, "nodes"),
        ({"act": "rename", "title": "car", "to": "bus"}, "car"),
        ({"act": "colour", "title": "road", "colour": "red"}, "red"),
        ({"act": "cut", "clusters": 10**6}, "clusters"),
        ({"act": "clear", "title": "car"}, "car"),
    ],
)
def test_a_wrong_act_says_what_is_wrong(
    model: Segmenter, names: ClassNames, values: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        after(model, names, **values)


def test_marks_outside_of_the_photo_are_moved_to_its_edge() -> None:
    values = {"act": "stroke", "title": "road", "points": [[-5, 3], [40, 99.5]], "radius": 2}
    event = mark(values, "a", (30, 20), "")
    assert event.points == ((0.0, 3.0), (30.0, 20.0))


@pytest.mark.parametrize(
    "values",
    [
        {"act": "stroke", "title": "road", "points": []},
        {"act": "stroke", "title": "road", "points": [[1, "2"]]},
        {"act": "stroke", "title": "road", "points": None},
        {"act": "stroke", "title": "road", "points": [[1, 2]], "radius": -1},
        {"act": "stroke", "title": "", "points": [[1, 2]]},
        {"act": "box", "title": "road", "box": [1, 2, 3]},
        {"act": "segment", "title": "road", "rings": [[[1, 2]]]},
        {"act": "polygon", "title": "road", "points": [[1, 2], [3, 4]]},
        {"act": "stroke", "title": "road", "points": [[1e300, float("nan")]]},
    ],
)
def test_a_wrong_mark_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        mark(values, "a", (30, 20), "")


def test_values_are_read_strictly() -> None:
    assert text({"title": " a "}, "title") == "a"
    assert whole({"node": 3}, "node") == 3
    for value in (1.0, "1", True, -1, 2**31, None):
        with pytest.raises(ConfigError, match="node"):
            whole({"node": value}, "node")
