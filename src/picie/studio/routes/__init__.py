"""What the page asks the server for: one module for each noun, each with its list ROUTES."""

import json
from typing import Any

from starlette.responses import Response

__all__ = ["plain_answer"]


def plain_answer(data: Any, status: int = 200) -> Response:
    """Plain values as JSON in ASCII, since names of files need not be valid text.

    Args:
        data: plain values, without NaN.
        status: of the answer.
    """
    return Response(json.dumps(data, allow_nan=False), status, media_type="application/json")
