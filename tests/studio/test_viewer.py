"""The large view in a real browser, by mouse and by keys."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

LOUD = ("error", "warning")
STAGE = ".stage-field"
MARKS = ".mark-list li"


@pytest.fixture(scope="module")
def served(serving_scenes: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A studio of nine photos, (48, 64) pixels, whose clusters have two names."""
    served = serving_scenes(tmp_path_factory.mktemp("viewer"))
    for node, title in enumerate(("ground", "sky")):
        act = {"page": "test", "key": f"name{node}", "act": "name", "node": node, "title": title}
        assert served.post("/api/act", act).status == 200
    return served


@pytest.fixture
def page(browser: Browser, served: Any) -> Iterator[Page]:
    """The tab Photos; at the end nothing was complained about."""
    complaints: list[str] = []
    context = browser.new_context(viewport={"width": 1440, "height": 900}, has_touch=True)
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda said: complaints.append(said.text) if said.type in LOUD else None,
    )
    page.on(
        "response",
        lambda one: complaints.append(f"{one.url}: {one.text()}") if one.status >= 400 else None,
    )
    page.goto(served.address.url)
    page.get_by_role("tab", name="Photos").click()
    expect(page.locator(".stage-mask")).to_be_visible(timeout=30_000)
    expect(page.locator(".class-chips button")).to_have_count(3)  # and the one that is no class
    clear(page)
    yield page
    assert complaints == []
    context.close()


def clear(page: Page) -> None:
    """Remove what earlier tests have drawn in this photo."""
    marks = page.locator(MARKS)
    while marks.count():
        count = marks.count()
        marks.first.get_by_role("button", name=re.compile("Remove")).click()
        expect(marks).to_have_count(count - 1)


def place(page: Page, across: float, down: float) -> tuple[float, float]:
    """On screen, a place of the photo when all of it is seen; both in 0..1."""
    box = page.locator(".stage-mask").bounding_box()
    assert box is not None
    return box["x"] + across * box["width"], box["y"] + down * box["height"]


def percent(page: Page) -> int:
    return int(page.locator(".zoom-percent").inner_text().split()[0])


def wait_for(page: Page, ready: Callable[[], object]) -> None:
    """Wait in Python: the page lets no text be run as a program."""
    for _ in range(300):
        if ready():
            return
        page.wait_for_timeout(50)
    pytest.fail("it takes too long")


def classes(served: Any) -> list[str]:
    return [one["name"] for one in served.ask("/api/state").json["classes"]]


def marks(page: Page, served: Any, count: int) -> list[Any]:
    """The marks of the photo that is open, once the server has them."""
    expect(page.locator(MARKS)).to_have_count(count)
    number = photo(page, served)
    served.wait(lambda: len(served.ask(f"/api/photo/{number}").json["marks"]) == count)
    found: list[Any] = served.ask(f"/api/photo/{number}").json["marks"]
    return found


def photo(page: Page, served: Any) -> int:
    names: list[str] = served.ask("/api/photos").json["names"]
    return names.index(page.locator(".photo-name").inner_text())


def draw(page: Page, *places: tuple[float, float]) -> None:
    page.mouse.move(*place(page, *places[0]))
    page.mouse.down()
    for one in places[1:]:
        page.mouse.move(*place(page, *one), steps=8)
    page.mouse.up()


def tool(page: Page, key: str) -> Locator:
    """Take a tool by its key; gives its button."""
    page.keyboard.press(key)
    button = page.locator(".tool[aria-pressed=true]")
    expect(button).to_have_attribute("aria-keyshortcuts", key)
    return button


def test_a_stroke_is_drawn_by_mouse_and_taken_back(page: Page, served: Any) -> None:
    tool(page, "b")
    page.keyboard.press("2")
    expect(page.locator(".class-chips [aria-pressed=true]")).to_have_text("sky")
    version = served.ask("/api/state").json["head"]["version"]
    draw(page, (0.25, 0.5), (0.75, 0.5))
    (mark,) = marks(page, served, 1)
    assert (mark["act"], mark["class"]) == ("stroke", "sky")
    (left, top), *_, (right, bottom) = mark["points"]
    assert abs(left - 16) < 1
    assert abs(right - 48) < 1
    assert abs(top - 24) < 1
    assert abs(bottom - 24) < 1
    assert len(mark["points"]) <= 4
    served.wait(lambda: served.ask("/api/state").json["head"]["version"] != version)
    wait_for(page, lambda: page.evaluate("performance.getEntriesByName('picie:stroke').length"))
    page.keyboard.press("u")
    marks(page, served, 0)
    page.keyboard.press("Shift+U")
    marks(page, served, 1)


