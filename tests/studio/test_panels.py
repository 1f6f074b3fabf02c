"""The panels in a real browser: naming, the list of classes, the check, results, the beginning."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

LOUD = ("error", "warning")
TITLE = "#card-title"
ROWS = ".class-row"


@pytest.fixture
def served(serving_scenes: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A studio of nine photos, (48, 64) pixels, whose clusters have no names."""
    return serving_scenes(tmp_path_factory.mktemp("panels"))


@pytest.fixture
def page(browser: Browser, served: Any) -> Iterator[Page]:
    """The tab Clusters with a question; at the end nothing was complained about."""
    complaints: list[str] = []
    context = browser.new_context(viewport={"width": 1440, "height": 900})
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
    expect(page.locator(TITLE)).to_have_text("What is this?", timeout=30_000)
    expect(page.locator(".top-ready")).to_be_hidden(timeout=30_000)
    yield page
    assert complaints == []
    context.close()


def state(served: Any) -> Any:
    return served.ask("/api/state").json


def classes(served: Any) -> dict[str, list[int]]:
    """Leaves by class, as the server has them."""
    return {one["name"]: one["leaves"] for one in state(served)["classes"]}


def saved(page: Page) -> None:
    """Wait until all that was done so far is in the log."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    expect(page.locator(".top-saved")).to_have_attribute("data-state", "saved")


def name_all(page: Page, served: Any) -> None:
    """Name one cluster ground and all others sky."""
    expect(page.locator(TITLE)).to_be_visible()
    page.keyboard.press("Enter")
    page.keyboard.type("ground")
    page.keyboard.press("Enter")
    for _ in range(30):
        if "named" in page.locator(".card-count").inner_text():
            break
        page.keyboard.type("sky")
        page.keyboard.press("Enter")
    page.evaluate("document.activeElement.blur()")
    saved(page)
    assert set(classes(served)) == {"ground", "sky"}


def test_naming_by_keys(page: Page, served: Any) -> None:
    """Names one after the other, without leaving the field; a second key gives the same name."""
    expect(page.locator(".card-count")).to_have_text(re.compile(r"^1 of \d+$"))
    page.keyboard.press("Enter")
    page.keyboard.type("ground")
    page.keyboard.press("Enter")
    page.keyboard.type("sky")
    page.keyboard.press("Enter")
    expect(page.locator(".card-count")).to_have_text(re.compile(r"^3 of \d+$"))
    saved(page)
    assert set(classes(served)) == {"ground", "sky"}
    before = len(classes(served)["ground"])
    page.keyboard.press("1")  # in the field, which is empty
    saved(page)
    assert len(classes(served)["ground"]) > before
    page.keyboard.press("Escape")
    page.keyboard.press("i")
    saved(page)
    assert "ignore" in classes(served)
    page.keyboard.press("u")
    expect(page.locator(ROWS).filter(has_text="ignored")).to_have_count(0)
    saved(page)
    assert "ignore" not in classes(served)


def test_names_in_use_are_offered(page: Page, served: Any) -> None:
    """What was typed filters names; another spelling of a name is that name."""
    field = page.get_by_role("combobox", name="Name")
    field.fill("Ground")
    field.press("Enter")
    field.press_sequentially("gr")
    options = page.get_by_role("option").filter(has_text="Ground")
    expect(options).to_have_count(1)
    expect(field).to_have_attribute("aria-expanded", "true")
    field.press("ArrowDown")
    expect(options).to_have_attribute("aria-selected", "true")
    field.press("Enter")
    field.fill("GROUND")
    field.press("Enter")
    saved(page)
    assert set(classes(served)) == {"Ground"}


def test_a_long_name_does_not_push_the_card_off_the_page(page: Page, served: Any) -> None:
    page.keyboard.press("Enter")
    page.keyboard.type("paved road with markings, kerbs and crossings for people")
    page.keyboard.press("Enter")
    page.keyboard.type("sky")
    page.keyboard.press("Enter")
    saved(page)
    panel = page.locator(".card-panel").bounding_box()
    chips = page.locator(".card-panel .chip").filter(visible=True)
    assert panel is not None
    assert chips.count() >= 2
    for part in (page.get_by_role("combobox", name="Name"), *chips.all()):
        box = part.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= panel["x"] + panel["width"]


def test_two_things(page: Page, served: Any) -> None:
    """The halves are seen before one agrees, then named one after the other."""
    page.keyboard.press("Shift+ArrowUp")  # a node that has two halves
    page.keyboard.press("x")
    expect(page.locator(".split")).to_be_visible()
    expect(page.locator(".half .crop img").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".split")).to_be_hidden()
    assert classes(served) == {}
    page.keyboard.press("x")
    page.keyboard.press("Enter")
    expect(page.locator(TITLE)).to_have_text("What is this half?")
    page.keyboard.type("one")
    page.keyboard.press("Enter")
    expect(page.locator(TITLE)).to_have_text("What is this half?")
    page.keyboard.type("other")
    page.keyboard.press("Enter")
    saved(page)
    assert set(classes(served)) == {"one", "other"}


def test_one_thing_is_not_asked_again(page: Page, served: Any) -> None:
    """After all names the card asks whether a class is two things, until told that it is not."""
    page.keyboard.press("Shift+ArrowUp")  # a node that has two halves gets the first name
    name_all(page, served)
    asked = state(served)["questions"]
    assert asked
    while questions := state(served)["questions"]:
        expect(page.locator(".split")).to_be_visible()
        acts = state(served)["acts"]
        page.keyboard.press("o")
        served.wait(lambda acts=acts: state(served)["acts"] > acts, 10)
        assert questions[0] not in state(served)["questions"]
    assert set(classes(served)) == {"ground", "sky"}
    expect(page.get_by_role("heading", name="Everything has a name")).to_be_visible()


def test_previous_and_skipped(page: Page) -> None:
    """A skipped question comes back at the end, and p goes back to it."""
    facts = page.locator(".card-facts")
    # Until all photos are counted, another one may be asked.
    expect(facts).to_have_text(re.compile(r"in \d+ photos?$"))
    first = facts.inner_text().split(" · ")[0]
    page.keyboard.press("n")
    expect(page.locator(".card-facts")).not_to_have_text(re.compile(f"^{first} "))
    page.keyboard.press("p")
    expect(page.locator(".card-facts")).to_have_text(re.compile(f"^{first} "))


def test_list_of_classes(page: Page, served: Any) -> None:
    """Rename in place, merge by drag and by keys, only this, colour."""
    name_all(page, served)
    ground = page.locator(ROWS).filter(has_text="ground")
    ground.hover()
    ground.get_by_role("button", name="Rename").click()
    page.get_by_role("combobox", name="New name of ground").fill("soil")
    page.keyboard.press("Enter")
    soil = page.locator(ROWS).filter(has_text="soil")
    expect(soil).to_be_visible()
    soil.get_by_role("button", name="Only this").click()
    expect(soil.get_by_role("button", name="Only this")).to_have_attribute("aria-pressed", "true")
    soil.get_by_label("Colour of soil").evaluate(
        "one => { one.value = '#123456'; one.dispatchEvent(new Event('change')); }"
    )
    saved(page)
    colours = {one["name"]: one["colour"] for one in state(served)["classes"]}
    assert colours["soil"] == "#123456"
    soil.drag_to(page.locator(ROWS).filter(has_text="sky"))
    expect(page.locator(ROWS)).to_have_count(1)
    saved(page)
    assert set(classes(served)) == {"sky"}
    page.keyboard.press("u")
    expect(soil).to_be_visible()
    soil.get_by_role("button", name="Merge into another").focus()
    page.keyboard.press("Enter")
    page.locator(ROWS).filter(has_text="sky").locator(".class-name").focus()
    page.keyboard.press("Enter")
    saved(page)
    assert set(classes(served)) == {"sky"}


def test_tree(page: Page, served: Any) -> None:
    """Arrow keys walk the tree, Enter puts a node on the card, the slider changes K."""
    page.get_by_text("All clusters").click()
    page.locator("[role=treeitem][tabindex='0']").focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    node = page.locator("[role=treeitem]:focus").get_attribute("data-node")
    page.keyboard.press("Enter")
    expect(page.locator(".card-facts")).to_have_text(re.compile(f"^cluster n{node} "))
    page.locator("#all-clusters-k").focus()
    page.keyboard.press("ArrowRight")
    saved(page)
    assert state(served)["clusters"] == 4


def test_check(page: Page, served: Any) -> None:
    """Answers by keys, the interval, undo, and what a change of names does."""
    page.get_by_role("tab", name="Check").click()
    page.get_by_role("button", name="Name clusters").click()
    name_all(page, served)
    page.get_by_role("tab", name="Check").click()
    page.get_by_role("button", name="Begin the check").click()
    count = page.locator(".check-question > .number")
    expect(count).to_have_text("Question 1", timeout=30_000)
    expect(page.locator("img.check-crop")).to_be_visible()
    for place, key in enumerate(("y", "n", "ArrowRight", "2"), start=2):
        page.keyboard.press(key)
        expect(count).to_have_text(f"Question {place}")
    expect(page.locator(".check-value")).to_have_text(re.compile(r"^\d+\.\d %$"))
    expect(page.locator(".check-classes tbody tr")).to_have_count(2)
    page.keyboard.press("u")
    expect(count).to_have_text("Question 4")
    page.get_by_role("tab", name="Clusters").click()
    page.locator(ROWS).filter(has_text="sky").locator(".class-name").click()
    page.keyboard.press("i")
    saved(page)
    page.get_by_role("tab", name="Check").click()
    expect(page.get_by_role("heading", name="The masks have changed")).to_be_visible()
    expect(page.get_by_role("button", name="Begin a new check")).to_be_visible()


def test_results(page: Page, served: Any) -> None:
    """Shares, the table of photos as CSV, an export that is done, and its path."""
    name_all(page, served)
    page.get_by_role("tab", name="Results").click()
    expect(page.locator(".shares tbody tr")).to_have_count(2)
    expect(page.locator(".photo-table tbody tr")).to_have_count(9)
    expect(page.get_by_text("Shares of the pixels of all photos.")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as CSV").click()
    lines = download.value.path().read_text(encoding="utf-8").splitlines()
    assert len(lines) == 10
    assert set(lines[0].split(",")) == {"photo", "ground", "sky"}
    assert all(abs(sum(map(float, line.split(",")[1:])) - 1) < 0.01 for line in lines[1:])
    page.get_by_role("button", name="Export PNG masks").click()
    expect(page.locator(".job-state")).to_have_text("done", timeout=60_000)
    out = page.locator(".job-result code").inner_text()
    assert len(list(Path(out).rglob("*.png"))) >= 9
    assert len(list((served.studio.run / "exports").glob("[!.]*"))) == 1


def test_formats_that_lack_packages(page: Page) -> None:
    """What is missing is said with the command that installs it; the hub says that it uploads."""
    lacking = [
        {
            "kind": "export",
            "format": "coco",
            "install": 'pip install "picie[export]"',
            "rasters": False,
        },
        {"kind": "model", "format": "hub", "install": None, "rasters": False},
    ]
    page.route("**/api/formats", lambda route: route.fulfill(body=json.dumps(lacking)))
    page.get_by_role("tab", name="Results").click()
    expect(page.get_by_text('pip install "picie[export]"')).to_be_visible()
    expect(page.get_by_text("This uploads the model to huggingface.co.")).to_be_visible()
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("#status")).to_contain_text("user/name")


def test_beginning(
    browser: Browser, serving: Callable[..., Any], twelve_photos: Path, tmp_path: Path
) -> None:
    """Without a model the page says what it found and what training takes."""
    served = serving(twelve_photos, tmp_path / "run")
    served.wait_for_phase("setup")
    context = browser.new_context(viewport={"width": 1024, "height": 768})
    page = context.new_page()
    ordered: list[Any] = []

    def refuse(route: Any) -> None:
        if route.request.method == "GET":
            route.continue_()
            return
        ordered.append(route.request.post_data_json)
        route.fulfill(status=400, body=json.dumps({"error": "not now"}))

    page.route("**/api/jobs", refuse)
    page.goto(served.address.url)
    expect(page.get_by_role("heading", name="Learn from these photos")).to_be_visible()
    expect(page.locator(".setup-photos img")).to_have_count(12)
    expect(page.get_by_text("1 to 2 minutes").first).to_be_visible()
    page.get_by_role("slider", name="Number of clusters").fill("9")
    page.get_by_role("radio", name=re.compile("Best")).check()
    page.get_by_role("button", name="Begin").click()
    expect(page.locator("#status")).to_contain_text("not now")
    assert ordered == [{"kind": "train", "clusters": 9, "preset": "best", "restart": False}]
    context.close()
