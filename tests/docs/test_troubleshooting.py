"""The page of errors quotes messages that the program has."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"
_VARIES = "..."


def texts() -> Iterator[str]:
    """All texts of the program but docstrings; what is filled in is `...`."""
    for path in sorted((ROOT / "src" / "picie").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts = [
                    str(part.value) if isinstance(part, ast.Constant) else _VARIES
                    for part in node.values
                ]
                yield "".join(parts)
            elif isinstance(node, ast.Constant) and id(node) not in docs:
                yield str(node.value)


def quoted(page: str) -> list[str]:
    """The messages of a page: lines that are one piece of code."""
    messages = page.partition("\n## By message\n")[2]
    return re.findall(r"^`([^`]+)`$", messages, re.MULTILINE)


def is_in(message: str, known: list[str]) -> bool:
    """Whether the fixed parts of a message stand in one text, in this order."""
    parts = [re.escape(part) for part in message.split(_VARIES) if part.strip()]
    pattern = re.compile(".*".join(parts), re.DOTALL)
    return any(pattern.search(text) for text in known)


@pytest.fixture(scope="module")
def known() -> list[str]:
    return [text for text in texts() if len(text) > 15]


def test_every_quoted_message_is_one_of_the_program(known: list[str]) -> None:
    found = quoted(PAGE.read_text(encoding="utf-8"))
    assert len(found) > 30
    assert [message for message in found if not is_in(message, known)] == []


def test_a_message_that_was_reworded_would_be_seen(known: list[str]) -> None:
    assert is_in("...: does not exist; check the path", known)
    assert not is_in("...: does not exist; check its path", known)
    assert not is_in("...: check the path; does not exist", known)
