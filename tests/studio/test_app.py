"""The application: its routes, and errors as one line of text."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from picie.errors import DataError
from picie.studio import app
from picie.studio.app import PAGE, make_app
from picie.studio.studio import Options, Studio


async def refuse(request: Request) -> Response:
    raise DataError("a.jpg: is damaged; replace it")


async def break_down(request: Request) -> Response:
    raise ValueError("oh")


class Broken:
    """A noun whose addresses fail."""

    ROUTES = (
        Route("/api/refuse", refuse),
        Route("/api/break", break_down),
        Route("/api/write", refuse, methods=["POST"]),
    )


@pytest.fixture(scope="module")
def served(
    serving: Callable[..., Any], twelve_photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "_NOUNS", (*app._NOUNS, Broken))
        made = serving(twelve_photos, tmp_path_factory.mktemp("runs") / "run")
    made.wait_for_phase("setup")
    return made


def test_an_error_is_a_line_of_text(served: Any) -> None:
    answer = served.ask("/api/refuse")
    assert (answer.status, answer.json) == (400, {"error": "a.jpg: is damaged; replace it"})


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_in_picie_is_shown_without_its_traceback(served: Any) -> None:
    answer = served.ask("/api/break")
    assert answer.status == 500
    text = "unexpected ValueError: oh; the terminal that runs picie studio shows more"
    assert answer.json == {"error": text}


@pytest.mark.parametrize("path", ["/nothing", "/api/nothing", "/api/", "/api/jobs/7", "/main.css"])
def test_what_is_not_there(served: Any, path: str) -> None:
    answer = served.ask(path)
    assert answer.status == 404
    assert answer.json["error"]


def test_a_wrong_method(served: Any) -> None:
    answer = served.ask("/api/status", method="POST")
    assert answer.status == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
    assert answer.json == {"error": "Method Not Allowed"}


@pytest.mark.parametrize("path", ["/api/model", "/api/state", "/api/maps?photos=0", "/api/check"])
def test_what_needs_the_model_waits_for_it(served: Any, path: str) -> None:
    answer = served.ask(path)
    assert (answer.status, answer.json) == (503, {"error": "still starting"})


def test_first_masks_are_for_looking_only(served: Any) -> None:
    studio = served.studio
    assert served.post("/api/write", {}).status == 400
    studio.phase = "training"
    answer = served.post("/api/write", {})
    studio.phase = "setup"
    assert answer.status == 409
    assert "wait until the training is finished" in answer.json["error"]


def test_the_page_is_part_of_the_package() -> None:
    assert (PAGE / "index.html").is_file()
    for path in PAGE.rglob("*.*"):
        assert app._NAME.fullmatch(path.relative_to(PAGE).as_posix()), path


def test_no_two_routes_answer_one_address(twelve_photos: Path, tmp_path: Path) -> None:
    studio = Studio(twelve_photos, tmp_path / "run", Options())
    found: list[tuple[str, str]] = []
    for route in make_app(studio).routes:
        assert isinstance(route, Route)
        found += [(route.path, method) for method in route.methods or ()]
    assert len(found) == len(set(found))
    studio.stop()
