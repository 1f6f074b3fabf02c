"""`picie studio`."""

import signal
import sys

from picie.cli.arguments import Studio as Arguments
from picie.errors import MissingExtraError
from picie.studio.studio import Options, Studio, find_places

__all__ = ["run"]


def run(options: Arguments) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        MissingExtraError: Starlette or uvicorn is not installed.
    """
    try:
        from picie.studio.security import is_loopback
        from picie.studio.server import listen, serve
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn", "anyio", "h11"):
            raise
        raise MissingExtraError(
            f"picie studio needs starlette and uvicorn (no {error.name}): "
            'pip install "picie[studio]"'
        ) from None
    photos, run, split = find_places(options.run, options.photos, options.out)
    chosen = Options(options.split or split, options.device)
    address = listen(options.host, options.port)
    if not is_loopback(options.host):
        sys.stderr.write(
            f"picie: note: {options.host} lets other machines reach the page, and the connection "
            "is not encrypted; whoever reads it can do all that you can\n"
        )
    if not options.quiet:
        sys.stderr.write(f"{run}, photos of {photos}; Ctrl-C ends it\n")
    try:
        serve(Studio(photos, run, chosen), address, browser=not options.no_browser)
    except KeyboardInterrupt as error:
        if getattr(error, "number", signal.SIGINT) != signal.SIGINT:
            raise  # Ctrl-C is how a person ends it
