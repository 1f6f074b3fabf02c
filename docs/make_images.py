"""Make the images of README and docs.

    python docs/make_images.py named runs/scenes scenes  # results of docs/tutorial.md
    python docs/make_images.py report                    # after `make demo`; needs Chromium
    python docs/make_images.py curves results/camvid     # output folder of `picie bench`

`named` shows three held-out scenes, segmented by the model of the tutorial with its class names:
docs/images/named.png.
`report` shows parts of the page of `picie report` for the demo: docs/images/report.png.
`curves` plots the means over the seeds per epoch, for each data set of a benchmark:
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

import numpy as np
from PIL import Image

import picie
from picie.cli.app import main
from picie.visualization.sheet import write_sheet

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
# CSS that hides most of the report, which would be many screens high otherwise.
SHORT = """
nav, #health, #tree, #score, #summary h3, .settings, section > p.quiet, .card:nth-of-type(n+3),
.shot:nth-child(n+5) { display: none !important; }
.masthead { padding-top: 1rem; } h2 { margin-top: 1.5rem; } .card { padding: 1rem 0; }
"""
PANELS = {"accuracy": "accuracy %", "miou": "mIoU %", "effective_clusters": "effective clusters"}


def named(args: argparse.Namespace) -> None:
    """Three held-out scenes that together show every class."""
    model = picie.load(args.run)
    chosen = [args.photos / "images" / f"scene_{number:04d}.jpg" for number in (67, 68, 69)]
    rows = [(path.stem, np.asarray(Image.open(path)), model.predict(path)) for path in chosen]
    write_sheet(IMAGES / "named.png", rows, model.colours, names=model.names)


def report(_: argparse.Namespace) -> None:
    """Screenshot of parts of a report page."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next((path for name in names if (path := shutil.which(name))), None)
    if program is None:
        raise SystemExit(f"no browser found ({', '.join(names)}); install one")
    demo = ROOT / "runs" / "demo"
    with tempfile.TemporaryDirectory() as folder:
        page, screenshot = Path(folder) / "report.html", Path(folder) / "report.png"
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
                f"--screenshot={screenshot}",
                page.as_uri(),
            ],
            check=True,
            stderr=subprocess.DEVNULL,  # warnings about missing desktop services
        )
        with Image.open(screenshot) as image:
            image.convert("RGB").quantize(256, kmeans=4).save(IMAGES / "report.png", optimize=True)


def curves(args: argparse.Namespace) -> None:
    """Plot one figure per data set, from the records of its runs."""
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
    """Parse the command line and run the verb."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    verbs = parser.add_subparsers(required=True)
    shown = verbs.add_parser("named", help="three scenes of the tutorial, with names")
    shown.add_argument("run", type=Path)
    shown.add_argument("photos", type=Path)
    shown.set_defaults(call=named)
    verbs.add_parser("report", help="clusters of the demo").set_defaults(call=report)
    drawn = verbs.add_parser("curves", help="curves per epoch of a benchmark")
    drawn.add_argument("results", type=Path)
    drawn.set_defaults(call=curves)
    args = parser.parse_args()
    args.call(args)


if __name__ == "__main__":
    choose()
