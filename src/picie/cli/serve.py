"""`picie serve`."""

import sys

from picie.cli.arguments import Serve
from picie.cli.serving import needs_server, note_host, until_ctrl_c
from picie.errors import ConfigError
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
    with needs_server("serve"):
        from picie.integrations.label_studio_server import serve
        from picie.studio.server import listen
    from picie.integrations.label_studio import Backend

    keep_freed_memory()
    reporter = Reporter(quiet=options.quiet)
    backend = Backend(options.run, options.photos, device=options.device, reporter=reporter)
    address = listen(options.host, options.port)
    note_host(options.host, "this server", "Label Studio")
    if not options.quiet:
        sys.stderr.write(f"{_HINT}{backend.label_config}\n")
    with until_ctrl_c():
        serve(backend, address, reporter=reporter)
