"""Which photos of an export are kept for validation."""

from pathlib import Path

from picie.data.folder import PhotoFolder, open_folder
from picie.errors import ConfigError

__all__ = ["validation_names"]

_RUNS = 5  # parts of the folder whose ends are kept


def validation_names(folder: PhotoFolder, source: str | Path, val: str) -> frozenset[str]:
    """Names of the photos that are kept for validation.

    A share takes the ends of five equal stretches of the photos in the order of their names. So
    all parts of the folder are in both, and only the photos at the ten borders have a neighbour on
    the other side: frames of a video, which are nearly equal, do not make validation too easy.

    Args:
        folder: the photos of the export.
        source: where they were opened.
        val: a share between 0 and 1, or a split as `open_folder` takes it.

    Raises:
        ConfigError: an impossible share, or nothing is left on one side.
        DataError: no such list, or no photo of such a name.
    """
    names = [photo.name for photo in folder.photos]
    try:
        share = float(val)
    except ValueError:
        wanted = {photo.file for photo in open_folder(source, val).photos} if val else set()
        chosen = {photo.name for photo in folder.photos if photo.file in wanted}
    else:
        if not 0 < share < 1:
            raise ConfigError(f"--val {val}: give a share between 0 and 1, such as 0.2")
        chosen = _ends(names, max(1, round(share * len(names))))
    if not chosen or len(chosen) == len(names):
        raise ConfigError(
            f"--val {val}: takes {len(chosen)} of {len(names)} photos, and both training and "
            "validation need some; give a share, or a list or pattern of some of them"
        )
    return frozenset(chosen)


def _ends(names: list[str], count: int) -> set[str]:
    """That many names, from the ends of stretches of equal length."""
    runs = min(_RUNS, count)
    chosen: set[str] = set()
    for run in range(runs):
        end = len(names) * (run + 1) // runs
        share = count * (run + 1) // runs - count * run // runs
        chosen.update(names[end - share : end])
    return chosen
