"""Predictions on their way into an export: its names, and masks that fit its photos."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePath

from picie.data.folder import PhotoFolder
from picie.data.images import stored_orientation
from picie.data.listing import few
from picie.data.opening import turned
from picie.export.formats.layout import Labelled, check_names
from picie.export.formats.names import LAYOUTS, Naming, PhotoPolicy, class_names
from picie.inference.segmenter import Prediction
from picie.runtime.progress import Reporter

__all__ = ["NAMES", "Images"]

NAMES = "names.json"
"""File of an export that leads from changed names to those in the photo folder."""

_BACK = {6: 8, 8: 6}  # the orientation that undoes another; all others undo themselves


class Images:
    """The images of one export.

    Args:
        folder: photos.
        format: of the export.
        policy: how photos enter it.
        classes: names by id.

    Attributes:
        naming: names of the images in the export.
        classes: names of the classes in the export, by id.

    Raises:
        DataError: a name that leads outside, or that cannot be carried.
    """

    def __init__(
        self, folder: PhotoFolder, format: str, policy: PhotoPolicy, classes: Sequence[str]
    ) -> None:
        check_names(photo.name for photo in folder.photos)
        files = {photo.name: PurePath(photo.file) for photo in folder.photos}
        self.naming = Naming.of(format, files, policy)
        self.classes = class_names(format, classes)
        self._classes = {
            new: old for new, old in zip(self.classes, classes, strict=True) if new != old
        }
        self._layout, self._own = LAYOUTS[format], policy == "none"
        self._turned: list[str] = []
        times = Counter(photo.source for photo in folder.photos)
        self._stacks = {path for path, count in times.items() if count > 1}  # one image per page

    def labelled(self, prediction: Prediction, file: Path) -> Labelled:
        """A prediction as the writer of the format gets it; may be called from several threads.

        Photos that are not in the export keep their EXIF orientation. Their masks are upright, or
        as the photos are stored if the readers of the format ignore it.

        Args:
            prediction: of a photo.
            file: the photo, on this machine.
        """
        assert prediction.mask is not None  # `predict_each` skips unreadable images
        name, mask = prediction.name, prediction.mask
        orientation = stored_orientation(file)
        if self._own and orientation != 1:
            self._turned.append(self.naming.files[name])
            if self._layout.stored:
                mask = turned(mask, _BACK.get(orientation, orientation))
        return Labelled(
            self.naming.stems[name],
            self.naming.files[name],
            file,
            prediction.image,
            mask,
            orientation == 1 and prediction.path not in self._stacks,
        )

    def close(self, out: Path, reporter: Reporter) -> None:
        """Write NAMES if names changed, and say so; name photos that are stored turned.

        Raises:
            OSError: the file cannot be written.
        """
        for kind, changed in (("image", self.naming.renamed), ("class", self._classes)):
            if changed:
                count, (new, old) = len(changed), next(iter(changed.items()))
                reporter.say(
                    f"{count} {kind} name{'s' * (count > 1)} changed in the export, such as {new} "
                    f"for {old}; {NAMES} leads back"
                )
        if self.naming.renamed or self._classes:
            names = {"images": self.naming.renamed, "classes": self._classes}
            (out / NAMES).write_text(json.dumps(names, indent=1) + "\n", encoding="ascii")
        if self._turned:
            fit = "as stored" if self._layout.stored else "as shown upright"
            count = len(self._turned)
            reporter.say(
                f"{count} photo{'s' * (count > 1)} stored turned (EXIF orientation); masks fit the "
                f"photo {fit}: {few(sorted(self._turned))}"
            )
