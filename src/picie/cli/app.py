"""The command line: `picie VERB ...`."""

import dataclasses
import inspect
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast, get_args

import tyro

from picie.cli.arguments import Bench, Demo, Evaluate, Export, Info, Name, Predict, Report, Train
from picie.config import (
    EARLIER,
    FIRST,
    GROUPS,
    MACHINE,
    Config,
    Objective,
    make_config,
    read_config,
    suggest,
)
from picie.errors import ConfigError, PicieError
from picie.runs import Run
from picie.version import __version__

__all__ = ["VERBS", "main", "parse", "parse_train"]

_Verb = TypeVar("_Verb")
_ABOUT = {
    "images": "What to learn from.",
    "network": "The backbone, the decoder and their arithmetic.",
    "views": "How the two views of an image differ.",
    "clustering": "How features become clusters.",
    "objective": "What training minimises, and how.",
    "prediction": "What follows the network when masks are made.",
    "machine": "Where and how the run works; these change no result.",
}


def parse(verb: type[_Verb], args: list[str], *, pairs: bool = False) -> _Verb:
    """Read the flags of a verb; wrong ones end the program with code 2 and a hint.

    Args:
        verb: the record to fill.
        args: what stands behind the verb.
        pairs: give every switch its opposite too (--pretrained, --no-pretrained).
    """
    config = () if pairs else (tyro.conf.FlagCreatePairsOff,)
    return tyro.cli(verb, prog=f"picie {verb.__name__.lower()}", args=args, config=config)


def parse_train(args: list[str]) -> tuple[Train, Config]:
    """Read the flags of `train`: defaults from preset, config file or run, then the flags.

    Raises:
        ConfigError: unknown preset, broken file or impossible value.
        ModelError: no run to go on with.
    """
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


def _with_settings(names: Sequence[str], config: Config) -> type[Train]:
    """`Train` with settings beside its own fields."""
    made: type[Train] = dataclasses.make_dataclass(
        "Train", [_flag(name, config) for name in names], bases=(Train,), frozen=True
    )
    made.__doc__ = Train.__doc__
    return made


def _help_of_train(config: Config, *, whole: bool) -> type[Any]:
    """What the help shows: the settings that people choose first, or all of them by groups."""
    count = len(Config.model_fields)
    fields: list[Any] = [_flag(name, config) for name in FIRST]
    if whole:
        for title, names in GROUPS.items():
            group = dataclasses.make_dataclass(title, [_flag(name, config) for name in names])
            group.__doc__ = _ABOUT[title]
            own = dataclasses.field(default_factory=group)
            fields.append((title, Annotated[group, tyro.conf.OmitArgPrefixes], own))
    else:
        hidden = [("quiet", Annotated[bool, tyro.conf.Suppress], False)]
        fields += [*hidden, ("profile", Annotated[bool, tyro.conf.Suppress], False)]
    made = dataclasses.make_dataclass("Train", fields, bases=(Train,), frozen=True)
    rest = f"picie train --help-all shows all {count} settings; each has a good default."
    made.__doc__ = inspect.cleandoc(Train.__doc__ or "") + ("" if whole else f"\n\n{rest}")
    return made


def _flag(name: str, config: Config) -> tuple[str, Any, Any]:
    info: Any = Config.model_fields[name]
    described: Any = Annotated[info.annotation, tyro.conf.arg(help=info.description)]
    return name, described, dataclasses.field(default=getattr(config, name))


def _starting_point(args: list[str]) -> Config:
    flags = ("--config", "--preset", "--resume", "--objective")
    file, preset, run, objective = (_value(args, flag) for flag in flags)
    if run and (file or preset):
        raise ConfigError("--resume goes on with the run's settings; leave out --preset, --config")
    if file and preset:
        raise ConfigError("give --preset or --config, not both; a config file may name its preset")
    if run:
        return Run.open(Path(run)).config
    own = {"objective": objective} if objective in get_args(Objective) else {}
    if file:
        return read_config(Path(file), **own)
    return make_config(preset or "default", **own)


def _value(args: list[str], flag: str) -> str:
    for index, arg in enumerate(args):
        if arg.startswith(flag + "="):
            return arg.removeprefix(flag + "=")
        if arg == flag and index + 1 < len(args):
            return args[index + 1]
    return ""


