"""How clusters and nodes, names and colours are written on a command line."""

import pytest

from picie.errors import ConfigError
from picie.models.class_names import NamedClass
from picie.naming.parts import (
    Part,
    parse_assignments,
    parse_colours,
    parse_parts,
    parts_of,
    with_parts,
)


def test_parts_are_numbers_and_nodes_with_an_n() -> None:
    assert parse_parts("7, 9,n70", "x") == (Part(7), Part(9), Part(70, True))
    assert [str(part) for part in parse_parts("7,n70", "x")] == ["cluster 7", "node 70"]
    assert [part.short for part in parse_parts("7,n70", "x")] == ["7", "n70"]


@pytest.mark.parametrize("text", ["", "a", "7,", "7 9", "-1", "n", "N7", "7n", "1e3", "²"])
def test_other_parts_are_refused(text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"x: '.*' is neither a cluster like 7 nor a node like n7"
    ):
        parse_parts(text, "x")


def test_a_class_is_made_of_its_parts() -> None:
    one = NamedClass("a", (1, 2), (9,), "#000000")
    assert parts_of(one) == (Part(1), Part(2), Part(9, True))
    assert with_parts(one, parts_of(one)) == one
    assert with_parts(one, [Part(8, True), Part(3)]) == NamedClass("a", (3,), (8,), "#000000")


def test_assignments() -> None:
    found = parse_assignments(["3=traffic light", "7,n9=a=b", "1= Straße "])
    assert found == [
        ((Part(3),), "traffic light"),
        ((Part(7), Part(9, True)), "a=b"),
        ((Part(1),), "Straße"),
    ]
    with pytest.raises(ConfigError, match=r"--set '3': write clusters, = and a name, such as 7,9="):
        parse_assignments(["3"])
    with pytest.raises(ConfigError, match="--set 'road=3': 'road' is neither a cluster"):
        parse_assignments(["road=3"])


def test_colours() -> None:
    found = parse_colours(["a=b=#00FF7f", "traffic light=auto"])
    assert found == [("a=b", "#00FF7f"), ("traffic light", "")]
    with pytest.raises(ConfigError, match="--colour 'road': write a name, = and a colour"):
        parse_colours(["road"])
    with pytest.raises(ConfigError, match="--colour 'road=red': 'red' is not a colour"):
        parse_colours(["road=red"])
