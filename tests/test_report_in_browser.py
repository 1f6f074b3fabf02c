"""The report in a Chromium without a window, where there is one: spoken to through a pipe."""

import base64
import io
import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from picie.inference.segmenter import Segmenter
from picie.models.class_names import ClassNames, NamedClass
from picie.reporting.make import make_report
from picie.runs import Run

SECONDS = 60  # until an answer must be there
START = """
import fcntl, os, sys
read, write, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
pair = [fcntl.fcntl(one, fcntl.F_DUPFD, 10) for one in (read, write)]
for own, wanted in zip(pair, (3, 4)):  # it reads from 3 and writes to 4
    os.dup2(own, wanted)
    os.set_inheritable(wanted, True)
os.execv(program, sys.argv[3:])
"""
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)


def find() -> str | None:
    """The program, or None."""
    if sys.platform == "win32":
        return None  # pipes are other things there
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One tab. `complaints`: errors on the console; `requests`: all addresses asked for."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read, self._rest, self._number = write, read, b"", 0
        self._loaded = False
        self.complaints: list[str] = []
        self.requests: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        found = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = found["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._call(method, session=self._session, **params)

    def look(
        self,
        path: Path,
        *,
        width: int = 1280,
        height: int = 900,
        dark: bool = False,
        media: str = "",
        scripts: bool = True,
    ) -> None:
        """Open a file at a size, on light or dark paper, on a screen or in print."""
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self._loaded = False
        self.call("Page.navigate", url=path.as_uri())
        while not self._loaded:
            self._hear()
        if scripts:  # frames call nobody otherwise
            self.settle()

    def settle(self) -> None:
        """Wait until what was asked for is drawn."""
        self.run("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        found = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in found:
            raise AssertionError(found["exceptionDetails"])
        return found["result"].get("value")

    def press(self, key: str, code: int) -> None:
        for kind in ("keyDown", "keyUp"):
            names = {"key": key, "code": key, "windowsVirtualKeyCode": code}
            self.call("Input.dispatchKeyEvent", type=kind, **names)
        self.settle()

    def shot(self) -> NDArray[np.uint8]:
        """(H, W, 3) of what is seen."""
        content = base64.b64decode(self.call("Page.captureScreenshot")["data"])
        return np.array(Image.open(io.BytesIO(content)).convert("RGB"))

    def pdf(self) -> bytes:
        found = self.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
        return base64.b64decode(found["data"])

    def _call(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]
        while True:
            answer = self._hear()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return dict(answer["result"])

    def _hear(self) -> dict[str, Any]:
        """The next message, noted if it is no answer."""
        message = self._next()
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], SECONDS)
            got = os.read(self._read, 1 << 20) if ready else b""
            if not got:
                raise AssertionError("the browser has gone, or hangs")
            self._rest += got
        one, self._rest = self._rest.split(b"\0", 1)
        return dict(json.loads(one))

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.complaints.append(str(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(str(params["entry"]["text"]))
        elif method == "Network.requestWillBeSent":
            self.requests.append(str(params["request"]["url"]))
        elif method == "Page.loadEventFired":
            self._loaded = True


@contextmanager
def browser(program: str, profile: Path) -> Iterator[Page]:
    """Start it with a fresh profile, and end it."""
    ours_in, theirs_out = os.pipe()
    theirs_in, ours_out = os.pipe()

    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            START,
            str(theirs_in),
            str(theirs_out),
            program,
            *FLAGS,
            f"--user-data-dir={profile}",
            "about:blank",
        ],
        pass_fds=(theirs_in, theirs_out),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        os.close(theirs_in)
        os.close(theirs_out)
        page = Page(ours_out, ours_in)
        yield page
        with suppress(AssertionError):
            page._call("Browser.close")
    finally:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(ours_in)
        os.close(ours_out)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    program = find()
    if program is None:
        pytest.skip(f"no browser ({', '.join(NAMES)}) is installed")
    with browser(program, tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def report(
    model: Segmenter,
    scenes: Path,
    runs: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    names = ClassNames(
        3,
        (
            NamedClass("<script>document.title = 'bad'</script>", (0,)),
            NamedClass("left \U0001f600 out", (1,), ignore=True),
        ),
    )
    made = make_report(model.named(names), scenes, run=Run.open(runs["default"]))
    path = tmp_path_factory.mktemp("report") / "a report.html"
    path.write_text(made.html, encoding="utf-8")
    return path


def clean(page: Page, report: Path) -> bool:
    outside = [url for url in page.requests if not url.startswith(("data:", report.as_uri()))]
    assert page.complaints == []
    assert outside == []
    return bool(page.run("document.title").endswith("- picie report"))


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_it_is_drawn_without_a_complaint_and_without_asking_for_anything(
    page: Page, report: Path, width: int, dark: bool
) -> None:
    page.look(report, width=width, dark=dark)
    assert clean(page, report)
    image = page.shot()
    assert image.shape[1] == width
    assert (np.median(image) < 60) == dark
    assert image.std() > 10
    assert page.run("document.documentElement.scrollWidth") == width  # nothing sticks out
    broken = "[...document.images].filter(one => one.complete && !one.naturalWidth).length"
    assert page.run(broken) == 0


def test_the_slider_moves_by_keys_and_the_filter_hides(page: Page, report: Path) -> None:
    page.look(report)
    opacity = "Number(getComputedStyle(document.querySelector('.mask')).opacity)"
    assert page.run(opacity) == 0.5
    page.run("document.getElementById('mix').focus()")
    page.press("ArrowRight", 39)
    page.press("ArrowRight", 39)
    assert page.run(opacity) == pytest.approx(0.6)
    assert page.run("document.getElementById('mix-value').textContent") == "60 %"
    page.press("End", 35)
    assert page.run(opacity) == 1
    shown = "[...document.querySelectorAll('.shot')].filter(one => one.offsetParent).length"
    assert page.run(shown) == 9
    page.run("document.querySelector('[data-show]').click()")
    wanted = page.run("document.getElementById('show').value")
    expected = page.run(
        "[...document.querySelectorAll('.shot')]"
        f".filter(one => one.dataset.ids.split(' ').includes('{wanted}')).length"
    )
    assert page.run(shown) == expected
    assert page.run("document.getElementById('count').textContent") == f"{expected} of 9 photos"
    assert clean(page, report)


def test_without_scripts_and_in_print_photo_and_mask_stand_side_by_side(
    page: Page, report: Path
) -> None:
    place = "document.querySelector('.shot .{}').getBoundingClientRect().left"
    page.look(report, media="print")
    assert page.run(place.format("photo")) < page.run(place.format("mask"))
    assert page.run("getComputedStyle(document.querySelector('.tools')).display") == "none"
    assert page.pdf().startswith(b"%PDF")
    page.look(report, scripts=False)
    assert page.run(place.format("photo")) < page.run(place.format("mask"))
    assert page.run("getComputedStyle(document.querySelector('.tools')).display") == "none"
