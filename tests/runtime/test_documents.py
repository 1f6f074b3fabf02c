import os
from pathlib import Path

import pytest

from picie.errors import ConfigError, ModelError
from picie.runtime.documents import (
    MOST_BYTES,
    MOST_DEPTH,
    parse_object,
    parse_toml,
    read_json,
    read_text,
    read_toml,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.x"


def test_files_are_read_with_or_without_a_mark(path: Path) -> None:
    for mark in (b"", b"\xef\xbb\xbf"):
        path.write_bytes(mark + "name = 'é'\r\n".encode())
        assert read_toml(path) == {"name": "é"}
        path.write_bytes(mark + '{"name": "é"}'.encode())
        assert read_json(path) == {"name": "é"}


def test_a_file_that_is_none_is_named_and_nothing_waits(tmp_path: Path, path: Path) -> None:
    with pytest.raises(ConfigError, match=r"file\.x: cannot be read \(No such file or directory\)"):
        read_text(path)
    with pytest.raises(ModelError, match=r"cannot be read \(it is a folder, not a regular file\)"):
        read_text(tmp_path, ModelError)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_text(Path("a\0b"))
    os.mkfifo(path)
    with pytest.raises(ConfigError, match=r"\(it is a pipe, not a regular file\); check the path"):
        read_text(path)


def test_a_link_to_a_device_is_not_read(path: Path) -> None:
    path.symlink_to("/dev/zero")
    with pytest.raises(ConfigError, match="it is a device"):
        read_toml(path)


def test_size_is_limited(path: Path) -> None:
    path.write_bytes(b"#" * MOST_BYTES)
    assert read_toml(path) == {}
    with path.open("ab") as file:
        file.truncate(10**11)  # takes no space
    with pytest.raises(ConfigError, match=r"file\.x: is larger than 2 MB"):
        read_toml(path)
    with pytest.raises(ConfigError, match=r"is larger than 0\.01 MB"):
        read_text(path, most=10_000)


@pytest.mark.parametrize(
    "text",
    [
        "[" + ".".join("a" * 100_000) + "]",
        ".".join(["'a b'"] * 100_000) + " = 1",
        " . ".join("a" * 100_000) + " = 1",
        "a = " + "[" * 100_000,
        "a = " + "[" * (MOST_DEPTH + 1) + "]" * (MOST_DEPTH + 1),
        "a = " + "{a=" * 400 + "1" + "}" * 400,
    ],
)
def test_depth_is_limited(text: str, path: Path) -> None:
    with pytest.raises(ConfigError, match=r"file\.x: (is nested too deeply|is not valid TOML)"):
        parse_toml(text, path)


@pytest.mark.parametrize("depth", [MOST_DEPTH + 1, 100_000])
def test_depth_of_json_is_limited(path: Path, depth: int) -> None:
    path.write_text('{"a": ' * depth + "1" + "}" * depth)
    with pytest.raises(ModelError, match="is nested too deeply"):
        read_json(path, ModelError)
    path.write_text("[" * (depth + 1) + "]" * (depth + 1))
    with pytest.raises(ConfigError, match="is nested too deeply"):
        read_json(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not valid JSON"),
        (b"{", "is not valid JSON"),
        (b'{"a": 1} x', "is not valid JSON"),
        (b"\0", "is not valid JSON"),
        (b'{"a": "\xff"}', "is not valid UTF-8 text"),
        (b"\xff\xfe{\0}\0", "is not valid UTF-8 text"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', r"is not valid JSON \(the key 'c' occurs twice\)"),
        (b'{"a": ' + b"9" * 5000 + b"}", r"is not valid JSON \(Exceeds the limit"),
        (b"[]", "holds a list instead of a JSON object"),
        (b'"a"', "holds text instead of"),
        (b"null", "holds null instead of"),
        (b"true", "holds true or false instead of"),
        (b"NaN", "holds a number instead of"),
    ],
)
def test_other_json_is_refused_with_its_file(path: Path, data: bytes, message: str) -> None:
    path.write_bytes(data)
    with pytest.raises(ModelError, match=rf"file\.x: {message}"):
        read_json(path, ModelError)


@pytest.mark.parametrize(
    "data",
    [b"a", b"a = \0", b"a = 1\na = 2", b"a = " + b"9" * 5000],
)
def test_other_toml_is_refused_with_its_file(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"file\.x: is not valid TOML \(.+\); correct it"):
        read_toml(path)


def test_what_is_no_whole_object_is_none() -> None:
    assert parse_object(b' {"a": [1, null]}\n') == {"a": [1, None]}
    for text in (b"", b'{"a": 1', b"[1]", b"null", b"\xff", b"[" * 100_000):
        assert parse_object(text) is None
