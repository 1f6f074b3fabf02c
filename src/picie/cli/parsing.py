"""From the arguments of a verb to its options: flags, presets, and the settings of `train`."""

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import tyro

from picie.cli.arguments import (
    Audit,
    Bench,
    Demo,
    Evaluate,
    Export,
    Info,
    Name,
    Predict,
    Queue,
    Report,
    Studio,
    Teach,
    Train,
)
from picie.config import (
    FIRST,
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

__all__ = ["VERBS", "parse", "parse_train"]

_Verb = TypeVar("_Verb")
_ABOUT = {
    "images": "The images to learn from.",
    "network": "The backbone, the decoder and their numerical precision.",
    "views": "How the two views of an image differ.",
    "clustering": "How features become clusters.",
    "objective": "What training minimises, and how.",
    "prediction": "Post-processing of masks.",
    "machine": "Where and how a run executes; none of these changes the result.",
}


def parse(verb: type[_Verb], args: list[str], *, pairs: bool = False) -> _Verb:
    """Parse the flags of a verb; invalid ones exit with code 2 and a hint.

    Args:
        verb: the record to fill.
        args: the arguments after the verb.
        pairs: also create the negated form of every switch (--no-pretrained).
    """
    config = () if pairs else (tyro.conf.FlagCreatePairsOff,)
    prog = f"picie {verb.__name__.lower()}"
    return tyro.cli(verb, prog=prog, args=list(_split_bands(args)), config=config)


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
    if {"-h", "--help", "--help-all"} & set(args):
        whole = "--help-all" in args
        parse(_help_of_train(config, whole=whole), ["--help"], pairs=True)
    made = _with_settings([name for name in Config.model_fields if name != "data"], config)
    options = parse(made, args, pairs=True)
    names = {field.name for field in dataclasses.fields(Train)}
    values = {k: v for k, v in vars(options).items() if k not in names}
    if options.resume is None:
        _require(options, config)
    chosen = make_config(**values, data=str(options.data or config.data))
    if options.resume is not None:
        _refuse_changes(options, config, chosen)
    return options, chosen


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


def _with_settings(names: Sequence[str], config: Config) -> type[Train]:
    """`Train`, extended by settings."""
    made: type[Train] = dataclasses.make_dataclass(
        "Train", [_flag(name, config) for name in names], bases=(Train,), frozen=True
    )
    made.__doc__ = Train.__doc__
    return made


def _help_of_train(config: Config, *, whole: bool) -> type[Any]:
    """The fields of the help: the most common settings, or all of them in groups."""
    count = len(Config.model_fields)
    fields: list[Any] = [_flag(name, config) for name in FIRST]
    if whole:
        for title, names in GROUPS.items():
            group = dataclasses.make_dataclass(title, [_flag(name, config) for name in names])
            group.__doc__ = _ABOUT[title]
            default = dataclasses.field(default_factory=group)
            fields.append((title, Annotated[group, tyro.conf.OmitArgPrefixes], default))
    else:
        rare = ("accept_changes", "quiet", "profile")
        fields += [(name, Annotated[bool, tyro.conf.Suppress], False) for name in rare]
    made = dataclasses.make_dataclass("Train", fields, bases=(Train,), frozen=True)
    rest = f"picie train --help-all shows all {count} settings; each has a good default."
    made.__doc__ = inspect.cleandoc(Train.__doc__ or "") + ("" if whole else f"\n\n{rest}")
    return made


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
    overrides = {"objective": objective} if objective in get_args(Objective) else {}
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


def _parse_one(verb: type[Any], args: list[str]) -> tuple[Any, ...]:
    return (parse(verb, args),)


VERBS: dict[str, Callable[[list[str]], tuple[Any, ...]]] = {
    "train": parse_train,
    **{
        verb.__name__.lower(): partial(_parse_one, verb)
        for verb in (
            *(Predict, Studio, Name, Queue, Teach, Audit, Report, Evaluate, Export),
            *(Bench, Info, Demo),
        )
    },
}
"""For each verb, the function from its arguments to the parameters of its command's `run`."""
