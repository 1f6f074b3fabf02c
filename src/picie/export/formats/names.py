"""Names of images and classes in exports: the one rule by which they change.

Lists end at line breaks and skip lines that begin with "#", archives and Windows forbid some signs,
and file systems confuse some names. A name keeps all characters but these, which become escapes of
their UTF-8 bytes as in web addresses, so that `urllib.parse.unquote` leads back:

- control characters, separators of lines and paragraphs, U+FEFF, and bytes that are not UTF-8;
- the signs of _SIGNS, a "#" at the start of a folder or file, and spaces and dots at its edges;
- the first letter of a device name of Windows, such as "nul", and the dot of a folder that looks
  like a file, such as "a.png/";
- a "%" that would read as an escape.

Of names that differ only in letter case or in Unicode normal form, the second has escaped letters,
too. A folder or file of more than _LONGEST bytes is cut, and ends in "~" and a digest.
"""

import hashlib
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath, PurePosixPath
from typing import Literal

from picie.errors import DataError
from picie.runtime.outputs import folded

__all__ = ["LAYOUTS", "Naming", "PhotoPolicy", "class_names", "escaped", "exported"]

PhotoPolicy = Literal["copy", "link", "none"]
"""How photos enter a layout: copied, hard-linked, or not at all."""

_SIGNS = r'\\:*?"<>|'  # reserved by Windows; ":" and quotes also by lists
_ALWAYS = re.compile(rf"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff{_SIGNS}]")
_EDGES = re.compile(r"^[\s.#]|[\s.]$")
_DEVICE = re.compile(r"(?i)^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\xb9\xb2\xb3])(?=\.|$)")
_ESCAPE = re.compile(r"%(?=[0-9A-Fa-f]{2})")
_FILE_LIKE = re.compile(r"(?i)\.(?=(jpe?g|png|webp|bmp|tiff?|txt|jsonl?|gpkg|zip)$)")
_LONGEST = 200  # bytes, so that endings such as _gtFine_labelIds.png fit into the usual 255
_DIGEST = 12  # hex digits
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
_LOSSY = (".jpe", ".jfif", ".jif", ".mpo", ".heic", ".heif", ".hif", ".avif")


def escaped(name: str, letters: int = 0) -> str:
    """A name with escapes, by the rule at the top of this module.

    Args:
        name: path with "/".
        letters: number of characters at the start of its last part that are escaped in any case.
    """
    *folders, last = name.split("/")
    parts = [_FILE_LIKE.sub(_bytes, _part(folder)) for folder in folders]
    rest = _part("x" * letters + last[letters:])[letters:]
    return "/".join([*parts, _hex(last[:letters]) + rest])


def exported(names: Iterable[str], place: Callable[[str], str] = str) -> dict[str, str]:
    """Names of images in an export; no two of them are equal for any file system.

    Args:
        names: paths with "/", all different; the first of similar ones changes least.
        place: where the layout puts a name.
    """
    taken: set[str] = set()
    found: dict[str, str] = {}
    for name in names:
        for letters in range(len(_split(name)[0]) - name.rfind("/")):
            wanted = _shortened(place(escaped(name, letters)), name)
            if (key := folded(wanted)) not in taken:
                break
        else:  # all letters are escaped, but other folders end in the same way
            wanted = _marked(wanted, name)
            key = folded(wanted)
        taken.add(key)
        found[name] = wanted
    return found


def class_names(format: str, names: Iterable[str]) -> tuple[str, ...]:
    """Names of classes as a format can hold them: escaped like those of images, if need be.

    Args:
        format: a key of LAYOUTS.
        names: of classes.
    """
    forbidden = LAYOUTS[format].not_in_classes
    if not forbidden:
        return tuple(names)
    return tuple(re.sub(forbidden, _bytes, _ESCAPE.sub("%25", name)) for name in names)


def _part(part: str) -> str:
    """One folder or file with escapes."""
    part = _ALWAYS.sub(_bytes, _ESCAPE.sub("%25", part))
    part = _DEVICE.sub(lambda found: _hex(found[0][0]) + found[0][1:], part)
    return _EDGES.sub(_bytes, part)


def _bytes(found: re.Match[str]) -> str:
    return _hex(found[0])


def _hex(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in _raw(text))


def _shortened(path: str, name: str) -> str:
    """The path with long parts cut, and marked by a digest of the image's name."""
    return "/".join(_cut(part, name) for part in path.split("/"))


def _cut(part: str, name: str) -> str:
    if len(part.encode()) <= _LONGEST:
        return part
    return _marked(part, name, _LONGEST)


def _marked(part: str, name: str, most: int = 2**31) -> str:
    """A path with a digest of the image's name, before the extension of a photo."""
    stem, suffix = _split(part)
    end = f"~{hashlib.sha256(_raw(name)).hexdigest()[:_DIGEST]}{suffix}"
    start = stem.encode()[: most - len(end)].decode(errors="ignore")
    return re.sub("%[0-9A-F]?$", "", start) + end


def _split(path: str) -> tuple[str, str]:
    """A path without the extension of a photo, and that extension or ""."""
    suffix = PurePosixPath(path).suffix
    if suffix.lower() not in _SUFFIXES:
        return path, ""
    return path.removesuffix(suffix), suffix


