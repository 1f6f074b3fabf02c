"""The run folder: the files of a training run, and how to create and open them.

    runs/first/
    ├── run.json            format number and picie version
    ├── images.jsonl        the images that it learns from: names, sizes, digests
    ├── config.toml         every setting
    ├── metrics.jsonl       one JSON object per line
    ├── health.json         measures that need no labels
    ├── train.log           plain text
    ├── model.safetensors   the model, with config.json beside it
    ├── checkpoint/         training state, for --resume
    ├── classes.toml        names of clusters, if any (picie name)
    ├── classes.history/    versions of it
    ├── annotations.jsonl   history of annotations and names, if any
    ├── features/           of annotated images (picie teach); may be removed
    ├── taught/             the model that learnt from annotations (picie teach)
    ├── accepted/           masks that a person accepted (picie studio)
    ├── exports/            what the studio exported
    ├── studio/             thumbnails and maps of the studio; may be removed
    └── tensorboard/        files of the tracker of that name (train --track)

Files are written atomically: a killed process leaves either the old or the new version. Training
holds a lock on the folder; names have a lock of their own, so that they can change meanwhile.
"""

import json
import logging
import os
import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from picie.config import Config, read_config, write_config
from picie.errors import ConfigError, ModelError
from picie.runtime.documents import parse_object, read_json
from picie.runtime.files import PART, open_regular, remove_parts, write_atomically, writing
from picie.runtime.locks import LOCK, locked
from picie.runtime.nearby import no_folder
from picie.runtime.outputs import Inputs, check_folder_apart, check_not_read
from picie.runtime.printable import PrintableFormatter, shown

__all__ = [
    "ACCEPTED_FOLDER",
    "ANNOTATIONS_FILE",
    "CLASSES_FILE",
    "EXPORTS_FOLDER",
    "FEATURES_FOLDER",
    "FORMAT",
    "HISTORY_FOLDER",
    "MODEL_CONFIG_FILE",
    "STUDIO_FOLDER",
    "TAUGHT_FOLDER",
    "WEIGHTS_FILE",
    "Run",
    "annotated_folder",
    "changing_names",
]

FORMAT = 1
"""Version of the folder layout that this picie writes, and the newest that it reads."""

WEIGHTS_FILE = "model.safetensors"
MODEL_CONFIG_FILE = "config.json"
CLASSES_FILE = "classes.toml"
"""Files of a model: weights, the configuration to read them, and names of clusters."""
ANNOTATIONS_FILE = "annotations.jsonl"
HISTORY_FOLDER = "classes.history"
"""What people said about images and clusters, in order, and the versions of their names."""
FEATURES_FOLDER = "features"
ACCEPTED_FOLDER = "accepted"
EXPORTS_FOLDER = "exports"
STUDIO_FOLDER = "studio"
TAUGHT_FOLDER = "taught"
"""Features of annotated images, and the model that learnt from the annotations."""

_HEADER = "run.json"
_CONFIG = "config.toml"
_TRACKED = ("tensorboard", "wandb")  # folders of experiment trackers
_SUFFIXES = (".json", ".jsonl", ".toml", ".safetensors")  # of the files of a run
_NAMES_WAIT = 60.0  # seconds; a change of names takes a fraction of one


