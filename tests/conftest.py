"""Shared data: a tiny labelled folder, and tiny runs trained on it."""

import gc
import importlib.util
import json
import logging
import math
import multiprocessing
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.request import Request, urlopen

import pytest
import tomli_w
import torch
from playwright.sync_api import Browser, expect, sync_playwright

from picie.cli.app import main
from picie.data.synthetic.scenes import write_scenes
from picie.inference.segmenter import Segmenter, load
from picie.runtime.storage import Store
from picie.training.loop import train

collect_ignore = ["storm"]  # minutes, and no tests of pytest: `make storm`

Settings = dict[str, dict[str, Any]]
Start = Callable[..., BaseProcess]
KillAt = Callable[[int], AbstractContextManager["Kill"]]

_FORKS = "forkserver" in multiprocessing.get_all_start_methods()
_IMPORTED = ["picie.cli.train", "torch.distributed.launcher.api", "accelerate", "timm"]

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_BROWSER_FLAGS = (  # no sandbox, since tests may run as root; and nothing that asks the network
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--force-color-profile=srgb"),
)

_COMMON: dict[str, Any] = {
    "split": "train",
    "clusters": 3,
    "epochs": 3,
    "batch_size": 3,
    "size": 32,
    "base_size": 40,
    "backbone": "test_efficientnet",
    "pretrained": False,
    "feature_size": 8,
    "learning_rate": 1e-2,
    "workers": 0,
    "device": "cpu",
}


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Sums in one order, so that bytes can be compared with those of other processes."""
    torch.set_num_threads(1)


@pytest.fixture
def use_threads() -> Iterator[Callable[[int], None]]:
    """Sets the number of torch's threads until the end of the test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def pytest_collection_finish() -> None:
    """Look for garbage less often, and not in what was imported: it takes half a second a time."""
    gc.freeze()
    gc.set_threshold(50_000)


@pytest.fixture(scope="module")
def open_browser() -> Iterator[Callable[[], Browser]]:
    """Opens a Chromium; without one, tests are skipped, or fail with PICIE_NEEDS_BROWSER."""
    program = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    if program is None:
        problem = f"no browser ({', '.join(_BROWSERS)}) is installed"
        if os.environ.get("PICIE_NEEDS_BROWSER"):
            pytest.fail(problem)
        pytest.skip(problem)
    expect.set_options(timeout=15_000)  # other tests run at the same time
    with sync_playwright() as playwright:
        kind = playwright.chromium
        yield lambda: kind.launch(executable_path=program, args=list(_BROWSER_FLAGS))


@pytest.fixture(scope="module")
def browser(open_browser: Callable[[], Browser]) -> Iterator[Browser]:
    """A Chromium, for all tests of a module."""
    started = open_browser()
    yield started
    started.close()


@pytest.fixture(scope="session")
def wrong_values() -> list[Any]:
    """Values of all kinds, most of which no setting can have; JSON and TOML can hold them."""
    numbers = [-1, 0, 3, 10**12, -(10**30), 16**4500, 1.5, -0.0, 1e308, math.nan, math.inf]
    texts = ["", "3", "true", "\x1b[31m\u202e", "a\nb", "x" * 5_000]
    lists = [[], [[]], [1, "a"], [True], [math.nan], [0] * 5_000, [{}]]
    return [*numbers, True, False, *texts, *lists, {}, {"a": {"b": 1}}, {"name": []}]


@pytest.fixture(scope="session")
def toml() -> Callable[[Any], str]:
    """Writes a value as TOML, in one line."""

    def write(value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key} = {write(one)}" for key, one in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(write(one) for one in value) + "]"
        if isinstance(value, int) and value > 2**64:  # Python writes no decimals of this length
            return hex(value)
        return tomli_w.dumps({"a": value}).removeprefix("a = ").strip()

    return write


