"""Old names work for one more version, and say where they are now."""

import sys
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

import picie
from picie.runtime.moved import MODULES, NAMES


@pytest.fixture(autouse=True)
def _forget_old_modules() -> Iterator[None]:
    """Importing picie.report.palette makes an attribute that hides the function picie.report."""
    yield
    for name in MODULES:
        for part in (name, name.partition(".")[0]):
            module = sys.modules.get(f"picie.{part}")
            if (
                module is not None
                and module.__spec__ is not None
                and not module.__spec__.has_location
            ):
                del sys.modules[f"picie.{part}"]
                if "." not in part:
                    vars(picie).pop(part, None)


def old(module: str, name: str) -> Any:
    with pytest.warns(DeprecationWarning, match=rf"picie\.{module}\.{name} is now picie\."):
        return getattr(import_module(f"picie.{module}"), name)


def test_every_public_name_of_every_old_module_is_the_new_one() -> None:
    """What a folded module offered is a part of what its new home offers."""
    for module, home in MODULES.items():
        there = import_module(f"picie.{home}")
        elsewhere = {name.rpartition(".")[2] for name in NAMES if name.startswith(f"{module}.")}
        for name in set(there.__all__) - elsewhere:
            assert old(module, name) is getattr(there, name)
    for full, new in NAMES.items():
        home, _, name = new.rpartition(".")
        place, _, before = full.rpartition(".")
        assert old(place, before) is getattr(import_module(f"picie.{home}"), name)


def test_the_warning_names_the_shortest_place_and_the_line_of_the_user(
    start: Callable[..., BaseProcess], tmp_path: Path
) -> None:
    # in a process of its own: a module of the old name would hide the function picie.report
    program = """
import warnings
warnings.simplefilter("always")
with warnings.catch_warnings(record=True) as seen:
    from picie.exporting import export_masks
    from picie.inference import load
    import picie.report.palette as palette
    palette.PALETTE if hasattr(palette, "PALETTE") else palette.palette
for one in seen:
    print(one.category.__name__, one.lineno, one.message)
import picie
assert callable(picie.report)
"""
    process = start("program", program, tmp_path / "out.txt")
    process.join()
    lines = (tmp_path / "out.txt").read_text().splitlines()
    assert process.exitcode == 0
    assert all(line.startswith("DeprecationWarning ") for line in lines)
    assert (
        "DeprecationWarning 5 picie.exporting.export_masks is now picie.export_masks; the old "
        "name will be removed in picie 0.3"
    ) in lines
    assert any(
        line.startswith("DeprecationWarning 6 picie.inference.load is now picie.load;")
        for line in lines
    )
    assert any("is now picie.visualization.palette.palette;" in line for line in lines)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("picie.exporting", "nothing"),
        ("picie.inference", "nothing"),
        ("picie.training", "Trainer2"),
    ],
)
def test_what_never_was_is_an_attribute_error(module: str, name: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{module}' has no attribute '{name}'"):
        getattr(import_module(module), name)


def test_other_modules_are_not_touched() -> None:
    with pytest.raises(ModuleNotFoundError):
        import_module("picie.nothing")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        import_module("picie.inference.segmenter")
