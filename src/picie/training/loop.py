"""Training: images, views, clusters, pseudo-labels, loss, model."""

import shlex
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Unpack

import torch

from picie.config import (
    MACHINE,
    Config,
    MachineSettings,
    TrainSettings,
    lost_settings,
    lost_text,
    make_config,
)
from picie.data.datasets.registry import open_dataset
from picie.data.folder import Photo, PhotoFolder
from picie.errors import ConfigError, DataError, ModelError
from picie.evaluation.labelled import check_masks
from picie.inference.plan import files_of, images_of
from picie.inference.segmenter import Segmenter, load
from picie.models.picie import PiCIE
from picie.runs import Run
from picie.runtime.devices import choose_device, keep_freed_memory
from picie.runtime.distributed import Processes, join_processes
from picie.runtime.files import write_atomically
from picie.runtime.launch import follows
from picie.runtime.locks import locked
from picie.runtime.printable import shown
from picie.runtime.progress import Reporter
from picie.runtime.random import Stream, torch_seed
from picie.runtime.storage import local_path
from picie.training.alike import check_alike
from picie.training.images import check_images, compare_images, image_lines
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
    **settings: Unpack[TrainSettings],
) -> Segmenter:
    """Learn to segment a folder of images, without labels.

    Args:
        data: any folder of images, searched recursively; if it contains `images/`, only that. An
            address of a storage, such as s3://bucket/photos, is one, too.
        out: the run folder to create.
        split: name of a list file in `data` without extension: `train` reads train.txt; "train+val"
            joins lists, "0001*" and "!0001*" choose by name. With `dataset=`, a split of that data
            set, or several separated by "+".
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
    path = local_path(data)
    place = {"data": str(data) if path is None else str(path.resolve()), "split": split}
    if config is None:
        config = make_config(preset, **settings, data=place["data"], split=split)
    elif not isinstance(config, Config):
        raise ConfigError(
            f"config {shown(config)}: give what picie.make_config returns; a file is read by "
            "picie.config.read_config, or by picie train --config"
        )
    elif settings or preset != "default":
        given = ", ".join(settings) or f"preset {preset!r}"
        raise ConfigError(f"give either a config or {given}, not both")
    else:
        config = make_config(**config.model_dump() | place)
    if config.backbone_weights:  # absolute: the run may be resumed from another folder
        weights = str(Path(config.backbone_weights).resolve())
        config = make_config(**config.model_dump() | {"backbone_weights": weights})
    with join_processes(config.device) as processes:
        reporter = Reporter(quiet=quiet or not processes.main)
        if processes.main:
            # Invalid arguments must raise before the run folder is created.
            Run.check_free(Path(out), overwrite=overwrite)
        folder = open_dataset(config.dataset, config.data, config.split, reading=config.reading)
        config = config.model_copy(update={"reading": folder.reading})
        if processes.main:
            _check_outputs(Run(Path(out), config, ""), folder)
        choose_device(processes.device or config.device)
        network = _network(config)
        check_images(folder.photos, config, network.stride)
        check_alike(processes, config, network, folder.photos)
        with _alone(Path(out), processes):
            if processes.main:
                _create(Path(out), config, folder.photos, reporter, overwrite=overwrite)
            processes.wait()
            run = Run(Path(out), config, __version__)
            return _train(run, config, network, folder, reporter, processes, profile=profile)


def _check_outputs(run: Run, folder: PhotoFolder) -> None:
    """Check what concerns the process that writes the run."""
    config = run.config
    run.check_apart(lambda: (*files_of(None, config), *images_of(folder)))
    if config.eval_split:
        _check_eval_split(config)
    check_trackers(config.trackers)


def _create(
    out: Path, config: Config, photos: Sequence[Photo], reporter: Reporter, *, overwrite: bool
) -> None:
    with reporter.task("listing images", len(photos)) as advance:
        lines = image_lines(photos, advance)
        Run.create(out, config, version=__version__, overwrite=overwrite, images=lines)


def resume(
    out: str | Path,
    *,
    quiet: bool = True,
    profile: bool = False,
    accept_changes: bool = False,
    **machine: Unpack[MachineSettings],
) -> Segmenter:
    """Resume an interrupted run; the result is the same as without the interruption.

    A finished run is not trained again: its model is returned.

    Args:
        out: the run folder.
        quiet: show no progress.
        profile: measure the time of each part, and show it at the end.
        accept_changes: resume although images were removed, added or changed since.
        **machine: new values of `device`, `workers`, `cache_mb`, `cache_disk_mb`,
            `cache_dir`, `track` or `track_images`; None and "" keep the old ones.

    Raises:
        ConfigError: a setting that cannot be changed, or a value that cannot be used.
        DataError: the images differ from those that the run began with.
        ModelError: not a run folder, or its checkpoint is broken or missing.
        PicieError: another process trains in the folder.
        MissingExtraError: a tracker is not installed.
    """
    fixed = [name for name in machine if name not in MACHINE]
    if fixed:
        raise ConfigError(
            f"a resumed run keeps its settings; remove {', '.join(fixed)} (only "
            f"{', '.join(MACHINE)} can change)"
        )
    changed = {name: value for name, value in machine.items() if value not in (None, "")}
    own = None if follows() and not Run.is_run(Path(out)) else Run.open(Path(out))
    given = make_config(**(own.config.model_dump() if own else {}) | changed)
    with join_processes(given.device) as processes:
        # A machine without the run folder gets from the first process what it needs of it.
        run = processes.first(own)
        if run is None:
            raise ModelError(f"{out}: the first process ({processes.members[0]}) has no such run")
        config = make_config(**run.config.model_dump() | changed)
        reporter = Reporter(quiet=quiet or not processes.main)
        with _alone(run.folder, processes):
            finished = _finished_model(run, config, processes)
            if finished is not None:
                done = f"{config.epochs} epochs"
                reporter.say(f"{run.folder}: is finished ({done}); nothing to resume")
                return finished
            if processes.main:
                _check_offered(run)
            folder = open_dataset(config.dataset, config.data, config.split, reading=config.reading)
            config = config.model_copy(update={"reading": folder.reading})
            if processes.main:
                check_trackers(config.trackers)
                _check_same_images(run, folder.photos, accept=accept_changes)
                run.remove_parts()
            network = _network(config)
            check_alike(processes, config, network, folder.photos)
            return _train(run, config, network, folder, reporter, processes, profile=profile)


def _alone(folder: Path, processes: Processes) -> AbstractContextManager[None]:
    """The lock of a run folder; the main process holds it for all."""
    return locked(folder, "picie train", inside=True) if processes.main else nullcontext()


def _finished_model(run: Run, config: Config, processes: Processes) -> Segmenter | None:
    """The model of a finished run; None if there is something left to do.

    Raises:
        ModelError: the model is damaged, and there is no checkpoint to make it from.
    """
    model = _own_finished(run, config) if processes.main else None
    if not processes.first(model is not None):
        return None
    files = (run.model_path, run.model_config_path)
    parts = processes.first([path.read_bytes() if processes.main else b"" for path in files])
    if model is None:  # the others may lack the folder
        with tempfile.TemporaryDirectory() as place:
            for path, part in zip(files, parts, strict=True):
                (Path(place) / path.name).write_bytes(part)
            model = load(Path(place), device=config.device, named=False)
        model.run = run.folder
    return model


def _own_finished(run: Run, config: Config) -> Segmenter | None:
    if not run.model_config_path.exists():  # it is written last
        return None
    try:
        model = load(run.folder, device=config.device, named=False)
    except ModelError:
        if not run.checkpoint_path.exists():
            raise
        return None
    fixed = set(config.model_dump()) - set(MACHINE) - {"data"}
    same = model.config.model_dump(include=fixed) == config.model_dump(include=fixed)
    return model if same else None


def _check_same_images(run: Run, photos: Sequence[Photo], *, accept: bool) -> None:
    """Raise if the images differ from those that the run began with; keep them if accepted."""
    changes = compare_images(run.images_path, photos)
    if not changes:
        return
    if not accept:
        raise DataError(
            f"{run.folder}: the images in {run.config.data} differ from those that the run began "
            f"with: {changes}. Restore them, or go on with these: picie train --resume "
            f"{shlex.quote(str(run.folder))} --accept-changes"
        )
    write_atomically(run.images_path, "".join(image_lines(photos)).encode())


def _check_offered(run: Run) -> None:
    """Raise if an unfinished run of an earlier version uses settings that were removed since."""
    lost = lost_settings(run.config_path)
    if lost and len(run.metrics()) < run.config.epochs:
        raise ConfigError(
            f"{run.folder}: picie {run.version} began it with {lost_text(lost)}, which training no "
            "longer offers; finish it with that version, or begin a new run"
        )


def _train(
    run: Run,
    config: Config,
    network: PiCIE,
    folder: PhotoFolder,
    reporter: Reporter,
    processes: Processes,
    *,
    profile: bool,
) -> Segmenter:
    keep_freed_memory()
    trainer = Trainer(
        run,
        config,
        network,
        folder.photos,
        reporter=reporter,
        processes=processes,
        notes=folder.notes,
        profile=profile,
    )
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
            trainer.report_failure(error)
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


def _check_eval_split(config: Config) -> None:
    """Fail before training if the labelled split cannot be scored."""
    folder = open_dataset(config.dataset, config.data, config.eval_split, labelled=True)
    try:
        check_masks(folder)
    except DataError as error:
        raise DataError(
            f"eval_split {config.eval_split!r}: {error} (options for masks belong to picie "
            "evaluate; to train, store class ids in the masks, or leave --eval-split out)"
        ) from None


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
