"""The report in a real browser, driven by Playwright; skipped where no Chromium is installed."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from picie.inference.segmenter import Segmenter
from picie.models.class_names import ClassNames, NamedClass
from picie.reporting.make import make_report
from picie.runs import Run

LOUD = ("error", "warning")
Open = Callable[..., Page]


@pytest.fixture
def open_report(browser: Browser, report: Path) -> Iterator[Open]:
    """Opens the report; at the end nothing was complained about or asked for from outside."""
    complaints: list[str] = []
    requests: list[str] = []
    pages: list[Page] = []

    def open_page(
        *, width: int = 1280, dark: bool = False, scripts: bool = True, media: Any = "screen"
    ) -> Page:
        page = browser.new_page(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda said: (
                complaints.append(said.text) if said.type in ("error", "warning") else None
            ),
        )
        page.on("request", lambda request: requests.append(request.url))
        page.emulate_media(media=media)
        page.goto(report.as_uri())
        pages.append(page)
        return page

    yield open_page
    assert complaints == []
    assert [url for url in requests if not url.startswith(("data:", report.as_uri()))] == []
    for page in pages:
        assert page.title().endswith("- picie report")
        page.close()


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


def screenshot(page: Page) -> NDArray[np.uint8]:
    """(H, W, 3) of what is seen."""
    return np.array(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))


def left(page: Page, name: str) -> float:
    box = page.locator(f".shot .{name}").first.bounding_box()
    assert box is not None
    return box["x"]


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_it_is_drawn_on_any_screen(open_report: Open, width: int, dark: bool) -> None:
    page = open_report(width=width, dark=dark)
    image = screenshot(page)
    assert image.shape[1] == width
    assert (np.median(image) < 60) == dark
    assert image.std() > 10
    assert page.evaluate("document.documentElement.scrollWidth") == width  # nothing sticks out
    broken = "[...document.images].filter(image => image.complete && !image.naturalWidth).length"
    assert page.evaluate(broken) == 0


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_has_no_problem_of_access(browser: Browser, report: Path, dark: bool) -> None:
    script = Path(__file__).parents[1] / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        pytest.skip("axe-core is not installed")
    scheme: Any = "dark" if dark else "light"
    page = browser.new_page(color_scheme=scheme, bypass_csp=True)
    page.goto(report.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    page.evaluate(script.read_text())
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    assert [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found] == []
    page.close()


def test_colours_of_clusters_outlast_a_palette_of_high_contrast(open_report: Open) -> None:
    page = open_report()
    page.emulate_media(forced_colors="active")
    colour = "one => [one.style.backgroundColor, getComputedStyle(one).backgroundColor]"
    for part in (".bar i:not(.ignored)", ".index .swatch:not(.ignored)"):
        meant, seen = page.locator(part).first.evaluate(colour)
        assert seen == meant != ""


def test_each_link_of_the_navigation_leads_to_its_section(open_report: Open) -> None:
    page = open_report()
    page.emulate_media(reduced_motion="reduce")  # no smooth scrolling to wait for
    height = page.evaluate("document.documentElement.scrollHeight")
    for link in page.locator("nav a").all():
        link.click()
        page.wait_for_timeout(100)
        key = (link.get_attribute("href") or "").removeprefix("#")
        top = page.locator(f"#{key}").bounding_box()
        assert top is not None
        at_the_end = page.evaluate("scrollY + innerHeight") >= height - 1
        assert top["y"] == pytest.approx(64, abs=1) or (top["y"] > 64 and at_the_end), key
    # Nothing grows when it is seen: it would push away what a link has just led to.
    assert page.evaluate("document.documentElement.scrollHeight") == height


def test_the_slider_moves_by_keys_and_the_filter_hides(open_report: Open) -> None:
    page = open_report()
    opacity = "Number(getComputedStyle(document.querySelector('.mask')).opacity)"
    assert page.evaluate(opacity) == 0.5
    slider = page.locator("#mix")
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    assert page.evaluate(opacity) == pytest.approx(0.6)
    assert page.locator("#mix-value").text_content() == "60 %"
    slider.press("End")
    assert page.evaluate(opacity) == 1
    photos = page.locator(".shot:visible")
    assert photos.count() == 9
    page.locator("[data-show]").first.click()
    wanted = page.locator("#show").input_value()
    ids = [photo.get_attribute("data-ids") or "" for photo in page.locator(".shot").all()]
    expected = sum(wanted in own.split(" ") for own in ids)
    assert photos.count() == expected
    assert page.locator("#count").text_content() == f"{expected} of 9 photos"


def test_a_node_below_the_cut_is_found_with_its_pictures(open_report: Open) -> None:
    page = open_report()
    row = page.locator("#n1")
    assert not row.locator("summary").first.is_visible()  # its cluster is closed
    page.locator("#node").fill("99999")
    page.locator("#node").press("Enter")
    assert not page.locator("#node").evaluate("field => field.checkValidity()")
    page.locator("#node").fill("1")
    page.locator("#node").press("Enter")
    expect(row.locator("summary").first).to_be_in_viewport()
    expect(row.locator("summary").first).to_be_focused()
    assert (row.locator("b").first.text_content(), row.get_attribute("open")) == ("n1", "")
    assert "picie name" in (row.locator("code").first.text_content() or "")
    pictures = row.locator(".crops img")
    assert pictures.count() > 0
    shown = "image => getComputedStyle(image).backgroundImage.startsWith('url(\"data:image/webp')"
    assert all(picture.evaluate(shown) for picture in pictures.all())
    assert all(picture.evaluate("image => image.naturalWidth") == 72 for picture in pictures.all())
    row.locator("summary").first.press("Enter")  # by keyboard
    assert row.get_attribute("open") is None
    page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    row.locator("summary").first.press("Enter")
    row.locator(".command button").first.click()
    assert page.evaluate("copied").endswith(" --set n1=NAME")


def test_a_link_to_a_node_opens_it(open_report: Open) -> None:
    page = open_report()
    page.locator('.tree a[href="#n2"]').click()
    expect(page.locator("#n2 > summary")).to_be_in_viewport()
    page.locator("#n2 > summary").click()
    page.locator('.tree a[href="#n2"]').click()  # the same address again
    expect(page.locator("#n2")).to_have_attribute("open", "")


def test_photos_are_sorted_by_doubt_and_back(open_report: Open) -> None:
    page = open_report()
    doubts = "[...document.querySelectorAll('.shot')].map(shot => Number(shot.dataset.doubt))"
    names = "[...document.querySelectorAll('.shot b')].map(name => name.textContent)"
    by_name, first = page.evaluate(names), page.evaluate(doubts)
    page.locator("#order").select_option("doubt")
    assert page.evaluate(doubts) == sorted(first, reverse=True)
    page.locator("#order").select_option("name")
    assert page.evaluate(names) == by_name == sorted(by_name)


def test_in_print_photo_and_mask_stand_side_by_side(open_report: Open) -> None:
    page = open_report(media="print")
    assert left(page, "photo") < left(page, "mask")
    assert not page.locator(".tools").first.is_visible()
    assert page.pdf().startswith(b"%PDF")


def test_without_scripts_photo_and_mask_stand_side_by_side(open_report: Open) -> None:
    page = open_report(scripts=False)
    assert left(page, "photo") < left(page, "mask")
    assert not page.locator(".tools").first.is_visible()
