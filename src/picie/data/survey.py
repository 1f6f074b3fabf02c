"""What a set of images holds, as far as their reading depends on it: depth, pages, bands.

The headers of all images are looked at, and the values of a few that are deep. In a storage, the
headers of files other than PNG are looked at in a sample, since they can be anywhere in the file.
"""

import dataclasses
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from picie.data.decoding import is_deep_png, is_png
from picie.data.images import read_stored
from picie.data.opening import open_within
from picie.data.reading import Choice, Reading, Sample, choose, outside
from picie.data.tiff import is_tiff, tiff_head
from picie.errors import DataError
from picie.runtime.files import open_regular
from picie.runtime.storage import Store, is_address, is_outage, local_copy, local_path

__all__ = ["Look", "look", "opacity_note", "page_counts", "settle", "spread", "stretch_note"]

_Item = TypeVar("_Item")
_PLAIN = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo", ".bmp", ".dib", ".tga"})
"""Extensions of files that are neither deep nor have pages; their headers are not looked at."""
_FORMATS = ("PNG", "WEBP", "GIF", "AVIF", "JPEG2000", "PPM")
_HEADERS = 20_000  # most headers looked at
_FETCHED = 100  # most of them for which a whole file comes from a storage
_HEAD = 1024  # bytes that tell what a file is
_THREADS = 16
_SAMPLES = 32  # most images that choose a stretch
_CHECKS = 8  # most images that are compared with a given one
_BYTES = 2**31  # decoded for both, about
_NO_LIMIT = 2 * 10**9


@dataclass(frozen=True)
class Look:
    """What the header of a file says.

    Attributes:
        deep: another sample type than 8 bits.
        pages: number of images in it; 2 may stand for several.
        tagged: the last band of a TIFF is tagged as opacity.
        channels: names of the channels of a microscope.
    """

    deep: bool = False
    pages: int = 1
    tagged: bool = False
    channels: tuple[str, ...] = ()


_NOTHING = Look()


def look(file: str, *, count: bool = False) -> Look:
    """Look at the header of a file; a broken one has nothing, and is reported when it is read.

    Args:
        file: path or address of an image.
        count: count the pages.

    Raises:
        DataError: its storage does not answer.
    """
    kind = os.path.splitext(file)[1].lower()
    if kind in _PLAIN:
        return _NOTHING
    path = local_path(file)
    if path is None:
        return _look_from_afar(file, kind, count=count)
    try:
        with open_regular(path) as opened:
            head = opened.read(_HEAD)
        if is_tiff(head):
            return Look(*tiff_head(path))
        if is_png(head) and not count and b"acTL" not in head:
            return Look(is_deep_png(head))
        with open_within(path, _FORMATS, _NO_LIMIT) as image:
            deep = is_deep_png(head) or image.mode == "F" or image.mode.startswith("I")
            several = getattr(image, "is_animated", False)
            pages = getattr(image, "n_frames", 1) if count else 1 + several
            return Look(deep, pages)
    except Exception:  # decoders raise many kinds of errors on broken files
        return _NOTHING


def _look_from_afar(file: str, kind: str, *, count: bool) -> Look:
    """Look at a file in a storage: at its beginning if that is enough, else at a copy."""
    try:
        if kind == ".png" and not count:
            head = Store(file).head(file, _HEAD)
            if b"acTL" not in head:
                return Look(is_deep_png(head))
        with local_copy(file) as copy:
            return look(str(copy), count=count)
    except DataError as error:
        if is_outage(error):  # the others would wait as long
            raise
        return _NOTHING


def page_counts(files: Sequence[str]) -> list[int]:
    """The number of images in each file; those in a storage are fetched for it."""
    looks = _looks([(file, 0) for file in files], partial(look, count=True))
    return [found.pages for _, found in looks]


_Seen = tuple[tuple[str, int], Look]


def _looks(images: Sequence[tuple[str, int]], see: Callable[[str], Look]) -> list[_Seen]:
    """Each image with what is seen in it; those in a storage in threads, since each waits."""
    if not any(is_address(file) for file, _ in images[:1]):
        return [(image, see(image[0])) for image in images]
    files = list(dict.fromkeys(file for file, _ in images))  # once for all pages
    with ThreadPoolExecutor(_THREADS) as pool:
        seen = dict(zip(files, pool.map(see, files), strict=True))
    return [(image, seen[image[0]]) for image in images]