def test_a_stroke_is_drawn_by_keys_and_its_class_is_said(page: Page, served: Any) -> None:
    tool(page, "b")
    page.keyboard.press("1")
    page.locator(STAGE).focus()
    page.keyboard.press("Shift+ArrowLeft")
    said = page.locator("[aria-live=polite].visually-hidden")
    expect(said).to_have_text(re.compile(r"^(ground|sky|a cluster without a name), \d+, \d+$"))
    page.keyboard.press("Enter")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    (mark,) = marks(page, served, 1)
    assert (mark["act"], mark["class"]) == ("stroke", "ground")
    assert mark["points"][-1][0] > mark["points"][0][0]


def test_a_stroke_without_a_class_asks_for_one(page: Page, served: Any) -> None:
    tool(page, "b")
    draw(page, (0.25, 0.25), (0.5, 0.25))
    field = page.get_by_role("combobox", name="This is")
    expect(field).to_be_focused()
    field.fill("bird")
    field.press("Enter")
    (mark,) = marks(page, served, 1)
    assert mark["class"] == "bird"
    expect(page.locator(".class-chips [aria-pressed=true]")).to_have_text("bird")
    page.keyboard.press("u")
    marks(page, served, 0)
    page.keyboard.press("1")
    expect(page.locator(".class-chips button", has_text="bird")).to_have_count(0)


def test_a_polygon_is_closed_by_enter_or_a_double_click(page: Page, served: Any) -> None:
    tool(page, "g")
    page.keyboard.press("1")
    corners = [(0.2, 0.2), (0.6, 0.2), (0.6, 0.7)]
    for corner in [*corners, (0.9, 0.9)]:
        page.mouse.click(*place(page, *corner))
    page.keyboard.press("Backspace")
    page.keyboard.press("Enter")
    (mark,) = marks(page, served, 1)
    assert mark["act"] == "polygon"
    wanted = [(64 * x, 48 * y) for x, y in corners]
    for (x, y), (wanted_x, wanted_y) in zip(mark["points"], wanted, strict=True):
        assert abs(x - wanted_x) < 0.2
        assert abs(y - wanted_y) < 0.2
    for corner in corners[:2]:
        page.mouse.click(*place(page, *corner))
    page.mouse.dblclick(*place(page, 0.3, 0.8))
    assert len(marks(page, served, 2)[1]["points"]) == 3
    page.mouse.click(*place(page, 0.1, 0.1))
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    marks(page, served, 2)


def test_a_polygon_and_a_box_by_keys(page: Page, served: Any) -> None:
    page.keyboard.press("1")
    tool(page, "g")
    page.locator(STAGE).focus()
    for key in ("ArrowLeft", "ArrowDown", "ArrowRight"):
        page.keyboard.press(f"Shift+{key}")
        page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    (polygon,) = marks(page, served, 1)
    assert (polygon["act"], len(polygon["points"])) == ("polygon", 3)
    tool(page, "r")
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    box = marks(page, served, 2)[1]
    assert box["act"] == "box"
    assert box["box"][0] < box["box"][2]
    assert box["box"][1] < box["box"][3]


def test_a_region_is_named_here(page: Page, served: Any) -> None:
    tool(page, "s")
    page.mouse.move(*place(page, 0.5, 0.9))
    page.mouse.click(*place(page, 0.5, 0.9))
    expect(page.get_by_role("dialog", name="This is")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="This is")).to_be_hidden()
    expect(page.locator(STAGE)).to_be_focused()
    page.mouse.click(*place(page, 0.5, 0.9))
    page.keyboard.press("2")
    (mark,) = marks(page, served, 1)
    assert (mark["act"], mark["class"]) == ("segment", "sky")
    assert holds(mark["rings"], 32.05, 43.25)


def holds(rings: list[list[list[float]]], x: float, y: float) -> bool:
    """Whether a point is inside rings, by the even-odd rule."""
    crossings = 0
    for ring in rings:
        for (ax, ay), (bx, by) in zip(ring, ring[1:] + ring[:1], strict=True):
            crossings += (ay > y) != (by > y) and x < ax + (y - ay) / (by - ay) * (bx - ax)
    return crossings % 2 == 1


