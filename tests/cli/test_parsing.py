"""What each verb imports: help, names and settings wait neither for torch nor for each other."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from picie.cli.parsing import VERBS

TORCH = {"torch", "torchvision", "timm", "scipy", "accelerate", "starlette"}
CHECK = """
import contextlib, io, json, sys
from picie.cli.app import main

found = []
for args in json.loads(sys.argv[1]):
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        main(args)
    found.append([*args, *sorted(set(json.loads(sys.argv[2])) & set(sys.modules))])
print(json.dumps(found))
"""


def loaded(acts: list[list[str]], packages: set[str]) -> list[list[str]]:
    """The acts, each with those packages that are loaded after it; all in one process."""
    done = subprocess.run(
        [sys.executable, "-c", CHECK, json.dumps(acts), json.dumps(sorted(packages))],
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[list[str]] = json.loads(done.stdout)
    return found


def test_the_overview_needs_neither_settings_nor_parsing() -> None:
    acts = [["--help"], ["--version"]]
    assert loaded(acts, TORCH | {"numpy", "pydantic", "tyro", "rich", "safetensors"}) == acts


def test_the_help_of_a_verb_needs_no_arrays() -> None:
    acts = [[verb, "--help"] for verb in VERBS]
    assert loaded(acts, TORCH | {"numpy", "safetensors", "PIL"}) == acts


def test_names_and_settings_need_no_torch(runs: dict[str, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs["default"], run)
    name = ["name", str(run)]
    orders = [
        *(["--set", "n0=road", "n1=sky"], ["--colour", "road=#804080"], ["--unset", "n1"]),
        *(["--clear", "sky"], ["--undo"], ["--redo"], [], ["--list"], ["--next", "3"]),
    ]
    acts = [[*name, *order] for order in orders] + [["info", str(run)]]
    assert loaded(acts, TORCH) == acts
    assert (run / "classes.toml").exists()


@pytest.mark.parametrize("broken", ["cut short", "another file"])
def test_broken_models_are_refused_without_torch(
    runs: dict[str, Path], tmp_path: Path, broken: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs["default"], run)
    weights = run / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:-1] if broken == "cut short" else data[:-1] + b"x")
    acts = [["name", str(run), "--set", "0=road"]]
    assert loaded(acts, TORCH) == acts
    assert not (run / "classes.toml").exists()
