"""What a person does with the studio from its start to the end, by mouse, by keys and by touch."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from picie.annotation.log import read_annotations
from picie.evaluation.scoring import evaluate
from picie.inference.segmenter import Segmenter
from picie.models.class_names import read_classes
from picie.runs import ANNOTATIONS_FILE

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
LOUD = ("error", "warning")
GONE = ("net::ERR_", "status of 401", "status of 503")  # said of a server that starts again
TITLE = "#card-title"
SAVED = ".top-saved"
MASKS = ".tile:not([hidden]) canvas:not([hidden])"
TABS = ("Clusters", "Photos", "Check", "Results")

UNREACHABLE = """(root) => {
  const found = [];
  const places = "button, select, input, textarea, summary, a[href]:not(.skip), [role=treeitem]";
  for (const one of document.querySelector(root).querySelectorAll(places)) {
    if (!one.checkVisibility({ visibilityProperty: true })) continue;
    one.scrollIntoView({ block: "nearest", inline: "nearest" });
    const { left, top, width, height } = one.getBoundingClientRect();
    const hit = document.elementFromPoint(left + width / 2, top + Math.min(height / 2, 12));
    const labels = [...(one.labels ?? [])];
    const is_hit = hit !== null && [one, ...labels].some((part) => part.contains(hit));
    let forced = false; // scrolled where a person cannot scroll
    for (let over = one.parentElement; over !== null; over = over.parentElement) {
      const { overflowX, overflowY } = getComputedStyle(over);
      if (overflowX === "hidden" && over.scrollLeft) forced = true;
      if (overflowY === "hidden" && over.scrollTop) forced = true;
    }
    if (!is_hit || forced) found.push(`${one.outerHTML.slice(0, 150)} under ${hit?.className}`);
  }
  return found;
}"""

Open = Callable[..., Any]


@pytest.fixture
def folders(scenes: Path, runs: dict[str, Path], tmp_path: Path) -> tuple[Path, Path]:
    """A run without names of its own, and nine photos, (48, 64) pixels."""
    shutil.copytree(runs["default"], tmp_path / "run")
    shutil.copytree(scenes / "images", tmp_path / "photos")
    return tmp_path / "run", tmp_path / "photos"


@pytest.fixture
def served(serving: Callable[..., Any], folders: tuple[Path, Path]) -> Any:
    """A studio of them."""
    run, photos = folders
    served = serving(photos, run)
    served.wait_for_phase("ready")
    return served


@pytest.fixture
def opened(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Callable[..., Page]]:
    """Opens pages in one browser; at the end none of them has complained."""
    complaints: list[str] = []
    killed = "started" in request.fixturenames  # the server is
    contexts: list[BrowserContext] = []

    def listen(kind: str, text: str) -> None:
        if kind in LOUD and not (killed and any(one in text for one in GONE)):
            complaints.append(text)

    def open_page(url: str, *, context: BrowserContext | None = None, **options: Any) -> Page:
        if context is None:
            size = {"width": 1440, "height": 900}
            context = browser.new_context(**{"viewport": size, **options})
            contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: listen(said.type, f"{said.text} {said.location['url']}"))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def started(command: Open, folders: tuple[Path, Path]) -> Open:
    """Starts `picie studio RUN PHOTOS`; its log is not read."""
    return partial(command, *folders, "--device", "cpu", stderr=subprocess.DEVNULL)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def ready(page: Page) -> None:
    """Wait until there is a question, and all photos are known."""
    expect(page.locator(TITLE)).to_have_text("What is this?", timeout=30_000)
    expect(page.locator(".top-ready")).to_be_hidden(timeout=30_000)


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def classes(served: Any) -> dict[str, list[int]]:
    """Leaves by class, as the server has them."""
    return {one["name"]: one["leaves"] for one in served.ask("/api/state").json["classes"]}


def name_all(page: Page, titles: tuple[str, ...]) -> None:
    """Name all clusters by keys only, in turn."""
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Enter")
    for count in range(60):
        if "named" in page.locator(".card-count").inner_text():
            break
        page.keyboard.type(titles[count % len(titles)])
        page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(page.locator(".card-count")).to_contain_text("named")
    expect(page.locator(SAVED)).to_have_attribute("data-state", "saved")


def violations(page: Page) -> list[str]:
    """Serious problems of access, in light and in dark."""
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.wait_for_timeout(50)
        answer = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        for one in answer["violations"]:
            if one["impact"] in ("serious", "critical"):
                places = [node["html"][:200] for node in one["nodes"][:3]]
                found.append(f"{scheme}: {one['id']}: {places}")
    return found


def test_a_second_start_shows_masks_without_the_network(
    serving: Callable[..., Any],
    folders: tuple[Path, Path],
    opened: Callable[..., Page],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, photos = folders
    first = serving(photos, run)
    first.wait_for_phase("ready")
    page = opened(first.address.url)
    ready(page)
    page.close()
    first.end()
    calls: list[object] = []
    features = Segmenter.features

    def counted(model: Segmenter, *values: Any, **options: Any) -> Any:
        calls.append(values)
        return features(model, *values, **options)

    monkeypatch.setattr(Segmenter, "features", counted)
    page = opened(serving(photos, run).address.url)
    ready(page)
    expect(page.locator(MASKS)).to_have_count(9)
    assert calls == []


def test_the_first_question_is_about_a_large_cluster(
    served: Any, opened: Callable[..., Page]
) -> None:
    """Also if the page was there before it was known which are large."""
    served.post("/api/act", {"page": "test", "act": "cut", "clusters": 8})
    page = opened(served.address.url)
    ready(page)
    asked = served.ask("/api/state").json["questions"]
    shares = [one["share"] for one in asked]
    assert shares == sorted(shares, reverse=True)
    facts = page.locator(".card-facts")
    expect(facts).to_have_text(re.compile(rf"^cluster n{asked[0]['node']} "))
    small = page.locator(".class-row").last
    small.locator(".class-name").click()
    page.keyboard.press("Enter")
    page.keyboard.type("small")
    page.keyboard.press("Enter")
    expect(facts).to_have_text(re.compile(rf"^cluster n{asked[0]['node']} "))


def test_all_clusters_are_named_by_keys_and_merged_by_mouse(
    served: Any, opened: Callable[..., Page]
) -> None:
    page = opened(served.address.url)
    ready(page)
    page.keyboard.press("Enter")
    page.keyboard.type("ground")
    page.keyboard.press("Enter")
    row = page.locator(".class-row")
    expect(row.filter(has_text="ground")).to_be_visible()
    count = row.count()
    row.last.scroll_into_view_if_needed()
    row.last.drag_to(row.filter(has_text="ground"))
    expect(row).to_have_count(count - 1)
    served.wait(lambda: len(classes(served)["ground"]) >= 2, 10)
    expect(page.locator("#status")).to_be_hidden()  # what is seen is not said as well
    page.locator("#main").focus()
    name_all(page, ("sky", "tree", "ground"))
    named = classes(served)
    assert set(named) == {"ground", "sky", "tree"}
    assert sorted(leaf for leaves in named.values() for leaf in leaves) == list(range(8))
    clusters = page.locator("#top").get_by_label("Number of clusters")
    clusters.focus()
    page.keyboard.press("ArrowDown")
    served.wait(lambda: served.ask("/api/state").json["clusters"] != 3, 10)
    assert classes(served) == named
    page.locator("#main").focus()
    for _ in range(served.ask("/api/state").json["acts"]):
        page.keyboard.press("u")
    expect(row.first).to_contain_text("cluster")
    served.wait(lambda: classes(served) == {}, 10)
    assert served.ask("/api/state").json["clusters"] == 3


def test_checked_accepted_and_evaluated(
    served: Any, opened: Callable[..., Page], folders: tuple[Path, Path]
) -> None:
    """From a check by keys to a labelled set that `picie evaluate` reads."""
    page = opened(served.address.url)
    ready(page)
    tab(page, "Photos")
    expect(page.locator(".stage-mask")).to_be_visible()
    name = page.locator(".photo-name").inner_text()
    page.keyboard.press("a")
    expect(page.locator("#status")).to_contain_text("Name clusters first")
    assert page.locator(".photo-name").inner_text() == name
    tab(page, "Clusters")
    page.locator("#main").focus()
    name_all(page, ("ground", "sky"))
    tab(page, "Check")
    page.get_by_role("radio", name=re.compile("10 points")).check()
    page.get_by_role("button", name="Begin the check").click()
    count = page.locator(".check-question > .number")
    expect(count).to_have_text("Question 1", timeout=30_000)
    page.evaluate("document.activeElement.blur()")
    enough = page.get_by_role("heading", name="Sure enough")
    for answer in range(1, 400):
        number = f".check-question:not([hidden]) > .number:text-is('Question {answer}')"
        asked = page.locator(number)
        expect(asked.or_(enough).first).to_be_visible()  # between two questions keys do nothing
        if enough.is_visible():
            break
        page.keyboard.press("n" if answer % 9 == 0 else "y")
        expect(asked).to_have_count(0)
    expect(enough).to_be_visible()
    tab(page, "Photos")
    for _ in range(3):
        expect(page.locator(".stage-mask")).to_be_visible()
        name = page.locator(".photo-name").inner_text()
        page.keyboard.press("a")
        expect(page.locator(".photo-name")).not_to_have_text(name)
    served.wait(lambda: len(served.ask("/api/state").json["accepted"]) == 3, 10)
    tab(page, "Results")
    expect(page.locator(".figures")).to_contain_text(re.compile(r"accepted\s*3"))
    page.get_by_role("button", name="Write the labelled set").click()
    expect(page.locator(".job-state")).to_have_text("done", timeout=60_000)
    labelled = Path(page.locator(".job-result code").inner_text())
    scores = evaluate(folders[0], labelled)
    assert scores.scores.accuracy > 98  # at the size of training, so not at each boundary


def test_a_server_that_is_killed(
    started: Open, opened: Callable[..., Page], folders: tuple[Path, Path]
) -> None:
    """What was shown as saved is in the log; the rest is kept, and sent to the next server."""
    run, port = folders[0], free_port()
    server = started("--port", port)
    page = opened(server.address)
    ready(page)
    page.keyboard.press("Enter")
    for title in ("one", "two"):
        page.keyboard.type(title)
        page.keyboard.press("Enter")
    expect(page.locator(SAVED)).to_have_attribute("data-state", "saved")
    page.keyboard.type("three")
    page.keyboard.press("Enter")
    server.kill()
    server.wait()
    assert {"one", "two"} <= {one.name for one in read_classes(run / "classes.toml").classes}
    page.keyboard.type("four")
    page.keyboard.press("Enter")
    status = page.locator("#status")
    expect(status).to_contain_text(f"--port {port}")
    expect(page.locator(SAVED)).to_contain_text("kept until the server is back")
    expect(page.locator(".classes")).to_contain_text("four")
    expect(status).to_contain_text("kept here, sent when it is back")
    page.get_by_role("tab", name="Results").click()  # opens for the first time
    expect(page.locator(".results-panel")).to_contain_text("four")
    other = opened(started("--port", port).address, context=page.context)
    expect(other.locator(".classes")).to_contain_text("four", timeout=30_000)
    expect(page.locator(SAVED)).to_have_text("Saved", timeout=30_000)
    expect(status).not_to_have_class(re.compile("problem"))
    expect(page.locator(".exporting")).to_contain_text("Pascal VOC")
    page.get_by_role("tab", name="Clusters").click()
    named = [one.name for one in read_classes(run / "classes.toml").classes]
    assert sorted(named) == ["four", "one", "three", "two"]
    events = read_annotations(run / ANNOTATIONS_FILE).events
    assert len(events) == 4
    page.locator("#main").focus()
    page.keyboard.press("u")
    expect(other.locator(".classes")).not_to_contain_text("four")


def test_a_browser_that_is_killed(served: Any, open_browser: Callable[[], Browser]) -> None:
    own = open_browser()
    process = own.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    page = own.new_page()
    page.goto(served.address.url)
    ready(page)
    page.keyboard.press("Enter")
    page.keyboard.type("ground")
    page.keyboard.press("Enter")
    expect(page.locator(SAVED)).to_have_attribute("data-state", "saved")
    number = next(one["id"] for one in process if one["type"] == "browser")
    os.kill(number, signal.SIGKILL)
    assert set(classes(served)) == {"ground"}
    again = open_browser()
    page = again.new_page()
    page.goto(served.address.url)
    expect(page.locator(".classes")).to_contain_text("ground")
    again.close()


def test_exports_through_the_page(
    served: Any, opened: Callable[..., Page], folders: tuple[Path, Path]
) -> None:
    """One is cancelled while it runs; masks, the model and the report come one after the other."""
    page = opened(served.address.url)
    ready(page)
    name_all(page, ("ground", "sky"))
    tab(page, "Results")
    jobs = page.locator(".job")
    page.get_by_role("button", name="Export Pascal VOC").click()
    expect(jobs.locator(".job-state")).to_have_text("running")
    jobs.get_by_role("button", name="Cancel").click()
    expect(jobs.locator(".job-state")).to_have_text("cancelled", timeout=20_000)
    exports = folders[0] / "exports"
    assert not exports.exists() or list(exports.iterdir()) == []
    page.get_by_role("button", name="Export COCO").click()
    page.get_by_role("button", name="Write the report").click()
    onnx = page.get_by_role("button", name="Export ONNX")
    if onnx.is_visible():  # its packages are installed
        onnx.click()
    expect(jobs.locator(".job-state", has_text=re.compile("running|waiting"))).to_have_count(
        0, timeout=120_000
    )
    states = jobs.locator(".job-state").all_inner_texts()
    assert states.count("done") == len(states) - 1, jobs.all_inner_texts()
    outs = [Path(one) for one in jobs.locator(".job-result code").all_inner_texts()]
    assert all(one.exists() and one.is_relative_to(exports) for one in outs)
    coco = next(exports.rglob("instances_*.json"))
    assert {one["name"] for one in json.loads(coco.read_text())["categories"]} == {"ground", "sky"}
    links = jobs.get_by_role("link", name="Download")
    for link in links.all():
        with page.expect_download() as download:
            link.click()
        assert download.value.path().stat().st_size > 1000


def test_from_photos_alone(
    serving: Callable[..., Any], scenes: Path, tmp_path: Path, opened: Callable[..., Page]
) -> None:
    """Begin, first masks, stop; begin again, to the end; then name."""
    served = serving(scenes, tmp_path / "run", split="train", device="cpu")
    served.wait_for_phase("setup")
    page = opened(served.address.url)

    def shorter(route: Route) -> None:
        if route.request.method == "GET":
            route.continue_()
        else:
            wish = dict(route.request.post_data_json or {}, epochs=1)
            route.continue_(post_data=json.dumps(wish))

    page.route("**/api/jobs", shorter)
    page.get_by_role("slider", name="Number of clusters").fill("3")
    page.get_by_role("button", name="Begin").click()
    masks = page.locator(".setup-photos canvas:not([hidden])")
    expect(masks).to_have_count(6, timeout=60_000)
    expect(page.locator("#top select")).to_be_hidden()
    page.get_by_role("button", name="Stop the training").click()
    expect(page.get_by_text("The training was stopped.")).to_be_visible(timeout=20_000)
    expect(masks).to_have_count(0)
    page.get_by_role("button", name=re.compile("^Begin")).click()
    expect(page.get_by_role("tab", name="Clusters")).to_be_visible(timeout=120_000)
    ready(page)
    name_all(page, ("ground", "sky"))
    assert set(classes(served)) <= {"ground", "sky"}
    expect(page.locator(MASKS)).to_have_count(6)


def test_no_view_has_a_serious_problem_of_access(
    served: Any,
    serving: Callable[..., Any],
    scenes: Path,
    tmp_path: Path,
    opened: Callable[..., Page],
) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed")
    script, found = AXE.read_text(), dict[str, list[str]]()
    page = opened(served.address.url, bypass_csp=True)
    ready(page)
    page.evaluate(script)
    page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("x")
    expect(page.locator(".half .crop img").first).to_be_visible()
    found["split"] = violations(page)
    page.keyboard.press("Escape")
    page.get_by_text("All clusters").click()
    name_all(page, ("ground", "sky"))
    for name in TABS:
        tab(page, name)
        page.wait_for_timeout(200)
        found[name] = violations(page)
    tab(page, "Photos")
    expect(page.locator(".stage-mask")).to_be_visible()
    box = page.locator(".stage-mask").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator(".chooser")).to_be_visible()
    found["chooser"] = violations(page)
    page.keyboard.press("Escape")
    tab(page, "Check")
    page.get_by_role("button", name="Begin the check").click()
    expect(page.locator("img.check-crop")).to_be_visible(timeout=30_000)
    page.keyboard.press("y")
    found["question"] = violations(page)
    page.keyboard.press("?")
    expect(page.locator(".keys-list")).to_be_visible()
    found["keys"] = violations(page)
    begin = serving(scenes, tmp_path / "none", split="train")
    begin.wait_for_phase("setup")
    page = opened(begin.address.url, bypass_csp=True)
    expect(page.get_by_role("button", name="Begin")).to_be_visible()
    page.evaluate(script)
    found["setup"] = violations(page)
    assert {view: problems for view, problems in found.items() if problems} == {}


@pytest.mark.parametrize(("width", "height", "scale"), [(720, 450, 2), (390, 844, 3)])
def test_everything_is_reached_on_a_small_screen(
    served: Any, opened: Callable[..., Page], width: int, height: int, scale: int
) -> None:
    """720 pixels are a screen of 1440 at 200 %."""
    page = opened(
        served.address.url,
        viewport={"width": width, "height": height},
        device_scale_factor=scale,
        has_touch=True,
    )
    expect(page.locator(MASKS).first).to_be_visible(timeout=30_000)
    found = {}
    for name in TABS:
        page.get_by_role("tab", name=name).tap()
        page.wait_for_timeout(200)
        found[name] = page.evaluate(UNREACHABLE, "body")
        assert page.evaluate("document.documentElement.scrollWidth") == width
    page.get_by_role("tab", name="Clusters").tap()
    page.get_by_role("button", name="Question and classes").tap()
    expect(page.locator("#side")).to_be_visible()
    page.get_by_text("All clusters").tap()
    page.wait_for_timeout(300)
    found["drawer"] = page.evaluate(UNREACHABLE, "#side")
    assert {view: places for view, places in found.items() if places} == {}
    field = page.get_by_role("combobox", name="Name", exact=True)
    field.tap()
    field.press_sequentially("ground")
    field.press("Enter")
    served.wait(lambda: set(classes(served)) == {"ground"}, 10)
    page.locator(".card-panel .recent").get_by_role("button", name="ground").tap()
    served.wait(lambda: served.ask("/api/state").json["acts"] == 2, 10)
    assert set(classes(served)) == {"ground"}