def test_a_region_is_named_everywhere_by_keys(page: Page, served: Any) -> None:
    tool(page, "s")
    page.locator(STAGE).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_role("radio", name="everywhere").check()
    field = page.get_by_role("combobox", name="This is")
    expect(field).to_be_focused()
    field.fill("water")
    field.press("Enter")
    served.wait(lambda: "water" in classes(served))
    marks(page, served, 0)
    page.keyboard.press("u")
    served.wait(lambda: "water" not in classes(served))


def test_the_eraser_and_the_list_of_marks(page: Page, served: Any) -> None:
    page.keyboard.press("1")
    tool(page, "b")
    draw(page, (0.2, 0.5), (0.8, 0.5))
    marks(page, served, 1)
    tool(page, "e")
    draw(page, (0.4, 0.5), (0.5, 0.5))
    assert [one["act"] for one in marks(page, served, 2)] == ["stroke", "erase"]
    tool(page, "v")
    page.mouse.click(*place(page, 0.25, 0.5))
    expect(page.locator(f"{MARKS}.selected")).to_have_text(re.compile("Stroke: ground"))
    page.keyboard.press("Delete")
    assert [one["act"] for one in marks(page, served, 1)] == ["erase"]


def test_zoom_keeps_what_is_under_the_pointer(page: Page) -> None:
    seen = percent(page)
    before = page.locator(".stage-mask").bounding_box()
    x, y = place(page, 0.25, 0.5)
    page.mouse.move(x, y)
    page.mouse.wheel(0, -200)
    wait_for(page, lambda: percent(page) > seen)
    factor = percent(page) / seen
    after = page.locator(".stage-mask").bounding_box()
    assert before is not None
    assert after is not None
    assert abs((x - after["x"]) - factor * (x - before["x"])) < 8
    page.keyboard.press("0")
    wait_for(page, lambda: percent(page) == seen)
    page.keyboard.press("+")
    wait_for(page, lambda: percent(page) > seen)
    page.keyboard.press("-")


def test_two_fingers_zoom_and_one_draws(page: Page, served: Any) -> None:
    page.keyboard.press("1")
    tool(page, "b")
    seen = percent(page)
    touch = page.context.new_cdp_session(page)
    (x, y), (right, _) = place(page, 0.5, 0.5), place(page, 0.7, 0.5)

    def fingers(kind: str, *points: tuple[float, float]) -> None:
        shown = [{"x": x, "y": y, "id": place} for place, (x, y) in enumerate(points)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": shown})

    fingers("touchStart", (x, y))
    fingers("touchStart", (x, y), (right, y))
    fingers("touchMove", (x - 100, y), (right + 100, y))
    fingers("touchEnd")
    wait_for(page, lambda: percent(page) > seen)
    marks(page, served, 0)
    page.keyboard.press("0")
    fingers("touchStart", (x, y))
    fingers("touchMove", (x + 60, y))
    fingers("touchEnd")
    (mark,) = marks(page, served, 1)
    assert mark["act"] == "stroke"


def test_slider_and_side_by_side(page: Page) -> None:
    modes = page.get_by_role("combobox", name="View")
    handle = page.get_by_role("slider", name="Where the mask begins")
    expect(handle).to_be_hidden()
    whole = page.locator(".stage-mask").bounding_box()
    modes.select_option("slider")
    handle.focus()
    page.keyboard.press("Home")
    expect(handle).to_have_attribute("aria-valuenow", "0")
    page.keyboard.press("Shift+ArrowRight")
    expect(handle).to_have_attribute("aria-valuenow", "10")
    box = page.locator(".stage").bounding_box()
    assert box is not None
    assert whole is not None
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 40, steps=4)
    page.mouse.up()
    expect(handle).to_have_attribute("aria-valuenow", "75")
    clip = page.locator(".stage-mask").evaluate("mask => mask.style.clipPath")
    assert abs(float(clip.split()[-1][:-3]) - (0.75 * box["width"] - whole["x"] + box["x"])) < 6
    modes.select_option("side")
    expect(handle).to_be_hidden()
    page.wait_for_timeout(100)
    half = page.locator(".stage-mask").bounding_box()
    assert half is not None
    assert half["x"] >= box["x"] + box["width"] / 2
    modes.select_option("one")


