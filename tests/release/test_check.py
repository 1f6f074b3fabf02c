"""The check of a release knows every extra, and a failing step is told and ends with 1."""

import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


@pytest.fixture
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("release/check.py")


def package(requirement: str) -> str:
    found = re.match(r"[\w-]+", requirement)
    assert found
    return found[0]


def test_each_extra_is_used_by_one_command(script: ModuleType) -> None:
    assert set(script.USES) == set(EXTRAS)


def test_each_declared_python_is_tried(script: ModuleType) -> None:
    known = [c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if "Python :: 3." in c]
    assert list(script.PYTHONS) == known


@pytest.mark.parametrize(
    "requirement", [*PROJECT["dependencies"], *(r for rs in EXTRAS.values() for r in rs)]
)
def test_each_dependency_has_a_lower_bound_and_a_stated_licence(requirement: str) -> None:
    assert ">=" in requirement
    listed = (ROOT / "THIRD_PARTY.md").read_text("utf-8")
    assert re.search(rf"^\| [^|]*\b{package(requirement)}\b[^|]*\| [^|]+ \|", listed, re.MULTILINE)


def test_each_extra_is_named_where_people_install(script: ModuleType) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [extra for extra in EXTRAS if f"[{extra}]" not in readme] == []


def test_a_wheel_without_a_module_is_told(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "picie-0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("picie/__init__.py", "")
    monkeypatch.setattr(script, "DIST", tmp_path)
    monkeypatch.setattr(script.shutil, "rmtree", lambda *_, **__: None)

    def answer(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        files = "src/picie/__init__.py\nsrc/picie/studio/page/main.js\n"
        return subprocess.CompletedProcess(command, 0, files if "git" in command else "", "")

    monkeypatch.setattr(script, "run", answer)
    failures: list[str] = []
    script.build(SimpleNamespace(), failures)
    assert failures == ["the wheel lacks picie/studio/page/main.js"]


def test_a_failure_is_told_with_its_end_and_ends_with_1(
    script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(options: object, failures: list[str]) -> None:
        script.check(
            script.run([sys.executable, "-c", "exit('no such module')"], may_fail=True),
            "extra tables",
            failures,
        )

    monkeypatch.setattr(script, "build", fails)
    monkeypatch.setattr(sys, "argv", ["check.py", "--only", "build", "--work", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        script.main()
    assert end.value.code == 1
    assert "FAILED: extra tables\n    no such module" in capsys.readouterr().out


def test_a_lower_bound_without_a_wheel_is_told(script: ModuleType) -> None:
    bounds = {"numpy": "2.0.0", "scipy": "1.14.1", "glob2": "0.7"}
    wheels = {"numpy": "2.1.0", "scipy": "1.14.1", "glob2": "0.5"}  # glob2 is not ours to bound
    assert script.too_old(bounds, wheels, "3.13") == [
        "numpy>=2.0.0 has no wheel for Python 3.13; the oldest is 2.1.0"
    ]
    pins = script.pinned("numpy==2.1.0 ; python_version < '3.14'\nscipy==1.14.1\n--flag\n")
    assert pins == {"numpy": "2.1.0", "scipy": "1.14.1"}


def test_what_cannot_be_installed_is_told_and_the_step_goes_on(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[list[str]] = []

    def answer(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        tried.append(command)
        broken = "install" in command and "numpy" not in command
        words = "error: no compiler\n" if broken else ""
        return subprocess.CompletedProcess(command, int(broken), "", words)

    monkeypatch.setattr(script, "run", answer)
    options = SimpleNamespace(work=tmp_path)
    failures: list[str] = []
    for wanted in ("scipy", "numpy"):
        with script.told(failures), script.environment(options, "3.13", wanted) as folder:
            script.run(["use", wanted, str(folder)])
    assert failures == ["pip install of scipy, Python 3.13\n    error: no compiler"]
    assert [command[1] for command in tried if command[0] == "use"] == ["numpy"]
