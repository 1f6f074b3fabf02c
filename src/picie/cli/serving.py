"""What the verbs share that serve until a person ends them: `picie studio` and `picie serve`."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from picie.errors import MissingExtraError

__all__ = ["needs_server", "note_host", "until_ctrl_c"]


@contextmanager
def needs_server(verb: str) -> Iterator[None]:
    """Within the block, the server is imported.

    Args:
        verb: that needs it.

    Raises:
        MissingExtraError: Starlette or uvicorn is not installed.
    """
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn", "anyio", "h11"):
            raise
        raise MissingExtraError(
            f"picie {verb} needs starlette and uvicorn (no {error.name}): "
            'pip install "picie[studio]"'
        ) from None


def note_host(host: str, reached: str, able: str) -> None:
    """Say what it means if a server listens for more than this machine.

    Args:
        host: where it listens.
        reached: what other machines reach.
        able: whoever reads the connection can do all that this one can.
    """
    from picie.studio.security import is_loopback

    if not is_loopback(host):
        sys.stderr.write(
            f"picie: note: {host} lets other machines reach {reached}, and the connection is not "
            f"encrypted; whoever reads it can do all that {able} can\n"
        )


@contextmanager
def until_ctrl_c() -> Iterator[None]:
    """Within the block, Ctrl-C is how a person ends it; other signals go on."""
    try:
        yield
    except KeyboardInterrupt as error:
        if getattr(error, "number", signal.SIGINT) != signal.SIGINT:
            raise