@dataclass(frozen=True)
class Run:
    """One run folder. Make it with `Run.create` or `Run.open`.

    Attributes:
        folder: of the run.
        config: the settings in its config.toml.
        version: the picie version that wrote it.
    """

    folder: Path
    config: Config
    version: str

    @classmethod
    def create(
        cls,
        folder: Path,
        config: Config,
        *,
        version: str,
        overwrite: bool = False,
        images: Iterable[str] = (),
    ) -> "Run":
        """Create a run folder with run.json, images.jsonl and config.toml, in this order.

        A folder with run.json only is one whose creation was interrupted. The caller holds the lock
        of the folder.

        Args:
            folder: a new or empty folder; parents are created.
            config: all settings.
            version: of picie.
            overwrite: first remove the files of an earlier run, and nothing else; names of its
                clusters are kept as classes.old.toml, and annotations as annotations.old.jsonl, and
                a taught model as taught.old. A run that holds no work yet is always replaced.
            images: the lines of images.jsonl; they are taken before anything is removed.

        Raises:
            ConfigError: the folder contains a run (and `overwrite` is off), or other files.
            PicieError: it cannot be written.
        """
        folder = Path(folder)
        cls.check_free(folder, overwrite=overwrite)
        run = cls(folder, config, version)
        lines = "".join(images)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with changing_names(folder, "picie train"):
            with writing(folder):
                _clear(run)
            run.remove_parts()
            header = json.dumps({"format": FORMAT, "picie": version}) + "\n"
            write_atomically(folder / _HEADER, header.encode())
            if lines:
                write_atomically(run.images_path, lines.encode())
            write_atomically(folder / _CONFIG, lambda part: write_config(config, part))
        return run

    @staticmethod
    def check_free(folder: Path, *, overwrite: bool = False) -> None:
        """Raise unless a run can be created in a folder.

        Raises:
            ConfigError: it is a file, or contains a run (and `overwrite` is off) or other files.
        """
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"{folder} is a file; choose another --out")
        if not folder.is_dir():
            return
        if _is_header(folder / _HEADER):
            if not overwrite and _holds_work(folder):
                raise ConfigError(
                    f"{folder} already holds a run; choose another --out, continue it with "
                    f"--resume {shlex.quote(str(folder))}, or pass --overwrite"
                )
        elif not all(entry.name.startswith((PART, LOCK)) for entry in folder.iterdir()):
            raise ConfigError(
                f"{folder} is not empty and holds no run; choose another --out, or empty it first"
            )

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """Open an existing run.

        Raises:
            ModelError: no such folder, not a run, damaged, or written by a newer picie.
            ConfigError: its config.toml is no longer valid.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise ModelError(no_folder(folder, "give one that `picie train --out` wrote"))
        if not (folder / _HEADER).exists():
            if (folder / MODEL_CONFIG_FILE).exists():
                raise ModelError(
                    f"{folder}: is a model without its run, whose settings and curves lie where it "
                    f"was trained; `picie name {shlex.quote(str(folder))} --list` shows its classes"
                )
            raise ModelError(
                f"{folder} is not a run folder (it has no {_HEADER} of picie); give one that "
                "`picie train --out` wrote"
            )
        header = _read_header(folder / _HEADER)
        if not (folder / _CONFIG).exists():
            raise ModelError(
                f"{folder}: has no {_CONFIG}; if picie train was interrupted before it began, run "
                "the same command again, else restore the file"
            )
        return cls(folder, read_config(folder / _CONFIG), header["picie"])

    @staticmethod
    def is_run(folder: Path) -> bool:
        """Whether it is a run folder; otherwise it may contain only a model."""
        return (folder / _HEADER).exists()

    @property
    def model_path(self) -> Path:
        """The weights, safetensors."""
        return self.folder / WEIGHTS_FILE

    @property
    def model_config_path(self) -> Path:
        """The configuration to read the weights, JSON."""
        return self.folder / MODEL_CONFIG_FILE

    @property
    def config_path(self) -> Path:
        """Every setting, TOML."""
        return self.folder / _CONFIG

    @property
    def images_path(self) -> Path:
        """The images that it learns from, JSON lines; runs of earlier versions lack it."""
        return self.folder / "images.jsonl"

    @property
    def checkpoint_path(self) -> Path:
        """Folder of the training state."""
        return self.folder / "checkpoint"

    @property
    def names_path(self) -> Path:
        """Names of clusters, TOML; may be missing."""
        return self.folder / CLASSES_FILE

    @property
    def annotations_path(self) -> Path:
        """History of annotations and names, JSON lines; may be missing."""
        return self.folder / ANNOTATIONS_FILE

    @property
    def metrics_path(self) -> Path:
        """One JSON object per line."""
        return self.folder / "metrics.jsonl"

    @property
    def health_path(self) -> Path:
        """Label-free measures of the finished model, JSON."""
        return self.folder / "health.json"

    @property
    def log_path(self) -> Path:
        """The log as plain text."""
        return self.folder / "train.log"

    @property
    def files(self) -> tuple[Path, ...]:
        """What training and people write, whether or not it exists, apart from its folders."""
        names = (WEIGHTS_FILE, MODEL_CONFIG_FILE, CLASSES_FILE, ANNOTATIONS_FILE, _HEADER, _CONFIG)
        more = (self.images_path, self.metrics_path, self.health_path, self.log_path)
        return (*(self.folder / name for name in names), *more)

    def check_apart(self, inputs: Inputs) -> None:
        """Refuse inputs of training that it would replace or remove.

        Args:
            inputs: the files that training reads.

        Raises:
            ConfigError: an input is a file of the run, or inside a folder of it.
        """
        check_not_read(self.files, inputs)
        for folder in (self.checkpoint_path, *(self.folder / name for name in _TRACKED)):
            if folder.is_dir() and not folder.is_symlink():
                check_folder_apart(folder, inputs())

    def append_metrics(self, record: Mapping[str, Any]) -> None:
        """Append one line to metrics.jsonl and flush it to disk.

        Args:
            record: plain values. NaN and infinite numbers become null, because JSON has neither.

        Raises:
            PicieError: it cannot be written.
        """
        finite = json.loads(json.dumps(record), parse_constant=lambda _: None)
        line = json.dumps(finite) + "\n"
        with writing(self.metrics_path), self.metrics_path.open("a+b") as file:
            _cut_broken_end(file)
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())

    def metrics(self) -> list[dict[str, Any]]:
        """All records of metrics.jsonl; an incomplete last line, after a kill, is skipped.

        Raises:
            ModelError: another line is damaged, a value has the wrong type, or the file cannot be
                read.
        """
        try:
            with open_regular(self.metrics_path) as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            reason = f"cannot be read ({error.strerror}); check its permissions"
            raise ModelError(f"{self.metrics_path}: {reason}") from None
        records = []
        for number, line in enumerate(lines, start=1):
            record = parse_object(line)
            if record is not None:
                _check_record(record, f"{self.metrics_path}: line {number}")
                records.append(record)
            elif number < len(lines):
                raise ModelError(
                    f"{self.metrics_path}: line {number} is not a JSON object; correct or remove it"
                )
        return records

    def health(self) -> dict[str, float]:
        """The numbers in health.json; empty if it is missing or unreadable."""
        try:
            with open_regular(self.health_path) as file:
                values = parse_object(file.read()) or {}
        except OSError:
            return {}
        return {name: value for name, value in values.items() if _is_number(value)}

    def truncate_metrics(self, epoch: int) -> None:
        """Remove the records of `epoch` and later, which a resumed run writes again.

        Raises:
            ModelError: metrics.jsonl is damaged.
            PicieError: it cannot be written.
        """
        if not self.metrics_path.exists():
            return
        records = [record for record in self.metrics() if record.get("epoch", -1) < epoch]
        text = "".join(json.dumps(record) + "\n" for record in records)
        write_atomically(self.metrics_path, text.encode())

    def remove_parts(self) -> None:
        """Remove unfinished files of killed processes; the caller holds the lock of the folder."""
        for folder in (self.folder, self.checkpoint_path, self.folder / HISTORY_FOLDER):
            remove_parts(folder, *_SUFFIXES)

    @contextmanager
    def log_to_file(self) -> Iterator[None]:
        """Within the block, write messages of the logger `picie` from level INFO on to train.log.

        Raises:
            PicieError: train.log cannot be written.
        """
        logger = logging.getLogger("picie")
        with writing(self.log_path):
            if self.log_path.exists():
                open_regular(self.log_path).close()  # a pipe would wait for a reader
            handler = logging.FileHandler(self.log_path, mode="a", encoding="utf-8")
        handler.setFormatter(PrintableFormatter("%(asctime)s %(levelname)s %(message)s"))
        handler.setLevel(logging.INFO)
        level = logger.level
        if logger.getEffectiveLevel() > logging.INFO:
            logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)
            handler.close()


@contextmanager
def changing_names(folder: Path, action: str) -> Iterator[None]:
    """Within the block, no other process changes names or annotations; waits for a minute.

    Args:
        folder: an existing folder with a model.
        action: what the block does, for the message that another process shows.

    Raises:
        PicieError: another process changes them for too long, or the folder cannot be written.
    """
    with locked(folder / "names", action, wait=_NAMES_WAIT):
        yield


def annotated_folder(folder: Path) -> Path:
    """The folder with the annotations of a model: that of the run, for the taught model in it."""
    inside = folder.name == TAUGHT_FOLDER and (folder.parent / WEIGHTS_FILE).exists()
    return folder.parent if inside else folder


def _is_header(path: Path) -> bool:
    try:
        return bool(_read_header(path, newest=None))
    except ModelError:
        return False


def _read_header(path: Path, *, newest: int | None = FORMAT) -> dict[str, Any]:
    """The content of run.json.

    Raises:
        ModelError: it is damaged, not from picie, or has a format above `newest`.
    """
    header = read_json(path, ModelError)
    version: Any = header.get("format")
    good = {
        "format": ("a whole number from 1", _is_whole(version) and version >= 1),
        "picie": ("text", isinstance(header.get("picie"), str)),
    }
    for key, (wanted, fits) in good.items():
        if not fits:
            raise ModelError(
                f"{path}: {key} = {shown(header.get(key))} is not {wanted}; restore the file, or "
                f'write {{"format": {FORMAT}, "picie": "unknown"}} to it'
            )
    if newest is not None and version > newest:
        raise ModelError(
            f"{path.parent} was written by a newer picie (format {version}, this one reads up to "
            f"{newest}); upgrade picie"
        )
    return header


def _holds_work(folder: Path) -> bool:
    """Whether a run has results, a state to resume from, names or annotations."""
    run = Run(folder, Config(), "")
    files = (run.checkpoint_path, run.metrics_path, run.model_path, run.model_config_path)
    names = (run.names_path, folder / HISTORY_FOLDER, run.annotations_path)
    return any(os.path.lexists(path) for path in (*files, *names))


def _clear(run: Run) -> None:
    """Remove the files of a run except run.json, so that the folder stays a run if interrupted."""
    run.config_path.unlink(missing_ok=True)  # first: nobody resumes what is left of the run
    for folder in (
        run.checkpoint_path,
        *(run.folder / name for name in (*_TRACKED, FEATURES_FOLDER, STUDIO_FOLDER)),
    ):
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder)
        else:
            folder.unlink(missing_ok=True)
    _set_work_aside(run.folder)
    files = [run.metrics_path, run.health_path, run.log_path, run.images_path]
    for path in [*files, run.model_path, run.model_config_path]:
        path.unlink(missing_ok=True)


def _set_work_aside(folder: Path) -> None:
    """Keep what people did, but not in use: the new clusters are others."""
    for name in (ANNOTATIONS_FILE, CLASSES_FILE, TAUGHT_FOLDER, ACCEPTED_FOLDER):
        path = folder / name
        if path.exists():
            aside, number = path.with_stem(f"{path.stem}.old"), 1
            while aside.exists():
                number += 1
                aside = path.with_stem(f"{path.stem}.old.{number}")
            os.replace(path, aside)
    if (folder / HISTORY_FOLDER).is_dir():
        shutil.rmtree(folder / HISTORY_FOLDER)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (_is_whole(value) and abs(value) < 2**63)


_NUMBERS = ("loss", "within", "cross", "mutual_information", "accuracy", "miou", "images")


def _check_record(record: Mapping[str, Any], where: str) -> None:
    """Raise for values of metrics.jsonl that cannot be those of an epoch."""
    wanted: dict[str, tuple[str, bool]] = {}
    for key, value in record.items():
        if key == "epoch":
            wanted[key] = ("a whole number from 0", _is_whole(value) and 0 <= value < 2**31)
        elif key == "seconds":
            good = isinstance(value, dict) and all(map(_is_number, value.values()))
            wanted[key] = ("a table of numbers", good)
        elif key == "effective_clusters":
            good = isinstance(value, list) and all(map(_is_number, value))
            wanted[key] = ("a list of numbers", good)
        elif key in _NUMBERS:
            wanted[key] = ("a number", value is None or _is_number(value))
    for key, (what, good) in wanted.items():
        if not good:
            raise ModelError(
                f"{where}: {key} = {shown(record[key])} is not {what}; correct or remove the line"
            )


def _cut_broken_end(file: BinaryIO) -> None:
    """Complete a last line without newline if it is valid JSON, else remove it."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - 1))
    if file.read() in (b"", b"\n"):
        return
    file.seek(0)
    *whole, last = file.read().split(b"\n")
    if parse_object(last) is not None:
        file.write(b"\n")
    else:
        file.truncate(sum(len(line) + 1 for line in whole))
