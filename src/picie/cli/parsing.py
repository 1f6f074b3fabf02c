"""From the arguments of a verb to its options: flags, presets, and the settings of `train`."""

import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar, get_args

import tyro

from picie.cli.arguments import (
    Audit,
    Bench,
    Completion,
    Demo,
    Evaluate,
    Export,
    Info,
    Measure,
    Name,
    Predict,
    Queue,
    Report,
    Serve,
    Studio,
    Teach,
    Train,
)
from picie.cli.checking import check_arguments
from picie.cli.flags import Flag, flags_of
from picie.cli.help import grouped, help_text
from picie.config import (
    GROUPS,
    MACHINE,
    RETIRED,
    Config,
    Objective,
    make_config,
    read_config,
)
from picie.errors import ConfigError
from picie.runs import Run
from picie.runtime.launch import follows

__all__ = ["VERBS", "parse", "parse_train", "record_of"]

_Verb = TypeVar("_Verb")
_ABOUT = {
    "images": "what it learns from",
    "network": "backbone, decoder and their numerical precision",
    "views": "how the two views of an image differ",
    "clustering": "how features become clusters",
    "objective": "what training minimises, and how",
    "prediction": "post-processing of masks",
    "machine": "where and how a run executes; none of these changes the result",
}
_SHORT = {
    "start:": ("data", "out", "clusters", "preset"),
    "quality and time:": ("epochs", "size", "base_size", "backbone", "seed", "device"),
    "again:": ("resume", "config", "overwrite"),
}
_BRIEF = {
    "data": "folder of images, or its address: s3://bucket/photos",
    "out": "run folder to create",
    "clusters": "number of clusters; can be changed afterwards",
    "preset": "default, best, paper or reference: sets all others",
    "epochs": "passes over the images; 0 = no training",
    "size": "side of the images in the network, in pixels",
    "base_size": "side of the crops of photos, at least --size",
    "backbone": "pretrained network, by its name in timm",
    "seed": "of every random draw",
    "device": "auto, cpu, cuda or mps",
    "resume": "go on with an interrupted run",
    "config": "a config.toml to start from; flags override it",
    "overwrite": "replace the run that is in --out",
}
"""Texts of the short help of `train`: one line each on a narrow terminal."""


def parse(verb: type[_Verb], args: list[str], *, pairs: bool = False) -> _Verb:
    """Parse the flags of a verb; --help shows them, and exits.

    Args:
        verb: the record to fill.
        args: the arguments after the verb.
        pairs: also create the negated form of every switch (--no-pretrained).

    Raises:
        ConfigError: an unknown flag, a value that it cannot have, or one that is missing.
    """
    name, flags = verb.__name__.lower(), list(flags_of(verb, pairs=pairs))
    if _wants_help(args):
        _show(help_text(name, verb.__doc__ or "", grouped(flags)))
    args = list(_split_bands(args))
    check_arguments(name, args, flags)
    config = () if pairs else (tyro.conf.FlagCreatePairsOff,)
    return tyro.cli(verb, prog=f"picie {name}", args=args, config=config)


def _wants_help(args: Sequence[str]) -> bool:
    return bool({"-h", "--help", "--help-all"} & set(args))


def _show(text: str) -> NoReturn:
    sys.stdout.write(text)
    sys.exit(0)


def _split_bands(args: Sequence[str]) -> Iterator[str]:
    """The arguments with `--bands 4,3,2` as `--bands 4 3 2`."""
    inside = False
    for arg in args:
        if arg.startswith("-"):
            inside = arg == "--bands" or arg.startswith("--bands=")
            if arg.startswith("--bands="):
                yield "--bands"
                arg = arg.removeprefix("--bands=")
            elif inside:
                yield arg
                continue
        yield from filter(None, arg.split(",")) if inside else (arg,)


def parse_train(args: list[str]) -> tuple[Train, Config]:
    """Parse the flags of `train`: defaults from preset, config file or run, then the flags.

    Raises:
        ConfigError: unknown preset, broken file or impossible value.
        ModelError: no run to resume.
    """
    _check_retired(args)
    config = _starting_point(args)
    made = _with_settings(config)
    if _wants_help(args):
        flags = list(flags_of(made, pairs=True))
        _show(_help_of_train(flags, whole="--help-all" in args))
    options = parse(made, args, pairs=True)
    names = {field.name for field in dataclasses.fields(Train)}
    values = {k: v for k, v in vars(options).items() if k not in names}
    if options.resume is None:
        _require(options, config)
    chosen = make_config(**values, data=str(options.data or config.data))
    if options.resume is not None:
        _refuse_changes(options, config, chosen)
    return options, chosen


def _parse_whole(args: list[str]) -> tuple[Train, Config, bool]:
    """`parse_train`, and whether anyone chose the number of clusters."""
    options, config = parse_train(args)
    fixed = options.preset in ("paper", "reference") or options.config or options.resume
    return options, config, bool(fixed or _value(args, "--clusters"))


def _check_retired(args: list[str]) -> None:
    """Say what takes the place of a flag of an earlier version.

    Raises:
        ConfigError: there is one.
    """
    for arg in args:
        name = arg.partition("=")[0].removeprefix("--").removeprefix("no-").replace("-", "_")
        if arg.startswith("--") and name in RETIRED:
            raise ConfigError(
                f"{arg.partition('=')[0]} is no longer a setting; {RETIRED[name]} "
                "(picie train --help-all shows all settings)"
            )


