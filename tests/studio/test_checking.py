"""The audit in the studio."""

import io
import math
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from picie.annotation.audit import audit_result, plan_audit
from picie.annotation.events import Event
from picie.annotation.log import append_events, read_annotations, undo
from picie.data.folder import open_folder
from picie.data.reading import Reading
from picie.errors import ConfigError
from picie.inference.segmenter import Segmenter
from picie.models.class_names import ClassNames, NamedClass
from picie.runs import ANNOTATIONS_FILE
from picie.studio.checking import TARGET, Checking
from picie.studio.work import NOW, Worker

NAMES = ClassNames.of(3, {"sky": [0], "road": [1], "house": [2]})


class Audited:
    """A check with a history on the disk, and a model that may be replaced."""

    def __init__(self, model: Segmenter, photos: Path, run: Path, heard: Any) -> None:
        self.folder = open_folder(photos, reading=Reading())
        self.model, self.version, self.run = model, 0, run
        self.settled, self.worker, self.heard = True, Worker(), heard
        self.checking = Checking(
            self.folder,
            self.worker,
            self.heard,
            current=lambda: (self.version, self.model),
            events=self.events,
            record=lambda event: append_events(run / ANNOTATIONS_FILE, [event]),
            settled=lambda: self.settled,
        )

    def events(self) -> tuple[Event, ...]:
        return read_annotations(self.run / ANNOTATIONS_FILE).valid

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            state = self.checking.state()
            if wanted(state):
                return state
            time.sleep(0.02)
        raise AssertionError(self.checking.state())

    def planned(self) -> dict[str, Any]:
        return self.until(lambda state: state["state"] not in ("none", "planning"))

    def change(self, names: ClassNames) -> None:
        self.model, self.version = self.model.named(names), self.version + 1


@pytest.fixture
def audited(model: Segmenter, scenes: Path, tmp_path: Path, heard: Any) -> Iterator[Audited]:
    photos = Path(shutil.copytree(scenes / "images", tmp_path / "photos"))
    (tmp_path / "run").mkdir()
    made = Audited(model.named(NAMES), photos, tmp_path / "run", heard)
    yield made
    made.worker.stop()


def test_before_it_begins_there_is_nothing(audited: Audited) -> None:
    state = audited.checking.state()
    assert (state["state"], state["question"], state["result"]) == ("none", None, None)
    assert state["target"] == TARGET
    with pytest.raises(ConfigError, match="there is no question 0"):
        audited.checking.answer(0, right=True)
    with pytest.raises(ConfigError, match="earlier check"):
        audited.checking.crop(1, 0)


def test_its_plan_is_that_of_the_command_line(audited: Audited) -> None:
    audited.checking.start(checks=30, seed=7)
    state = audited.planned()
    assert (state["state"], state["done"], state["total"]) == ("ready", 0, 30)
    wanted = plan_audit(audited.model, audited.folder, 30, seed=7)
    assert audited.checking._audit is not None
    found = audited.checking._audit.plan
    assert found is not None
    assert found.checks == wanted.checks
    assert (found.pixels == wanted.pixels).all()
    question, check = state["question"], wanted.checks[0]
    assert (question["number"], question["name"]) == (0, check.image)
    assert (question["predicted"], question["point"]) == (check.predicted, list(check.point))
    assert audited.folder.photos[question["photo"]].name == check.image
    assert len(state["next"]) == 3
    told = [data for kind, data in audited.heard.news if kind == "check"]
    assert {data["state"] for data in told} == {"planning", "ready"}
    assert [data["done"] for data in told if data["total"] == 9][-1] >= 8


def test_answers_give_the_result_of_the_command_line(audited: Audited) -> None:
    audited.checking.start(checks=25)
    audited.planned()
    for number in range(10):
        state = audited.checking.state()
        assert state["question"]["number"] == number
        wrong = number % 4 == 3
        audited.checking.answer(number, right=not wrong, title="tree" if wrong else "")
    state = audited.checking.state()
    assert (state["state"], state["done"], state["total"]) == ("ready", 10, 25)
    plan = plan_audit(audited.model, audited.folder, 25)
    wanted = audit_result(plan, audited.events())
    assert wanted.accuracy.checks == 10
    assert state["result"]["accuracy"]["value"] == pytest.approx(wanted.accuracy.value)
    assert state["result"]["accuracy"]["interval"] == [wanted.accuracy.low, wanted.accuracy.high]
    assert set(state["result"]["precision"]) == set(wanted.precision)
    assert "tree" in str(state["result"]["wrong"])
    assert audited.events()[0].by == "studio"


def test_undo_takes_an_answer_back(audited: Audited) -> None:
    audited.checking.start(checks=9)
    audited.planned()
    for number in range(3):
        audited.checking.answer(number, right=True)
    undo(audited.run)
    state = audited.checking.state()
    assert state["question"]["number"] == 2
    assert state["done"] == 2


