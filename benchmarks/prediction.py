"""Time the prediction of a folder end to end, relative to the backbone alone.

    picie train PHOTOS --epochs 0 --clusters 11 --out runs/speed
    python benchmarks/prediction.py PHOTOS --run runs/speed

Prints one JSON line. End to end is `Segmenter.predict_folder`: decode, resize, network, upsample,
mask. The backbone alone is timm's network of the same name and input size, returning its stages, in
evaluation mode, without gradients, in channels_last, on random pixels in memory. Both alternate in
one process. Speeds are medians over the rounds; the ratio is the median of the ratios per round.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import timm
import torch
from PIL import Image

import picie
from picie.data.folder import PhotoFolder, open_folder
from picie.data.images import as_array, network_input
from picie.runtime.devices import keep_freed_memory


def main() -> None:
    args = _arguments()
    torch.set_num_threads(args.threads)
    keep_freed_memory()
    model = picie.load(args.run, device=args.device, precision=args.precision)
    whole = open_folder(args.photos)
    folder = PhotoFolder(whole.root, whole.split, whole.photos[: args.images], whole.classes)
    end_to_end, bare = _end_to_end(model, folder, args), _bare(model, folder, args)
    end_to_end(), bare()  # warm up: page cache, folded copy, kernels
    rounds = [(_seconds(end_to_end), _seconds(bare)) for _ in range(args.rounds)]
    ours, theirs = [[len(folder) / one[side] for one in rounds] for side in (0, 1)]
    record = {
        "images_per_second": round(statistics.median(ours), 2),
        "backbone_images_per_second": round(statistics.median(theirs), 2),
        "ratio": round(statistics.median(a / b for a, b in zip(ours, theirs, strict=True)), 3),
        "backbone": model.config.backbone,
        "clusters": model.clusters,
        "images": len(folder),
        "rounds": args.rounds,
        "size": args.size,
        "batch_size": args.batch_size,
        "workers": args.workers,
        "precision": args.precision,
        "picie": picie.__version__,
        "torch": torch.__version__,
        "timm": timm.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {args.threads} threads",
        "device": torch.cuda.get_device_name() if model.device.type == "cuda" else args.device,
    }
    print(json.dumps(record))


def _end_to_end(
    model: picie.Segmenter, folder: PhotoFolder, args: argparse.Namespace
) -> Callable[[], None]:
    def run() -> None:
        predictions = model.predict_folder(
            folder,
            batch_size=args.batch_size,
            size=args.size,
            tile=args.tile,
            workers=args.workers,
        )
        for one in predictions:
            if one.mask is None:
                raise SystemExit(one.problem)

    return run


def _bare(
    model: picie.Segmenter, folder: PhotoFolder, args: argparse.Namespace
) -> Callable[[], None]:
    """The backbone on as many images, all with the network size of the first image."""
    name, device = model.config.backbone, model.device
    probe = timm.create_model(name, pretrained=False, features_only=True)
    stages = [i for i, s in enumerate(probe.feature_info.reduction()) if s >= 4]
    network = timm.create_model(name, pretrained=False, features_only=True, out_indices=stages)
    network = network.eval().to(device, memory_format=torch.channels_last)
    with Image.open(folder.photos[0].path) as image:
        shape = network_input(as_array(image), args.size).shape
    pixels = torch.rand(args.batch_size, *shape).to(device, memory_format=torch.channels_last)
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(args.precision)

    @torch.no_grad()
    def run() -> None:
        with torch.autocast(device.type, half, enabled=half is not None):
            for start in range(0, len(folder), args.batch_size):
                network(pixels[: len(folder) - start])
        if device.type == "cuda":
            torch.cuda.synchronize()

    return run


def _seconds(call: Callable[[], None]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder of images, ideally of equal size")
    parser.add_argument("--run", type=Path, required=True, help="run folder of a trained model")
    parser.add_argument("--images", type=int, default=32, help="maximum number of images")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=320, help="short side of the network's input")
    parser.add_argument("--tile", type=int, default=1024)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--workers", type=int, default=-1)
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="fp32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
