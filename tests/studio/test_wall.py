"""The wall of photos in a real browser, with the server that a person would start."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

MASKS = ".tile:not([hidden]) canvas:not([hidden])"
CENTRE = """(tile) => {
  const canvas = tile.querySelector("canvas");
  const { width, height } = canvas;
  return [...canvas.getContext("2d").getImageData(width >> 1, height >> 1, 1, 1).data];
}"""


@pytest.fixture(scope="module")
def photos(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 photos of scenes, each mirrored and brightened in its own way."""
    folder = tmp_path_factory.mktemp("wall")
    images = sorted((scenes / "images").glob("*.jpg"))
    for number in range(60):
        pixels = np.asarray(Image.open(images[number % len(images)])).astype(int)
        pixels = np.roll(pixels, 5 * number, axis=1) + number
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number:02d}.png")
    return folder


@pytest.fixture(scope="module")
def served(
    serving: Callable[..., Any],
    photos: Path,
    runs: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    """A studio of these photos that knows them all."""
    run = shutil.copytree(runs["default"], tmp_path_factory.mktemp("run") / "run")
    studio = serving(photos, run)
    studio.wait_for_phase("ready")

    def known() -> bool:
        counts = np.frombuffer(studio.ask("/api/counts").body, "<u2").reshape(60, -1)
        return bool((counts != 65535).any(1).all())

    studio.wait(known)
    return studio


@pytest.fixture
def context(browser: Browser, served: Any) -> Iterator[BrowserContext]:
    """A browser that holds the cookie; at the end nothing was complained about."""
    for _ in range(1000):  # every test begins without names
        if served.ask("/api/state").json["undo"] is None:
            break
        served.post("/api/act", {"page": "test", "act": "undo"})
    opened = browser.new_context(viewport={"width": 1440, "height": 900})
    name, value = served.cookie.split("=")
    opened.add_cookies([{"name": name, "value": value, "url": f"http://{served.host}"}])
    complaints: list[str] = []

    def watch(page: Page) -> None:
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda said: complaints.append(said.text) if said.type == "error" else None,
        )

    opened.on("page", watch)
    yield opened
    assert [one for one in complaints if "ERR_INTERNET_DISCONNECTED" not in one] == []
    opened.close()


def _open(context: BrowserContext, served: Any) -> Page:
    page = context.new_page()
    page.goto(f"http://{served.host}/")
    expect(page.locator(MASKS).first).to_be_visible(timeout=20_000)
    expect(page.locator(".side-place h2").first).to_be_visible()
    return page