def test_it_ends_when_the_interval_is_narrow_enough(audited: Audited) -> None:
    audited.checking.start(checks=200, target=12)
    audited.planned()
    number = 0
    while audited.checking.state()["state"] == "ready":
        audited.checking.answer(number, right=True)
        number += 1
    state = audited.checking.state()
    low, high = state["result"]["accuracy"]["interval"]
    assert state["state"] == "done"
    assert high - low <= 24
    assert 20 <= number < 60
    assert state["question"]["number"] == number  # one may go on


def test_it_ends_with_the_last_question(audited: Audited) -> None:
    audited.checking.start(checks=3)
    audited.planned()
    for number in range(3):
        audited.checking.answer(number, right=True)
    state = audited.checking.state()
    assert (state["state"], state["question"], state["next"]) == ("done", None, [])


def test_crops_show_the_questions(audited: Audited) -> None:
    audited.checking.start(checks=6)
    state = audited.planned()
    urls = [state["question"]["crop"], *state["next"]]
    assert len(set(urls)) == 4
    for number, url in enumerate(urls):
        audit, question = (int(part) for part in url.split("/")[-2:])
        assert question == number
        content = audited.checking.crop(audit, question).result(timeout=60)
        assert Image.open(io.BytesIO(content)).format == "WEBP"
    assert len(audited.checking._crops) == 4
    with pytest.raises(ConfigError, match="there is no question"):
        audited.checking.crop(audit, 6)
    with pytest.raises(ConfigError, match="earlier check"):
        audited.checking.crop(audit + 1, 0)


def test_a_changed_model_makes_it_stale_once_something_was_answered(audited: Audited) -> None:
    audited.checking.start(checks=9)
    audited.planned()
    audited.checking.answer(0, right=True)
    coloured = (NamedClass("sky", (0,), colour="#123456"), *NAMES.classes[1:])
    audited.change(ClassNames(3, coloured))
    assert audited.checking.state()["state"] == "ready"  # colours do not matter
    audited.change(ClassNames.of(3, {"sky": [1], "road": [0], "house": [2]}))
    state = audited.checking.state()
    assert (state["state"], state["question"]) == ("stale", None)
    assert state["result"]["accuracy"]["checks"] == 1
    with pytest.raises(ConfigError, match="begin a new check"):
        audited.checking.answer(1, right=True)
    audited.change(NAMES)  # undone
    assert audited.checking.state()["state"] == "ready"
    assert audited.checking.state()["question"]["number"] == 1


def test_without_answers_it_begins_again_by_itself(audited: Audited) -> None:
    audited.checking.start(checks=9)
    audited.planned()
    audited.change(ClassNames.of(3, {"sky": [1], "road": [0], "house": [2]}))
    state = audited.planned()
    assert state["state"] == "ready"
    plan = plan_audit(audited.model, audited.folder, 9)
    assert state["question"]["point"] == list(plan.checks[0].point)
    audited.change(ClassNames(3, ()))
    assert audited.planned()["state"] == "stale"


def test_it_waits_until_the_model_has_settled(audited: Audited) -> None:
    audited.settled = False
    audited.checking.start(checks=9)
    time.sleep(0.5)
    assert audited.checking.state()["state"] == "planning"
    assert audited.checking.state()["done"] == 0
    audited.settled = True
    assert audited.planned()["state"] == "ready"


def test_a_new_check_takes_the_place_of_the_old_one(audited: Audited) -> None:
    audited.checking.start(checks=9)
    audited.checking.start(checks=5, seed=3)
    assert audited.planned()["total"] == 5


def test_other_calls_come_between_the_photos(audited: Audited) -> None:
    hold = threading.Event()
    audited.worker.run(NOW, hold.wait)
    audited.checking.start(checks=9)
    seen = audited.worker.run(NOW, lambda: audited.checking.state()["done"])
    hold.set()
    assert seen.result(timeout=60) == 0
    assert audited.planned()["state"] == "ready"


def test_photos_that_cannot_be_read_are_problems(audited: Audited) -> None:
    Path(audited.folder.photos[0].file).write_text("no photo")
    audited.checking.start(checks=9)
    state = audited.planned()
    assert state["state"] == "ready"
    assert len(state["problems"]) == 1
    for photo in audited.folder.photos:
        photo.path.write_text("no photo")
    audited.checking.start(checks=9, seed=1)
    state = audited.planned()
    assert (state["state"], state["question"]) == ("failed", None)
    assert "could be read" in state["problem"]


@pytest.mark.parametrize(
    "values",
    [{"checks": 0}, {"checks": 10**6}, {"target": 0}, {"target": 51}, {"target": math.nan},
     {"seed": -1}],
)  # fmt: skip
def test_impossible_values_are_refused(audited: Audited, values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="give 1 to"):
        audited.checking.start(**values)


def test_a_model_without_names_is_refused(audited: Audited) -> None:
    audited.change(ClassNames(3, ()))
    with pytest.raises(ConfigError, match="no names"):
        audited.checking.start()
    assert audited.checking.state()["state"] == "none"
