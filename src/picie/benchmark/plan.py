"""The single runs of a suite: systems x data sets x backbones x seeds, and where their files are.

OUT/
├── table.md  table.html     rewritten after every run
├── records/<slug>.json      one for each finished run
├── runs/<slug>/             its run folder
├── runs/<slug>.json         what it was begun with, and how long training took
├── data/<name>/             scenes that the suite asked for
└── failures.json            runs that ended with an error, if any
"""

import fnmatch
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from picie.benchmark.suite import Data, Suite, Synthetic, System
from picie.config import Config
from picie.data.datasets.registry import open_dataset
from picie.data.folder import PhotoFolder
from picie.data.synthetic.scenes import write_scenes
from picie.errors import ConfigError
from picie.models.backbones import check_name
from picie.runtime.files import write_atomically

__all__ = ["Job", "absence", "describe_images", "draw_scenes", "is_at_hand", "plan", "select"]

_MARKER = "scenes.json"


@dataclass(frozen=True)
class Job:
    """One run that the suite asks for.

    Attributes:
        slug: its name in files, unique in the suite.
        system: what is run.
        data: what on.
        backbone: timm name.
        seed: of every random draw.
        config: all settings, the folder of images among them.
        out: folder of the whole benchmark.
    """

    slug: str
    system: System
    data: Data
    backbone: str
    seed: int
    config: Config
    out: Path

    @property
    def folder(self) -> Path:
        """Its run folder."""
        return self.out / "runs" / self.slug

    @property
    def note_path(self) -> Path:
        """What is known of it before it is finished."""
        return self.out / "runs" / f"{self.slug}.json"

    @property
    def record_path(self) -> Path:
        """The JSON file that says it is finished."""
        return self.out / "records" / f"{self.slug}.json"

    @property
    def images(self) -> Path:
        """The labelled folder."""
        return Path(self.config.data)


def plan(suite: Suite, *, root: Path, out: Path) -> list[Job]:
    """All runs: per data set first every system with the first seed, then with the next.

    Args:
        suite: what is compared.
        root: folder that the paths of data sets start from.
        out: folder of the benchmark.

    Raises:
        ConfigError: timm knows no such backbone, or two runs would share their files.
    """
    jobs = [
        _job(suite, system, data, backbone, seed, root=root, out=out)
        for data in suite.data
        for system in suite.systems
        for backbone in system.backbones or suite.grid.backbones
        for seed in system.seeds or suite.grid.seeds
    ]
    for backbone in dict.fromkeys(job.backbone for job in jobs):
        check_name(backbone)
    slugs = [job.slug.lower() for job in jobs]
    repeated = sorted({slug for slug in slugs if slugs.count(slug) > 1})
    if repeated:
        raise ConfigError(
            f"{suite.path}: two runs would be called {repeated[0]!r}; give systems, data sets and "
            "seeds that differ in letters and digits"
        )
    seeds = list(dict.fromkeys(job.seed for job in jobs))
    order = {data.name: number for number, data in enumerate(suite.data)}
    return sorted(jobs, key=lambda job: (order[job.data.name], seeds.index(job.seed)))


def select(jobs: list[Job], pattern: str) -> list[Job]:
    """The runs whose name holds the pattern, in which * and ? stand for anything.

    Raises:
        ConfigError: there is none.
    """
    found = [job for job in jobs if fnmatch.fnmatch(job.slug.lower(), f"*{pattern.lower()}*")]
    if not found:
        raise ConfigError(
            f"--only {pattern!r}: no run is called so; the first is {jobs[0].slug!r}, --list shows "
            "all of them"
        )
    return found


def absence(job: Job) -> str:
    """Why the images of a run cannot be there; "" if they are, or can be drawn."""
    if job.data.synthetic is not None or job.images.exists():
        return ""
    return f"data {job.data.name!r}: expected at {job.images}"


def is_at_hand(job: Job) -> bool:
    """Whether its images can be read now; scenes only if they are those of the suite."""
    if job.data.synthetic is None:
        return job.images.exists()
    marker = job.images / _MARKER
    return marker.is_file() and marker.read_bytes() == _wanted(job.data.synthetic)


def draw_scenes(job: Job) -> None:
    """Write the scenes that the suite asks for, unless they are there."""
    scenes = job.data.synthetic
    if scenes is not None and not is_at_hand(job):
        write_scenes(job.images, **scenes.model_dump())
        write_atomically(job.images / _MARKER, _wanted(scenes))


def describe_images(job: Job) -> dict[str, Any]:
    """Which images a run learns from and is scored on, as plain values.

    The digest covers names and file sizes, of masks too where they are scored: it changes when
    images are added, taken away or replaced, wherever the folder lies.

    Raises:
        DataError: a split is missing, or labels of the split that is scored.
    """
    roles = {"train": (job.data.train, False), "eval": (job.data.eval, True)}
    return {
        role: _digest(
            open_dataset(job.data.dataset, job.images, split, labelled=labelled),
            labelled=labelled,
        )
        for role, (split, labelled) in roles.items()
    }


def _job(
    suite: Suite, system: System, data: Data, backbone: str, seed: int, *, root: Path, out: Path
) -> Job:
    slug = "--".join([_slug(data.name), _slug(system.name), _slug(backbone), f"seed{seed}"])
    if data.synthetic is not None:
        images = out / "data" / _slug(data.name)
    else:
        images = root / Path(data.path or data.name).expanduser()
    config = suite.config(system, data, seed=seed, backbone=backbone)
    config = config.model_copy(update={"data": str(images.resolve())})
    return Job(slug, system, data, backbone, seed, config, out)


def _wanted(scenes: Synthetic) -> bytes:
    return scenes.model_dump_json().encode()


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-.")


def _digest(folder: PhotoFolder, *, labelled: bool) -> dict[str, Any]:
    digest = hashlib.sha256("\n".join(folder.classes if labelled else ()).encode())
    for photo in folder.photos:
        files = [photo.file, photo.mask_file] if labelled else [photo.file]
        sizes = [_size(file) for file in files if file is not None]
        digest.update(f"\n{photo.name} {sizes}".encode())
    return {"images": len(folder), "sha256": digest.hexdigest()}


def _size(file: str) -> int:
    try:
        return os.path.getsize(file)
    except OSError:  # a dangling link is reported when it is read
        return -1
