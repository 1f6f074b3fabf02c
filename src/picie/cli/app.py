"""The command line: `picie VERB ...`."""

import errno
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Any, cast

from picie.cli.interrupts import stoppable, stopped_text
from picie.errors import ConfigError, LayoutError, PicieError
from picie.runtime.launch import follows, launched
from picie.runtime.printable import printable
from picie.version import EARLIER, __version__

__all__ = ["main"]

_USAGE = """\
picie: semantic segmentation without labels

  picie studio PHOTOS                        all of this in the browser, or:
  picie train PHOTOS --out RUN               learn from a folder of photos
  picie predict RUN PHOTOS --out masks/      masks for a photo or a folder
  picie name RUN --set 3=road 7,9=building   names for clusters
  picie queue RUN PHOTOS                     which photos to annotate next
  picie teach RUN --images PHOTOS            a model that learns from strokes
  picie audit RUN PHOTOS --checks 100        how good masks are, without labels
  picie evaluate RUN LABELLED --split val    score against labels, if any
  picie report RUN PHOTOS --out report.html  a page that shows each cluster
  picie export RUN --format coco --help      masks for other tools, or a model
  picie measure RUN PHOTOS --out areas.csv   a table of areas and regions
  picie serve RUN PHOTOS --label-studio      masks for Label Studio
  picie bench SUITE.toml --out results/      compare systems over data sets
  picie info RUN                             settings and progress of a run
  picie demo --out runs/demo                 the workflow on generated scenes
  picie completion bash                      completion by the tab key

  RUN                  the folder that train writes, say runs/first
  picie VERB --help    every option of a verb, with its default
  picie --version      the version
  -v, --verbose        show the full traceback of an error
"""

_FULL = (errno.ENOSPC, errno.EDQUOT)


def main(argv: Sequence[str] | None = None) -> None:
    """Run one verb; exit code 0, 2 for wrong usage or settings, 1 for other failures.

    After a signal it is 128 and the number of the signal: 130 for Ctrl-C, 143 for SIGTERM.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    verbose = "-v" in args or "--verbose" in args
    args = [arg for arg in args if arg not in ("-v", "--verbose")]
    _show_any_text()
    if launched()[0] > 1:  # a store whose server ends would print the stack of torch's C++
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    try:
        with stoppable(last=argv is None), _notes():
            _dispatch(args)
    except PicieError as error:
        if verbose:
            raise
        # Only that message has lines of its own; elsewhere a line break is part of a name.
        lines = str(error).split("\n") if isinstance(error, LayoutError) else [str(error)]
        _fail(*lines, code=error.exit_code, told=getattr(error, "told", False))
    except KeyboardInterrupt as error:
        told = getattr(error, "told", follows())  # the first process speaks for all of them
        text, code = stopped_text("".join(args[:1]), error)
        _fail(text, code=code, told=told)
    except BrokenPipeError:
        sys.exit(1)
    except Exception as error:
        if verbose:
            raise
        _fail(_unexpected(error), code=1, told=getattr(error, "told", False))


def _unexpected(error: Exception) -> str:
    """What to say about an error that picie did not raise on purpose."""
    reason = "".join(str(error).splitlines()[:1])
    if isinstance(error, OSError) and error.errno in _FULL:
        return f"the disk is full ({reason}); make room, and run the same command again"
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return f"a path is too long for this file system ({reason}); give a shorter one"
    return f"unexpected {type(error).__name__}: {reason}; --verbose shows the traceback"


def _show_any_text() -> None:
    """Let output never fail because it is closed, or lacks a character of the text."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 (until the end)
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors != "backslashreplace":
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def _notes() -> Iterator[None]:
    """Within the block, print warnings in one line, of earlier versions' files once per folder."""
    folders: set[str] = set()

    with warnings.catch_warnings():

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            *where: Any,
        ) -> None:
            text = str(message)
            if category is FutureWarning and EARLIER in text:
                folder = str(Path(text.split(":")[0]).parent)
                if folder in folders:
                    return
                folders.add(folder)
            sys.stderr.write(f"picie: note: {printable(text)}\n")

        warnings.showwarning = cast(Any, show)
        warnings.filterwarnings("always", f".*{EARLIER}", FutureWarning)
        yield


def _dispatch(args: list[str]) -> None:
    if args[:1] == ["help"] and len(args) > 1:
        args = [args[1], "--help"]
    if not args or args[0] in ("-h", "--help", "help"):
        sys.stdout.write(_USAGE)
        sys.exit(0 if args else 2)
    if args[0] == "--version":
        sys.stdout.write(f"picie {__version__}\n")
        return
    # Imported late: help needs neither settings nor parsing.
    from picie.cli.parsing import VERBS
    from picie.config import suggest
    from picie.runtime.outputs import NAMELESS

    verb, rest = args[0], args[1:]
    if verb not in VERBS:
        raise ConfigError(f"unknown verb {verb!r}; {suggest(verb.lower(), list(VERBS))}")
    parsed = VERBS[verb](rest)
    _check_paths(verb, vars(parsed[0]))
    if getattr(parsed[0], "out", None) == NAMELESS:
        raise ConfigError(f"picie {verb} cannot write to standard output; give a path as --out")
    # Imported late: commands load torch, which parsing and help do not need.
    import_module(f"picie.cli.{verb}").run(*parsed)


def _check_paths(verb: str, options: dict[str, Any]) -> None:
    """Refuse addresses of storages where only paths are taken, and photos that are not there.

    Raises:
        ConfigError: there is such an address.
        DataError: no photos are there; said before torch and the model are loaded.
    """
    from picie.runtime.storage import check_local, is_address

    for name, value in options.items():
        address = str(value).replace(":/", "://", 1) if isinstance(value, Path) else ""
        on_hub = name == "run" and address.startswith("hf://")
        if not is_address(address) or on_hub:
            continue
        if address.startswith("file:"):
            raise ConfigError(f"{value}: give the path alone, without file://")
        if name in ("out", "json", "confusion"):
            raise ConfigError(
                f"{address}: picie {verb} writes --{name} on this machine; give a path, and "
                "upload what it holds afterwards"
            )
        check_local(f"picie {verb} reads", address)
    if options.get("source") is not None and options["run"].exists():  # a missing run comes first
        from picie.data.folder import check_source

        check_source(options["source"])


def _fail(*lines: str, code: int, told: bool = False) -> None:
    """Show the lines of a message, unless another process of this run has told it, and exit."""
    if told:
        sys.exit(code)
    program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "picie"
    program = "picie" if program in ("__main__.py", "-c") else program
    with suppress(OSError):  # the terminal may be gone
        text = "\n".join(printable(line) for line in lines)
        sys.stderr.write(f"{program}: error: {text}\n")
    sys.exit(code)
