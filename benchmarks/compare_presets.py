"""Train and score presets over seeds on labelled folders; then draw the table and the curves.

    python benchmarks/compare_presets.py run DATA --name camvid --clusters 11 --out results/
    python benchmarks/compare_presets.py report results/ --images docs/images

`run` skips what is done already, so it can be stopped and started again. Every run leaves its
folder (config.toml, metrics.jsonl, model) and one JSON file with its scores. `report` prints the
Markdown table of `docs/results.md` and draws one figure of curves per data set.
"""

import argparse
import json
import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import torch

import picie

REFERENCE = {"size": 160, "base_size": 320, "batch_size": 16, "epochs": 8, "eval_split": "val"}
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "frozen": ("default", {"epochs": 0, "overclusters": 0}),
    "merged": ("default", {"epochs": 0}),
    "reference": ("reference", REFERENCE),
    "paper": ("paper", REFERENCE),
    "default": ("default", {}),
}
TITLES = {
    "frozen": "k-means on frozen features (`--epochs 0 --overclusters 0`)",
    "merged": "64 clusters on frozen features, merged (`--epochs 0`)",
    "reference": "`reference`, view 1 of the last epoch",
    "paper": "`paper`, view 1 of the last epoch",
    "default": "`default`",
}


def run(args: argparse.Namespace) -> None:
    """Every row and seed that has no JSON yet."""
    torch.set_num_threads(args.threads)
    for seed in args.seeds:
        for row in args.rows:
            folder = args.out / f"{row}_{args.name}_{seed}"
            if not folder.with_suffix(".json").exists():
                _run_one(args, row, seed, folder)


def _run_one(args: argparse.Namespace, row: str, seed: int, folder: Path) -> None:
    preset, settings = ROWS[row]
    config = picie.make_config(preset, **settings, clusters=args.clusters, seed=seed)
    began = time.monotonic()
    model = picie.train(
        args.data, folder, split="train", config=config, overwrite=True, quiet=False
    )
    seconds = time.monotonic() - began
    found = picie.evaluate(model, args.data, split="val", size=320, fresh_clusters=args.fresh)
    record = {
        "row": row,
        "data": args.name,
        "seed": seed,
        "seconds": seconds,
        "picie": picie.__version__,
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {args.threads} threads",
        **found.to_json(),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    folder.with_suffix(".json").write_text(json.dumps(record, indent=1))


def report(args: argparse.Namespace) -> None:
    """The table on standard output, and one figure per data set."""
    records = [json.loads(path.read_text()) for path in sorted(args.results.glob("*.json"))]
    for name in sorted({record["data"] for record in records}):
        own = [record for record in records if record["data"] == name]
        print(f"\n{name}\n\n| system | seeds | accuracy | mIoU | minutes |\n|---|--:|--:|--:|--:|")
        for row, title in TITLES.items():
            _print_row(title, [record for record in own if record["row"] == row])
        _draw_curves(args.results, name, args.images)


def _print_row(title: str, records: list[dict[str, Any]]) -> None:
    if not records:
        return
    accuracy, miou = (_spread([r[key] for r in records]) for key in ("accuracy", "miou"))
    minutes = statistics.median(r["seconds"] for r in records) / 60
    print(f"| {title} | {len(records)} | {accuracy} | {miou} | {minutes:.1f} |")
    views = [r["other_views"][0] for r in records if r.get("other_views")]
    if views:
        accuracy, miou = (_spread([v[key] for v in views]) for key in ("accuracy", "miou"))
        print(f"| — the same, view 2 | {len(views)} | {accuracy} | {miou} | |")
    fresh = [f for r in records for f in r.get("fresh", {}).get("runs", [])]
    if fresh:
        accuracy, miou = (_spread([f[key] for f in fresh]) for key in ("accuracy", "miou"))
        print(f"| — the same, fresh centroids | {len(fresh)} | {accuracy} | {miou} | |")


def _spread(values: list[float]) -> str:
    sd = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.1f} ± {sd:.1f}"


def _draw_curves(results: Path, name: str, images: Path) -> None:
    import matplotlib.pyplot as plt

    panels = ("accuracy", "miou", "within", "cross", "effective_clusters")
    titles = ("accuracy %", "mIoU %", "within-view loss", "cross-view loss", "effective clusters")
    figure, axes = plt.subplots(1, len(panels), figsize=(16, 3.2), layout="constrained")
    for folder in sorted(results.glob(f"reference_{name}_*/")):
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        history = [json.loads(line) for line in lines]
        for axis, key in zip(axes, panels, strict=True):
            values = [record[key] for record in history]
            values = [v[0] if isinstance(v, list) else v for v in values]
            axis.plot(range(1, len(values) + 1), values, label=f"seed {folder.name[-1]}")
    for axis, title in zip(axes, titles, strict=True):
        axis.set(title=title, xlabel="epoch")
        axis.grid(alpha=0.3)
    axes[0].legend(frameon=False)
    images.mkdir(parents=True, exist_ok=True)
    figure.savefig(images / f"curves_{name}.png", dpi=80)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(required=True)
    one = verbs.add_parser("run", help="train and score")
    one.add_argument("data", type=Path, help="labelled folder with train.txt and val.txt")
    one.add_argument("--name", required=True, help="name of the data in the table")
    one.add_argument("--clusters", type=int, required=True, help="K = number of classes")
    one.add_argument("--out", type=Path, required=True, help="folder for the results")
    one.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    one.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    one.add_argument("--fresh", type=int, default=0, help="sets of fresh centroids to score too")
    one.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    one.set_defaults(call=run)
    two = verbs.add_parser("report", help="print the table, draw the curves")
    two.add_argument("results", type=Path)
    two.add_argument("--images", type=Path, default=Path("docs/images"))
    two.set_defaults(call=report)
    args = parser.parse_args()
    args.call(args)


if __name__ == "__main__":
    main()
