"""Photos in the layouts that hold them, upright as their masks are."""

import os
import shutil
from pathlib import Path

from PIL import Image

from picie.exports.layout import Labelled, PhotoPolicy, in_folder

__all__ = ["photo_file", "put_photo", "put_photo_as"]

_QUALITY = 95
_SAVED = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".bmp": "BMP", ".png": "PNG"}


def photo_file(one: Labelled) -> str:
    """Path of a photo inside its folder of a layout: its name with the extension of its file."""
    return one.name + one.path.suffix


def put_photo(one: Labelled, path: Path, policy: PhotoPolicy) -> None:
    """Put a photo at a path, as a copy or a link of its file, or written anew if it is turned.

    Hard links fall back to copies where the file system has none, as between two disks. A photo
    that its file stores turned is written in its own format at high quality, without its EXIF
    block.

    Args:
        one: the photo.
        path: where to, with the extension of its file.
        policy: copy, link, or none to do nothing.

    Raises:
        OSError: it cannot be written.
    """
    if policy == "none":
        return
    in_folder(path)
    if not one.upright:
        _save(one, path, _SAVED.get(path.suffix.lower(), "TIFF"))
        return
    if policy == "link":
        try:
            # The file itself, not a symbolic link to it.
            os.link(os.path.realpath(one.path), path)
            return
        except OSError:
            path.unlink(missing_ok=True)
    shutil.copyfile(one.path, path)


def put_photo_as(one: Labelled, path: Path, policy: PhotoPolicy, *suffixes: str) -> None:
    """Put a photo at a path of a layout that wants one format: other formats are written anew.

    Args:
        one: the photo.
        path: where to, with an extension of the format wanted.
        policy: copy, link, or none to do nothing.
        suffixes: extensions, in lower case, of files that are in this format already.

    Raises:
        OSError: it cannot be written.
    """
    if policy == "none":
        return
    if one.path.suffix.lower() in suffixes:
        put_photo(one, path, policy)
    else:
        _save(one, in_folder(path), _SAVED[path.suffix])


def _save(one: Labelled, path: Path, kind: str) -> None:
    lossy = {"quality": _QUALITY} if kind in ("JPEG", "WEBP") else {}
    Image.fromarray(one.image).save(path, format=kind, **lossy)
