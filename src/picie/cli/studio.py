"""`picie studio`."""

import sys

from picie.cli.arguments import Studio as Arguments
from picie.cli.serving import needs_server, note_host, until_ctrl_c
from picie.studio.studio import Options, Studio, find_places

__all__ = ["run"]


def run(options: Arguments) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        MissingExtraError: Starlette or uvicorn is not installed.
    """
    with needs_server("studio"):
        from picie.studio.server import listen, serve
    photos, run, split = find_places(options.run, options.photos, options.out)
    chosen = Options(options.split or split, options.device)
    address = listen(options.host, options.port)
    note_host(options.host, "the page", "you")
    if not options.quiet:
        sys.stderr.write(f"{run}, photos of {photos}; Ctrl-C ends it\n")
    with until_ctrl_c():
        serve(Studio(photos, run, chosen), address, browser=not options.no_browser)
