"""The command line: `picie VERB ...`."""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from picie.commands.parsing import VERBS
from picie.config import suggest
from picie.errors import ConfigError, PicieError
from picie.version import __version__

__all__ = ["main"]

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
    import_module(f"picie.commands.{verb}").run(*parsed)


def _fail(message: str, code: int) -> None:
    program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "picie"
    program = "picie" if program in ("__main__.py", "-c") else program
    sys.stderr.write(f"{program}: error: {message}\n")
    sys.exit(code)
