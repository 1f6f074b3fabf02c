"""A command in a process of its own: it gets its arguments, and ends with its parent."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def child(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "picie.studio.child", *arguments]


def test_it_runs_a_module_with_its_arguments() -> None:
    with subprocess.Popen(
        child("picie", "--version"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read().startswith("picie ")
        assert process.wait() == 0


def test_errors_have_the_name_of_the_program() -> None:
    with subprocess.Popen(
        child("picie", "tain"), stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.read().startswith("picie: error: unknown verb 'tain'")
        assert process.wait() == 2


@pytest.mark.skipif(not hasattr(os, "nice"), reason="there is no nice on Windows")
def test_people_come_first(tmp_path: Path) -> None:
    (tmp_path / "asking.py").write_text("import os; print(os.nice(0))")
    with subprocess.Popen(
        child("asking"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    ) as process:
        assert process.stdout is not None
        assert int(process.stdout.read()) == min(19, os.nice(0) + 5)


def test_it_ends_when_its_input_is_closed(tmp_path: Path) -> None:
    text = "import time\nprint('there', flush=True)\ntime.sleep(60)\n"
    (tmp_path / "waiting.py").write_text(text)
    with subprocess.Popen(
        child("waiting"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        process.stdin.close()
        assert process.wait(10) != 0
