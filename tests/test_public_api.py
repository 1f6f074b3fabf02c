"""What the package promises, and what importing it does not do."""

import ast
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import picie

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "picie"
PROMISED: list[str] = json.loads((Path(__file__).parent / "public_api.json").read_text())


def test_the_promised_names_are_exactly_those_of_the_list() -> None:
    # A name added or removed is a change for users: change the list and CHANGELOG.md with it.
    assert sorted(picie.__all__) == PROMISED
    assert len(PROMISED) <= 26


def test_promised_names_are_there_and_described() -> None:
    for name in PROMISED:
        value = getattr(picie, name)
        assert name in dir(picie)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__module__.startswith("picie."), name
            assert inspect.getdoc(value), name


def test_promised_names_are_declared_for_type_checkers_where_they_live() -> None:
    declared = {
        alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(ast.parse((SRC / "__init__.py").read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("picie.")
        for alias in node.names
    }
    for name in PROMISED:
        assert declared[name] == f"picie.{picie._HOME[name]}.{name}"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'picie' has no attribute 'tarin'"):
        _ = picie.tarin


def test_importing_is_silent_and_changes_nothing() -> None:
    program = """
import logging, os, random, sys, threading, warnings

def state():
    return dict(os.environ), threading.active_count(), random.getstate(), list(warnings.filters)

def state_of_torch():
    return (dict(os.environ), torch.get_num_threads(), torch.get_default_dtype(),
            torch.are_deterministic_algorithms_enabled(), torch.initial_seed(),
            torch.get_rng_state().tolist(), torch.is_grad_enabled())

for statement in ("import picie", "import picie.cli.app", "import picie.cli.arguments"):
    before = state()
    exec(statement)
    assert state() == before, statement
    assert not logging.getLogger().handlers, statement
    heavy = {"torch", "timm", "scipy", "numpy", "torchvision"} & set(sys.modules)
    assert not heavy, (statement, heavy)

import torch
torch.manual_seed(3)
before = state_of_torch()
from picie import evaluate, predict, train
assert before == state_of_torch()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_module_says_what_it_offers() -> None:
    """The linter sorts __all__; here every public definition must be in it."""
    for path in SRC.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), path
        definitions = [n for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef)]
        if path.name == "__init__.py" or not definitions:
            continue
        offered = [
            ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        ]
        assert len(offered) == 1, path
        public = {n.name for n in definitions if not n.name.startswith("_")}
        assert public <= set(offered[0]), path


def test_functions_are_short() -> None:
    """Without signature and docstring, a function fits on one screen; modules may be long."""
    long = []
    for path in SRC.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) is not None else node.body
                lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
                long += [f"{path.relative_to(SRC)}: {node.name} ({lines})"] * (lines > 45)
    assert long == []


def test_the_package_is_typed() -> None:
    assert (SRC / "py.typed").is_file()


if TYPE_CHECKING:  # a type checker says that these are wrong; `make check` fails if it does not
    picie.train("photos", "run", clusters="8")  # type: ignore[arg-type]
    picie.train("photos", "run", objective="picnic")  # type: ignore[arg-type]
    picie.train("photos", "run", clutsers=8)  # type: ignore[call-arg]
    picie.make_config("best", predict_scales=1.5)  # type: ignore[arg-type]
    picie.make_config(predict_scales=[1, 1.5], reading={"bands": (4, 3, 2)}, split="train")
