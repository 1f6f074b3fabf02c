"""Check and time picie on one GPU, in minutes and without any data.

    python benchmarks/gpu.py                         # one CUDA device, under 8 minutes
    python benchmarks/gpu.py DATA --minutes 15       # photos of a folder, instead of drawn scenes
    python benchmarks/gpu.py --device cpu --quick    # all of it in small, to test this script

Prints one JSON object. Each part runs in a process of its own with its share of the time, so an
error of the device or a slow compiler costs one part only. Parts and settings that fail, or that
the time does not suffice for, are named in `failed` and `skipped`. The exit status is 1 if a check
of `agreement`, `resume` or `precision` does not hold.

agreement   the same network on the CPU and on the device, in fp32 without TF32: views, features,
            losses of one step, centroids of k-means from the same initial ones, and masks.
resume      a run that is killed after its first epoch and resumed, against two unbroken ones, whose
            difference is the rounding of the device.
precision   scores of drawn scenes after training in fp32 and in bf16; masks of one model in both.
training    images per second of training steps, whose images are on the device already, and of
            clustering. All networks are in channels_last; `memory_format` has the stages alone in
            both formats.
waiting     share of an epoch in which the device waits for images: decoded, and from the cache.
prediction  images per second from files to masks, and of the network alone.
kmeans      20 updates of k-means against those of faiss on the same device, where it is installed.
projection  time of 10 epochs on COCO-Stuff-27 (118,287 photos), from the numbers above.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

import picie
from picie.clustering.features import ClusterFit, keep_centroids
from picie.clustering.kmeans.kmeans import KMeans
from picie.clustering.vote import Vote
from picie.config import Config, make_config
from picie.data.cache import CropCache
from picie.data.crop_loader import BaseCrops, load_batches
from picie.data.folder import Photo, PhotoFolder, open_folder
from picie.data.prefetch import available_cores
from picie.data.synthetic.scenes import draw_scene, write_scenes
from picie.inference.segmenter import Precision, Segmenter
from picie.models.picie import PiCIE
from picie.objectives.prototypes import Prototypes
from picie.runs import Run
from picie.runtime.devices import autocast, keep_freed_memory
from picie.runtime.distributed import Processes
from picie.runtime.progress import Reporter
from picie.training.step import compute_losses
from picie.training.targets import Targets
from picie.training.trainer import Trainer
from picie.types import Batch, Clusters
from picie.views.pair import Views

Found = dict[str, Any]

PHOTOS, EPOCHS, GOAL = 118_287, 10, 30.0  # COCO-Stuff-27: images, epochs, minutes
SIZE = (480, 640)  # of the photos of COCO
GRACE = 5.0  # seconds that a part may take longer than its time
BACKBONES = {
    "lite0": "tf_efficientnet_lite0",
    "resnet18": "resnet18",
    "vit_s14": "vit_small_patch14_dinov2",
}
TOLERANCES = {
    "views": 1e-4,  # largest difference of a pixel, of 0 to 1
    "features": 1e-3,  # largest difference, relative to the largest feature
    "loss": 1e-3,  # relative
    "centroids": 2e-3,  # largest difference of a value of a unit vector
    "masks": 0.999,  # share of pixels with the same cluster
    "resumed": 0.98,  # share of pixels, or as much as two unbroken runs agree
    "bf16_masks": 0.97,  # share of pixels
    "bf16_miou": 2.0,  # points that bf16 may lose against fp32
}


class Bench:
    """What all parts share.

    Args:
        args: the command line.
        folder: scratch; holds `scenes` and `photos`.
        seconds: time of this part.
    """

    def __init__(self, args: argparse.Namespace, folder: Path, seconds: float) -> None:
        self.args, self.folder = args, folder
        self.device = torch.device(args.device)
        self.quick: bool = args.quick
        self.until = time.monotonic() + seconds
        self.skipped: list[str] = []
        self.found: Found = {}
        self.backbones = {"lite0": "test_efficientnet"} if self.quick else BACKBONES
        self.size, self.base = (32, 40) if self.quick else (320, 320)
        self.rounds = 2 if self.quick else 5

    @property
    def photos(self) -> list[Photo]:
        """The photos that are read: those of DATA, or drawn ones."""
        return list(open_folder(self.args.data or self.folder / "photos").photos)

    def config(self, preset: str = "default", **settings: Any) -> Config:
        """Settings on the device."""
        common: dict[str, Any] = {
            "size": self.size,
            "base_size": self.base,
            "device": str(self.device),
        }
        backbone = {"backbone": self.backbones["lite0"], "pretrained": not self.quick}
        small = {"overclusters": 16, "feature_size": 16, "batch_size": 4} if self.quick else {}
        data = str(self.args.data or self.folder / "photos")
        return make_config(preset, data=data, **common | backbone | small | settings)

    def has_time(self, name: str, seconds: float = 0.0) -> bool:
        """Whether this many seconds are left; otherwise the name is noted."""
        if time.monotonic() + seconds < self.until:
            return True
        self.skipped.append(name)
        return False

    def keep(self, group: str, name: str, value: Found) -> None:
        """Print what was found so far, as the part may be stopped during the next setting."""
        self.found.setdefault(group, {})[name] = value
        print(json.dumps(self.found), flush=True)

    def wait(self) -> None:
        """Wait until the device has done its work."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], object], *, warm: int = 2, most: float = 2.0) -> float:
        """Median time of a call, over `rounds` calls or over `most` seconds of them."""
        for _ in range(warm):
            work()
        self.wait()
        measured: list[float] = []
        while len(measured) < self.rounds and sum(measured) < most:
            began = time.perf_counter()
            work()
            self.wait()
            measured.append(time.perf_counter() - began)
        return statistics.median(measured)

    @contextlib.contextmanager
    def trainer(self, config: Config, photos: Sequence[Photo]) -> Iterator[Trainer]:
        """A trainer in a temporary folder."""
        keep_freed_memory()
        network = PiCIE(config.backbone, config.feature_size, pretrained=config.pretrained)
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            run = Run.create(Path(folder) / "run", config, version=picie.__version__)
            trainer = Trainer(
                run, config, network, photos, reporter=Reporter(quiet=True), processes=Processes()
            )
            try:
                yield trainer
            finally:
                trainer.close()