@pytest.fixture(scope="session")
def load_script() -> Callable[[str], ModuleType]:
    """Gives a script of the repository as a module; it takes its path from the root."""

    def load(place: str) -> ModuleType:
        path = Path(__file__).parents[1] / place
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six training and three validation scenes, (48, 64) pixels."""
    return write_scenes(tmp_path_factory.mktemp("scenes"), train=6, val=3, size=(48, 64))


@pytest.fixture(scope="session")
def settings() -> Settings:
    """Arguments of `train`, by preset."""
    return {
        "default": _COMMON
        | {
            "preset": "default",
            "overclusters": 8,
            "kmeans_pixels": 16,
            "learning_rate": 3e-3,  # with a larger one, its training is undone
            "refine": 0,
        },
        "reference": _COMMON | {"preset": "reference", "kmeans_images": 6, "kmeans_pixels": 16},
    }


@pytest.fixture(scope="session")
def flags(settings: Settings) -> Callable[[str], list[str]]:
    """The same as flags of the command line."""

    def of(preset: str) -> list[str]:
        values = {name: v for name, v in settings[preset].items() if not isinstance(v, bool)}
        named = [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]
        return [*named, "--no-pretrained", "--quiet"]

    return of


@pytest.fixture(scope="session")
def runs(
    scenes: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """An unbroken run of each preset; not to be changed."""
    folder = tmp_path_factory.mktemp("runs")
    for preset, values in settings.items():
        train(scenes, folder / preset, **values)
    gc.freeze()  # training imports timm
    return {preset: folder / preset for preset in settings}


@pytest.fixture(scope="session")
def model(runs: dict[str, Path]) -> Segmenter:
    """The trained model of the preset `default`; not to be changed."""
    return load(runs["default"])


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Reports may hold names that are no text, which tests in several processes cannot send."""
    return _sendable((yield))


def _sendable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_sendable(key): _sendable(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_sendable(one) for one in value)
    return value


_LONG = (
    *("test_ray_engine", "test_stories", "test_training", "test_nodes", "test_suites"),
    "test_notebooks",
)
"""Files that begin first, so that no process is alone with one of them in the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with long files, and let the server of processes get ready before its first test."""
    items.sort(key=lambda item: item.path.stem not in _LONG)
    if _FORKS and any("start" in getattr(item, "fixturenames", ()) for item in items):
        forkserver.set_forkserver_preload(_IMPORTED)
        forkserver.ensure_running()


@pytest.fixture(scope="session")
def start() -> Iterator[Start]:
    """Starts a process that calls a function of `tests/processes.py`, which it names.

    Processes are forked from a server that has imported, once for all of them, what training
    needs. No thread runs there and nothing was computed, so that each begins like a new one.
    """
    if not _FORKS:
        pytest.skip("needs the start method forkserver")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parent)
        processes = import_module("processes")

        def begin(name: str, *args: Any) -> BaseProcess:
            process = multiprocessing.get_context("forkserver").Process(
                target=getattr(processes, name), args=args
            )
            process.start()
            return process

        yield begin


class _Killed(BaseException):
    """Ends a call as a kill would."""


class Kill:
    """The changes of files before a kill, and whether it ended the block."""

    def __init__(self, step: int) -> None:
        self.steps: list[str] = []
        self.came = False
        self._step = step

    def reach(self, name: str) -> None:
        """Come to a change; the kill comes before it, or has come already."""
        if len(self.steps) >= self._step:  # also while the error is passed on
            raise _Killed
        self.steps.append(name)


