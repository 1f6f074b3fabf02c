"""What a mistyped path may mean."""

import difflib
import os
from pathlib import Path, PurePath

__all__ = ["near_folder", "no_folder"]

_MOST = 10_000  # names looked at in a folder


def near_folder(path: Path, *, files: bool = False) -> Path | None:
    """The folder whose path is nearest to one that does not exist, part by part.

    Args:
        path: of no folder.
        files: the last part may be a file.

    Returns:
        None if no part that is missing resembles what is there.
    """
    found = Path(path.anchor)
    parts = path.relative_to(path.anchor).parts
    for place, part in enumerate(parts, 1):
        if not (found / part).is_dir():
            names = _names(found, files=files and place == len(parts))
            # Without extensions, which would make any two photos alike.
            stems = {PurePath(name).stem: name for name in sorted(names, reverse=True)}
            near = difflib.get_close_matches(PurePath(part).stem, stems, n=1)
            if not near:
                return None
            part = stems[near[0]]
        found /= part
    return found


def no_folder(path: Path, otherwise: str) -> str:
    """The message about a missing folder.

    Args:
        path: of no folder, perhaps of a file.
        otherwise: what to do if nothing here has a similar name.
    """
    if os.path.exists(path):  # unlike Path.exists, it takes any text
        return f"{path}: is not a folder; {otherwise}"
    near = near_folder(path)
    advice = otherwise if near is None else f"did you mean {near}?"
    return f"{path}: no such folder; {advice}"


def _names(place: Path, *, files: bool) -> list[str]:
    """Names of the folders in a place, and of its files; none if it cannot be read."""
    try:
        entries = [entry for _, entry in zip(range(_MOST), place.iterdir(), strict=False)]
        return [one.name for one in entries if (files or one.is_dir()) and one.name[0] != "."]
    except OSError:
        return []
