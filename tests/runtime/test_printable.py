import logging

import pytest

from picie.runtime.printable import PrintableFormatter, printable, shown


@pytest.mark.parametrize(
    "text",
    ["", "a b", "é 日本　写真", "👩‍🌾", "می‌خواهم", "שלום", "a\u00a0b", "C:\\photos\\x1b", "'\"`$"],
)
def test_what_people_write_stays(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("two\nlines\r\n\tx", r"two\nlines\r\n\tx"),
        ("nul\0 del\x7f csi\x9b", r"nul\x00 del\x7f csi\x9b"),
        ("gpj\u202e.exe\u2066", r"gpj\u202e.exe\u2066"),
        ("a\u200bb\ufeff\u00ad", r"a\u200bb\ufeff\xad"),
        ("a\u2028b\u2029", r"a\u2028b\u2029"),
        ("b\udcff", r"b\udcff"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_what_commands_a_terminal_is_escaped(text: str, expected: str) -> None:
    assert printable(text) == expected
    assert printable(expected) == expected
    expected.encode("ascii")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, "3"),
        ("a\n", r"'a\n'"),
        ("\udc80\u202e", r"'\udc80\u202e'"),
        ([1, None], "[1, None]"),
    ],
)
def test_a_value_is_one_short_line(value: object, expected: str) -> None:
    assert shown(value) == expected
    assert shown(16**5000) == "a huge int"


def test_a_long_value_is_cut() -> None:
    for value in ("x" * 10**7, list(range(1000))):
        assert len(shown(value)) == 80
        assert shown(value).endswith("...")


def test_a_record_is_one_line_and_its_traceback_keeps_its_lines() -> None:
    record = logging.makeLogRecord({"msg": "skipped %s", "args": ("a\nb\x1b\udcff",)})
    formatter = PrintableFormatter("%(message)s")
    assert formatter.format(record) == r"skipped a\nb\x1b\udcff"
    try:
        raise ValueError("bad\x1b")
    except ValueError as error:
        record.exc_info = (type(error), error, error.__traceback__)
    lines = formatter.format(record).splitlines()
    assert lines[1].startswith("Traceback")
    assert lines[-1] == r"ValueError: bad\x1b"
