"""Peak memory of training by number of images; it should not grow with their number.

    python benchmarks/memory.py PHOTOS --counts 1000 10000 100000

For each count, creates a folder with that many links to the images in PHOTOS, and trains on it in a
separate process: one epoch with a small network and small crops on the CPU, k-means on a fixed
sample, and 16 MB of memory for crops, so that all but the smallest set use the cache file. Further
flags are passed to `picie train`. Prints one line of JSON: the peak resident memory of each process
in MB (10^6 bytes), and the largest peak relative to the first.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import picie  # without torch: the peak of a child process includes the memory of its parent
from picie.data.folder import open_folder

_KB = 1 if sys.platform == "darwin" else 1024  # unit of ru_maxrss
_FLAGS = {
    "epochs": 1,
    "clusters": 5,
    "overclusters": 0,
    "backbone": "test_efficientnet",
    "size": 32,
    "base-size": 64,
    "cache-mb": 16,
    "feature-size": 8,
    "batch-size": 32,
    "kmeans-images": 256,
    "kmeans-pixels": 16,
    "device": "cpu",
}


def link(images: list[Path], folder: Path, count: int) -> None:
    """Fill a new folder with `count` links, a thousand per subfolder."""
    for number, image in enumerate(islice(cycle(images), count)):
        place = folder / f"{number // 1000:04d}" / f"{number:07d}{image.suffix}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(image)


def measure(photos: Path, out: Path, settings: list[str]) -> dict[str, Any]:
    """Train in a child process; returns its peak memory and time."""
    flags = [f"--{name}={value}" for name, value in _FLAGS.items()]
    command = [sys.executable, "-m", "picie", "train", str(photos), f"--out={out}"]
    began = time.monotonic()
    subprocess.run([*command, *flags, "--no-pretrained", "--quiet", *settings], check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _KB / 1e6
    return {"peak_mb": round(peak, 1), "seconds": round(time.monotonic() - began, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder of images to link to")
    parser.add_argument("--counts", nargs="+", type=int, default=[1000, 10_000, 100_000])
    args, settings = parser.parse_known_args()
    images = [photo.path.resolve() for photo in open_folder(args.photos).photos]
    measured = {}
    # The system reports the largest peak of all children so far, hence the ascending order.
    for count in sorted(args.counts):
        with tempfile.TemporaryDirectory() as folder:
            photos = Path(folder, "photos")
            link(images, photos, count)
            measured[str(count)] = measure(photos, Path(folder, "run"), settings)
    peaks = [one["peak_mb"] for one in measured.values()]
    record = {
        "pictures": measured,
        "growth": round(max(peaks) / peaks[0], 3),
        "settings": settings,
        "picie": picie.__version__,
        "torch": version("torch"),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    print(json.dumps(record))


if __name__ == "__main__":
    main()
