"""The run folder: the files of a training run, and how to create and open them.

    runs/first/
    ├── run.json            format number and picie version
    ├── config.toml         every setting
    ├── metrics.jsonl       one JSON object per line
    ├── health.json         measures that need no labels
    ├── train.log           plain text
    ├── model.safetensors   the model, with config.json beside it
    ├── checkpoint/         training state, for --resume
    ├── classes.toml        names of clusters, if any (picie name)
    ├── classes.history/    earlier states of it
    └── tensorboard/        files of the tracker of that name (train --track)

Files are written atomically: a killed process leaves either the old or the new version.
"""

import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from picie.config import Config, read_config, write_config
from picie.errors import ConfigError, ModelError
from picie.runtime.files import PART, write_atomically, writing

__all__ = ["CLASSES_FILE", "FORMAT", "MODEL_CONFIG_FILE", "WEIGHTS_FILE", "Run"]

FORMAT = 1
"""Version of the folder layout that this picie writes, and the newest that it reads."""

WEIGHTS_FILE = "model.safetensors"
MODEL_CONFIG_FILE = "config.json"
CLASSES_FILE = "classes.toml"
"""Files of a model: weights, the configuration to read them, and names of clusters."""

_HEADER = "run.json"
_CONFIG = "config.toml"
_PAST_NAMES = "classes.history"
_TRACKED = ("tensorboard", "wandb")  # folders of experiment trackers


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
        cls, folder: Path, config: Config, *, version: str, overwrite: bool = False
    ) -> "Run":
        """Create a run folder with run.json and config.toml.

        Args:
            folder: a new or empty folder; parents are created.
            config: all settings.
            version: of picie.
            overwrite: first remove the files of an earlier run, and nothing else; names of its
                clusters are kept as classes.old.toml.

        Raises:
            ConfigError: the folder contains a run (and `overwrite` is off), or other files.
            PicieError: it cannot be written.
        """
        folder = Path(folder)
        _check_free(folder, overwrite=overwrite)
        run = cls(folder, config, version)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            _clear(run)
        header = json.dumps({"format": FORMAT, "picie": version}) + "\n"
        write_atomically(folder / _HEADER, header.encode())
        write_atomically(folder / _CONFIG, lambda part: write_config(config, part))
        return run

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """Open an existing run.

        Raises:
            ModelError: no such folder, not a run, or written by a newer picie.
            ConfigError: its config.toml is no longer valid.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise ModelError(f"{folder}: no such folder; give one that `picie train --out` wrote")
        header = _read_header(folder)
        if header is None or not (folder / _CONFIG).is_file():
            raise ModelError(
                f"{folder} is not a run folder (no {_HEADER} and {_CONFIG} of picie); give one "
                "that `picie train --out` wrote"
            )
        if header["format"] > FORMAT:
            raise ModelError(
                f"{folder} was written by a newer picie (format {header['format']}, this one reads "
                f"up to {FORMAT}); upgrade picie"
            )
        return cls(folder, read_config(folder / _CONFIG), str(header.get("picie", "unknown")))

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
    def checkpoint_path(self) -> Path:
        """Folder of the training state."""
        return self.folder / "checkpoint"

    @property
    def names_path(self) -> Path:
        """Names of clusters, TOML; may be missing."""
        return self.folder / CLASSES_FILE

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
            ModelError: another line is damaged, or the file cannot be read.
        """
        try:
            lines = self.metrics_path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            reason = f"cannot be read ({error.strerror}); check its permissions"
            raise ModelError(f"{self.metrics_path}: {reason}") from None
        records = []
        for number, line in enumerate(lines, start=1):
            record = _record(line)
            if record is not None:
                records.append(record)
            elif number < len(lines):
                raise ModelError(
                    f"{self.metrics_path}: line {number} is not a JSON object; correct or remove it"
                )
        return records

    def health(self) -> dict[str, float]:
        """The content of health.json; empty if it is missing or unreadable."""
        try:
            return _record(self.health_path.read_bytes()) or {}
        except OSError:
            return {}

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

    @contextmanager
    def log_to_file(self) -> Iterator[None]:
        """Within the block, write messages of the logger `picie` from level INFO on to train.log.

        Raises:
            PicieError: train.log cannot be written.
        """
        logger = logging.getLogger("picie")
        with writing(self.log_path):
            handler = logging.FileHandler(self.log_path, mode="a", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
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


def _check_free(folder: Path, *, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; choose another --out")
    if not folder.is_dir():
        return
    if _read_header(folder) is not None:
        if not overwrite:
            raise ConfigError(
                f"{folder} already holds a run; choose another --out, continue it with "
                f"--resume {folder}, or pass --overwrite"
            )
    elif not all(entry.name.startswith(PART) for entry in folder.iterdir()):
        raise ConfigError(
            f"{folder} is not empty and holds no run; choose another --out, or empty it first"
        )


def _read_header(folder: Path) -> dict[str, Any] | None:
    """The content of run.json; None if it is missing or not from picie."""
    try:
        header = _record((folder / _HEADER).read_bytes())
    except OSError:
        return None
    is_ours = header is not None and isinstance(header.get("format"), int) and "picie" in header
    return header if is_ours else None


def _clear(run: Run) -> None:
    """Remove the files of a run; the header last, so that the folder stays a run if interrupted."""
    for folder in (run.checkpoint_path, *(run.folder / name for name in _TRACKED)):
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder)
        else:
            folder.unlink(missing_ok=True)
    _set_names_aside(run.folder)
    files = [run.metrics_path, run.health_path, run.log_path]
    files += [run.model_path, run.model_config_path]
    for path in [*files, run.folder / _CONFIG, run.folder / _HEADER]:
        path.with_name(PART + path.name).unlink(missing_ok=True)
        path.unlink(missing_ok=True)


def _set_names_aside(folder: Path) -> None:
    """Keep the names, which are manual work, but not in use: the new clusters are others."""
    if (folder / CLASSES_FILE).exists():
        os.replace(folder / CLASSES_FILE, folder / "classes.old.toml")
    if (folder / _PAST_NAMES).is_dir():
        shutil.rmtree(folder / _PAST_NAMES)


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _cut_broken_end(file: BinaryIO) -> None:
    """Complete a last line without newline if it is valid JSON, else remove it."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - 1))
    if file.read() in (b"", b"\n"):
        return
    file.seek(0)
    *whole, last = file.read().split(b"\n")
    if _record(last) is not None:
        file.write(b"\n")
    else:
        file.truncate(sum(len(line) + 1 for line in whole))
