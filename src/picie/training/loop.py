"""Training: images, views, clusters, pseudo-labels, loss, model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import torch

from picie.config import MACHINE, Config, MachineSettings, lost_settings, lost_text, make_config
from picie.data.datasets.registry import open_dataset
from picie.data.folder import Photo
from picie.errors import ConfigError
from picie.inference.segmenter import Segmenter
from picie.models.picie import PiCIE
from picie.runs import Run
from picie.runtime.devices import choose_device, keep_freed_memory
from picie.runtime.distributed import Processes, join_processes
from picie.runtime.progress import Reporter
from picie.runtime.random import Stream, torch_seed
from picie.training.tracking import check_trackers
from picie.training.trainer import Trainer
from picie.version import __version__
from picie.views.pair import Views

__all__ = ["resume", "train"]


def train(
    data: str | Path,
    out: str | Path,
    *,
    split: str = "",
    preset: str = "default",
    overwrite: bool = False,
    quiet: bool = True,
    profile: bool = False,
    config: Config | None = None,
    **settings: Any,
) -> Segmenter:
    """Learn to segment a folder of images, without labels.

    Args:
        data: any folder of images, searched recursively; if it contains `images/`, only that.
        out: the run folder to create.
        split: name of a list file in `data` without extension: `train` reads train.txt. With
            `dataset=`, a split of that data set, or several separated by "+".
        preset: `default`, `best`, `reference` or `paper`.
        overwrite: replace an existing run.
        quiet: show no progress.
        profile: measure the time of each part, and show it at the end.
        config: complete settings, instead of a preset and single settings.
        **settings: fields of `picie.config.Config`, for example `clusters=11`.

    Returns:
        The trained model; it is also saved in `out`.

    Raises:
        DataError: no readable image, or fewer pixels than clusters.
        ConfigError: unknown or invalid settings, or the run already exists.
        MissingExtraError: a tracker is not installed.

    Example:
        >>> model = picie.train("photos/", "runs/first", clusters=8)  # doctest: +SKIP
    """
    place = {"data": str(Path(data).resolve()), "split": split}
    if config is None:
        config = make_config(preset, **settings, **place)
    elif settings:
        raise ConfigError(f"give either a config or {', '.join(settings)}, not both")
    else:
        config = config.model_copy(update=place)
    if config.backbone_weights:  # absolute: the run may be resumed from another folder
        weights = str(Path(config.backbone_weights).resolve())
        config = config.model_copy(update={"backbone_weights": weights})
    # Invalid arguments must raise before the run folder is created.
    photos = open_dataset(config.dataset, config.data, config.split).photos
    if config.eval_split:
        open_dataset(config.dataset, config.data, config.eval_split, labelled=True)
    check_trackers(config.trackers)
    processes = join_processes(config.device)
    choose_device(processes.device or config.device)
    network = _network(config)
    if processes.main:
        Run.create(Path(out), config, version=__version__, overwrite=overwrite)
    processes.wait()
    run = Run.open(Path(out))
    return _train(_trainer(run, config, network, photos, processes, quiet=quiet, profile=profile))


def resume(
    out: str | Path,
    *,
    quiet: bool = True,
    profile: bool = False,
    **machine: Unpack[MachineSettings],
) -> Segmenter:
    """Resume an interrupted run; the result is the same as without the interruption.

    Args:
        out: the run folder.
        quiet: show no progress.
        profile: measure the time of each part, and show it at the end.
        **machine: new values of `device`, `workers`, `cache_mb`, `cache_disk_mb`,
            `cache_dir`, `track` or `track_images`; None and "" keep the old ones.

    Raises:
        ConfigError: a setting that cannot be changed, or a value that cannot be used.
        ModelError: not a run folder, or its checkpoint is broken.
        MissingExtraError: a tracker is not installed.
    """
    run = Run.open(Path(out))
    fixed = [name for name in machine if name not in MACHINE]
    if fixed:
        raise ConfigError(
            f"a resumed run keeps its settings; remove {', '.join(fixed)} (only "
            f"{', '.join(MACHINE)} can change)"
        )
    _check_offered(run)
    changed = {name: value for name, value in machine.items() if value not in (None, "")}
    config = make_config(**run.config.model_dump() | changed)
    photos = open_dataset(config.dataset, config.data, config.split).photos
    check_trackers(config.trackers)
    processes, network = join_processes(config.device), _network(config)
    return _train(_trainer(run, config, network, photos, processes, quiet=quiet, profile=profile))


def _check_offered(run: Run) -> None:
    """Raise if an unfinished run of an earlier version uses settings that were removed since."""
    lost = lost_settings(run.config_path)
    if lost and len(run.metrics()) < run.config.epochs:
        raise ConfigError(
            f"{run.folder}: picie {run.version} began it with {lost_text(lost)}, which training no "
            "longer offers; finish it with that version, or begin a new run"
        )


def _trainer(
    run: Run,
    config: Config,
    network: PiCIE,
    photos: Sequence[Photo],
    processes: Processes,
    *,
    quiet: bool,
    profile: bool,
) -> Trainer:
    reporter = Reporter(quiet=quiet or not processes.main)
    return Trainer(
        run, config, network, photos, reporter=reporter, processes=processes, profile=profile
    )


def _train(trainer: Trainer) -> Segmenter:
    keep_freed_memory()
    config = trainer.config
    with torch.random.fork_rng(), trainer.log_to_file():
        try:
            for epoch in range(trainer.start(), config.epochs):
                torch.manual_seed(
                    torch_seed(Stream.DROPOUT, config.seed, epoch)
                )  # for backbones that have dropout
                views = Views(config, epoch, trainer.feature_size)
                targets = trainer.fit_targets(views, epoch)
                totals = trainer.pass_over_images(views, targets, epoch)
                trainer.finish(targets, totals, epoch)
            return trainer.result()
        except BaseException as error:
            trainer.report_failure()
            if config.compile and type(error).__module__.startswith(
                ("torch._dynamo", "torch._ind")
            ):
                raise ConfigError(
                    f"compile: torch.compile failed ({str(error).splitlines()[0]}); install a C++ "
                    "compiler such as g++, or leave out --compile"
                ) from error
            raise
        finally:
            trainer.close()


def _network(config: Config) -> PiCIE:
    with torch.random.fork_rng():
        torch.manual_seed(torch_seed(Stream.NETWORK, config.seed))  # the decoder's random start
        return PiCIE(
            config.backbone,
            config.feature_size,
            pretrained=config.pretrained,
            layers=config.backbone_layers,
            weights=config.backbone_weights or None,
        )
