"""Peak memory of a training over the number of images; it should not grow with them.

    python benchmarks/memory.py PHOTOS --counts 1000 10000 100000

Makes folders of links to the images in PHOTOS, as many as asked for, and trains on each in a
process of its own: one epoch with a small network and small crops on the CPU, k-means on a fixed
sample, room for 16 MB of crops in memory, so that all but the smallest set go to the file. Further
flags are those of `picie train`. Prints one line of JSON: the peak resident memory of each process
in MB (10^6 bytes), and the largest of them as a multiple of the first.
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

import picie  # not torch: the peak of a child is at least what its parent has at that moment
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
    """Fill a new folder with `count` links, spread over folders of a thousand."""
    for number, image in enumerate(islice(cycle(images), count)):
        place = folder / f"{number // 1000:04d}" / f"{number:07d}{image.suffix}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(image)


def measure(photos: Path, out: Path, settings: list[str]) -> dict[str, Any]:
    """Train in a child, and say what it took."""
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
    found = {}
    # Children report the largest peak so far: in rising order that is the one of the last child.
    for count in sorted(args.counts):
        with tempfile.TemporaryDirectory() as folder:
            photos = Path(folder, "photos")
            link(images, photos, count)
            found[str(count)] = measure(photos, Path(folder, "run"), settings)
    peaks = [one["peak_mb"] for one in found.values()]
    record = {
        "pictures": found,
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
