"""`picie audit`."""

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table
from rich.text import Text

from picie.annotation.audit import (
    AuditPlan,
    AuditResult,
    Check,
    answer,
    answers_to,
    audit_result,
    classes_of,
    plan_audit,
    render_crop,
)
from picie.annotation.log import append_events, read_annotations, undo
from picie.cli.arguments import Audit
from picie.cli.tables import whole_names
from picie.config import suggest
from picie.data.folder import open_folder
from picie.errors import ConfigError
from picie.inference.plan import inputs_of
from picie.inference.segmenter import Segmenter, load
from picie.metrics.stratified import Proportion
from picie.models.class_names import check_name
from picie.runs import ANNOTATIONS_FILE, annotated_folder
from picie.runtime.documents import parse_object, read_text
from picie.runtime.files import write_atomically, writing
from picie.runtime.outputs import NAMELESS, check_output
from picie.runtime.printable import printable, shown
from picie.runtime.progress import PlainConsole, Reporter
from picie.visualization.masks import is_signed_png, write_png

__all__ = ["Answer", "parse_answer", "run"]

_WORDS = {
    **dict.fromkeys(("right", "r", "yes", "y"), "right"),
    **dict.fromkeys(("wrong", "w", "no", "n"), "wrong"),
    **dict.fromkeys(("skip", "s"), "skip"),
    **dict.fromkeys(("undo", "u"), "undo"),
    **dict.fromkeys(("quit", "q"), "quit"),
}
_KNOWN = ("right", "wrong", "skip", "undo", "quit")
_CROPS = "audit"  # folder of the image to look at, in the run folder


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        word: right, wrong, skip, undo, quit, or class.
        title: name of the true class, for the last; else "".
    """

    word: str
    title: str = ""


def parse_answer(text: str, classes: tuple[str, ...], where: str = "") -> Answer:
    """The meaning of a line.

    Args:
        text: a word, the name of a class of the model in any case, or = and any name.
        classes: names of the model.
        where: prefix of errors.

    Raises:
        ConfigError: it is none of these.
    """
    text = text.strip()
    if text.casefold() in _WORDS:
        return Answer(_WORDS[text.casefold()])
    folded = {name.casefold(): name for name in classes}
    if text in classes or text.casefold() in folded:
        return Answer("class", text if text in classes else folded[text.casefold()])
    if text.startswith("="):
        name = text[1:].strip()
        check_name(name, f"{where}answer", ignore=name == "ignore")
        return Answer("class", name)
    hint = suggest(text, [*_KNOWN, *classes])
    raise ConfigError(
        f"{where}{shown(text)} is neither a word nor a class of the model; {hint}; for a new class "
        f"write ={printable(text[:40])}"
    )


def run(options: Audit) -> None:
    """Ask, keep the answers, and show what they say."""
    if options.summary and options.answers is not None:
        raise ConfigError("--summary asks nothing; remove --answers")
    reporter = Reporter(quiet=options.quiet)
    model = load(options.run, device=options.device).read_as(**options.reading.given())
    if options.scales or options.refine is not None:
        model = model.post_processed(scales=options.scales or None, refine=options.refine)
    _check_json(options, model)
    classes = tuple(classes_of(model))
    answers = None if options.answers is None else _parsed(options.answers, classes)
    folder = open_folder(options.source, options.split, reading=model.config.reading)
    plan = plan_audit(
        model, folder, options.checks, seed=options.seed, size=options.size, reporter=reporter
    )
    console = PlainConsole(stderr=options.json == NAMELESS)
    session = _Session(model, plan, options.size, console)
    for problem in session.problems:
        reporter.say(f"note: {problem}")
    if answers is not None:
        session.take(iter(answers))
    elif not options.summary and session.waiting:
        session.take(_asked(session, console))
    _report(session.result, options, console, session.notes)


def _parsed(file: Path, classes: tuple[str, ...]) -> list[Answer]:
    """The answers in a file; nothing is recorded if one of them is not understood."""
    lines = enumerate(read_text(file).splitlines(), 1)
    return [
        parse_answer(line, classes, f"{file}: line {number}: ")
        for number, line in lines
        if line.strip() and not line.startswith("#")
    ]


def _asked(session: "_Session", console: PlainConsole) -> Iterator[Answer]:
    """Ask for each answer, on a terminal or a pipe.

    Raises:
        ConfigError: there is neither a terminal nor an answer, or a pipe sends something else.
    """
    source = sys.stdin
    talks = source is not None and source.isatty()
    names = session.plan.classes
    console.print(f"classes: {', '.join(names)}")
    console.print("answer right, wrong, the name of the true class, skip, undo or quit")
    number = 0
    while True:
        session.show()
        console.print("? ", end="")
        line = "" if source is None else source.readline()
        number += 1
        if not line:  # the end of the file, or Ctrl-D
            console.print()
            if number == 1 and not talks:
                raise ConfigError(
                    "there is no terminal to answer in, and no answer on standard input; run this "
                    "in a terminal, or pass --answers FILE with one answer a line"
                )
            return
        try:
            if line.strip():
                yield parse_answer(line, names, "" if talks else f"standard input: line {number}: ")
        except ConfigError as error:
            if not talks:
                raise ConfigError(f"{error}; the answers before it are kept") from None
            console.print(str(error))


class _Session:
    """The questions that are left, and the answers given.

    Attributes:
        plan: the audit.
        problems: lines of annotations.jsonl that could not be read.
    """

    def __init__(
        self, model: Segmenter, plan: AuditPlan, size: int | None, console: PlainConsole
    ) -> None:
        assert model.run is not None  # `load` sets it
        self.plan = plan
        self._model, self._size, self._console = model, size, console
        self._folder, self._crops = annotated_folder(model.run), model.run / _CROPS
        known = read_annotations(self._folder / ANNOTATIONS_FILE)
        self.problems = known.problems
        self._events = [event for event in known.valid if event.act == "audit"]
        self._skipped: list[Check] = []
        self._steps: list[str] = []  # of this session
        self._crop: Path | None = None

    @property
    def waiting(self) -> list[Check]:
        """The checks that are left, in order, without those that were skipped."""
        answered = answers_to(self.plan, self._events)
        rest = [check for check in self.plan.checks if check not in answered]
        return [check for check in rest if check not in self._skipped]

    @property
    def result(self) -> AuditResult:
        """What the answers so far say."""
        return audit_result(self.plan, self._events)

    @property
    def notes(self) -> Iterator[str]:
        """What does not count."""
        current = [event for event in self._events if event.model == self.plan.model]
        others = len(self._events) - len(current)
        if others:
            yield (
                f"answers to another model, or to other names or settings: {others}; they do not "
                "count in this audit"
            )
        unused = len(current) - len(answers_to(self.plan, current))
        if unused:
            yield (
                f"answers outside this sample: {unused} (another --seed, more --checks, or photos "
                "that have changed); they do not count"
            )
        if self._skipped:
            yield f"skipped checks: {len(self._skipped)}; the same command asks for them again"

    def take(self, answers: Iterator[Answer]) -> None:
        """Record answers until there are no more of them, or no more questions."""
        try:
            while self.waiting:
                given = next(answers, None)
                if given is None or given.word == "quit":
                    return
                if given.word == "undo":
                    self._undo()
                elif given.word == "skip":
                    self._skipped.append(self.waiting[0])
                    self._steps.append("skip")
                else:
                    self._record(self.waiting[0], given)
        finally:
            self._clean()

    def show(self) -> None:
        """Print the next question, with the path of an image to look at."""
        check, total = self.waiting[0], len(self.plan.checks)
        number = total - len(self.waiting) + 1
        image = render_crop(self._model, self.plan, check, size=self._size)
        path = self._crops / f"{number:03}.png"
        self._clean()
        with writing(path):
            self._crops.mkdir(exist_ok=True)
            if path.exists() and not is_signed_png(path):
                raise ConfigError(f"{path}: was not written by picie, and is not replaced; move it")
        self._crop = path
        write_png(image, path, signed=True)
        column, row = (int(at) for at in check.point)
        self._console.print(
            f"{number}/{total}  {check.image}, column {column}, row {row}: {check.predicted}"
        )
        link = path.resolve()
        self._console.print(Text(f"  {printable(str(link))}", style=f"link {link.as_uri()}"))

    def _record(self, check: Check, given: Answer) -> None:
        right = given.word == "right" or given.title == check.predicted
        event = answer(self.plan, check, right=right, title=given.title, by="picie audit")
        append_events(self._folder / ANNOTATIONS_FILE, [event])
        self._events.append(event)
        self._steps.append("answer")

    def _undo(self) -> None:
        if self._steps and self._steps.pop() == "skip":
            self._skipped.pop()
            return
        answered = answers_to(self.plan, self._events)
        if not answered:
            self._console.print("nothing to undo")
            return
        event = list(answered.values())[-1]
        undo(self._folder, by="picie audit", of=event.id)
        self._events.remove(event)

    def _clean(self) -> None:
        if self._crop is not None:
            with suppress(OSError):
                self._crop.unlink(missing_ok=True)
                self._crops.rmdir()
            self._crop = None


# --- the result


def _report(
    result: AuditResult, options: Audit, console: PlainConsole, notes: Iterator[str]
) -> None:
    console.print(_table(result))
    for line in _lines(result):
        console.print(line)
    for note in notes:
        console.print(f"note: {note}")
    text = json.dumps(result.to_json(), indent=2)
    if options.json == NAMELESS:
        sys.stdout.write(f"{text}\n")
    elif options.json is not None:
        write_atomically(options.json, text.encode())
        console.print(f"result in {options.json}")


def _table(result: AuditResult) -> Table:
    table = Table("class", "pixels %", "checks", "precision %", "95 % interval", "wrong ones are")
    for column in table.columns[1:5]:
        column.justify = "right"
    for name, found in result.precision.items():
        wrong = sorted(result.wrong.get(name, {}).items(), key=lambda one: (-one[1], one[0]))
        said = ", ".join(f"{title or 'not said'} {count}" for title, count in wrong)
        value = f"{found.value:.0f}" if found.checks else ""
        share, interval = f"{result.share[name]:.1f}", _interval(found, "{:.0f} to {:.0f}")
        table.add_row(name, share, str(found.checks), value, interval, said)
    return whole_names(table, 0)


def _lines(result: AuditResult) -> Iterator[str]:
    done = f"{result.accuracy.checks} of {result.checks} checks"
    sample = f"in {result.images} of {result.total} images"
    if result.accuracy.checks:
        yield (
            f"accuracy {result.accuracy.value:.1f} %, 95 % interval "
            f"{_interval(result.accuracy, '{:.1f} to {:.1f}')} % ({done}, {sample})"
        )
    else:
        yield f"no answer yet ({done}, {sample})"
    if result.nameless >= 0.05:
        yield f"{result.nameless:.1f} % of the pixels have no class, and are not checked"


def _interval(found: Proportion, form: str) -> str:
    return form.format(found.low, found.high) if found.checks else ""


def _check_json(options: Audit, model: Segmenter) -> None:
    """Fail before the first question if the file must not be written."""
    if options.json is None or options.json == NAMELESS:
        return

    def inputs() -> Iterator[str | Path]:
        yield from inputs_of(model, open_folder(options.source, options.split))
        if options.answers is not None:
            yield options.answers

    check_output(options.json, _is_result, inputs=inputs, flag="--json")
    with writing(options.json):
        options.json.parent.mkdir(parents=True, exist_ok=True)


def _is_result(path: Path) -> bool:
    """Whether a file holds what `AuditResult.to_json` gives."""
    return {"audit", "accuracy", "precision", "answered"} <= set(
        parse_object(path.read_bytes()) or {}
    )
