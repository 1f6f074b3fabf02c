"""Changes in a classes.toml keep what people wrote around them."""

import itertools
import random
import re
from pathlib import Path

import pytest

import picie.naming.file
from picie.models.class_names import ClassNames, NamedClass, parse_classes
from picie.naming.file import edited, retitled

HAND = """\
# mine
clusters = 9   # nine

# about road
[[classes]]
name = "road"  # grey
clusters = [
  1,  # tarmac
  2,  # gravel
]

# about sky
[[classes]]
name = 'sky'
clusters = [ 3, 4 ]
colour = "#0000ff"

# about tree
[[classes]]
name = "tree"
clusters = [5]
# the end"""

ROAD, SKY, TREE = parse_classes(HAND, Path("x")).classes
INLINE = 'clusters=9 # c\nclasses = [{name="road", clusters=[1, 2]}, {name="sky"}] # d\n'


def check(text: str, *classes: NamedClass, clusters: int = 9) -> str:
    names = ClassNames(clusters, classes)
    found = edited(text, names)
    assert parse_classes(found, Path("x")) == names
    assert edited(found, names) == found
    return found


def test_no_change_is_the_same_text() -> None:
    assert check(HAND, ROAD, SKY, TREE) == HAND


def test_a_change_touches_its_own_lines_only() -> None:
    road = NamedClass("road", (2, 8), (12,))
    found = check(HAND, road, SKY, TREE)
    expected = HAND.replace("  1,  # tarmac\n", "").replace(
        "  2,  # gravel\n]\n", "  2,  # gravel\n  8,\n]\nnodes = [12]\n"
    )
    assert found == expected


def test_keys_are_added_before_the_comments_about_the_next_entry() -> None:
    found = check(HAND, ROAD, SKY, NamedClass("tree", (5,), (), "#00ff00"))
    assert found == HAND.replace("[5]\n", '[5]\ncolour = "#00ff00"\n')


def test_keys_that_fall_back_to_their_defaults_go() -> None:
    found = check(HAND, ROAD, NamedClass("sky", (3, 4)), TREE)
    assert found == HAND.replace('colour = "#0000ff"\n', "")


def test_entries_go_and_come_but_comments_stay() -> None:
    new = NamedClass('a "b"', (7,), (), "", True)
    found = check(HAND, NamedClass("tree", (5,)), new, clusters=8)
    for comment in ("# mine", "# nine", "# about road", "# about sky", "# about tree", "# the end"):
        assert comment in found
    assert "road" not in found.replace("# about road", "")
    assert found.endswith(
        '# the end\n\n[[classes]]\nname = "a \\"b\\""\nclusters = [7]\nignore = true\n'
    )


def test_entries_of_one_name_are_told_apart_by_their_order() -> None:
    twice = HAND.replace("'sky'", "'road'")
    found = check(twice, ROAD, NamedClass("road", (4,), (), "#0000ff"), TREE)
    assert found == twice.replace("[ 3, 4 ]", "[4 ]")
    assert "gravel" in check(twice, ROAD, TREE)


@pytest.mark.parametrize("text", ["", "\n"])
def test_a_new_file_explains_itself(text: str) -> None:
    found = check(text, ROAD)
    assert found.lstrip().startswith("# Names of the clusters of this model")


def test_a_list_of_inline_tables() -> None:
    found = check(INLINE, NamedClass("sky", (2,), (), "#123456"), NamedClass("b", (3,), (30,)))
    assert "# c\n" in found
    assert "# d\n" in found
    assert "[[" not in found
    check(INLINE, NamedClass("road", (1,), (), "", True))
    check(INLINE, NamedClass("b", (3,), (30,), "#123456", True))


@pytest.mark.parametrize("text", [HAND, INLINE, "clusters = 9"])
def test_any_change_reads_back(text: str) -> None:
    choices = [
        [NamedClass("road", (2, 1, 6)), NamedClass("road", (), (3,)), None],
        [NamedClass("sky"), NamedClass("sky", (3,), (), "#aabbcc", True), None],
        [NamedClass("new", (8,), (70, 71)), None],
    ]
    for chosen in itertools.product(*choices):
        check(text, *(one for one in chosen if one is not None))


def test_entries_in_another_order_keep_their_comments() -> None:
    found = check(HAND, TREE, NamedClass("new", (8,)), ROAD, SKY)
    above = [found.index(text) for text in ("# about tree", "new", "# about road", "# about sky")]
    assert above == sorted(above)
    for comment in ("# mine", "# nine", "# grey", "# tarmac", "# gravel", "# the end"):
        assert found.count(comment) == 1
    inline = check(INLINE, NamedClass("sky"), NamedClass("b", (3,)), NamedClass("road", (1, 2)))
    assert inline.startswith('clusters=9 # c\nclasses = [{name="sky"}')
    assert inline.endswith("# d\n")