@contextmanager
def _kill_at(step: int) -> Iterator[Kill]:
    kill = Kill(step)

    def counted(name: str) -> Callable[..., Any]:
        original = getattr(os, name)

        def call(*args: Any, **options: Any) -> Any:
            kill.reach(name)
            return original(*args, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("replace", "unlink", "rmdir", "mkdir", "fsync"):
            patch.setattr(os, name, counted(name))
        try:
            yield kill
        except _Killed:
            kill.came = True


@pytest.fixture(scope="session")
def kill_at() -> KillAt:
    """Ends a block before its step-th change of a file; as after a kill, nothing is cleaned up."""
    return _kill_at


@pytest.fixture(scope="session")
def pair(
    start: Start,
    scenes: Path,
    settings: Settings,
    flags: Callable[[str], list[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """What two processes found, all that is asked of them in one start; not to be changed.

    `learnt` is the run of the preset `default`, made by the command line; `short` ended after one
    epoch; `steps` is a reference run of tiny steps; `unreadable` had four images that can be read
    and three that cannot.
    """
    folder = tmp_path_factory.mktemp("pair")
    (folder / "photos").mkdir()
    for number in range(4):
        shutil.copy(scenes / "images" / f"scene_000{number}.jpg", folder / "photos")
    for number in range(3):
        (folder / "photos" / f"bad{number}.jpg").write_text("no image")
    draws = torch.Generator().manual_seed(0)
    points = 2 * torch.randn(8, 6, generator=draws)[torch.randint(8, (600,), generator=draws)]
    points += torch.randn(600, 6, generator=draws) + 3
    rows = torch.randperm(600, generator=draws).split([220, 380])
    torch.save((points, rows), folder / "points.pt")
    labelled, bare = {"data": str(scenes)}, {"data": str(folder / "photos"), "split": ""}
    default, reference = settings["default"], settings["reference"]
    trainings = {
        "short": default | labelled | {"epochs": 1},
        "steps": reference | labelled | {"epochs": 2, "learning_rate": 1e-6},
        "unreadable": reference | bare | {"epochs": 1},
    }
    command = [str(scenes), f"--out={folder / 'learnt'}", *flags("default")]
    (folder / "jobs.json").write_text(json.dumps({"trainings": trainings, "command": command}))
    process = start("launch_two", folder)
    process.join(timeout=600)
    process.kill()  # had it not come to an end
    assert process.exitcode == 0
    return folder


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server on this machine."""
    moto = import_module("moto.server")  # a second, which few tests need
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture(scope="session")
def _s3_used() -> list[str]:
    """The server that clients of S3 speak to."""
    return [""]


@pytest.fixture
def use_s3(monkeypatch: pytest.MonkeyPatch, _s3_used: list[str]) -> Callable[[str], None]:
    """Lets the S3 clients of this test speak to a server; called again, to another one."""

    def use(server: str) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server)
        if server != _s3_used[0]:  # to make a client takes a while
            import_module("s3fs").S3FileSystem.clear_instance_cache()
            _s3_used[0] = server

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return use


@pytest.fixture
def bucket(s3_server: str, use_s3: Callable[[str], None]) -> str:
    """The address of an empty bucket."""
    use_s3(s3_server)
    name = f"bucket-{secrets.token_hex(6)}"
    urlopen(Request(f"{s3_server}/{name}", method="PUT")).close()
    return f"s3://{name}"


@pytest.fixture(scope="session")
def stored() -> Callable[..., str]:
    """Copies a folder to a storage, the memory of this process or a bucket; gives its address."""

    def copy(folder: Path, root: str = "") -> str:
        root = root or f"memory://{secrets.token_hex(6)}"
        for path in folder.rglob("*"):
            if path.is_file():
                address = f"{root}/{path.relative_to(folder).as_posix()}"
                Store(address).write(address, path)
        return root

    return copy


@pytest.fixture
def unload(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Forgets modules until the end of the test, so that they are imported again."""

    def forget(*starts: str) -> None:
        for name in [one for one in sys.modules if one.startswith(starts)]:
            package, _, child = name.rpartition(".")
            if package in sys.modules:  # else the package would keep what is imported again
                monkeypatch.delattr(sys.modules[package], child, raising=False)
            monkeypatch.delitem(sys.modules, name)

    return forget


@pytest.fixture
def failure(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs a command line that must fail with one line; gives its exit code and that line."""

    def run(*args: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as caught:
            main([str(arg) for arg in args])
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.endswith("\n")
        assert captured.err.count("\n") == 1, captured.err
        assert ": error: " in captured.err
        assert isinstance(caught.value.code, int)
        return caught.value.code, captured.err

    return run
