"""Old names work for one more version, and say where they are now."""

import subprocess
import sys
import warnings
from importlib import import_module
from typing import Any

import pytest

from picie.runtime.moved import MODULES, NAMES


def old(module: str, name: str) -> Any:
    with pytest.warns(DeprecationWarning, match=rf"picie\.{module}\.{name} is picie\."):
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


def test_the_warning_names_the_shortest_place_and_the_line_of_the_user() -> None:
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
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert (
        "DeprecationWarning 5 picie.exporting.export_masks is picie.export_masks now; the old "
        "name goes with picie 0.3"
    ) in lines
    assert any(
        line.startswith("DeprecationWarning 6 picie.inference.load is picie.load") for line in lines
    )
    assert any("is picie.visualization.palette.palette now" in line for line in lines)


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
