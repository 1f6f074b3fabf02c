"""The two painters of the page in a real browser: on the GPU, emulated here, and on the CPU."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

PAGE = Path(__file__).parents[2] / "src" / "picie" / "studio" / "page"
KINDS = {".js": "text/javascript", ".html": "text/html", ".css": "text/css"}
FLAGS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")

SETUP = """async () => {
  const { createPainter } = await import("/painting/painter.js");
  let seed = 7;
  const draws = (n) => ((seed = (seed * 16807) % 2147483647) >> 4) % n;
  const noise = (w, h, leaves, type) => ({
    id: 0, version: 0, w, h, data: type.from({ length: w * h }, () => draws(leaves)),
  });
  const blocks = (w, h, leaves) => ({
    id: 1, version: 0, w, h,
    data: Uint8Array.from({ length: w * h }, (_, i) => (((i % w) >> 3) + ((i / w) >> 2)) % leaves),
  });
  const table = (leaves, keys, alpha, hot = []) => ({
    keys: Uint16Array.from({ length: leaves }, (_, leaf) => leaf % keys),
    colours: Uint8ClampedArray.from({ length: 4 * keys }, (_, i) =>
      i % 4 === 3 ? alpha(i >> 2) : draws(256)),
    titles: Array.from({ length: keys }, (_, key) => `class ${key}`),
    names: Array.from({ length: keys }, (_, key) => `name class ${key}`),
    hot: Uint8Array.from({ length: keys }, (_, key) => Number(hot.includes(key))),
  });
  const solid = table(16, 5, () => 255), wide = table(700, 300, () => 255);
  const mixed = table(16, 5, (key) => [0, 80, 140, 200, 255][key]);
  const glowing = table(16, 5, (key) => (key === 2 ? 220 : 60), [2]);
  const part = { x: 0.3, y: 0.2, width: 0.4, height: 0.5 };
  const size = { width: 117, height: 83 };
  const cases = [
    ["solid", noise(24, 18, 16, Uint8Array), solid, size],
    ["mixed", noise(24, 18, 16, Uint8Array), mixed, size],
    ["small", noise(160, 120, 16, Uint8Array), mixed, size],
    ["one cell", noise(1, 1, 16, Uint8Array), solid, size],
    ["wide", noise(30, 20, 700, Uint16Array), wide, size],
    ["outlines", blocks(30, 20, 16), mixed, { ...size, outlines: true }],
    ["glow", blocks(30, 20, 16), glowing, size],
    ["unknown leaves", noise(24, 18, 40, Uint8Array), mixed, size],
    ["part", noise(24, 18, 16, Uint8Array), mixed, { ...size, part }],
    ["changed", blocks(30, 20, 16), mixed,
      { ...size, changed: { map: noise(30, 20, 16, Uint8Array), table: table(16, 7, () => 255) } }],
  ];
  const painters = [createPainter("2d"), createPainter("webgl2")];
  const canvases = painters.map(() => document.createElement("canvas"));
  return cases.map(([name, map, look, options]) => {
    const [one, other] = painters.map((painter, at) => {
      painter.paint(canvases[at], map, look, options);
      const { width, height } = canvases[at];
      return canvases[at].getContext("2d").getImageData(0, 0, width, height).data;
    });
    let most = 0, seen = 0;
    for (let at = 0; at < one.length; at += 4) {
      const [a, b] = [one[at + 3], other[at + 3]];
      seen += a > 0;
      most = Math.max(most, Math.abs(a - b));
      for (let c = 0; c < 3; c += 1) {
        most = Math.max(most, Math.abs((one[at + c] * a - other[at + c] * b) / 255));
      }
    }
    return { name, kinds: painters.map((one) => one.kind), most, seen, size: one.length / 4 };
  });
}"""


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """An empty page that can import the modules of the studio."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    program = next(path for name in names if (path := shutil.which(name)))

    def answer(route: Route) -> None:
        name = route.request.url.removeprefix("http://studio.test/")
        if not name:
            route.fulfill(body="<!doctype html><title>painters</title>", content_type="text/html")
            return
        path = PAGE / name
        route.fulfill(body=path.read_bytes(), content_type=KINDS[path.suffix])

    started = browser.browser_type.launch(executable_path=program, args=list(FLAGS))
    opened = started.new_page()
    opened.route("http://studio.test/**", answer)
    opened.goto("http://studio.test/")
    yield opened
    started.close()


def test_painters_agree_in_every_pixel(page: Page) -> None:
    results: list[dict[str, Any]] = page.evaluate(SETUP)
    assert len(results) == 10
    for result in results:
        assert result["kinds"] == ["2d", "webgl2"]
        assert result["seen"] > 0, result
        assert result["most"] <= 2, result  # rounding of premultiplied colours