def _refuse_changes(options: Train, own: Config, chosen: Config) -> None:
    """A resumed run keeps its settings: a flag that says otherwise must not be lost silently."""
    before, after = (one.model_dump(exclude=set(MACHINE)) for one in (own, chosen))
    changed = [name for name, value in before.items() if after[name] != value]
    flags = ["PHOTOS" if name == "data" else f"--{name.replace('_', '-')}" for name in changed]
    flags += ["--out"] * (options.out is not None) + ["--overwrite"] * options.overwrite
    if flags:
        raise ConfigError(
            f"--resume goes on with the run's settings; leave out {', '.join(flags)}, or start a "
            "new run in another --out"
        )


def _require(options: Train, config: Config) -> None:
    if options.data is None and not config.data:
        raise ConfigError("which images? Give a folder: picie train PHOTOS --out runs/first")
    if options.out is None:
        raise ConfigError("where to? Give a run folder: picie train PHOTOS --out runs/first")


def _parse_one(verb: type[Any], args: list[str]) -> tuple[Any, ...]:
    return (parse(verb, args),)


VERBS: dict[str, Callable[[list[str]], tuple[Any, ...]]] = {
    "train": parse_train,
    **{
        verb.__name__.lower(): partial(_parse_one, verb)
        for verb in (Predict, Name, Report, Evaluate, Export, Bench, Info, Demo)
    },
}
"""By name of the verb: from its flags to what its command's `run` takes."""


_USAGE = """\
picie: semantic segmentation without labels

  picie train PHOTOS --out runs/first --clusters 27   learn from a folder of photos
  picie predict runs/first PHOTOS --out masks/        masks for a photo or a folder
  picie name runs/first --set 3=road 7,9=building     names for clusters
  picie evaluate runs/first LABELLED --split val      score against labels, if you have some
  picie report runs/first PHOTOS --out report.html    what each cluster looks like, as a page
  picie export runs/first --format coco --help        masks for other tools, or the model
  picie bench SUITE.toml --out results/               compare systems over data sets and seeds
  picie info runs/first                               what a run is and how far it came
  picie demo --out runs/demo                          all of it on generated scenes

  picie VERB --help    every option of a verb, with its default
  picie --version      the version
  -v, --verbose        show the full traceback of an error
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Run one verb; exit with 0, with 2 for wrong usage or settings, with 1 for other failures."""
    args = list(sys.argv[1:] if argv is None else argv)
    verbose = "-v" in args or "--verbose" in args
    args = [arg for arg in args if arg not in ("-v", "--verbose")]
    try:
        with _notes():
            _dispatch(args)
    except PicieError as error:
        if verbose:
            raise
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        again = "the same picie bench" if "bench" in args[:1] else "picie train --resume RUN"
        _fail("stopped" if "export" in args[:1] else f"stopped; go on with: {again}", 130)
    except BrokenPipeError:
        sys.exit(1)
    except Exception as error:
        if verbose:
            raise
        _fail(f"unexpected {type(error).__name__}: {error}; show all of it with --verbose", 1)


@contextmanager
def _notes() -> Iterator[None]:
    """Within the block, what files of earlier versions warn of is one line for each folder."""
    seen: set[str] = set()

    with warnings.catch_warnings():
        plain = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            *where: Any,
        ) -> None:
            text = str(message)
            if category is not FutureWarning or EARLIER not in text:
                plain(message, category, filename, lineno, *where)
            elif (folder := str(Path(text.split(":")[0]).parent)) not in seen:
                seen.add(folder)
                sys.stderr.write(f"picie: note: {text}\n")

        warnings.showwarning = cast(Any, show)
        warnings.filterwarnings("always", f".*{EARLIER}", FutureWarning)
        yield


def _dispatch(args: list[str]) -> None:
    if not args or args[0] in ("-h", "--help", "help"):
        sys.stdout.write(_USAGE)
        sys.exit(0 if args else 2)
    if args[0] == "--version":
        sys.stdout.write(f"picie {__version__}\n")
        return
    verb, rest = args[0], args[1:]
    if verb not in VERBS:
        raise ConfigError(f"unknown verb {verb!r}; {suggest(verb, list(VERBS))}")
    parsed = VERBS[verb](rest)
    # Only now: the commands load torch, which flags, help and usage errors can do without.
    import_module(f"picie.cli.{verb}").run(*parsed)


def _fail(message: str, code: int) -> None:
    program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "picie"
    program = "picie" if program in ("__main__.py", "-c") else program
    sys.stderr.write(f"{program}: error: {message}\n")
    sys.exit(code)
