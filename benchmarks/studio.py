"""Time the studio in a real browser: the first screen, names, hovering, strokes, scrolling.

    python benchmarks/studio.py RUN PHOTOS [--rounds 20] [--chromium /usr/bin/chromium]

RUN is copied first, so that it stays as it is. Prints one JSON line. Times are milliseconds, median
and 95th percentile over the rounds:

- first_screen: from the start of the command to photos on the page; again with a warm cache.
- ready: from the start to a model that can be named.
- name: Enter on a name to all visible photos painted anew. glow: pointer on a region to the same.
- stroke: end of a stroke to the new mask of its photo; stroke_view: of all photos in view.
- next: the key for the next photo to its mask.
- scroll: frames per second while the wall scrolls for 3 seconds, and its longest frame.
- memory: resident size of the server after the start, and after all photos were looked at, in MB.
"""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

import picie

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--disable-dev-shm-usage",
)


@dataclass
class Server:
    """A running studio."""

    process: subprocess.Popen[str]
    address: str
    started: float

    @property
    def memory(self) -> float:
        """Resident size in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        found = re.search(r"RssAnon:\s+(\d+)", status)
        return int(found[1]) / 1024 if found else 0.0


@contextmanager
def studio(run: Path, photos: Path) -> Iterator[Server]:
    """Start the server in a process of its own, as a person would."""
    started = time.monotonic()
    command = [sys.executable, "-m", "picie", "studio", str(run), str(photos), "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"http://\S+", line):
                yield Server(process, found[0], started)
                return
        raise SystemExit("the studio did not start")
    finally:
        process.terminate()
        process.wait(30)


def main() -> None:
    args = _arguments()
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        run = Path(scratch) / "run"
        shutil.copytree(args.run, run, ignore=shutil.ignore_patterns("studio", "features"))
        browser = playwright.chromium.launch(executable_path=args.chromium, args=list(FLAGS))

        def page() -> Page:
            return browser.new_page(viewport={"width": 1440, "height": 900})

        record: dict[str, Any] = {"photos": sum(1 for _ in args.photos.iterdir())}
        with studio(run, args.photos) as server:
            record |= _first(server, page())
            shown = page()
            _open(server, shown)
            record["memory_start"] = round(server.memory)
            _until_ready(shown, args.patience)
            record["all_ready_s"] = round(time.monotonic() - server.started, 1)
            record["memory_end"] = round(server.memory)
        with studio(run, args.photos) as server:
            record |= {f"warm_{name}": value for name, value in _first(server, page()).items()}
            shown = page()
            _open(server, shown)
            for measure in (_scroll, _names, _glow, _strokes, _next):
                record |= measure(shown, args.rounds)
            record["memory_after"] = round(server.memory)
        browser.close()
    record |= {
        "picie": picie.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "rounds": args.rounds,
    }
    print(json.dumps(record))


def _first(server: Server, page: Page) -> dict[str, float]:
    """Seconds from the start of the command to photos, and to masks on them."""
    page.goto(server.address)
    _wait(
        page,
        "[...document.querySelectorAll('.tile img')].filter(i => i.complete && i.naturalWidth)"
        ".length > 5",
    )
    photos = time.monotonic() - server.started
    page.wait_for_selector("[role=tab]", timeout=300_000)
    _wait(page, "performance.getEntriesByName('picie:maps').length > 0")
    masks = time.monotonic() - server.started
    page.close()
    return {"first_screen_s": round(photos, 2), "masks_s": round(masks, 2)}


def _wait(page: Page, condition: str, seconds: float = 300) -> None:
    """Ask again and again: the page allows no functions made from text."""
    until = time.monotonic() + seconds
    while not page.evaluate(condition):
        if time.monotonic() > until:
            raise SystemExit(f"waited {seconds:g} s in vain: {condition}")
        page.wait_for_timeout(20)


def _open(server: Server, page: Page) -> None:
    page.goto(server.address)
    page.wait_for_selector("[role=tab]", timeout=300_000)
    _wait(page, "performance.getEntriesByName('picie:maps').length > 0")


def _until_ready(page: Page, patience: float) -> None:
    """Wait until all photos were looked at."""
    script = "fetch('/api/counts').then(r => r.arrayBuffer()).then(b => new Uint16Array(b))"
    until = time.monotonic() + patience
    while time.monotonic() < until:
        missing = page.evaluate(
            f"async () => {{ const counts = await {script};"
            " const model = await (await fetch('/api/model')).json();"
            " let missing = 0;"
            " for (let at = 0; at < counts.length; at += model.centroids)"
            " missing += counts[at] === 65535 && counts[at + 1] === 65535;"
            " return missing; }"
        )
        if not missing:
            return
        time.sleep(1)


def _summary(name: str, values: list[float]) -> dict[str, Any]:
    if not values:
        return {name: None}
    ordered = sorted(values)
    late = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return {name: {"median": round(statistics.median(values), 1), "p95": round(late, 1)}}


def _taken(page: Page, name: str) -> list[float]:
    """The times that the page measured since the last call, in milliseconds."""
    script = (
        "name => { const found = performance.getEntriesByName(name).map(e => e.duration);"
        " performance.clearMeasures(name); return found; }"
    )
    found: list[float] = page.evaluate(script, name)
    return found


def _names(page: Page, rounds: int) -> dict[str, Any]:
    page.get_by_role("tab", name="Clusters").click()
    _taken(page, "picie:repaint")
    field = page.locator(".name-input").first
    times = []
    for number in range(rounds):
        field.fill(f"class {chr(97 + number % 9)}")
        _taken(page, "picie:repaint")
        field.press("Enter")
        page.wait_for_timeout(400)
        times += _taken(page, "picie:repaint")[:1]
    return _summary("name", times)


def _glow(page: Page, rounds: int) -> dict[str, Any]:
    tiles = page.locator(".tile:visible")
    times = []
    for number in range(rounds):
        box = tiles.nth(number % 8).bounding_box()
        if box is None:
            continue
        _taken(page, "picie:glow")
        share = 0.2 + 0.6 * (number % 5) / 4
        page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] * (1 - share))
        page.wait_for_timeout(200)
        times += _taken(page, "picie:glow")[:1]
    return _summary("glow", times)


def _strokes(page: Page, rounds: int) -> dict[str, Any]:
    page.locator(".tile:visible").first.dblclick()
    page.wait_for_timeout(2000)
    page.keyboard.press("b")
    page.keyboard.press("1")
    field = page.locator(".stage-field")
    own, view = [], []
    for number in range(rounds):
        box = field.bounding_box()
        assert box is not None
        x = box["x"] + box["width"] * (0.3 + 0.4 * (number % 7) / 6)
        y = box["y"] + box["height"] * (0.3 + 0.4 * (number % 5) / 4)
        page.keyboard.press(str(1 + number % 3))
        _taken(page, "picie:stroke")
        _taken(page, "picie:stroke:strip")
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 40, y + 10, steps=5)
        page.mouse.up()
        page.wait_for_timeout(1500)
        own += _taken(page, "picie:stroke")[:1]
        view += _taken(page, "picie:stroke:strip")[:1]
    return _summary("stroke", own) | _summary("stroke_view", view)


def _next(page: Page, rounds: int) -> dict[str, Any]:
    times = []
    for _ in range(rounds):
        _taken(page, "picie:next")
        page.keyboard.press("Space")
        page.wait_for_timeout(1000)
        times += _taken(page, "picie:next")[:1]
    return _summary("next", times)


def _scroll(page: Page, rounds: int) -> dict[str, Any]:
    script = """async () => {
      const wall = document.querySelector('.wall-scroll');
      const frames = [];
      let last = performance.now();
      const end = last + 3000;
      await new Promise((done) => {
        const step = (now) => {
          frames.push(now - last);
          last = now;
          wall.scrollTop += 24;
          if (now < end) requestAnimationFrame(step); else done();
        };
        requestAnimationFrame(step);
      });
      wall.scrollTop = 0;
      return frames.slice(1);
    }"""
    del rounds
    frames: list[float] = page.evaluate(script)
    return {
        "scroll_fps": round(1000 * len(frames) / sum(frames), 1),
        "scroll_longest_ms": round(max(frames), 1),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("run", type=Path, help="a run with a tree; it is copied")
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--patience", type=float, default=3600, help="seconds for all photos")
    parser.add_argument("--chromium", default=shutil.which("chromium") or "chromium")
    return parser.parse_args()


if __name__ == "__main__":
    main()
