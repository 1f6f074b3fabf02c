"""The generated reference pages say what the program says."""

import contextlib
import io
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import picie
from picie.cli.parsing import VERBS
from picie.config import Config

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def reference(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("docs/reference.py")


@pytest.fixture(scope="module")
def pages(reference: ModuleType) -> dict[str, str]:
    return {name: make() for name, make in reference.PAGES.items()}


def help_of(verb: str) -> str:
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), pytest.raises(SystemExit):
        VERBS[verb](["--help-all" if verb == "train" else "--help"])
    return shown.getvalue()


@pytest.mark.parametrize("verb", list(VERBS))
def test_a_verb_has_exactly_the_flags_of_its_help(verb: str, pages: dict[str, str]) -> None:
    [section] = re.findall(
        rf"^## picie {verb}\n(.*?)(?=^## |\Z)", pages["command-line"], re.MULTILINE | re.DOTALL
    )
    documented = set(re.findall(r"^\| `(--[\w-]+)` ", section, re.MULTILINE))
    # Not from the middle of a sentence: flags begin their line, behind the box, or follow a comma.
    told = set(re.findall(r"(?:^[│ ]*|, )(--[a-z][\w-]*)(?=[ ,\n])", help_of(verb), re.MULTILINE))
    opposites = {f"--no-{flag[2:]}" for flag in documented}
    assert documented <= told
    assert told - documented - opposites <= {"--help"}


def test_every_argument_has_a_meaning(reference: ModuleType) -> None:
    for verb in VERBS:
        for argument in reference.arguments(reference.record_of(verb)):
            assert argument.meaning, f"{verb} {argument.shown}"
            assert argument.values, f"{verb} {argument.shown}"


def test_defaults_are_those_of_the_records(reference: ModuleType) -> None:
    found = {one.shown: one for one in reference.arguments(reference.record_of("predict"))}
    assert found["--out"].default == "required"
    assert found["--tile"].default == "`1024`"
    assert found["--overlay"].default == "off"
    assert found["RUN"].values == "path"
    assert found["--scales"].values == "one or more: number"
    assert "`bf16`" in found["--precision"].values


def test_every_setting_is_there_once(pages: dict[str, str]) -> None:
    tables = pages["settings"].split("## What the presets change")[0]
    rows = re.findall(r"^\| `(\w+)` ", tables, re.MULTILINE)
    assert rows == list(Config.model_fields)


def test_every_promised_name_is_described(pages: dict[str, str]) -> None:
    for name in picie.__all__:
        assert f"## picie.{name}\n" in pages["python"] or f"| `{name}` |" in pages["python"]


def test_pages_do_not_depend_on_the_machine(pages: dict[str, str]) -> None:
    for page in pages.values():
        assert str(Path.home()) not in page
        assert " at 0x" not in page
        assert str(ROOT) not in page


def test_tables_have_as_many_cells_in_every_row(pages: dict[str, str]) -> None:
    for page in pages.values():
        for table in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_a_docstring_becomes_markdown(reference: ModuleType) -> None:
    text = (
        "One.\n\nTwo <x>.\n\nArgs:\n    a: first\n        line.\n    *b: all.\n\n"
        "Returns:\n    (H, W)\n    ids.\n\nExample:\n    >>> 1  # doctest: +SKIP\n    1\n"
    )
    assert list(reference._docstring(text)) == [
        "One.\n\nTwo \\<x\\>.",
        "**Args**\n\n- `a`: first line.\n- `*b`: all.",
        "**Returns:** (H, W) ids.",
        "```pycon\n>>> 1\n1\n```",
    ]
