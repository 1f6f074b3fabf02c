"""The help of a verb: its flags in groups, in the width of the terminal."""

import inspect
import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from picie.cli.flags import Flag

__all__ = ["grouped", "help_text"]

_COLUMN = 20  # where texts begin
_WIDEST = 100
_CHOICES = 33  # characters
_GROUPS = {
    "images:": ("images", "split", "dataset", "reading", "void", "mask_map", "mask_orientation"),
    "masks:": ("clusters", "size", "scales", "refine", "fast", "min_region", "tile"),
    "machine:": ("batch_size", "workers", "precision", "device", "engine", "shard", "quiet"),
}


def grouped(flags: Iterable[Flag]) -> dict[str, list[Flag]]:
    """The flags of a verb by topic; what it needs comes first.

    Args:
        flags: of any verb but `train`, whose settings have groups of their own.
    """
    groups: dict[str, list[Flag]] = {name: [] for name in ("needed:", "options:", *_GROUPS)}
    for flag in flags:
        names = {flag.field, *flag.field.split(".")}
        topic = next((name for name, known in _GROUPS.items() if names & set(known)), "options:")
        groups["needed:" if flag.required or flag.positional else topic].append(flag)
    return {name: some for name, some in groups.items() if some}


def help_text(
    verb: str, about: str, groups: Mapping[str, Sequence[Flag]], *, brief: Mapping[str, str] = {}
) -> str:
    """The help of a verb.

    Args:
        verb: its name.
        about: what it does.
        groups: its flags by topic.
        brief: for some fields, a text in place of the meaning and the default.
    """
    width = min(_WIDEST, shutil.get_terminal_size().columns) - 1
    every = [flag for some in groups.values() for flag in some]
    needed = [_usage(flag) for flag in every if flag.positional or flag.required]
    usage = needed if verb != "train" else ["PHOTOS --out RUN"]
    lines = [" ".join(["usage: picie", verb, *usage, "[OPTIONS]"]), ""]
    for paragraph in inspect.cleandoc(about).split("\n\n"):
        kept = paragraph.startswith("  ")  # a command, as it stands
        lines += paragraph.split("\n") if kept else textwrap.wrap(paragraph, width)
        lines.append("")
    for title, flags in groups.items():
        lines.append(title)
        for flag in flags:
            text = brief.get(flag.field) or " ".join([flag.meaning, *_notes(flag)])
            lines += _entry(_left(flag, short=bool(brief)), text, width)
        lines.append("")
    return "\n".join(lines)


def _usage(flag: Flag) -> str:
    if not flag.positional:
        return f"{flag.name} {flag.metavar}"
    return flag.name if flag.required or flag.name.startswith("[") else f"[{flag.name}]"


def _left(flag: Flag, *, short: bool) -> str:
    if flag.positional:
        return flag.name
    names = [name for name in flag.names if name != f"--no-{flag.name[2:]}"]
    shape = flag.metavar
    if flag.choices and _fits(flag.choices) and not short:
        shape = "|".join(flag.choices)
    if flag.most is None and "..." not in shape:
        shape += " ..."
    elif flag.most is not None and flag.most > 1:
        shape = " ".join([shape] * flag.most)
    return f"{', '.join(names)} {shape}".strip()


def _entry(left: str, text: str, width: int) -> list[str]:
    """The lines of a flag: the text beside it, or below if it is long."""
    lines = textwrap.wrap(text, max(20, width - _COLUMN), break_on_hyphens=False)
    indent = " " * _COLUMN
    if len(left) + 4 > _COLUMN:
        return [f"  {left}", *(indent + line for line in lines)]
    first, *rest = lines or [""]
    return [f"  {left}".ljust(_COLUMN) + first, *(indent + line for line in rest)]


def _notes(flag: Flag) -> list[str]:
    """What follows its meaning: values that are not shown before it, and the default."""
    notes = []
    if flag.choices and not _fits(flag.choices):
        notes.append(f"(one of {', '.join(flag.choices)})")
    if flag.kind is bool and flag.default is True:
        notes.append(f"({flag.aliases[-1]} turns it off)")
    return [*notes, *filter(None, [flag.hint])]


def _fits(choices: Sequence[str]) -> bool:
    return len("|".join(choices)) <= _CHOICES