def _raw(text: str) -> bytes:
    return text.encode("utf-8", sys.getfilesystemencodeerrors())


def _flat(name: str) -> str:
    """Subfolders become part of the name."""
    return name.replace("/", "__")


def _city(name: str) -> str:
    """<city>/<name>: the first folder, or "photos", and the rest as in `_flat`."""
    city, _, rest = name.partition("/")
    # Readers take what precedes the first "_leftImg8bit" for the name.
    parts = (city, rest) if rest else ("photos", name)
    return "/".join(_flat(part).replace("_leftImg8bit", "%5FleftImg8bit") for part in parts)


def _one_extension(name: str) -> str:
    """A name without the extension of photos: readers replace it wherever they find it."""
    return name.replace(".jpg", "%2Ejpg")


@dataclass(frozen=True)
class _Layout:
    """How a format refers to photos.

    Attributes:
        pairs: "path" = it lists the path of each photo; "stem" = masks and photos pair by name;
            "" = it has its own rule, or no photos.
        stored: whether its usual readers ignore the EXIF orientation of photos.
        place: where it puts a name.
        not_in_classes: pattern of signs that names of classes cannot have.
    """

    pairs: Literal["path", "stem", ""] = ""
    stored: bool = False
    place: Callable[[str], str] = str
    not_in_classes: str = ""


_IN_LABELMAP = "^#|:"  # a comment, and the separator
_IN_LABELS = r"^\$"  # a variable of the task
_IN_YAML = "^n(?=0)"  # a code of ImageNet's classes


LAYOUTS = {
    "png": _Layout(),
    "coco": _Layout("path", stored=True),
    "voc": _Layout("stem", stored=True, not_in_classes=_IN_LABELMAP),
    "cvat": _Layout("stem", not_in_classes=_IN_LABELMAP),
    "labelstudio": _Layout("path", not_in_classes=_IN_LABELS),
    "yolo": _Layout("stem", place=_flat, not_in_classes=_IN_YAML),
    "cityscapes": _Layout(stored=True, place=_city),
    "huggingface": _Layout("path"),
    "segmentation": _Layout(place=_one_extension),
    "fiftyone": _Layout("stem"),
    "geotiff": _Layout(),
    "geopackage": _Layout(),
}
"""How each format refers to photos."""


@dataclass(frozen=True)
class Naming:
    """Names of all images in one export.

    Attributes:
        stems: by the name of an image, its name in the export, without extension.
        files: by the name of an image, the path of its photo in the export, with extension.
        renamed: by the name in the export, the path inside the photo folder; only those that
            differ.
    """

    stems: Mapping[str, str]
    files: Mapping[str, str]
    renamed: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, format: str, photos: Mapping[str, PurePath], policy: PhotoPolicy) -> "Naming":
        """Decide all names before the first image.

        Args:
            format: a key of LAYOUTS.
            photos: the file of each image, by its name.
            policy: how photos enter the layout.

        Raises:
            DataError: without photos nothing can be renamed, but the format cannot carry the name
                of a photo.
        """
        layout = LAYOUTS[format]
        origins = {name: _inside(name, file) for name, file in photos.items()}
        if policy == "none" and layout.pairs:
            return cls._of_own_photos(format, layout, origins)
        stems = exported(photos, layout.place)
        files = {name: stem + _ending(name, origins[name]) for name, stem in stems.items()}
        listed = files if layout.pairs == "path" else stems
        renamed = {
            listed[name]: path
            for name, path in origins.items()
            if listed[name] not in (path, _stem(path))
        }
        return cls(stems, files, renamed)

    @classmethod
    def _of_own_photos(cls, format: str, layout: _Layout, origins: dict[str, str]) -> "Naming":
        """Names of photos that are not in the export, which keep them."""
        stems = {name: _stem(path) for name, path in origins.items()}
        same = exported(stems)
        if layout.pairs == "path":
            bad = [
                path
                for name, path in origins.items()
                if _is_page(name, path) or any("\ud800" <= sign <= "\udfff" for sign in path)
            ]
            stems = same
        else:
            bad = [path for name, path in origins.items() if same[name] != stems[name]]
        if bad:
            raise DataError(
                f"--photos none keeps the names of photos, but --format {format} cannot carry "
                f"{len(bad)} of them (first: {bad[0]!r}); rename the photos, or pass --photos "
                "copy, which renames the copies"
            )
        return cls(stems, origins)


def _inside(name: str, file: PurePath) -> str:
    """Path of a photo inside the photo folder."""
    return str(PurePosixPath(name).with_name(file.name))


def _stem(path: str) -> str:
    return path.removesuffix(PurePosixPath(path).suffix)


def _is_page(name: str, path: str) -> bool:
    """Whether an image is a page of its file, which has a name of its own."""
    return name not in (path, _stem(path))


def _ending(name: str, path: str) -> str:
    """The extension of a photo, or one that all programs know."""
    suffix = PurePosixPath(path).suffix
    kind = suffix.lower()
    if _is_page(name, path):
        return ".tif" if kind == ".png" else ".png"
    return suffix if kind in _SUFFIXES else ".jpg" if kind in _LOSSY else ".png"
