"""classes.toml: what it may say, and what each mistake is told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from picie.errors import ConfigError, PicieError
from picie.models.class_names import ClassNames, NamedClass, read_classes, write_classes

ToToml = Callable[[Any], str]
ODD = (
    NamedClass('a "quoted" \\ name', (3,), (), "#00ff7F"),
    NamedClass("Straße 道路", (0, 2), (12,)),
    NamedClass("nothing yet"),
    NamedClass("ignore", (1,), ignore=True),
    NamedClass("Straße 道路", (4,)),
)


def test_what_was_written_reads_back(tmp_path: Path) -> None:
    names = ClassNames(5, ODD)
    write_classes(tmp_path / "classes.toml", names)
    found = read_classes(tmp_path / "classes.toml")
    assert found == names
    assert found.origin == str(tmp_path / "classes.toml")
    assert [path.name for path in tmp_path.iterdir()] == ["classes.toml"]


def test_entries_of_one_name_are_one_class() -> None:
    merged = ClassNames(5, ODD).merged
    assert [one.name for one in merged] == [ODD[0].name, "Straße 道路", "nothing yet", "ignore"]
    assert merged[1] == NamedClass("Straße 道路", (0, 2, 4), (12,))
    assert merged[3].ignore


def test_a_colour_may_stand_in_any_entry_of_a_class() -> None:
    classes = (NamedClass("a", (0,)), NamedClass("a", (1,), (), "#ABCDEF"))
    names = ClassNames(2, (*classes, NamedClass("a", (), (5,), "#abcdef")))
    assert names.merged == (NamedClass("a", (0, 1), (5,), "#ABCDEF"),)


def test_names_from_a_mapping() -> None:
    names = ClassNames.of(4, {"b": [2], "a": range(2)})
    assert names.classes == (NamedClass("b", (2,)), NamedClass("a", (0, 1)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clusters =", "is not valid TOML (Invalid value"),
        ("", "does not say which cut the cluster numbers refer to; add the number"),
        ("clusters = 1", "clusters = 1; give 2 to 8192"),
        ("clusters = true", "clusters = True is invalid; give a whole number"),
        ("clusters = 4\nname = 3", "unknown key 'name'; known: clusters, classes"),
        ("clusters = 4\nclasses = 3", "classes = 3 is invalid; give [[classes]] entries"),
        ("clusters = 4\nclasses = [3]", "entry 1 = 3 is invalid; give a table"),
        ("[[classes]]\nclusters = [1]", "entry 1 of [[classes]]: has no name; add name ="),
        ("[[classes]]\nname = 3", "entry 1 of [[classes]]: name = 3 is invalid; give text"),
        ("[[classes]]\nname = ' '", "entry 1 of [[classes]]: the name is empty"),
        ("[[classes]]\nname = ' a'", "the name ' a' begins or ends with a space"),
        ('[[classes]]\nname = "a\\nb"', "holds a line break or a control character"),
        ("[[classes]]\nname = 'cluster 3'", "'cluster 3' is reserved for clusters without a name"),
        ("[[classes]]\nname = 'ignore'", "the name 'ignore' is reserved for void pixels; add ign"),
        ("[[classes]]\nname = 'a'\ncolor = 'x'", "unknown key 'color'; known: name, colour, clus"),
        (
            "[[classes]]\nname = 'a'\ncolour = 'red'",
            "entry 1 of [[classes]] ('a'): 'red' is not a c",
        ),
        ("[[classes]]\nname = 'a'\ncolour = '#12345'", "'#12345' is not a colour; give red, green"),
        ("[[classes]]\nname = 'a'\nignore = 1", "ignore = 1 is invalid; give true or false"),
        ("[[classes]]\nname = 'a'\nclusters = 3", "clusters = 3 is invalid; give whole num"),
        ("[[classes]]\nname = 'a'\nclusters = [1.5]", "clusters = 1.5 is invalid; give whole"),
        ("[[classes]]\nname = 'a'\nnodes = ['n7']", "nodes = 'n7' is invalid; give whole n"),
        ("[[classes]]\nname = 'a'\nclusters = [4]", "there is no cluster 4; give 0 to 3"),
        ("[[classes]]\nname = 'a'\nclusters = [-1]", "there is no cluster -1; give 0 to 3"),
        ("[[classes]]\nname = 'a'\nnodes = [-1]", "there is no node -1; give 0 or more"),
        ("[[classes]]\nname = 'a'\nclusters = [1, 1]", "cluster 1 is named twice, 'a' and 'a'"),
        (
            "[[classes]]\nname = 'a'\nclusters = [1]\n[[classes]]\nname = 'b'\nclusters = [2, 1]",
            "entry 2 of [[classes]] ('b'): cluster 1 is named twice, 'a' and 'b'; remove it",
        ),
        (
            "[[classes]]\nname = 'a'\nnodes = [9]\n[[classes]]\nname = 'b'\nnodes = [9]",
            "node 9 is named twice, 'a' and 'b'",
        ),
        (
            "[[classes]]\nname = 'a'\ncolour = '#000000'\n"
            "[[classes]]\nname = 'a'\ncolour = '#ffffff'",
            "class 'a' has two colours, #000000 and #ffffff; keep one",
        ),
        (
            "[[classes]]\nname = 'a'\nignore = true\n[[classes]]\nname = 'a'\nclusters = [1]",
            "only some entries of class 'a' have ignore = true; make them agree",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "classes.toml"
    path.write_text(f"clusters = 4\n{text}" if text.startswith("[[") else text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_classes(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read \(No such file"):
        read_classes(tmp_path / "classes.toml")
    (tmp_path / "classes.toml").write_bytes(b"clusters = 4 # \xff")
    with pytest.raises(ConfigError, match="is not valid UTF-8 text"):
        read_classes(tmp_path / "classes.toml")


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    with pytest.raises(PicieError, match="cannot be written"):
        write_classes(tmp_path / "no folder" / "classes.toml", ClassNames(5))


KEYS = ("clusters", "classes", "name", "colour", "ignore", "clusters of a class", "nodes")


@pytest.mark.parametrize("key", KEYS)
def test_a_wrong_value_is_refused_with_file_and_key(
    tmp_path: Path, wrong_values: list[Any], toml: ToToml, key: str
) -> None:
    path, refused = tmp_path / "classes.toml", 0
    for value in wrong_values:
        entry = {"name": "road", "clusters": [1], "nodes": [9], "colour": "#000000"}
        values: dict[str, Any] = {"clusters": 4, "classes": [entry]}
        if key in ("clusters", "classes"):
            values[key] = value
        else:
            entry[key.split()[0]] = value
        lines = [f"{name} = {toml(one)}\n" for name, one in values.items()]
        path.write_text("".join(lines), encoding="utf-8")
        try:
            read_classes(path)
        except ConfigError as error:
            message = str(error)
            refused += 1
            assert message.startswith(f"{path}: ")
            assert len(message) < 1000
            assert message.isprintable()
            assert key.split()[0].removesuffix("s") in message
    assert refused > len(wrong_values) / 2


@pytest.mark.parametrize(
    "text",
    [
        "\0",
        "clusters = 4\nclusters = 5",
        "clusters.a.b = 1",
        "[clusters]",
        "clusters = " + "9" * 5000,
        "clusters = 0x" + "f" * 5000,
        "clusters = 4\nclasses.a.name = 'x'",
        "clusters = 4\n[classes]\nname = 'x'",
        "clusters = 4\n" + "[[classes]]\nname = 'x'\n" * 9000,
        "clusters = 4\n[[classes]]\nname = '\u202ex'",
        'clusters = 4\n[[classes]]\nname = "\\u0000"',
        "clusters = 4\n[[classes]]\nname = '" + "x" * 251 + "'",
        "clusters = 4\n[" + ".".join("abcdefghijklmnopqrstuvwxyz" * 1000) + "]",
        "clusters = " + "[" * 100_000,
    ],
)
def test_a_hostile_file_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "classes.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_classes(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


def test_a_byte_order_mark_and_line_ends_of_windows_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "classes.toml"
    path.write_bytes("\ufeffclusters = 4\r\n[[classes]]\r\nname = 'Straße'\r\n".encode())
    assert [one.name for one in read_classes(path).classes] == ["Straße"]