def _until(page: Page, condition: str) -> None:
    """Wait until an expression is true; the page's rules forbid Playwright's own way."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"this did not come true: {condition}")


def _name(page: Page, title: str) -> None:
    field = page.locator(".side-place input").first
    field.fill(title)
    field.press("Enter")


def test_the_wall_paints_every_photo_that_is_seen(context: BrowserContext, served: Any) -> None:
    page = _open(context, served)
    _until(page, "document.querySelectorAll('.tile:not([hidden])').length > 10")
    _until(
        page,
        "[...document.querySelectorAll('.tile:not([hidden])')]"
        ".every((tile) => !tile.querySelector('canvas').hidden)",
    )
    assert page.locator(".tile").count() < 60 + 10
    assert page.locator(".wall-count").inner_text() == "60 photos"
    assert page.title().endswith("picie")


def test_a_name_repaints_without_waiting_and_reaches_the_log(
    context: BrowserContext, served: Any
) -> None:
    page = _open(context, served)
    _name(page, "ground")
    _until(page, "performance.getEntriesByName('picie:repaint').length > 0")
    served.wait(lambda: served.ask("/api/state").json["classes"])
    assert served.ask("/api/state").json["classes"][0]["name"] == "ground"
    expect(page.locator(".top-saved")).to_have_text("Saved")
    page.locator("#main").focus()
    page.keyboard.press("u")
    served.wait(lambda: not served.ask("/api/state").json["classes"])
    expect(page.locator("#status")).to_contain_text("undone")
    page.keyboard.press("Shift+U")
    served.wait(lambda: served.ask("/api/state").json["classes"])


def test_pointing_at_a_region_lights_it_up_and_a_click_asks_about_it(
    context: BrowserContext, served: Any
) -> None:
    page = _open(context, served)
    tile = page.locator("[aria-posinset='2']")
    expect(tile.locator("canvas")).to_be_visible()
    page.mouse.move(5, 5)
    page.wait_for_timeout(200)
    before = tile.evaluate(CENTRE)
    box = tile.bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    expect(page.locator(".wall-hint")).to_contain_text("cluster")
    _until(page, "performance.getEntriesByName('picie:glow').length > 0")
    assert tile.evaluate(CENTRE)[3] > before[3]
    asked = page.locator(".wall-hint").inner_text().split(",")[0]
    page.mouse.click(*middle)
    expect(page.locator(".side-place")).to_contain_text(asked)
    page.mouse.move(5, 5)
    expect(page.locator(".wall-hint")).to_be_hidden()


def test_keys_walk_over_the_wall_and_the_place_is_kept(
    context: BrowserContext, served: Any
) -> None:
    page = _open(context, served)
    page.locator(".wall-bar select").first.select_option("name")
    expect(page.locator("[aria-posinset='1']")).to_have_attribute("aria-label", re.compile("^00"))
    page.locator(".tile[tabindex='0']").focus()
    page.keyboard.press("End")
    focused = "document.activeElement.getAttribute('aria-posinset')"
    assert page.evaluate(focused) == "60"
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(focused) == "59"
    page.keyboard.press("Home")
    assert page.evaluate(focused) == "1"
    page.keyboard.press("PageDown")
    scrolled = page.evaluate("document.querySelector('.wall-scroll').scrollTop")
    assert scrolled > 0
    page.locator("#tab-check").click()
    page.locator("#tab-clusters").click()
    _until(page, f"document.querySelector('.wall-scroll').scrollTop === {scrolled}")
    _name(page, "ground")
    page.wait_for_timeout(900)
    assert page.evaluate("document.querySelector('.wall-scroll').scrollTop") == scrolled


def test_order_and_filter(context: BrowserContext, served: Any) -> None:
    page = _open(context, served)
    sort, show = page.locator(".wall-bar select").nth(0), page.locator(".wall-bar select").nth(1)
    sort.select_option("name")
    expect(page.locator("[aria-posinset='1']")).to_have_attribute("aria-label", "00")
    show.select_option("accepted")
    expect(page.locator(".wall > .empty")).to_contain_text("No photo is accepted yet")
    served.post("/api/act", {"page": "other", "act": "name", "node": 0, "title": "ground"})
    accepted = served.post("/api/act", {"page": "other", "act": "accept", "photo": 7})
    assert accepted.status == 200, accepted.body
    expect(page.locator(".wall-count")).to_have_text("1 of 60 photos")
    expect(page.locator("[aria-posinset='1']")).to_have_attribute("aria-label", "07, accepted")
    show.select_option("all")
    expect(page.locator(".wall-count")).to_have_text("60 photos")


def test_what_changed_veils_the_rest(context: BrowserContext, served: Any) -> None:
    page = _open(context, served)
    page.locator(".wall-bar select").first.select_option("name")
    _name(page, "ground")
    page.wait_for_timeout(900)
    toggle = page.get_by_role("button", name="What changed")
    toggle.click()
    expect(toggle).to_have_attribute("aria-pressed", "true")
    alphas = """() => {
      const found = new Set();
      for (const canvas of document.querySelectorAll(".tile:not([hidden]) canvas:not([hidden])")) {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        for (let at = 3; at < data.length; at += 4) found.add(data[at]);
      }
      return [...found].sort();
    }"""
    page.wait_for_timeout(300)
    assert set(page.evaluate(alphas)) == {150, 225}
    page.locator("#main").focus()
    page.keyboard.press("c")
    expect(toggle).to_have_attribute("aria-pressed", "false")


def test_two_pages_see_each_others_acts(context: BrowserContext, served: Any) -> None:
    one, other = _open(context, served), _open(context, served)
    _name(one, "ground")
    expect(other.locator(".classes")).to_contain_text("ground")
    other.locator("#main").focus()
    other.keyboard.press("u")
    expect(one.locator(".classes")).not_to_contain_text("ground")


def test_acts_are_kept_while_the_server_is_gone(context: BrowserContext, served: Any) -> None:
    page = _open(context, served)
    context.set_offline(True)
    _name(page, "ground")
    expect(page.locator("#status")).to_contain_text("server has stopped")
    expect(page.locator(".top-saved")).to_contain_text("1 act kept")
    expect(page.locator(".classes")).to_contain_text("ground")
    context.set_offline(False)
    served.wait(lambda: served.ask("/api/state").json["classes"])
    expect(page.locator(".top-saved")).to_have_text("Saved")
    expect(page.locator("#status")).not_to_contain_text("stopped")


def test_acts_of_a_page_that_died_are_sent_by_the_next(
    context: BrowserContext, served: Any
) -> None:
    page = _open(context, served)
    context.set_offline(True)
    _name(page, "ground")
    expect(page.locator(".top-saved")).to_contain_text("1 act kept")
    page.close()
    assert served.ask("/api/state").json["classes"] == []
    context.set_offline(False)
    page = _open(context, served)
    served.wait(lambda: served.ask("/api/state").json["classes"])
    expect(page.locator(".classes")).to_contain_text("ground")


def test_on_a_phone_the_right_column_is_a_drawer(context: BrowserContext, served: Any) -> None:
    page = _open(context, served)
    page.set_viewport_size({"width": 390, "height": 844})
    side = page.locator("#side")
    expect(side).to_be_hidden()
    page.locator(".drawer-button").click()
    expect(side).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(side).to_be_hidden()


def test_the_list_of_keys_opens_and_closes(context: BrowserContext, served: Any) -> None:
    page = _open(context, served)
    page.locator("#main").focus()
    page.keyboard.press("?")
    expect(page.locator(".keys-list")).to_contain_text("Hide masks while held")
    page.keyboard.press("Escape")
    expect(page.locator(".keys-list")).to_be_hidden()
    page.keyboard.down("h")
    page.wait_for_timeout(200)
    assert page.locator("[aria-posinset='1']").evaluate(CENTRE)[3] == 0
    page.keyboard.up("h")
    page.wait_for_timeout(200)
    assert page.locator("[aria-posinset='1']").evaluate(CENTRE)[3] > 0


def test_another_number_of_clusters(context: BrowserContext, served: Any) -> None:
    page = _open(context, served)
    page.locator("#top").get_by_label("Number of clusters").select_option("2")
    served.wait(lambda: served.ask("/api/state").json["clusters"] == 2)


def test_the_page_has_no_serious_problem_of_access(browser: Browser, served: Any) -> None:
    script = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        pytest.skip("axe-core is not installed")
    for dark, width in ((False, 1440), (True, 1024), (False, 390)):
        context = browser.new_context(
            viewport={"width": width, "height": 844},
            color_scheme="dark" if dark else "light",
            bypass_csp=True,
        )
        name, value = served.cookie.split("=")
        context.add_cookies([{"name": name, "value": value, "url": f"http://{served.host}"}])
        page = context.new_page()
        page.goto(f"http://{served.host}/")
        expect(page.locator(MASKS).first).to_be_visible()
        page.evaluate(script.read_text())
        found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
        loud = [one for one in found if one["impact"] in ("serious", "critical")]
        assert loud == []
        context.close()