def _chosen(images: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """The images whose headers are looked at; few of those in a storage that must be fetched."""
    chosen = spread(images, _HEADERS)
    if not chosen or not is_address(chosen[0][0]):
        return chosen
    whole = [one for one in chosen if not one[0].lower().endswith((".png", *_PLAIN))]
    left_out = set(whole).difference(spread(whole, _FETCHED))
    return [one for one in chosen if one not in left_out]


def settle(images: Sequence[tuple[str, int]], reading: Reading) -> tuple[Reading, tuple[str, ...]]:
    """Choose the stretch of a set of images, if they are deep and it is not chosen yet.

    Args:
        images: file and page of each.
        reading: of the images.

    Returns:
        the reading, and what a user must know about it: a line for each matter.
    """
    seen = _looks(_chosen(images), look)
    deep = [item for item, found in seen if found.deep]
    notes = [*_page_notes(seen, reading), *_band_notes(seen, reading)]
    if not deep:
        return reading, tuple(notes)
    share = "" if len(deep) == len(seen) else f" ({len(deep)} of {len(seen)})"
    if reading.stretch is not None:
        low, high = reading.stretch
        notes.append(f"deep images{share}: values {low:g} to {high:g} become 0 to 255")
        samples = _samples(spread(deep, _CHECKS), reading)
    else:
        samples = _samples(spread(deep, _SAMPLES), reading)
        if not samples:
            return reading, tuple(notes)
        choice = choose(samples)
        reading = dataclasses.replace(reading, stretch=choice.stretch)
        notes.append(stretch_note(choice, share))
    return reading, (*notes, *_lost_note(samples, reading.stretch))


def stretch_note(choice: Choice, share: str = "") -> str:
    """What a stretch does, in a line.

    Args:
        choice: the stretch.
        share: how many of the images are deep, as " (3 of 9)".
    """
    low, high = choice.stretch
    text = f"{choice.kind} images{share}: values {low:g} to {high:g} become 0 to 255"
    text += f", the {choice.reason}" * bool(choice.reason)
    if choice.fills:
        text += f"; {', '.join(f'{fill:g}' for fill in choice.fills)} counts as missing"
    return f"{text} (--stretch LOW HIGH changes that)"


def _samples(images: Iterable[tuple[str, int]], reading: Reading) -> list[Sample]:
    """Values of images; those that cannot be read are reported when they are."""
    samples, spent = [], 0
    for file, page in images:
        try:
            with local_copy(file) as copy:
                stored = read_stored(copy, reading, page)
        except DataError:
            continue
        if stored.is_deep:
            samples.append(stored.sample(file, reading))
        spent += stored.values.nbytes
        if spent > _BYTES:
            break
    return [sample for sample in samples if sample.values.size]


def _lost_note(samples: Sequence[Sample], stretch: tuple[float, float] | None) -> list[str]:
    """A line about images that are nearly black or white under a stretch."""
    if stretch is None:
        return []
    lost = [sample.name for sample in samples if outside(sample, stretch) > 0.5]
    if not lost:
        return []
    low, high = stretch
    return [
        f"{len(lost)} of {len(samples)} deep images looked at show next to nothing between "
        f"{low:g} and {high:g} (first: {lost[0]}); put images of one kind into one folder, or "
        "choose --stretch LOW HIGH"
    ]


def _page_notes(seen: Sequence[tuple[tuple[str, int], Look]], reading: Reading) -> list[str]:
    notes = []
    several = _files(seen, lambda found: found.pages > 1)
    if several and reading.pages == "first":
        notes.append(
            f"{_number(several)} several pages or frames (first: {several[0]}); only the first of "
            "each is used (--pages all makes each an image)"
        )
    named = _files(seen, lambda found: bool(found.channels))
    if named and not reading.bands:
        channels = next(found.channels for _, found in seen if found.channels)
        if len(channels) < 4:
            shown = "red and green" if len(channels) == 2 else "red, green and blue"
            what = f"shown as {shown}"
        else:
            what = "of which the first three are shown as red, green and blue"
        notes.append(
            f"{_number(named)} channels ({', '.join(channels[:8])}), {what} (--bands chooses)"
        )
    return notes


def _band_notes(seen: Sequence[tuple[tuple[str, int], Look]], reading: Reading) -> list[str]:
    tagged = [item for item, found in seen if found.tagged]
    if not tagged or reading.bands:
        return []
    wrong = []
    for file, page in spread(tagged, _CHECKS):
        try:
            with local_copy(file) as copy:
                if read_stored(copy, reading, page).band_is_colour:
                    wrong.append(file)
        except DataError:
            continue
    if not wrong:
        return []
    return [opacity_note(wrong[0])]


def opacity_note(name: str) -> str:
    """Says that a last band that is tagged as opacity is left out.

    Args:
        name: of a file with such a band.
    """
    return (
        f"the last band of {name} and files like it is tagged as opacity, but holds something "
        "else, such as infrared; it is left out (--bands chooses other bands)"
    )


def _files(
    seen: Sequence[tuple[tuple[str, int], Look]], wanted: Callable[[Look], bool]
) -> list[str]:
    return list(dict.fromkeys(file for (file, _), found in seen if wanted(found)))


def _number(files: Sequence[str]) -> str:
    return "1 file has" if len(files) == 1 else f"{len(files)} files have"


def spread(items: Sequence[_Item], most: int) -> list[_Item]:
    """At most `most` items, evenly spaced."""
    count = min(most, len(items))
    return [items[(2 * place + 1) * len(items) // (2 * count)] for place in range(count)]
