"""Masks for an export, which remain if it is stopped: the next call goes on with them.

They wait beside the export, in a hidden folder that is removed when the export is complete.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

from picie.data.folder import Photo, PhotoFolder
from picie.data.photo_loader import LoadedPhoto, read_ahead
from picie.data.photo_state import PhotoState
from picie.data.prefetch import photo_workers
from picie.export.formats.layout import in_folder
from picie.inference.manifest import Manifest
from picie.inference.plan import paths_of, plan_own
from picie.inference.predict_each import Tally, Then, filled, tell_unreadable, work_on
from picie.inference.segmenter import Prediction, Segmenter
from picie.inference.writing import MaskJob, MaskWriter
from picie.runtime.outputs import digest_of
from picie.runtime.places import Place, open_place
from picie.runtime.progress import Reporter
from picie.visualization.masks import mask_of

__all__ = ["FinishedRasters", "predict_for_export"]


class _Finished:
    """The masks of a folder, of which some may be finished.

    Attributes:
        names: of the images whose masks an earlier call has left.
    """

    def __init__(
        self,
        model: Segmenter,
        folder: PhotoFolder,
        job: MaskJob,
        place: Place,
        manifest: Manifest,
    ) -> None:
        plan = plan_own(folder.photos, place, manifest, job.digest)
        self._left = plan.photos
        self.names = {one.name for one in folder.photos} - {one.name for one in plan.photos}
        self._model, self._folder, self._place = model, folder, place
        self._job = replace(job, replaced=plan.replaced)
        self._writer = MaskWriter(self._job, model.colours, place, manifest)

    def predictions(self) -> Iterator[Prediction]:
        """All images in their order: masks are read where there is one, else predicted."""
        job, photos = self._job, self._folder.photos
        workers = photo_workers(job.workers, self._model.device)
        fresh = self._model.predict_folder(
            replace(self._folder, photos=self._left),
            batch_size=job.batch_size, size=job.size, tile=job.tile, workers=job.workers,
        )  # fmt: skip
        there = read_ahead(
            [one for one in photos if self._has(one)],
            self._model.config.size,
            ahead=1 + workers,
            workers=workers,
            reading=self._folder.reading,
        )
        for photo in photos:
            yield self._read(next(there)) if self._has(photo) else next(fresh)

    def _has(self, photo: Photo) -> bool:
        return photo.name in self.names

    def _read(self, image: LoadedPhoto) -> Prediction:
        name, path = image.photo.name, image.photo.source
        if image.problem:
            return Prediction(name, path, image.image, None, image.problem, loaded=image)
        data = self._place.read(paths_of(name)["mask"])
        return Prediction(
            name, path, image.image, mask_of(data, self._model.clusters), loaded=image
        )

    def whole(self, prediction: Prediction) -> Prediction:
        """A prediction with filled regions; what is new is kept for a later call."""
        if prediction.name in self.names:
            return prediction
        prediction = filled(prediction, self._job.min_region)
        self._writer.write(prediction)
        return prediction


def predict_for_export(
    model: Segmenter,
    folder: PhotoFolder,
    work: Callable[[Prediction], Then],
    job: MaskJob,
    *,
    listed: str,
    reporter: Reporter,
) -> tuple[str, ...]:
    """Call `work` with every readable image; list the others.

    Args:
        model: a trained model.
        folder: images.
        work: called with each prediction that has a mask, from several threads and in any order.
            What it returns is called later, in the order of the images, one at a time.
        job: writes the masks to a folder that belongs to this call alone.
        listed: file in which the caller lists the unreadable images.
        reporter: shows progress and the unreadable images.

    Returns:
        a line for each image that could not be read.

    Raises:
        ConfigError: an impossible option.
        DataError: no image could be read.
        Exception: whatever `work` raises; pending work is cancelled.
    """
    place = open_place(Path(job.out))
    with closing(Manifest(place)) as manifest:
        finished = _Finished(model, folder, job, place, manifest)
        if finished.names:
            count = len(finished.names)
            reporter.say(f"going on with {count} mask{'s' * (count > 1)} of a stopped export")

        def labelled(prediction: Prediction) -> Then:
            return None if prediction.mask is None else work(finished.whole(prediction))

        with reporter.task("masks", len(folder)) as advance:
            tally = Tally(advance)
            threads = photo_workers(job.workers, model.device)
            work_on(finished.predictions(), labelled, tally, threads=threads)
    tell_unreadable(folder, tally.problems, listed, reporter)
    return tuple(tally.problems)


class FinishedRasters:
    """Files of rasters that an earlier call has left.

    Args:
        folder: of the files; it belongs to this call alone.
        digest: of model and settings.
    """

    def __init__(self, folder: Path, digest: str) -> None:
        self._folder, self._digest = folder, digest
        self._place = open_place(folder)
        self._manifest = Manifest(self._place)

    def close(self) -> None:
        """Close the list."""
        self._manifest.close()

    def take(self, photo: Photo, name: str, part: Path) -> bool:
        """Put the file of a raster into an export; False if there is none.

        Args:
            photo: the raster.
            name: path of the file inside the export.
            part: folder of the export.

        Raises:
            OSError: it cannot be written.
        """
        stamp = self._place.stamp(name)
        entry = None if stamp is None else self._manifest.find(name, stamp)
        if entry is None or entry.model != self._digest or not entry.photo.is_same(photo):
            return False
        _link(self._folder / name, in_folder(part / name))
        return True

    def keep(self, photo: Photo, name: str, part: Path, state: PhotoState) -> None:
        """Keep the file of a raster for a later call.

        Args:
            photo: as for `take`, like the next two.
            name: as there.
            part: as there.
            state: of the raster before it was read.

        Raises:
            OSError: it cannot be written.
            PicieError: the list cannot be written.
        """
        record = {"image": photo.name, "mask": name, "digest": digest_of(part / name)}
        photo_state = asdict(state.with_digest(photo))
        self._manifest.append(record | {"model": self._digest, "photo": photo_state})
        kept = in_folder(self._folder / name)
        kept.unlink(missing_ok=True)
        _link(part / name, kept)


def _link(source: Path, target: Path) -> None:
    """A second name for a file, where the file system has such, else a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
