"""Make the pictures of README and docs.

    make demo && python docs/make_pictures.py scenes
    python docs/make_pictures.py report                    # after `make demo`; needs a Chromium
    python docs/make_pictures.py curves results/camvid     # the folder of a `picie bench`

`scenes` shows four scenes that the model of the demo was not trained on: docs/images/scenes.png.
`report` shows parts of the page of `picie report` on them: docs/images/report.png.
`curves` draws, for each data set of a benchmark, the means over the seeds per epoch:
docs/images/curves_<data>.png.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from PIL import Image

import picie
from picie.cli import main
from picie.commands.demo import draw_sheet

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
# What is left out of the picture of a report, which would be many screens high otherwise.
SHORT = """
nav, #health, #tree, #score, #summary h3, .settings, section > p.quiet, .card:nth-of-type(n+3),
.shot:nth-child(n+5) { display: none !important; }
.masthead { padding-top: 1rem; } h2 { margin-top: 1.5rem; } .card { padding: 1rem 0; }
"""
PANELS = {"accuracy": "accuracy %", "miou": "mIoU %", "effective_clusters": "effective clusters"}


def scenes(_: argparse.Namespace) -> None:
    """Draw the sheet of the demo anew, with fewer scenes."""
    demo = ROOT / "runs" / "demo"
    draw_sheet(picie.load(demo / "model"), demo / "scenes", IMAGES / "scenes.png", rows=4)


def report(_: argparse.Namespace) -> None:
    """Parts of the page of a report."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next((path for name in names if (path := shutil.which(name))), None)
    if program is None:
        raise SystemExit(f"no browser found ({', '.join(names)}); install one")
    demo = ROOT / "runs" / "demo"
    with tempfile.TemporaryDirectory() as folder:
        page, picture = Path(folder) / "report.html", Path(folder) / "report.png"
        main(["report", str(demo / "model"), str(demo / "scenes"), "--split=val", f"--out={page}"])
        html = page.read_text(encoding="utf-8")
        page.write_text(html.replace("</style>", f"{SHORT}</style>"), encoding="utf-8")
        subprocess.run(
            [
                program,
                *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
                *("--disable-background-networking", "--disable-component-update"),
                *("--disable-quic", "--disable-sync", "--hide-scrollbars"),
                "--force-device-scale-factor=1",
                "--window-size=1180,1420",
                f"--user-data-dir={folder}/profile",
                f"--screenshot={picture}",
                page.as_uri(),
            ],
            check=True,
            stderr=subprocess.DEVNULL,  # it misses parts of a desktop, at length
        )
        with Image.open(picture) as image:
            image.convert("RGB").quantize(256, kmeans=4).save(IMAGES / "report.png", optimize=True)


def curves(args: argparse.Namespace) -> None:
    """One figure per data set, from the records of its runs."""
    runs: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted((args.results / "records").glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["curves"]:
            runs[record["data"]["name"]][record["system"]].append(record["curves"])
    for name, systems in runs.items():
        _draw(systems, IMAGES / f"curves_{name}.png")


def _draw(systems: dict[str, list[Any]], path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(PANELS), figsize=(13, 4.2), layout="constrained")
    for number, (system, seeds) in enumerate(systems.items()):
        style = {"color": f"C{number % 10}", "linestyle": ("-", "--", ":")[number // 10]}
        for axis, key in zip(axes, PANELS, strict=True):
            values = [[_plain(epoch[key]) for epoch in seed if key in epoch] for seed in seeds]
            length = min(len(one) for one in values)
            means = [sum(one[epoch] for one in values) / len(values) for epoch in range(length)]
            axis.plot(range(1, length + 1), means, marker="o", ms=3, label=system, **style)
    for axis, title in zip(axes, PANELS.values(), strict=True):
        axis.set(title=title, xlabel="epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def _plain(value: float | list[float]) -> float:
    return value[0] if isinstance(value, list) else value


def choose() -> None:
    """Read the flags."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    verbs = parser.add_subparsers(required=True)
    verbs.add_parser("scenes", help="four scenes of the demo").set_defaults(call=scenes)
    verbs.add_parser("report", help="clusters of the demo").set_defaults(call=report)
    drawn = verbs.add_parser("curves", help="curves per epoch of a benchmark")
    drawn.add_argument("results", type=Path)
    drawn.set_defaults(call=curves)
    args = parser.parse_args()
    args.call(args)


if __name__ == "__main__":
    choose()
