"""Speed of training, and the parts of a training step. Each verb prints one JSON line.

    python benchmarks/training_speed.py step CAMVID                # network alone / whole step
    python benchmarks/training_speed.py epoch CAMVID --split train # one epoch of `reference`
    python benchmarks/training_speed.py quality CAMVID             # wall time to a given mIoU
    python benchmarks/training_speed.py growth CAMVID --plot docs/images/growth.png

`step` alternates complete training steps (images from the cache, views, labels, losses, optimiser)
with the network alone on tensors of the same sizes: forward and backward passes of both views, and
the two forward passes of the teacher, which makes the pseudo-labels. `epoch` reads every image from
its file in the first epoch and from the cache in the second. `quality` starts a new process each
time, so its times include start-up and decoding. `growth` varies the number of images, K and the
size of the images, one at a time, and fits straight lines.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import picie
from picie.config import Config, make_config
from picie.data.folder import open_folder
from picie.models.picie import PiCIE
from picie.runs import Run
from picie.runtime.devices import choose_device, keep_freed_memory
from picie.runtime.distributed import Processes
from picie.runtime.profiler import NETWORK
from picie.runtime.progress import Reporter
from picie.training.trainer import Trainer
from picie.types import Batch
from picie.views.pair import Views

COMPARISON = {"size": 160, "base_size": 320, "batch_size": 16, "clusters": 11}


def step(args: argparse.Namespace) -> dict[str, Any]:
    """Time of the network alone / time of a complete step, at several sizes."""
    return {
        f"{preset} {size} px": _step(args, preset, size) for preset in args.presets
        for size in args.sizes
    }  # fmt: skip


def _step(args: argparse.Namespace, preset: str, size: int) -> dict[str, Any]:
    settings: dict[str, Any] = {"base_size": 2 * size} if preset == "reference" else {}
    with _trainer(args, preset, size=size, batch_size=args.batch, clusters=11, **settings) as one:
        views, targets = _first_targets(one)
        order = list(range(min(len(one.photos), args.batch * (args.repeats + 2))))
        one.model.train(one.config.batchnorm != "running")
        bare = _bare_network(one, targets.teacher, args.batch, size)
        whole, alone = [], []
        batches = iter(one.loader(order, args.batch))
        for _ in range(args.repeats + 2):
            whole.append(_seconds(one, lambda: _next_step(one, views, targets, batches)))
            alone.append(_seconds(one, bare))
    whole, alone = whole[2:], alone[2:]
    ratios = [a / w for a, w in zip(alone, whole, strict=True)]
    return {
        "network_seconds": round(statistics.median(alone), 4),
        "step_seconds": round(statistics.median(whole), 4),
        "efficiency": round(statistics.median(ratios), 3),
        "efficiency_range": [round(min(ratios), 3), round(max(ratios), 3)],
    }


def _next_step(trainer: Trainer, views: Views, targets: Any, batches: Any) -> None:
    batch: Batch = next(batches)
    trainer.step(views, targets, batch)


def _bare_network(trainer: Trainer, teacher: PiCIE, count: int, size: int) -> Callable[[], None]:
    """The passes of the network in a training step, and nothing else."""
    images = torch.rand(count, 3, size, size, device=trainer.device)
    images = images.contiguous(memory_format=torch.channels_last)
    shape = trainer.model(images).shape
    slope = torch.rand(shape, device=trainer.device).contiguous(memory_format=torch.channels_last)
    frozen = not trainer.config.backbone_rate

    def run() -> None:
        outputs = []
        for _ in range(2):
            with torch.no_grad():
                stages = trainer.model.backbone(images) if frozen else None
                teacher.decoder(stages) if stages is not None else teacher(images)
            outputs.append(
                trainer.model.decoder(stages) if stages is not None else trainer.model(images)
            )
        torch.autograd.backward(outputs, [slope, slope])
        trainer.optimizer.zero_grad(set_to_none=True)

    return run


def epoch(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds per part of two epochs of `reference`: from files, then from the cache."""
    found = {}
    with _trainer(args, "reference", **COMPARISON, profile=True) as one:
        one.start()
        for number, name in enumerate(("cold", "cached")):
            one.clock.seconds.clear()
            began = time.perf_counter()
            views = Views(one.config, number, one.feature_size)
            targets = one.fit_targets(views, number)
            one.pass_over_images(views, targets, number)
            total = time.perf_counter() - began
            parts = {k: round(v, 2) for k, v in sorted(one.clock.seconds.items())}
            network = sum(one.clock.seconds.get(part, 0.0) for part in NETWORK)
            share = round(network / total, 3)
            found[name] = {"seconds": round(total, 2), "network_share": share, "parts": parts}
    return {"images": len(open_folder(args.data, args.split).photos), **found}


def quality(args: argparse.Namespace) -> dict[str, Any]:
    """Wall time and mIoU of `default`, from a cold start."""
    rows = []
    for epochs in args.epochs:
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            subprocess.run(
                [
                    sys.executable, "-m", "picie", "train", str(args.data), "--split", args.split,
                    "--clusters", "11", "--epochs", str(epochs), "--seed", str(args.seed),
                    "--out", folder + "/run", "--quiet",
                ],
                check=True,
            )  # fmt: skip
            seconds = time.perf_counter() - began
            found = picie.evaluate(folder + "/run", args.data, split="val", size=320)
        scores = {"accuracy": round(found.scores.accuracy, 1), "miou": round(found.scores.miou, 1)}
        rows.append({"epochs": epochs, "seconds": round(seconds, 1), **scores})
    passed = [row["miou"] >= args.miou for row in rows]
    first = next((i for i in range(len(rows)) if all(passed[i:])), None)
    reached = None if first is None else rows[first]["seconds"]
    return {"wanted_miou": args.miou, "seconds": reached, "runs": rows}


