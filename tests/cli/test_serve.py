"""`picie serve`: what it is given, and what it says."""

import builtins
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from picie.cli.app import main
from picie.cli.interrupts import Stopped
from picie.studio.server import Server

Failure = Callable[..., tuple[int, str]]


@pytest.fixture
def run(runs: dict[str, Path], tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    shutil.copytree(runs["default"], folder)
    return folder


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server says where it is, and then gets Ctrl-C."""

    def run(self: Any, sockets: list[Any]) -> None:
        print(self._line)
        sockets[0].close()
        raise Stopped(signal.SIGINT)

    monkeypatch.setattr(Server, "run", run)


@pytest.mark.usefixtures("ended")
def test_the_address_has_the_secret_of_the_run(
    run: Path, scenes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["serve", str(run), str(scenes), "--label-studio", "--port", "0", "--device", "cpu"]
    main(options)
    out, err = capsys.readouterr()
    secret = (run / "studio" / "label-studio.secret").read_text().strip()
    assert out.startswith("picie serve: http://127.0.0.1:")
    assert out.endswith(f"/{secret}\n")
    assert '<Label value="cluster 0" background="#' in err
    main([*options, "--quiet", "--host", "0.0.0.0"])
    out, err = capsys.readouterr()
    assert out.endswith(f"/{secret}\n")
    assert "lets other machines reach this server" in err
    assert "<View>" not in err


def test_what_is_missing_is_said(
    failure: Failure,
    run: Path,
    scenes: Path,
    unload: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code, text = failure("serve", run, scenes)
    assert (code, "Pass --label-studio" in text) == (2, True)
    code, text = failure("serve", run, scenes / "x", "--label-studio")
    assert (code, "does not exist" in text) == (1, True), text
    imported = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name.startswith("starlette"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return imported(name, *args)

    unload("starlette", "picie.studio.", "picie.integrations.label")
    monkeypatch.setattr(builtins, "__import__", without)
    code, text = failure("serve", run, scenes, "--label-studio")
    assert (code, 'pip install "picie[studio]"' in text) == (1, True)
