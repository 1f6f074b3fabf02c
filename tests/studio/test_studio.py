"""A studio: which photos and run it is about, and its phases."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from picie.errors import ConfigError, DataError, ModelError
from picie.studio.studio import Options, Studio, find_places

Serving = Callable[..., Any]


def test_places(runs: dict[str, Path], scenes: Path, tmp_path: Path) -> None:
    run, photos = runs["default"], scenes.resolve()
    assert find_places(run, scenes, None) == (photos, run, "")
    assert find_places(run, None, None) == (photos, run, "train")
    assert find_places(scenes, None, tmp_path) == (photos, tmp_path, "")


def test_the_taught_model_leads_to_its_run(
    runs: dict[str, Path], scenes: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs["default"], run)
    (run / "taught").mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(run / name, run / "taught" / name)
    assert find_places(run / "taught", scenes, None)[1] == run
    assert find_places(run / "taught", None, None) == (scenes.resolve(), run, "train")


def test_a_run_gets_the_name_of_the_photos(
    runs: dict[str, Path], scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = Path("runs") / scenes.name
    assert find_places(scenes, None, None)[1] == name
    name.mkdir(parents=True)
    (name / "other.txt").write_text("something else")
    second = name.with_name(f"{name.name}-2")
    assert find_places(scenes, None, None)[1] == second
    shutil.copytree(runs["default"], second)  # of these photos
    assert find_places(scenes, None, None)[1] == second


def test_a_mistyped_folder_is_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Fotos").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"Foto: no such folder; did you mean Fotos\?"):
        find_places(Path("Foto"), None, None)


@pytest.mark.parametrize(
    ("places", "error", "text"),
    [
        (("nothing", None, None), DataError, "no such folder; give a folder of photos"),
        (("run", "nothing", None), DataError, "no such folder"),
        (("photos", "photos", None), ConfigError, "is not a trained model; to train one on"),
        (("run", "photos", "out"), ConfigError, "--out is for photos without a run"),
        (("run", None, "out"), ConfigError, "is a run, remove --out"),
        (("model", None, None), ConfigError, "which photos?"),
    ],
)
def test_impossible_places(
    runs: dict[str, Path],
    twelve_photos: Path,
    tmp_path: Path,
    places: tuple[str | None, ...],
    error: type[Exception],
    text: str,
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    shutil.copy(runs["default"] / "config.json", model)
    known = {"run": runs["default"], "photos": twelve_photos, "model": model}
    found = [None if one is None else known.get(one, tmp_path / one) for one in places]
    with pytest.raises(error, match=text):
        find_places(*found)  # type: ignore[arg-type]


def test_no_photos_is_told(serving: Serving, tmp_path: Path) -> None:
    served = serving(tmp_path, tmp_path / "run")
    served.wait(lambda: served.studio.phase == "failed")
    status = served.ask("/api/status").json
    assert str(tmp_path) in status["message"]
    assert served.ask("/api/photos").status == 503


def test_a_model_that_is_damaged_is_told(
    serving: Serving,
    runs: dict[str, Path],
    scenes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On the page, and in the terminal, since nobody may be looking at the page."""
    run = tmp_path / "run"
    shutil.copytree(runs["default"], run)
    (run / "model.safetensors").write_bytes(b"damaged")
    served = serving(scenes, run)
    served.wait(lambda: served.studio.phase == "failed")
    assert "model.safetensors" in served.ask("/api/status").json["message"]
    assert served.ask("/api/photos").status == 200  # they can be looked at all the same
    told: list[str] = []

    def said() -> str:
        told.append(capsys.readouterr().err)
        return "".join(told)

    served.wait(lambda: said().endswith("\n"))
    assert said().startswith("picie: error: ")
    assert "model.safetensors" in said()


def test_phases_are_told_to_all_pages(ready: Any) -> None:
    status = ready.ask("/api/status").json
    run = ready.studio.run
    assert status | {"version": "", "problems": []} == {
        "phase": "ready",
        "message": "",
        "title": "run",
        "run": str(run),
        "folder": str(ready.studio.photos_path),
        "photos": 6,
        "problems": [],
        "preview": False,
        "resumable": None,
        "version": "",
    }


@pytest.mark.parametrize(
    "path", ["/api/model", "/api/state", "/api/counts", "/api/doubts", "/api/queue", "/api/check"]
)
def test_everything_is_there(ready: Any, path: str) -> None:
    assert ready.ask(path).status == 200


def test_the_end_of_a_studio_that_never_began(twelve_photos: Path, tmp_path: Path) -> None:
    studio = Studio(twelve_photos, tmp_path / "run", Options())
    studio.stop()
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError):
        studio.jobs.add("report", "late", lambda job: None)


def test_a_newer_run_is_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs["default"], run)
    (run / "run.json").write_text('{"format": 99, "picie": "9"}')
    with pytest.raises(ModelError, match="newer picie"):
        find_places(run, None, None)