def _with_settings(config: Config) -> type[Train]:
    """`Train`, extended by the settings."""
    names = [name for name in Config.model_fields if name != "data"]
    made: type[Train] = dataclasses.make_dataclass(
        "Train", [_flag(name, config) for name in names], bases=(Train,), frozen=True
    )
    made.__doc__ = Train.__doc__
    return made


def _help_of_train(flags: Sequence[Flag], *, whole: bool) -> str:
    """The most common flags on one screen, or all of them in groups."""
    by_field = {flag.field: flag for flag in flags}
    if not whole:
        groups = {title: [by_field[name] for name in names] for title, names in _SHORT.items()}
        hidden = ("preset", "backbone")  # long, or said by the text
        hints = {name: by_field[name].hint * (name not in hidden) for name in _BRIEF}
        brief = {name: f"{text} {hints[name]}".strip() for name, text in _BRIEF.items()}
        about = "Learn to segment a folder of photos, without labels."
        rest = f"picie train --help-all describes all {len(Config.model_fields)} settings; each has"
        return f"{help_text('train', about, groups, brief=brief)}\n{rest} a good default.\n"
    settings = {name for names in GROUPS.values() for name in names}
    groups = {"options:": [one for one in flags if one.field.split(".")[0] not in settings]}
    for title, names in GROUPS.items():
        inside = [flag for flag in flags if flag.field.split(".")[0] in names]
        groups[f"{title}: {_ABOUT[title]}"] = inside
    return help_text("train", Train.__doc__ or "", groups)


def _flag(name: str, config: Config) -> tuple[str, Any, Any]:
    info: Any = Config.model_fields[name]
    described: Any = Annotated[info.annotation, tyro.conf.arg(help=info.description)]
    if dataclasses.is_dataclass(info.annotation):  # a table: its fields are flags of their own
        described = Annotated[info.annotation, tyro.conf.OmitArgPrefixes]
    return name, described, dataclasses.field(default=getattr(config, name))


def _starting_point(args: list[str]) -> Config:
    flags = ("--config", "--preset", "--resume", "--objective", "--backbone")
    file, preset, run, objective, backbone = (_value(args, flag) for flag in flags)
    if run and (file or preset):
        raise ConfigError("a resumed run keeps its settings; remove --preset, --config")
    if file and preset:
        raise ConfigError("give --preset or --config, not both; a config file may name its preset")
    if run:
        elsewhere = follows() and not Run.is_run(Path(run))  # the first process sends it later
        return make_config() if elsewhere else Run.open(Path(run)).config
    overrides: dict[str, Any] = {"objective": objective} if objective in get_args(Objective) else {}
    overrides |= {"backbone": backbone} if backbone else {}
    if file:
        return read_config(Path(file), **overrides)
    return make_config(preset or "default", **overrides)


def _value(args: list[str], flag: str) -> str:
    for index, arg in enumerate(args):
        if arg.startswith(flag + "="):
            return arg.removeprefix(flag + "=")
        if arg == flag and index + 1 < len(args):
            return args[index + 1]
    return ""


def _refuse_changes(options: Train, saved: Config, chosen: Config) -> None:
    """Refuse flags that contradict the settings of a resumed run."""
    before, after = (config.model_dump(exclude=set(MACHINE)) for config in (saved, chosen))
    before, after = (values | values.pop("reading") for values in (before, after))
    changed = [name for name, value in before.items() if after[name] != value]
    flags = ["PHOTOS" if name == "data" else f"--{name.replace('_', '-')}" for name in changed]
    flags += ["--out"] * (options.out is not None) + ["--overwrite"] * options.overwrite
    if flags:
        raise ConfigError(
            f"a resumed run keeps its settings; remove {', '.join(flags)}, or start a new run in "
            "another --out"
        )


def _require(options: Train, config: Config) -> None:
    if options.accept_changes:
        raise ConfigError("--accept-changes needs --resume RUN; remove it")
    if options.data is None and not config.data:
        raise ConfigError("which images? Give a folder: picie train PHOTOS --out runs/first")
    if options.out is None:
        raise ConfigError("which run folder? Give one: picie train PHOTOS --out runs/first")


def record_of(verb: str) -> type[Any]:
    """The dataclass of a verb, with all its flags."""
    return _with_settings(make_config()) if verb == "train" else _RECORDS[verb]


def _parse_one(verb: type[Any], args: list[str]) -> tuple[Any, ...]:
    return (parse(verb, args),)


_RECORDS: dict[str, type[Any]] = {
    verb.__name__.lower(): verb
    for verb in (
        *(Train, Predict, Studio, Name, Queue, Teach, Audit, Report, Evaluate, Export),
        *(Measure, Serve, Bench, Info, Demo, Completion),
    )
}
VERBS: dict[str, Callable[[list[str]], tuple[Any, ...]]] = {
    name: partial(_parse_one, verb) for name, verb in _RECORDS.items()
} | {"train": _parse_whole}
"""For each verb, the function from its arguments to the parameters of its command's `run`."""
