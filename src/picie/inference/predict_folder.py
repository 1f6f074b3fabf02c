"""Masks of a folder: what is missing is predicted, here or by many processes."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from picie.data.folder import PhotoFolder, open_folder
from picie.data.lists import class_lines
from picie.data.own_outputs import masks_list
from picie.errors import ConfigError
from picie.inference.manifest import Manifest, model_digest
from picie.inference.plan import (
    CLASS_LIST,
    Plan,
    check_out,
    check_paths,
    inputs_of,
    paths_of,
    plan_masks,
)
from picie.inference.predict_each import Tally, tell_unreadable
from picie.inference.ray_engine import Row, run_with_ray
from picie.inference.segmenter import TILE, Segmenter, loaded
from picie.inference.shards import Shard, parse_shard
from picie.inference.writing import MaskJob, MaskWriter, model_files
from picie.postprocessing.regions import check_area
from picie.runtime.places import Place, open_place
from picie.runtime.progress import Reporter

__all__ = ["Engine", "FolderMasks", "predict_folder"]

Engine = Literal["local", "ray"]
"""What runs the work: this process, or the processes of Ray."""


@dataclass(frozen=True)
class FolderMasks:
    """The masks of a folder.

    Attributes:
        out: the folder or address of the masks.
        written: number of masks that were written.
        problems: a line for each image that could not be read.
        kept: number of masks of an earlier call that were kept.
    """

    out: Path | str
    written: int
    problems: tuple[str, ...]
    kept: int = 0


def predict_folder(
    model: Segmenter | str | Path,
    source: str | Path,
    out: str | Path,
    *,
    split: str = "",
    overlays: bool = False,
    plain_overlays: bool = False,
    confidence: bool = False,
    overwrite: bool = False,
    batch_size: int = 8,
    size: int | None = None,
    tile: int = TILE,
    workers: int = -1,
    min_region: int = 0,
    shard: str = "",
    engine: Engine = "local",
    reporter: Reporter | None = None,
) -> FolderMasks:
    """Write OUT/<name>.png, a mask, for every image of a folder.

    `Segmenter.predict_folder` returns the masks in memory instead. A model with names also writes
    OUT/classes.txt: the names by id, one per line. OUT/masks.jsonl lists what was written. If a
    call was stopped, the same call keeps the finished masks and writes the others. So it does after
    the calls of all shards, and merges their lists.

    Args:
        model: a trained model, or its folder.
        source: a photo or a folder of them, here or at an address.
        out: folder to create, or an address in a storage.
        split: list file of the folder.
        overlays: also write photo and mask blended, with names or numbers in large regions and a
            legend below: OUT/overlays/<name>.png.
        plain_overlays: also write them at the size of the photo, without any text:
            OUT/plain_overlays/<name>.png.
        confidence: also write OUT/confidence/<name>.png, 8-bit grey: the probability that the class
            of each pixel is right, in 255ths; the list then holds its mean over each image.
        overwrite: compute all masks again, and replace those that picie wrote; other files are
            never replaced.
        batch_size: maximum number of images in a batch, all of one size.
        size: short side in pixels at which the network sees an image; as in training if None.
        tile: longest side processed at once, in pixels; 0 = never tile.
        workers: threads that read, and as many that write; 0 = none, -1 = chosen from the cores.
            With Ray, the maximum number of processes, each with a model.
        min_region: give the pixels of smaller regions to the classes around them; 0 = keep all.
        shard: "3/16" writes the masks of the third of 16 parts of the images; "" = all.
        engine: "ray" lets the processes of Ray do the work, on this machine or on a cluster.
        reporter: shows progress; None = silent.

    Raises:
        ConfigError: a file to write is one that is read; two of them share a path; one exists that
            picie did not write, or that another model wrote and `overwrite` is off; `out` is the
            name of an image; or an impossible option.
        DataError: no image could be read.
        MissingExtraError: Ray, or what an address needs, is not installed.
        PicieError: a file cannot be written, or another process writes to `out` or this shard.

    Example:
        >>> picie.predict_folder("runs/first", "photos/", "masks/").written  # doctest: +SKIP
        120
    """
    check_area("min_region", min_region)
    check_out(out)
    if engine not in get_args(Engine):
        raise ConfigError(f"engine {engine!r}: give {' or '.join(get_args(Engine))}")
    model, reporter, part = loaded(model), reporter or Reporter(quiet=True), parse_shard(shard)
    place = open_place(out)
    folder = open_folder(source, split, reading=model.config.reading)
    model = model.read_as(stretch=folder.reading.stretch)  # part of the digest of the masks
    reporter.tell(folder.notes)
    wanted = {"overlay": overlays, "plain_overlay": plain_overlays, "confidence": confidence}
    job = MaskJob(
        str(place), model_digest(model, size, tile, min_region), folder.reading,
        tuple(kind for kind, is_wanted in wanted.items() if is_wanted), batch_size=batch_size,
        size=size, tile=tile, min_region=min_region, workers=workers, precision=model.precision,
    )  # fmt: skip
    check_paths(place, folder, job.beside)
    work = _FolderWork(model, folder, place, job, part, overwrite, engine, reporter)
    with place.in_use(masks_list(part.part) if part.part else ""):
        made = work.done()
    reporter.say(_summary(made, part))
    return made


def _summary(made: FolderMasks, shard: Shard) -> str:
    count = len(made.problems)
    skipped = f", skipped {count} unreadable image{'s' * (count != 1)}" if count else ""
    of_shard = f" of shard {shard}" if shard.part else ""
    if not made.kept:
        return f"{made.written} mask{'s' * (made.written != 1)}{of_shard} in {made.out}{skipped}"
    kept = f"kept {made.kept} mask{'s' * (made.kept != 1)} of an earlier run"
    return f"{kept}, wrote {made.written}{of_shard}: {made.out}{skipped}"


@dataclass(frozen=True)
class _FolderWork:
    """The masks of one call."""

    model: Segmenter
    folder: PhotoFolder
    place: Place
    job: MaskJob
    shard: Shard
    overwrite: bool
    engine: Engine
    reporter: Reporter

    def done(self) -> FolderMasks:
        """Plan the masks, make those that are missing, and merge the lists."""
        place, part = self.place, self.shard.part
        with closing(Manifest(place, part, self.shard.holds if part else None)) as manifest:
            photos = tuple(photo for photo in self.folder.photos if self.shard.holds(photo.name))
            plan = plan_masks(
                photos, place, manifest, self.job.digest, beside=self.job.beside,
                overwrite=self.overwrite, inputs=lambda: inputs_of(self.model, self.folder),
            )  # fmt: skip
            names = self._class_list(manifest)
            if not part:
                self._warn_of_others(manifest)
                beside = self.job.beside
                manifest.remove_leftovers(
                    path for one in photos for path in paths_of(one.name, beside).values()
                )
            manifest.forget()
            job = replace(self.job, replaced=plan.replaced)
            writer = MaskWriter(job, self.model.colours, place, manifest, names)
            with self._said_how_far(plan, writer):
                problems = self._made(job, plan, writer)
            if not part:
                manifest.merge()
        return FolderMasks(place.folder, len(plan.photos) - len(problems), problems, plan.kept)

    def _made(self, job: MaskJob, plan: Plan, writer: MaskWriter) -> tuple[str, ...]:
        """Make the masks that are missing; return a line for each unreadable image."""
        total = plan.kept + len(plan.photos)
        with self.reporter.task("masks", total, finished=plan.kept) as advance:
            tally = Tally(advance)

            def done(name: str, problem: str) -> None:
                tally(name, problem)
                if problem:
                    writer.list_unreadable(name, problem)

            if self.engine == "local":
                job.each(self.model, plan.photos, writer, done)
            elif plan.photos:
                writer.write_names()

                def advance_ray(row: Row) -> None:
                    done(row["image"], row["problem"])
                    writer.written += not row["problem"]

                run_with_ray(
                    replace(job, workers=-1), model_files(self.model), plan.photos,
                    workers=job.workers, advance=advance_ray, say=self.reporter.say,
                )  # fmt: skip
        problems = tuple(sorted(tally.problems))
        listed = self.place.at(masks_list(self.shard.part))
        tell_unreadable(self.folder, problems, listed, self.reporter)
        writer.flush()
        writer.write_names()  # had no mask been written
        return problems

    @contextmanager
    def _said_how_far(self, plan: Plan, writer: MaskWriter) -> Iterator[None]:
        """If the block fails, say how many masks there are, and what to do."""
        try:
            yield
        except BaseException:
            if writer.written:
                rest = "all of them again" if self.overwrite else "the others"
                self.reporter.say(
                    f"wrote {writer.written} of {len(plan.photos)} masks in {self.place}; the same "
                    f"command writes {rest}"
                )
            raise

    def _class_list(self, manifest: Manifest) -> bytes:
        """The content of classes.txt to write; nothing if the model has no names."""
        place, model, stamp = self.place, self.model, self.place.stamp(CLASS_LIST)
        path = place.at(CLASS_LIST)
        if model.class_names is None:
            if stamp is not None:
                self.reporter.say(
                    f"{path} does not describe these masks: they hold cluster numbers"
                )
            return b""
        text = class_lines(model.names).encode()
        if stamp is None:
            return text
        if place.is_file(CLASS_LIST) and place.read(CLASS_LIST) == text:
            return b""
        place.check_not_read([CLASS_LIST], lambda: inputs_of(model, self.folder))
        if manifest.find(CLASS_LIST, stamp) is None or place.is_link(CLASS_LIST):
            raise ConfigError(
                f"{path}: already exists with other names, and was not written by picie or was "
                "changed since; choose another --out, or move it away"
            )
        if not self.overwrite:
            raise ConfigError(
                f"{path} already exists and has other names; choose another --out, or pass "
                "--overwrite to replace it"
            )
        return text

    def _warn_of_others(self, manifest: Manifest) -> None:
        """Say so if the folder also holds masks of another model."""
        current = {f"{photo.name}.png" for photo in self.folder.photos}
        newest = {path: entry for path, entry in manifest.masks() if path not in current}
        older = [path for path, entry in newest.items() if entry.model != self.job.digest]
        there = [path for path in older if self.place.stamp(path) is not None]
        if there:
            self.reporter.say(
                f"{self.place} also holds {len(there)} mask{'s' * (len(there) != 1)} of another "
                f"model or of other settings, whose ids may mean something else (first: {there[0]})"
            )