@pytest.mark.parametrize(
    "text",
    [
        HAND.replace("\n", "\r\n"),
        HAND.replace("# about sky", "# a\u2028[[classes]]"),
        HAND.replace("[[classes]]", '[["classes"]]'),
        HAND.replace("'sky'", '"""\\\n[[classes]]"""'),
        "clusters = 9\nclasses = []\n",
    ],
)
def test_unusual_files_can_be_edited(text: str) -> None:
    for classes in ([TREE, ROAD], [NamedClass("new", (8,)), SKY], []):
        check(text, *classes)


NAMES = ("road", "sky", 'a "b"', "tree # x", "Füße", "[[classes]]", "o'neil", "x = [1]")


def random_classes(draw: random.Random) -> tuple[NamedClass, ...]:
    numbers, nodes = draw.sample(range(9), 9), draw.sample(range(20, 30), 10)
    ignored = {name for name in NAMES if draw.random() < 0.1}
    colours = {name: draw.choice(["#aabbcc", "#000000"]) for name in NAMES}
    return tuple(
        NamedClass(
            name,
            tuple(numbers.pop() for _ in range(draw.randint(0, 3)) if numbers),
            tuple(nodes.pop() for _ in range(draw.randint(0, 1))),
            colours[name] if draw.random() < 0.3 else "",
            name in ignored,
        )
        for name in draw.choices(NAMES, k=draw.randint(0, 6))  # some of them twice
    )


def random_text(draw: random.Random, classes: tuple[NamedClass, ...]) -> str:
    """As somebody might write it by hand; comments above entries are numbered."""
    count = itertools.count()

    def above() -> str:
        lines = ["\n", f"# {next(count)}: a [[classes]]\n", f"  # {next(count)}: b\n"]
        return "".join(draw.sample(lines, draw.randint(0, 3)))

    def values(one: NamedClass) -> list[str]:
        clusters = "".join(f"\n  {number},  # in" for number in one.clusters)
        whole = draw.random() < 0.5
        lines = [f"clusters = [{clusters}\n]" if whole else f"clusters = {list(one.clusters)}"]
        lines += [f"nodes = {list(one.nodes)}"] * bool(one.nodes)
        lines += [f'colour = "{one.colour}"'] * bool(one.colour)
        lines += [f"ignore = {str(one.ignore).lower()}"] * (one.ignore or draw.random() < 0.2)
        name = one.name.replace('"', '\\"')
        return draw.sample([f'name = "{name}"', *lines], len(lines) + 1)

    text = above() + "clusters = 9\n"
    if draw.random() < 0.3:
        tables = ["{" + ", ".join(values(one)) + "}" for one in classes]
        end = draw.choice(["", "\n"])
        text += f"classes = [{end}" + f",{end or ' '}".join(tables).replace("# in", "") + f"{end}]"
    else:
        for one in classes:
            text += above() + draw.choice(["[[classes]]", "[[ 'classes' ]]"]) + "  # of it\n"
            text += "".join(f"{line}{draw.choice(['', '  # it'])}\n" for line in values(one))
    return text + draw.choice(["\n" + above(), "", "\n"])


@pytest.mark.parametrize("seed", range(300))
def test_random_edits_of_random_files_read_back_and_keep_comments(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> str:
        raise AssertionError("the file was written anew")

    monkeypatch.setattr(picie.naming.file, "classes_text", never)
    draw = random.Random(seed)
    classes = random_classes(draw)
    text = random_text(draw, classes)
    assert parse_classes(text, Path("x")) == ClassNames(9, classes)
    mixed = draw.sample(classes, len(classes))
    for wanted in (mixed, mixed[: len(mixed) // 2], random_classes(draw)):
        found = check(text, *wanted)
        for comment in re.findall(r"^ *# \d+: .*$", text, re.MULTILINE):
            assert found.count(comment) == 1


def test_a_new_name_leaves_the_comments_of_its_entry() -> None:
    text = 'clusters = 3\n# top\n[[classes]]\nname = "a"  # here\nclusters = [1]\n'
    assert retitled(text, "a", "b") == text.replace('"a"', '"b"')
    assert retitled(text, "x", "y") == text
    assert retitled("", "a", "b") == ""
