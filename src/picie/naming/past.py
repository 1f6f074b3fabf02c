"""Earlier states of a classes.toml, so that changes can be undone.

runs/first/
├── classes.toml
└── classes.history/
    ├── 0001.toml       the file before the first change; empty where there was none
    ├── 0002.toml
    └── undone.toml     what the last undo took away
"""

from pathlib import Path

from picie.errors import ConfigError
from picie.models.class_names import CLASSES_FILE
from picie.runtime.files import write_atomically, writing

__all__ = ["HISTORY_FOLDER", "replace_classes", "undo_classes"]

HISTORY_FOLDER = "classes.history"
"""Name of the folder inside a run folder."""

_UNDONE = "undone.toml"


def replace_classes(folder: Path, text: str) -> bool:
    """Write a classes.toml, and keep what was there.

    Args:
        folder: the run folder.
        text: the new file.

    Returns:
        False if it says that already, and nothing was written.

    Raises:
        PicieError: it cannot be written; the old file is still there.
    """
    path = folder / CLASSES_FILE
    before = path.read_bytes() if path.exists() else b""
    if before == text.encode():
        return False
    kept = folder / HISTORY_FOLDER / f"{max(_numbers(folder), default=0) + 1:04d}.toml"
    with writing(kept):
        kept.parent.mkdir(exist_ok=True)
    write_atomically(kept, before)
    try:
        write_atomically(path, text.encode())
    except BaseException:
        kept.unlink(missing_ok=True)
        raise
    return True


def undo_classes(folder: Path) -> int:
    """Bring back the classes.toml before the last change; what is there now becomes undone.toml.

    Args:
        folder: the run folder.

    Returns:
        how many more changes can be undone.

    Raises:
        ConfigError: there is no change to undo.
        PicieError: a file cannot be written.
    """
    path, numbers = folder / CLASSES_FILE, _numbers(folder)
    if not numbers:
        raise ConfigError(
            f"{folder}: no change of names to undo; they are kept from the first picie name on"
        )
    kept = folder / HISTORY_FOLDER / f"{max(numbers):04d}.toml"
    before = kept.read_bytes()
    if path.exists():
        write_atomically(kept.with_name(_UNDONE), path.read_bytes())
    if before:
        write_atomically(path, before)
    with writing(path):
        if not before:
            path.unlink(missing_ok=True)
        kept.unlink()
    return len(numbers) - 1


def _numbers(folder: Path) -> list[int]:
    return [
        int(path.stem)
        for path in (folder / HISTORY_FOLDER).glob("*.toml")
        if path.stem.isdecimal() and path.stem.isascii()
    ]
