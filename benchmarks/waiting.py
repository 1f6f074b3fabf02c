"""Time what a user waits for: the first masks of a folder, and masks of large photos.

    python benchmarks/waiting.py first PHOTOS --images 500
    python benchmarks/waiting.py large PHOTOS --images 50

Each prints one JSON line. Commands run as processes of their own, as a user starts them, in a
temporary folder. `first`: `picie train --epochs 0` alternates with the network alone, which is the
folded backbone and decoder on random tensors, twice for each of at most 256 photos. `large`:
`picie predict` and `picie train --epochs 0` on photos of 4000 x 3000 pixels (PHOTOS enlarged, with
noise), for JPEG, PNG and TIFF; the floor is decoding with Pillow, for training at reduced size.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image

import picie
from picie.config import DEFAULT_BACKBONE
from picie.data.folder import open_folder
from picie.models.folding import folded
from picie.models.picie import PiCIE

SAMPLE = 256
SIZE = 320
LARGE = (4000, 3000)
FORMATS: dict[str, dict[str, Any]] = {
    ".jpg": {"quality": 90},
    ".png": {"compress_level": 1},
    ".tif": {},
}


def main() -> None:
    args = _arguments()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as place:
        record = {"first": first, "large": large}[args.what](args, Path(place))
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {args.threads} threads"
    print(json.dumps(record | {"picie": picie.__version__, "machine": machine}))


def first(args: argparse.Namespace, place: Path) -> dict[str, Any]:
    """Seconds of the first clustering, and of its network alone."""
    photos = place / "photos"
    photos.mkdir()
    found = [photo.path for photo in open_folder(args.photos).photos]
    for number in range(args.images):
        path = found[number % len(found)]
        (photos / f"{number:06}{path.suffix}").symlink_to(path.resolve())
    train = ["train", photos, "--epochs", "0", "--out", place / "run", "--overwrite"]
    network = _network(min(args.images, SAMPLE))
    network()
    rounds = [(_picie(train, args)[0], _seconds(network)) for _ in range(args.rounds)]
    whole, alone = zip(*rounds, strict=True)
    return {
        "images": args.images,
        "seconds": round(median(whole), 2),
        "network_seconds": round(median(alone), 2),
        "ratio": round(median(a / b for a, b in rounds), 2),
        "rounds": args.rounds,
    }


@torch.no_grad()
def _network(images: int) -> Callable[[], None]:
    network = folded(PiCIE(DEFAULT_BACKBONE, 128).eval())
    pixels = torch.rand(32, 3, SIZE, SIZE)

    @torch.no_grad()
    def run() -> None:
        for start in range(0, 2 * images, len(pixels)):
            network(pixels[: 2 * images - start])

    return run


def large(args: argparse.Namespace, place: Path) -> dict[str, Any]:
    """Seconds per large photo, and memory, beside those of decoding alone."""
    found = [photo.path for photo in open_folder(args.photos).photos]
    run, record = place / "run", {}
    for suffix, options in FORMATS.items():
        folder = place / suffix[1:]
        folder.mkdir()
        for number in range(args.images):
            _enlarged(found[number % len(found)], number).save(
                folder / f"{number:03}{suffix}", **options
            )
        files = sorted(folder.iterdir())
        train = ["train", folder, "--epochs", "0", "--out", run, "--overwrite"]
        predict = ["predict", run, folder, "--out", place / "masks", "--overwrite"]
        record[suffix[1:]] = {
            "decode": round(_decoding(files, reduced=False) / len(files), 3),
            "decode_reduced": round(_decoding(files, reduced=True) / len(files), 3),
            **_per_photo("train", train, args),
            **_per_photo("predict", predict, args),
        }
        for file in files:
            file.unlink()
    return {"images": args.images, "pixels": LARGE, **record}


def _per_photo(name: str, command: Sequence[object], args: argparse.Namespace) -> dict[str, float]:
    seconds, memory = _picie(command, args)
    return {name: round(seconds / args.images, 3), f"{name}_mb": memory}


def _enlarged(path: Path, seed: int) -> Image.Image:
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB").resize(LARGE, Image.Resampling.BICUBIC))
    noise = np.random.default_rng(seed).integers(-6, 7, pixels.shape, dtype=np.int16)
    return Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))


def _decoding(files: Sequence[Path], *, reduced: bool) -> float:
    def run() -> None:
        for file in files:
            with Image.open(file) as image:
                if reduced:
                    image.draft(None, (2 * SIZE, 2 * SIZE))
                image.load()

    return _seconds(run)


def _picie(command: Sequence[object], args: argparse.Namespace) -> tuple[float, int]:
    """Wall seconds of a command, and its peak memory in MB."""
    script = (
        "import resource, sys; from picie.cli.app import main\n"
        "try: main()\n"
        "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    )
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, command)],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": str(args.threads)},
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(done.stderr)
    unit = 10**6 if sys.platform == "darwin" else 10**3
    return seconds, int(done.stderr.split()[-1]) // unit


def _seconds(call: Callable[[], None]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["first", "large"])
    parser.add_argument("photos", type=Path, help="folder of images")
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    return parser.parse_args()


if __name__ == "__main__":
    main()