def growth(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds per epoch of `reference` by number of images, K and pixels, with linear fits."""
    count = len(open_folder(args.data, args.split).photos)
    axes: dict[str, list[tuple[float, dict[str, Any]]]] = {
        "pictures": [(n, {"images": n}) for n in (count // 4, count // 2, count)],
        "clusters": [(k, {"clusters": k}) for k in (11, 50, 100, 200)],
        "pixels": [
            (s * s, {"size": s, "base_size": 2 * s}) for s in (96, 128, 160, 224)
        ],
    }  # fmt: skip
    lines = {}
    for name, points in axes.items():
        measured = [(x, _epoch_seconds(args, **change)) for x, change in points]
        slope, offset = statistics.linear_regression(*zip(*measured, strict=True))
        fit = [abs(slope * x + offset - y) / y for x, y in measured]
        lines[name] = {
            "points": [[x, round(y, 2)] for x, y in measured],
            "slope": slope,
            "offset": round(offset, 2),
            "largest_miss": round(max(fit), 3),
        }
    if args.plot:
        _plot(lines, args.plot)
    return lines


def _epoch_seconds(args: argparse.Namespace, *, images: int = 96, **change: Any) -> float:
    settings = COMPARISON | change
    with _trainer(args, "reference", images=images, **settings) as one:
        one.start()
        list(one.loader(list(range(images)), 16))  # fills the cache: decoding is not measured
        seconds = []
        for number in range(2):
            views = Views(one.config, number, one.feature_size)
            began = time.perf_counter()
            targets = one.fit_targets(views, number)
            one.pass_over_images(views, targets, number)
            seconds.append(time.perf_counter() - began)
    return min(seconds)


def _plot(lines: dict[str, Any], path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(lines), figsize=(12, 3.2), layout="constrained")
    for axis, (name, line) in zip(axes, lines.items(), strict=True):
        xs, ys = zip(*line["points"], strict=True)
        axis.plot(xs, ys, "o")
        ends = (0, max(xs))
        axis.plot(ends, [line["slope"] * x + line["offset"] for x in ends], "-", alpha=0.6)
        axis.set(xlabel=name, ylabel="seconds per epoch", ylim=(0, None))
        axis.set_title(f"{line['slope']:.3g} s per unit + {line['offset']:.1f} s", fontsize=9)
        axis.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)


class _trainer:
    """Context with a trainer in a temporary folder."""

    def __init__(
        self, args: argparse.Namespace, preset: str, *, images: int | None = None,
        profile: bool = False, **settings: Any,
    ) -> None:  # fmt: skip
        self.config: Config = make_config(
            preset, data=str(args.data), split=args.split, device=args.device,
            backbone=args.backbone, pretrained=args.pretrained, **settings,
        )  # fmt: skip
        self.photos = open_folder(args.data, args.split).photos[:images]
        self.profile = profile
        self.folder = tempfile.TemporaryDirectory()

    def __enter__(self) -> Trainer:
        keep_freed_memory()
        config = self.config
        network = PiCIE(config.backbone, config.feature_size, pretrained=config.pretrained)
        run = Run.create(Path(self.folder.name) / "run", config, version=picie.__version__)
        self.trainer = Trainer(
            run, config, network, self.photos, reporter=Reporter(quiet=True),
            processes=Processes(), profile=self.profile,
        )  # fmt: skip
        return self.trainer

    def __exit__(self, *error: object) -> None:
        self.trainer.crops.close()
        self.folder.cleanup()


def _first_targets(trainer: Trainer) -> tuple[Views, Any]:
    """Targets from a few images; their values do not affect the time of a step."""
    views = Views(trainer.config, 0, trainer.feature_size)
    few = trainer.config.model_copy(update={"kmeans_images": 32})
    trainer.config, whole = few, trainer.config
    targets = trainer.fit_targets(views, 0)
    trainer.config = whole
    return views, targets


def _seconds(trainer: Trainer, work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    if trainer.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for call in (step, epoch, quality, growth):
        verb = verbs.add_parser(call.__name__, help=call.__doc__)
        verb.add_argument("data", type=Path, help="folder of images")
        verb.add_argument("--split", default="train", help="list file in the folder")
        verb.add_argument("--device", default="auto")
        verb.add_argument("--backbone", default="tf_efficientnet_lite0", help="any timm name")
        verb.add_argument("--pretrained", action=argparse.BooleanOptionalAction, default=True)
        verb.set_defaults(call=call)
        if call is step:
            verb.add_argument("--presets", nargs="+", default=["reference", "default"])
            verb.add_argument("--sizes", nargs="+", type=int, default=[160, 320])
            verb.add_argument("--batch", type=int, default=16)
            verb.add_argument("--repeats", type=int, default=9)
        if call is quality:
            verb.add_argument("--miou", type=float, default=24.5)
            verb.add_argument("--epochs", nargs="+", type=int, default=[0, 1, 2])
            verb.add_argument("--seed", type=int, default=0)
        if call is growth:
            verb.add_argument("--plot", type=Path, help="write a plot of points and fits")
    args = parser.parse_args()
    record = {
        "benchmark": args.call.__name__,
        **args.call(args),
        "device": str(choose_device(args.device)),
        "backbone": args.backbone,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "picie": picie.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    print(json.dumps(record))


if __name__ == "__main__":
    main()