# --- checks


def agreement(bench: Bench) -> Found:
    """CPU and device side by side."""
    torch.backends.cudnn.allow_tf32 = False
    settings: Found = {"precision": "fp32", "decoder_init": "pca", "epochs": 1, "clusters": 8}
    scenes = list(open_folder(bench.folder / "scenes", "train").photos)
    found: Found = {}
    sides: list[Found] = []
    for device in ("cpu", str(bench.device)):
        config = bench.config(**settings | {"device": device})
        with bench.trainer(config, scenes) as trainer:
            if sides:  # the same weights: the start of the decoder draws from rounded features
                trainer.model.load_state_dict(sides[0]["state"])
            else:
                trainer.start()
            state = {name: one.cpu().clone() for name, one in trainer.model.state_dict().items()}
            sides.append(_side(trainer, sides) | {"state": state})
    ours, theirs = sides
    found["views"] = _largest(ours["views"], theirs["views"])
    found["features"] = _largest(ours["features"], theirs["features"])
    found["features"] /= float(ours["features"].abs().max())
    found["loss"] = abs(theirs["loss"] - ours["loss"]) / abs(ours["loss"])
    found["centroids"] = _largest(ours["centroids"], theirs["centroids"])
    found["masks"] = _same(ours["masks"], theirs["masks"])
    return _checked({name: float(f"{value:.3g}") for name, value in found.items()})


