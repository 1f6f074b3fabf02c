"""`picie serve`."""

import signal
import sys

from picie.cli.arguments import Serve
from picie.errors import ConfigError, MissingExtraError
from picie.runtime.devices import keep_freed_memory
from picie.runtime.progress import Reporter

__all__ = ["run"]

_HINT = """\
In Label Studio: Settings > Model > Connect Model, with the address below as Backend URL.
Settings > Labeling Interface > Code needs labels with the names of the classes:

"""


def run(options: Serve) -> None:
    """Answer until Ctrl-C.

    Raises:
        ConfigError: no program was chosen.
        MissingExtraError: Starlette or uvicorn is not installed.
    """
    if not options.label_studio:
        raise ConfigError("which program is to be served? Pass --label-studio")
    try:
        from picie.integrations.label_studio_server import serve
        from picie.studio.security import is_loopback
        from picie.studio.server import listen
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn", "anyio", "h11"):
            raise
        raise MissingExtraError(
            f"picie serve needs starlette and uvicorn (no {error.name}): "
            'pip install "picie[studio]"'
        ) from None
    from picie.integrations.label_studio import Backend

    keep_freed_memory()
    reporter = Reporter(quiet=options.quiet)
    backend = Backend(options.run, options.photos, device=options.device, reporter=reporter)
    address = listen(options.host, options.port)
    if not is_loopback(options.host):
        sys.stderr.write(
            f"picie: note: {options.host} lets other machines reach this server, and the "
            "connection is not encrypted; whoever reads it can do all that Label Studio can\n"
        )
    if not options.quiet:
        sys.stderr.write(f"{_HINT}{backend.label_config}\n")
    try:
        serve(backend, address, reporter=reporter)
    except KeyboardInterrupt as error:
        if getattr(error, "number", signal.SIGINT) != signal.SIGINT:
            raise  # Ctrl-C is how a person ends it
