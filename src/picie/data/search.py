"""Find the images of a folder, and say what was left out.

Nothing is left out in silence: outputs of picie, files of other kinds, folders that cannot be
searched, images beside images/, and images in masks/ that belong to no image.
"""

from collections.abc import Container, Iterator
from itertools import islice
from pathlib import Path

from picie.data.kinds import OtherFiles, supported
from picie.data.listing import LeftOut, few, inside
from picie.data.trees import Tree
from picie.errors import DataError

__all__ = ["find_images", "image_folder", "left_out_notes", "mask_notes"]

_MOST = 10  # folders and links named in a line
_MOST_BESIDE = 100_000  # files that are looked at beside images/


def image_folder(tree: Tree) -> str:
    """The name of the folder that is searched for images: images/ if there is one, else ""."""
    return "images" if tree.is_folder("images") else ""


def find_images(tree: Tree) -> tuple[list[tuple[str, str]], list[str]]:
    """The images of a folder, sorted, and a line for each kind of what was left out.

    Args:
        tree: with or without images/; masks/ directly below it is not searched.

    Returns:
        path inside the image folder, with "/", and path or address, of each image; the notes.

    Raises:
        DataError: the folder cannot be searched, or has no image.
    """
    searched, others, left_out = image_folder(tree), OtherFiles(), LeftOut()
    folder = tree.at(searched) if searched else tree.root
    if searched:
        left_out.own.enter(str(tree.root), tree.lists())
    files = tree.walk(searched, without={"masks"}, left_out=left_out)
    found = [*others.images(files), *_images_of(left_out.broken)]  # named when read
    images = sorted((inside(folder, file), file) for file in found)
    notes = [*left_out_notes(left_out, folder), *others.notes()]
    notes += _beside(tree) if searched else []
    if not images:
        said = "".join(f"; {note}" for note in notes)
        raise DataError(
            f"{folder}: no images ({others.found(folder)}); supported: {' '.join(supported())}. "
            f"Convert them or check the path{said}"
        )
    return images, notes


def left_out_notes(left_out: LeftOut, folder: Path | str) -> Iterator[str]:
    """A line for each kind of what a walk left out.

    Args:
        left_out: of the walk.
        folder: paths are shown relative to it.
    """
    for verb, folders in left_out.own.folders.items():
        yield f"left out {_named(folders, folder)}: written by picie {verb}"
    for source, count in left_out.own.files.items():
        files = f"{count} file{'s' * (count != 1)}"
        if source == str(folder):
            yield f"left out {files} that picie predict wrote"
        else:
            yield f"left out {_named([source], folder)}: written by picie predict ({files})"
    if left_out.closed:
        closed = [
            f"{_named([path], folder)} ({reason})" for path, reason in sorted(left_out.closed)
        ]
        yield f"left out, because they cannot be searched: {few(closed, _MOST)}"
    images = set(_images_of(left_out.broken))
    broken = sorted(inside(folder, path) for path in left_out.broken if path not in images)
    if broken:
        yield f"left out, because they are links that lead nowhere: {few(broken, _MOST)}"


def mask_notes(tree: Tree, names: Container[str]) -> Iterator[str]:
    """Says that files in masks/ are outputs of picie, or are images but no masks.

    Args:
        tree: with masks/.
        names: of all images of the folder.
    """
    masks, left_out = tree.at("masks"), LeftOut()
    try:
        images = OtherFiles().images(tree.walk("masks", left_out=left_out))
        found = (inside(masks, file) for file in images)
        alone = sorted(file for file in found if file.removesuffix(".png") not in names)
    except DataError as error:
        yield str(error)
        return
    yield from left_out_notes(left_out, tree.root)
    if alone:
        yield (
            f"masks/ holds masks of images, as <name>.png; {_count(alone, 'in it')} no mask: "
            f"{few(alone, 3)}"
        )


def _images_of(files: list[str]) -> list[str]:
    """Those that are images by their names."""
    return list(OtherFiles().images(files))


def _beside(tree: Tree) -> Iterator[str]:
    """Says that images beside images/ are not read."""
    try:
        without = {"images", *(name for name in tree.top() if name.startswith("masks"))}
        images = OtherFiles().images(tree.walk("", without=without, left_out=LeftOut()))
        found = sorted(inside(tree.root, file) for file in islice(images, _MOST_BESIDE))
    except (OSError, DataError):
        return
    if found:
        yield f"only images/ is read; {_count(found, 'beside it')} not: {few(found, 3)}"


def _count(found: list[str], where: str) -> str:
    """The beginning of a sentence about them."""
    if len(found) == 1:
        return f"1 image {where} is"
    more = " or more" * (len(found) == _MOST_BESIDE)
    return f"{len(found)}{more} images {where} are"


def _named(folders: list[str], root: Path | str) -> str:
    return few(sorted(f"{inside(root, folder)}/" for folder in folders))