def _side(trainer: Trainer, before: list[Found]) -> Found:
    """What one device makes of the same images, weights and initial centroids."""
    config, model = trainer.config, trainer.model.eval()
    order = list(range(min(len(trainer.photos), config.batch_size)))
    [batch] = trainer.loader(order, len(order))
    views = Views(config, 0, trainer.feature_size)
    pair = views(batch)
    with torch.no_grad():
        maps = model(pair.second)
    points = maps.permute(0, 2, 3, 1).flatten(0, 2)
    start = before[0]["start"] if before else normalize(points[:: len(points) // 8][:8], dim=1)
    kmeans = KMeans(8, max_iter=10).fit(points, start.to(points.device))
    groups = torch.arange(8, device=points.device)
    clusters = Clusters(kmeans.cluster_centers_, kmeans.counts_)
    tree = torch.empty(0, 3, dtype=torch.float64)
    fit = ClusterFit(clusters, groups, Vote(tree), kmeans.history_[-1], len(points))
    if before:  # labels and masks by the same centroids
        clusters = Clusters(before[0]["centroids"].to(points), clusters.counts)
        fit = ClusterFit(clusters, groups, Vote(tree), fit.objective, fit.points)
    keep_centroids(model, fit)
    masks = [Segmenter(model, config).predict(photo.path) for photo in trainer.photos[:4]]
    targets = trainer.fit_targets(views, 0)
    assert isinstance(targets, Targets)
    targets = _with_centroids(targets, fit, config)
    losses, _ = compute_losses(model, targets, pair, config)
    return {
        "start": start.cpu(), "views": torch.cat([pair.first, pair.second]).cpu(),
        "features": maps.cpu(), "centroids": kmeans.cluster_centers_.cpu(), "masks": masks,
        "loss": float(losses.total.detach()),
    }  # fmt: skip


def _with_centroids(targets: Targets, fit: ClusterFit, config: Config) -> Targets:
    """The same targets with these centroids in both views."""
    ones = torch.ones(len(fit.groups), device=fit.groups.device)
    one = Prototypes.of(fit.clusters.centroids, fit.groups, ones, config.similarity)
    views = len(config.views)
    level = replace(targets.levels[0], fits=(fit,) * views, prototypes=(one,) * views)
    return replace(targets, levels=(level,))


def resume(bench: Bench) -> Found:
    """Two unbroken runs, and one that is killed after its first epoch and resumed."""
    flags = _flags(bench, epochs=3)
    scenes = str(bench.folder / "scenes")
    runs = [bench.folder / f"run{number}" for number in range(3)]
    for run in runs[:2]:
        _picie("train", scenes, f"--out={run}", *flags)
    process = subprocess.Popen(_command("train", scenes, f"--out={runs[2]}", *flags))
    state = runs[2] / "checkpoint" / "state.safetensors"
    while process.poll() is None and not _is_there(runs[2], state):
        time.sleep(0.01)
    killed = process.poll() is None
    process.kill()
    process.wait()
    done = len((runs[2] / "metrics.jsonl").read_text().splitlines())
    _picie("train", f"--resume={runs[2]}", "--quiet")
    models = [picie.load(run, device=str(bench.device), precision="fp32") for run in runs]
    folder = open_folder(bench.folder / "scenes", "val")
    masks = [[one.mask for one in model.predict_folder(folder)] for model in models]
    bytes_of = [(run / "model.safetensors").read_bytes() for run in runs]
    unbroken, resumed = _same(masks[0], masks[1]), _same(masks[0], masks[2])
    found: Found = {
        "killed": killed, "epochs_before": done, "resumed": resumed, "two_unbroken": unbroken,
        "same_bytes": bytes_of[0] == bytes_of[2], "same_bytes_unbroken": bytes_of[0] == bytes_of[1],
    }  # fmt: skip
    least = min(TOLERANCES["resumed"], unbroken)
    return found | {"tolerance": {"resumed": least}, "holds": killed and resumed >= least}


def _is_there(run: Path, state: Path) -> bool:
    return state.exists() or any(run.glob("**/state.safetensors"))


def precision(bench: Bench) -> Found:
    """Scores of the drawn scenes in fp32 and bf16."""
    scenes = bench.folder / "scenes"
    found: Found = {}
    for name in ("fp32", "bf16"):
        run = bench.folder / f"trained_{name}"
        _picie(
            "train", str(scenes), f"--out={run}", *_flags(bench, epochs=2), f"--precision={name}"
        )
        model = picie.load(run, device=str(bench.device), precision="fp32")
        scores = picie.evaluate(model, scenes, split="val").scores
        found[f"trained in {name}"] = {
            "accuracy": round(scores.accuracy, 2),
            "miou": round(scores.miou, 2),
        }
    one = bench.folder / "trained_fp32"
    kinds: tuple[Precision, ...] = ("fp32", "bf16")
    models = [picie.load(one, device=str(bench.device), precision=kind) for kind in kinds]
    folder = open_folder(scenes, "val")
    masks = [[each.mask for each in model.predict_folder(folder)] for model in models]
    lost = found["trained in fp32"]["miou"] - found["trained in bf16"]["miou"]
    return _checked({**found, "bf16_masks": _same(*masks), "bf16_miou": round(lost, 2)})


def _checked(found: Found) -> Found:
    """Add the tolerances of the values, and whether all hold."""
    limits = {name: TOLERANCES[name] for name in found if name in TOLERANCES}
    least = {"masks", "bf16_masks"}
    holds = all(
        found[name] >= limit if name in least else found[name] <= limit
        for name, limit in limits.items()
    )
    return {**found, "tolerance": limits, "holds": holds}


def _largest(one: Tensor, other: Tensor) -> float:
    return float((one.double() - other.double()).abs().max())


def _same(masks: Sequence[Any], others: Sequence[Any]) -> float:
    """Share of pixels with the same id."""
    pairs = zip(masks, others, strict=True)
    return round(float(np.mean([(one == other).mean() for one, other in pairs])), 5)


# --- speed


def training(bench: Bench) -> Found:
    """Images per second of steps and of clustering, by backbone, preset and precision."""
    for name in bench.backbones:
        bench.keep("memory_format", name, _attempt(partial(_formats, bench, name)))
    variants: dict[str, Found] = {
        "fp32": {"precision": "fp32"},
        "bf16": {"precision": "bf16"},
        "bf16 compiled": {"precision": "bf16", "compile": True},
    }
    if bench.quick:
        del variants["bf16 compiled"]
    sizes = {} if bench.quick else {"default": 64, "reference": 128}
    plan = [
        (f"{name} {preset} {label}", preset, settings | {"backbone": backbone})
        for label, settings in variants.items()  # the slow compiler last
        for preset in ("default", "reference")
        for name, backbone in bench.backbones.items()
    ]
    for key, preset, settings in plan:
        if not bench.has_time(key, 2.0):
            continue
        if preset in sizes:
            settings["batch_size"] = sizes[preset]
        base = bench.base * (2 if preset == "reference" else 1)
        config = bench.config(preset, pretrained=False, clusters=27, base_size=base, **settings)
        bench.keep("images/s", key, _attempt(partial(_step_speed, bench, config)))
    return bench.found


def _attempt(work: Callable[[], Found]) -> Found:
    """The result, or the error in one line: other settings go on."""
    try:
        return work()
    except Exception as error:
        return {"failed": _one_line(error)}


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _step_speed(bench: Bench, config: Config) -> Found:
    """Images per second of steps and of clustering on images that are on the device already."""
    count = config.batch_size
    photos = list(islice(cycle(bench.photos), count))
    with bench.trainer(config, photos) as trainer:
        [batch] = trainer.loader(list(range(count)), count)
        trainer.loader = lambda order, size: (
            Batch(batch.indices[: len(part)], batch.images[: len(part)])
            for part in (order[start : start + size] for start in range(0, len(order), size))
        )
        views = Views(config, 0, trainer.feature_size)
        targets = trainer.fit_targets(views, 0)
        began = time.perf_counter()
        targets = trainer.fit_targets(views, 0)
        bench.wait()
        clustering = len(config.views) * count / (time.perf_counter() - began)
        trainer.model.train(config.batchnorm != "running")
        seconds = bench.seconds(lambda: trainer.step(views, targets, batch))
        began = time.perf_counter()
        trainer.step(views, targets, batch)
        launched = time.perf_counter() - began
        bench.wait()
    found = {
        "step": count / seconds,
        "clustering": clustering,
        "launching_share": launched / seconds,
    }
    return {name: round(value, 3) for name, value in found.items()} | _peak(bench)


def _peak(bench: Bench) -> Found:
    if bench.device.type != "cuda":
        return {}
    peak = torch.cuda.max_memory_allocated(bench.device) / 1e9
    torch.cuda.reset_peak_memory_stats(bench.device)
    torch.cuda.empty_cache()
    return {"peak_gb": round(peak, 2)}


def _formats(bench: Bench, name: str) -> Found:
    """Forward and backward passes of the stages alone, per second, in both memory formats."""
    found = {}
    for label, layout in (
        ("contiguous", torch.contiguous_format),
        ("channels_last", torch.channels_last),
    ):
        network = PiCIE(bench.backbones[name], 16, pretrained=False).backbone.stages
        network = network.to(bench.device).to(memory_format=layout)
        side = 14 * (bench.size // 14) if "vit" in name else bench.size
        images = torch.rand(4 if bench.quick else 64, 3, side, side, device=bench.device)
        images = images.contiguous(memory_format=layout)

        def both(network: torch.nn.Module = network, images: Tensor = images) -> None:
            with autocast(bench.device, "bf16"):
                sum(one.float().mean() for one in network(images)).backward()

        found[label] = round(len(images) / bench.seconds(both, most=1.0), 1)
    return found


def waiting(bench: Bench) -> Found:
    """Whole epochs against the same steps without reading."""
    photos = list(islice(cycle(bench.photos), 24 if bench.quick else 2048))
    found: Found = {}
    for preset in ("default", "reference"):
        if bench.has_time(preset, 3.0):
            found[preset] = _attempt(partial(_waiting_shares, bench, preset, photos))
    return found | {"reading, images/s": _reading(bench, photos)}


def _waiting_shares(bench: Bench, preset: str, photos: Sequence[Photo]) -> Found:
    settings: Found = {} if bench.quick else {"batch_size": 64}
    if preset == "reference":
        settings["base_size"] = 2 * bench.base
    config = bench.config(preset, clusters=27, **settings)
    with bench.trainer(config, photos) as trainer:
        views = Views(config, 0, trainer.feature_size)
        order = list(range(config.batch_size))
        [resident] = trainer.loader(order, len(order))
        trainer.config = config.model_copy(update={"kmeans_images": config.batch_size})
        targets = trainer.fit_targets(views, 0)
        trainer.config = config
        trainer.model.train(config.batchnorm != "running")
        step = bench.seconds(lambda: trainer.step(views, targets, resident))
        busy = step * len(photos) / config.batch_size
        shares = {}
        for state in ("decoding", "cached"):
            began = time.perf_counter()
            trainer.pass_over_images(views, targets, 0)
            bench.wait()
            seconds = time.perf_counter() - began
            shares[state] = round(max(0.0, 1 - busy / seconds), 3)
            shares[f"{state}, images/s"] = round(len(photos) / seconds, 1)
    return shares


def _reading(bench: Bench, photos: Sequence[Photo]) -> Found:
    """Crops decoded per second, without any network."""
    found = {}
    for workers in sorted({1, min(8, available_cores()), available_cores()}):
        for base in (bench.base, 2 * bench.base):
            if not bench.has_time(f"reading, {workers} threads, {base} px", 1.0):
                continue
            crops = BaseCrops(photos, base, CropCache(len(photos), base, memory_mb=0))
            plan = [list(range(len(photos)))[start::32] for start in range(min(32, len(photos)))]
            began, read = time.perf_counter(), 0
            for batch in load_batches(crops, plan, workers=workers, device=bench.device):
                read += len(batch.indices)
                if time.perf_counter() - began > 3.0:
                    break
            found[f"{workers} threads, {base} px"] = round(read / (time.perf_counter() - began), 1)
            crops.close()
    return found


def prediction(bench: Bench) -> Found:
    """Images per second from files to masks, and of the network alone."""
    folder = open_folder(bench.args.data or bench.folder / "photos")
    photos = tuple(islice(cycle(folder.photos), 8 if bench.quick else 256))
    folder = PhotoFolder(folder.root, folder.split, photos, folder.classes)
    found: Found = {}
    for name, backbone in bench.backbones.items():
        config = bench.config(backbone=backbone, pretrained=False, clusters=27)
        network = PiCIE(backbone, config.feature_size, pretrained=False)
        draws = torch.Generator().manual_seed(0)
        centroids = torch.randn(config.num_centroids, config.feature_size, generator=draws)
        network.set_centroids([centroids], [torch.arange(len(centroids)) % 27])
        kinds: tuple[Precision, ...] = ("fp32", "bf16", "fp16")
        for kind in kinds[: 2 if bench.quick else 3]:
            if not bench.has_time(f"{name} {kind}", 2.0):
                continue
            model = Segmenter(network, config, precision=kind)
            found[f"{name} {kind}"] = _attempt(partial(_prediction_speed, bench, model, folder))
    return {"images/s": found}


def _prediction_speed(bench: Bench, model: Segmenter, folder: PhotoFolder) -> Found:
    found = {}
    for size in (4,) if bench.quick else (8, 32):

        def masks(size: int = size) -> None:
            for one in model.predict_folder(folder, batch_size=size):
                assert one.mask is not None, one.problem

        shape = (size, 3, bench.size, bench.size * 4 // 3 // 32 * 32)
        images = torch.rand(shape, device=bench.device)
        whole = bench.seconds(masks, warm=1, most=4.0)
        network = bench.seconds(partial(model.features, images), most=1.0)
        found[f"batches of {size}"] = {
            "files to masks": round(len(folder) / whole, 1),
            "network": round(size / network, 1),
        }
    return found


def kmeans(bench: Bench) -> Found:
    """20 updates from the same initial centroids, here and by faiss."""
    count = 4096 if bench.quick else 1_000_000
    draws = torch.Generator().manual_seed(0)
    points = normalize(torch.randn(count, 128, generator=draws), dim=1).to(bench.device)
    found: Found = {"points": count}
    faiss = _faiss_gpu() if bench.device.type == "cuda" else None
    found["faiss"] = "not installed for GPUs" if faiss is None else faiss.__version__
    for k in (27,) if bench.quick else (27, 100, 512):
        if not bench.has_time(f"K = {k}", 1.0):
            continue
        start = points[:k].clone()
        model = KMeans(k)
        ours = bench.seconds(partial(model.fit, points, start), warm=1)
        found[f"K = {k}"] = {"seconds": round(ours, 4), "objective": round(model.history_[-1], 5)}
        if faiss is not None:
            rows, first = points.cpu().numpy(), start.cpu().numpy()
            other = faiss.Kmeans(
                128, k, niter=20, spherical=True, gpu=1, max_points_per_centroid=10**9
            )

            def theirs(other: Any = other, rows: Any = rows, first: Any = first) -> None:
                other.train(rows, init_centroids=first)

            seconds = bench.seconds(theirs, warm=1)
            found[f"K = {k}"] |= {"faiss": round(seconds, 4), "ratio": round(seconds / ours, 2)}
    return found


def _faiss_gpu() -> Any:
    if importlib.util.find_spec("faiss") is None:
        return None
    import faiss

    return faiss if getattr(faiss, "get_num_gpus", lambda: 0)() else None


def project(parts: dict[str, Found]) -> Found:
    """Minutes of 10 epochs on COCO-Stuff-27: clustering of both views, and steps or reading."""
    speeds = parts.get("training", {}).get("images/s", {})
    read = parts.get("waiting", {}).get("reading, images/s", {})
    found: Found = {"photos": PHOTOS, "epochs": EPOCHS, "goal_minutes": GOAL}
    for key, speed in speeds.items():
        if "step" not in speed:
            continue
        reference = " reference " in key
        sample = min(PHOTOS, 5120 if reference else 256)
        base = max((int(one.split(", ")[1].split()[0]) for one in read), default=0)
        least = min((int(one.split(", ")[1].split()[0]) for one in read), default=0)
        side = base if reference else least
        reading = max((v for one, v in read.items() if one.endswith(f" {side} px")), default=None)
        clustering = 2 * sample / speed["clustering"]
        minutes = {"network": EPOCHS * (PHOTOS / speed["step"] + clustering) / 60}
        if reading:
            minutes["reading"] = EPOCHS * (PHOTOS + 2 * sample) / reading / 60
        minutes["all"] = max(minutes.values())
        found[key] = {name: round(value, 1) for name, value in minutes.items()}
        found[key]["meets_goal"] = minutes["all"] <= GOAL
    return found


# --- running the parts

PARTS: dict[str, tuple[Callable[[Bench], Found], int]] = {
    "agreement": (agreement, 45),
    "resume": (resume, 70),
    "precision": (precision, 60),
    "training": (training, 140),
    "waiting": (waiting, 45),
    "prediction": (prediction, 60),
    "kmeans": (kmeans, 30),
}
"""Parts in their order, with their weights in the time that is left."""


def draw(args: argparse.Namespace, folder: Path) -> None:
    """Draw labelled scenes, and photos of the size of those of COCO."""
    train, val, size = (12, 4, (48, 64)) if args.quick else (64, 24, (240, 320))
    write_scenes(folder / "scenes", train=train, val=val, size=size)
    if args.data is not None:
        return
    count, size = (4, (48, 64)) if args.quick else (48, SIZE)
    (folder / "photos").mkdir()
    jobs = [(folder / "photos" / f"{number:03}.jpg", number, size) for number in range(count)]
    if args.quick:
        for job in jobs:
            _draw_photo(job)
        return
    with ProcessPoolExecutor(available_cores()) as pool:
        list(pool.map(_draw_photo, jobs))


def _draw_photo(job: tuple[Path, int, tuple[int, int]]) -> None:
    path, number, size = job
    Image.fromarray(draw_scene(1, number, size)[0]).save(path, quality=92)


def run_part(name: str, args: argparse.Namespace, folder: Path, seconds: float) -> Found:
    """Run one part in this process."""
    bench = Bench(args, folder, seconds)
    began = time.monotonic()
    try:
        found = PARTS[name][0](bench)
    except Exception as error:
        found = {"failed": _one_line(error)}
    found["seconds"] = round(time.monotonic() - began, 1)
    return found | ({"skipped": bench.skipped} if bench.skipped else {})


def _in_process(name: str, args: argparse.Namespace, folder: Path, seconds: float) -> Found:
    """Run one part in a process of its own, which is killed with its children at the end."""
    command = [sys.executable, __file__, *(["--quick"] if args.quick else [])]
    command += [str(args.data)] if args.data else []
    command += [f"--device={args.device}", f"--part={name}", f"--folder={folder}"]
    command += [f"--minutes={seconds / 60}"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    problem = ""
    try:
        out, errors = process.communicate(timeout=seconds + GRACE)
    except subprocess.TimeoutExpired:
        problem = f"ran longer than {seconds:.0f} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    if problem:
        out, errors = process.communicate()
    elif process.returncode:
        last = errors.strip().splitlines()[-1:] or [""]
        problem = f"ended with status {process.returncode}: {last[0][:300]}"
    found: Found = json.loads(out.splitlines()[-1]) if out.strip() else {}
    return found | ({"failed": problem} if problem else {})


def measure(args: argparse.Namespace, folder: Path) -> Found:
    """All parts within the time, and what was left out."""
    began = time.monotonic()
    draw(args, folder)
    found: dict[str, Found] = {}
    chosen = {name: weight for name, (_, weight) in PARTS.items() if name in args.parts}
    for name in list(chosen):
        left = 60 * args.minutes - (time.monotonic() - began)
        share = left * chosen[name] / sum(chosen.values())
        del chosen[name]
        if share < 1:
            found[name] = {"skipped": ["all"]}
            continue
        found[name] = _in_process(name, args, folder, share)
    if "training" in found:
        found["projection"] = project(found)
    failed = {name: one["failed"] for name, one in found.items() if "failed" in one}
    skipped = {name: one.pop("skipped") for name, one in found.items() if "skipped" in one}
    checks = {name: one["holds"] for name, one in found.items() if "holds" in one}
    return {
        "benchmark": "gpu", "checks": checks, "failed": failed, "skipped": skipped, "parts": found,
        "seconds": round(time.monotonic() - began, 1), **_machine(args),
    }  # fmt: skip


def _machine(args: argparse.Namespace) -> Found:
    cuda = args.device.startswith("cuda") and torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if cuda else args.device,
        "cuda": torch.version.cuda if cuda else None,
        "quick": args.quick,
        "torch": torch.__version__,
        "picie": picie.__version__,
        "machine": f"{platform.machine()}, {available_cores()} cores",
    }


def _flags(bench: Bench, epochs: int) -> list[str]:
    """Settings of a short training run on the drawn scenes."""
    small = ["--size=32", "--base-size=40", "--backbone=test_efficientnet", "--no-pretrained"]
    small += ["--feature-size=8", "--batch-size=4", "--overclusters=16"]
    return [
        "--split=train", "--clusters=8", f"--epochs={epochs}", f"--device={bench.device}",
        "--quiet", *(small if bench.quick else ["--size=160", "--base-size=160"]),
    ]  # fmt: skip


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "picie", *arguments]


def _picie(*arguments: str) -> None:
    done = subprocess.run(_command(*arguments), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"picie {arguments[0]}: {done.stderr.strip()[-300:]}")


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?", help="folder of photos; drawn without")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=8.0, help="most time of all parts")
    parser.add_argument("--quick", action="store_true", help="tiny networks and images")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(given)


def main() -> None:
    args = arguments()
    if args.part:
        print(json.dumps(run_part(args.part, args, args.folder, 60 * args.minutes)))
        return
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit("no CUDA device; to test this script: --device cpu --quick")
    with tempfile.TemporaryDirectory() as folder:
        found = measure(args, Path(folder))
    print(json.dumps(found))
    sys.exit(not all(found["checks"].values()))


if __name__ == "__main__":
    main()
