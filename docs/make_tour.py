"""Make the screenshots of docs/studio.md and the walk-through of README.

    make demo && .venv/bin/python docs/make_tour.py

Plays a person in the studio, with the model and the photos of `make demo`: names clusters, draws
strokes, answers questions of a check, and looks at the results. Needs Chromium. Writes
docs/images/studio_{clusters,photos,check,results,tour}.webp.
"""

import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

import picie
from picie.clustering.tree import node_members
from picie.naming.name import name

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
DEMO = ROOT / "runs" / "demo"
SIZE = {"width": 1280, "height": 800}
WIDTH = 960  # of the walk-through
FLAGS = ("--no-sandbox", "--disable-gpu", "--force-color-profile=srgb", "--disable-dev-shm-usage")


class Film:
    """The frames of the walk-through."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.frames: list[Image.Image] = []
        self.times: list[int] = []

    def take(self, seconds: float = 1.0) -> None:
        """Show the page as it is for some seconds."""
        shot = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        height = shot.height * WIDTH // shot.width
        self.frames.append(shot.resize((WIDTH, height), Image.Resampling.LANCZOS))
        self.times.append(round(1000 * seconds))

    def write(self, path: Path) -> None:
        """Write all frames as one animated WebP."""
        first, *rest = self.frames
        options: dict[str, Any] = {"duration": self.times, "loop": 0, "quality": 70, "method": 6}
        first.save(path, save_all=True, append_images=rest, **options)


@contextmanager
def studio(run: Path, photos: Path) -> Iterator[str]:
    """The address of a studio that is running."""
    command = [sys.executable, "-m", "picie", "studio", str(run), str(photos), "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if found := re.search(r"http://\S+", line):
                yield found[0]
                return
        raise SystemExit("the studio did not start")
    finally:
        process.terminate()
        process.wait(30)


def answers(run: Path) -> dict[str, str]:
    """What each cluster of the model mostly shows, from the masks of the demo."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "run"
        shutil.copytree(run, copy)
        named = name(copy, labelled=DEMO / "scenes", split="train")
    return {str(vote.cluster): vote.name for vote in named.votes}


def main() -> None:
    """Play, and write the images."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None or not (DEMO / "model").is_dir():
        raise SystemExit("run `make demo` first, and install Chromium")
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        run, photos = Path(scratch) / "scenes", Path(scratch) / "photos"
        shutil.copytree(DEMO / "model", run)
        shutil.copytree(DEMO / "scenes" / "images", photos)
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        with studio(run, photos) as address:
            page = browser.new_page(viewport=SIZE, color_scheme="light")  # type: ignore[arg-type]
            page.goto(address)
            page.get_by_role("tab", name="Clusters").wait_for(timeout=120_000)
            page.wait_for_timeout(6000)
            film = Film(page)
            play(film, run)
            film.write(IMAGES / "studio_tour.webp")
        browser.close()


def still(page: Page, title: str) -> None:
    """Write the page as it is."""
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    shot.save(IMAGES / f"studio_{title}.webp", quality=85, method=6)


def play(film: Film, run: Path) -> None:
    """All scenes, in order."""
    film.take(1.5)
    name_clusters(film, run)
    correct(film)
    check(film)
    film.page.get_by_role("tab", name="Results").click()
    film.page.wait_for_timeout(1500)
    still(film.page, "results")
    film.take(2.5)


def name_clusters(film: Film, run: Path) -> None:
    """One name after the other; a few of them are shown slowly."""
    page = film.page
    model = picie.load(run, named=False)
    groups = model.network.view_centroids(0)[1].tolist()
    members, mostly = node_members(model.network.centroid_set()), answers(run)
    for number in range(40):
        if page.get_by_text("Everything has a name").count():
            break
        shown = re.search(r"cluster n(\d+)", page.locator("#side").inner_text())
        field = page.locator(".name-input").first
        if shown is None or not field.is_visible():
            break
        title = mostly[str(groups[members[int(shown[1])][0]])]
        field.fill(title)
        if number < 6:
            film.take(0.8)
        if number == 4:
            still(page, "clusters")
        field.press("Enter")
        page.wait_for_timeout(500)
        if number < 6 or number % 4 == 0:
            film.take(0.6)
    page.keyboard.press("Escape")
    film.take(1.5)


def correct(film: Film) -> None:
    """Strokes in a photo, with the brush."""
    page = film.page
    page.locator(".tile:visible").nth(1).dblclick()
    page.wait_for_timeout(2500)
    film.take(1.2)
    page.keyboard.press("b")
    box = page.locator(".stage-field").bounding_box()
    assert box is not None
    for title, x, y in (("building", 0.2, 0.58), ("road", 0.63, 0.5), ("road", 0.37, 0.62)):
        page.locator(".viewer-side").get_by_text(title, exact=True).first.click()
        page.mouse.move(box["x"] + box["width"] * x, box["y"] + box["height"] * y)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * (x + 0.05), box["y"] + box["height"] * y, steps=8)
        film.take(0.5)
        page.mouse.up()
        page.wait_for_timeout(1200)
        film.take(0.9)
    still(page, "photos")


def check(film: Film) -> None:
    """Some questions of the check."""
    page = film.page
    page.get_by_role("tab", name="Check").click()
    page.get_by_role("button", name="Begin the check").click()
    page.locator(".check-answers button").first.wait_for(timeout=120_000)
    page.wait_for_timeout(1500)
    film.take(1.2)
    for number in range(12):
        page.keyboard.press("n" if number == 5 else "y")
        page.wait_for_timeout(700)
        if number < 3 or number % 4 == 0:
            film.take(0.6)
    still(page, "check")
    film.take(1.2)


if __name__ == "__main__":
    main()
