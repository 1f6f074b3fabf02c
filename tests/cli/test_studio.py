"""`picie studio`: what it is given, and what it says."""

import builtins
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from picie.cli.arguments import Studio as Arguments
from picie.cli.interrupts import Stopped
from picie.cli.studio import run as run_studio
from picie.errors import ConfigError, MissingExtraError
from picie.studio import server

Failure = Callable[..., tuple[int, str]]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any, bool]]:
    """The studios that would be served, with their addresses, and whether a browser opens."""
    found: list[tuple[Any, Any, bool]] = []

    def serve(studio: Any, address: Any, *, browser: bool) -> None:
        address.socket.close()
        studio.stop()
        found.append((studio, address, browser))

    monkeypatch.setattr(server, "serve", serve)
    return found


def test_a_run_and_photos(
    runs: dict[str, Path], scenes: Path, served: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run_studio(Arguments(runs["default"], scenes, split="val", device="cpu"))
    ((studio, address, browser),) = served
    assert (studio.run, studio.photos_path) == (runs["default"], scenes.resolve())
    assert (studio.options.split, studio.options.device) == ("val", "cpu")
    assert address.host == "127.0.0.1"
    assert browser
    assert capsys.readouterr().err == f"{runs['default']}, photos of {scenes}; Ctrl-C ends it\n"


def test_a_run_alone_has_the_photos_of_its_training(
    runs: dict[str, Path], scenes: Path, served: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run_studio(Arguments(runs["default"], no_browser=True, quiet=True))
    ((studio, _, browser),) = served
    assert (studio.photos_path, studio.options.split) == (scenes.resolve(), "train")
    assert not browser
    assert capsys.readouterr() == ("", "")


def test_photos_alone(
    scenes: Path, served: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_studio(Arguments(scenes, quiet=True))
    run_studio(Arguments(scenes, out=tmp_path / "mine", quiet=True))
    assert [studio.run for studio, _, _ in served] == [
        Path("runs") / scenes.name,
        tmp_path / "mine",
    ]


def test_other_machines_are_warned_of(
    scenes: Path, tmp_path: Path, served: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run_studio(Arguments(scenes, out=tmp_path / "run", host="0.0.0.0", quiet=True))
    assert "lets other machines reach the page" in capsys.readouterr().err
    assert served[0][1].hosts


def test_errors_come_before_the_page(failure: Failure, tmp_path: Path, scenes: Path) -> None:
    code, text = failure("studio", str(tmp_path / "nothing"))
    assert (code, "nothing: no such folder; give a folder of photos" in text) == (1, True)
    code, text = failure("studio", str(scenes), "--port", "99999", "--out", str(tmp_path / "run"))
    assert (code, "99999 is no port; give another --port" in text) == (2, True)


@pytest.mark.parametrize("name", ["starlette.applications", "uvicorn"])
def test_what_to_install(
    name: str, scenes: Path, unload: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    unload("picie.studio", name)
    original = builtins.__import__

    def without(module: str, *args: Any) -> Any:
        if module.startswith(name):
            raise ImportError("none", name=name)
        return original(module, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r'pip install "picie\[studio\]"'):
        run_studio(Arguments(scenes))


def test_ctrl_c_is_how_it_ends(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [signal.SIGINT, signal.SIGTERM]

    def serve(studio: Any, address: Any, *, browser: bool) -> None:
        address.socket.close()
        studio.stop()
        raise Stopped(numbers.pop(0))

    monkeypatch.setattr(server, "serve", serve)
    arguments = Arguments(scenes, out=tmp_path / "run", quiet=True)
    run_studio(arguments)
    with pytest.raises(Stopped):
        run_studio(arguments)
    with pytest.raises(ConfigError, match="remove it"):
        run_studio(Arguments(scenes, scenes, out=tmp_path))