def test_accept_goes_to_the_next_photo_and_back(page: Page, served: Any) -> None:
    number = photo(page, served)
    name = page.locator(".photo-name").inner_text()
    page.locator(STAGE).focus()
    page.keyboard.press("a")
    expect(page.locator(".photo-name")).not_to_have_text(name)
    served.wait(lambda: served.ask("/api/state").json["accepted"] == [number])
    page.keyboard.press("Shift+Space")
    expect(page.locator(".photo-name")).to_have_text(name)
    expect(page.locator(".photo-badge")).to_be_visible()
    page.keyboard.press("a")
    expect(page.locator(".photo-badge")).to_be_hidden()
    served.wait(lambda: served.ask("/api/state").json["accepted"] == [])
    page.keyboard.press("Space")
    expect(page.locator(".photo-name")).not_to_have_text(name)


def test_a_stroke_changes_an_accepted_mask(page: Page, served: Any) -> None:
    number = photo(page, served)
    page.keyboard.press("a")
    served.wait(lambda: served.ask("/api/state").json["accepted"] == [number])
    page.keyboard.press("Shift+Space")
    expect(page.locator(".photo-badge")).to_be_visible()
    below = accepted(served, number)[40]
    title = "sky" if below[32] == "ground" else "ground"
    page.keyboard.press("1" if title == "ground" else "2")
    tool(page, "b")
    draw(page, (0.25, 40.5 / 48), (0.75, 40.5 / 48))
    marks(page, served, 1)
    row = accepted(served, number)[40]
    assert set(row[18:46]) == {title}
    assert row[4] == below[4]
    page.locator(STAGE).focus()
    page.mouse.move(1, 1)
    page.keyboard.press("ArrowUp")
    said = page.locator("[aria-live=polite].visually-hidden")
    expect(said).to_have_text(re.compile(r"^[\w ]+, \d+, \d+$"))
    clear(page)
    assert accepted(served, number)[40] == below
    page.keyboard.press("a")
    served.wait(lambda: served.ask("/api/state").json["accepted"] == [])


def accepted(served: Any, number: int) -> list[list[str]]:
    """The class of each pixel of an accepted mask."""
    line, cells = served.ask(f"/api/accepted/{number}").body.split(b"\n", 1)
    head = json.loads(line)
    places = np.frombuffer(cells, "<u2").reshape(head["height"], head["width"])
    titles = {65535: ""} | dict(enumerate(head["titles"]))
    return [[titles[cell] for cell in row] for row in places.tolist()]


def test_space_held_moves_the_photo_and_does_not_go_on(page: Page) -> None:
    name = page.locator(".photo-name").inner_text()
    page.locator(STAGE).focus()
    page.keyboard.press("+")
    page.keyboard.press("+")
    page.wait_for_timeout(100)
    ink = page.locator(".stage-photo").evaluate("canvas => canvas.toDataURL().length")
    x, y = place(page, 0.5, 0.5)
    page.mouse.move(x, y)
    page.keyboard.down("Space")
    page.mouse.down()
    page.mouse.move(x + 120, y + 60, steps=4)
    page.mouse.up()
    page.keyboard.up("Space")
    page.wait_for_timeout(100)
    assert page.locator(".photo-name").inner_text() == name
    assert page.locator(".stage-photo").evaluate("canvas => canvas.toDataURL().length") != ink


def test_the_strip_shows_photos_that_changed(page: Page, served: Any) -> None:
    expect(page.locator(".strip").get_by_role("heading")).to_have_text("Next photos")
    page.keyboard.press("1")
    tool(page, "b")
    page.keyboard.press("]")
    strip = page.locator(".strip")
    heading = strip.get_by_role("heading")
    for count in (1, 2, 3):  # a mask that comes after a mark was not changed by it
        draw(page, (0.1, 0.1), (0.9, 0.1), (0.9, 0.1 + count / 10), (0.1, 0.2))
        marks(page, served, count)
        with suppress(AssertionError):
            expect(heading).to_have_text("Changed most by the last mark")
            break
    expect(heading).to_have_text("Changed most by the last mark")
    expect(strip.locator("li").first).to_have_text(re.compile("% changed$"))
    name = page.locator(".photo-name").inner_text()
    strip.get_by_role("button").first.click()
    expect(page.locator(".photo-name")).not_to_have_text(name)
    page.keyboard.press("Shift+Space")
    expect(page.locator(".photo-name")).to_have_text(name)


@pytest.mark.parametrize("width", [1024, 390])
def test_a_narrow_screen_has_all_tools(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.wait_for_timeout(100)
    for button in page.locator(".tool").all():
        box = button.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 800
    assert page.evaluate("document.documentElement.scrollWidth") <= width
