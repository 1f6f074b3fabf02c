"""Write the reference pages of the site: docs/reference/*.md.

    python docs/reference.py            # part of `make docs`

The pages are entirely generated: the command line from the dataclasses that the parser fills, the
settings from the fields of `Config`, the Python part from signatures and docstrings. They are not
in the repository; a test generates and checks them.
"""

import argparse
import ast
import dataclasses
import inspect
import itertools
import re
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro

import picie
from picie.cli.parsing import VERBS, record_of
from picie.config import BACKBONES, OBJECTIVES, PRESETS, Config, Reading

__all__ = ["PAGES", "main"]

OUT = Path(__file__).parent / "reference"
_POSITIONAL = get_args(tyro.conf.Positional[int])[1]
_Annotation: Any = type(tyro.conf.arg(name=""))
_SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises", "Example", "Examples", "Shape")


# --- the command line


@dataclasses.dataclass(frozen=True)
class Argument:
    """One argument of a verb, as in its help."""

    shown: str
    values: str
    default: str
    meaning: str


def arguments(made: type[Any]) -> Iterator[Argument]:
    """All arguments of a verb, in the order of its help."""
    hints = get_type_hints(made, include_extras=True)
    texts = _field_texts(made)
    for field in dataclasses.fields(made):
        kind, extras = _unwrapped(hints[field.name])
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):  # its fields are the flags
            yield from arguments(kind)
            continue
        annotations = [one for one in extras if isinstance(one, _Annotation)]
        name = next((one.metavar for one in annotations if one.metavar), field.name.upper())
        meaning = next((one.help for one in annotations if one.help), texts.get(field.name, ""))
        flag = next((one.name for one in annotations if one.name), field.name).replace("_", "-")
        yield Argument(
            shown=name if _POSITIONAL in extras else f"--{flag}",
            values=_values(kind),
            default=_default(field),
            meaning=" ".join(meaning.split()),
        )


def _unwrapped(hint: Any) -> tuple[Any, list[Any]]:
    """The plain type of a hint, and its annotations."""
    if hasattr(hint, "__metadata__"):
        kind, extras = _unwrapped(hint.__origin__)
        return kind, [*extras, *hint.__metadata__]
    return hint, []


def _field_texts(made: type[Any]) -> dict[str, str]:
    """The docstrings of the fields of a dataclass and of its bases."""
    field_texts: dict[str, str] = {}
    for base in reversed(made.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError):  # created at runtime, as for train
            continue
        body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
        for field, text in itertools.pairwise(body):
            match field, text:
                case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(words))):
                    field_texts[name] = words
    return field_texts


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return _shown(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return _shown(field.default_factory())
    return "required"


def command_line() -> str:
    """The page of the command line."""
    settings = {*Config.model_fields, *(field.name for field in dataclasses.fields(Reading))}
    lines = [
        "# Command line",
        "`picie VERB --help` shows the same. Errors end with exit code 1, wrong usage and "
        "impossible settings with 2, Ctrl-C with 130; `-v` shows the full traceback. Switches "
        "without values are off unless given.",
    ]
    for verb in VERBS:
        made = record_of(verb)
        found = list(arguments(made))
        own = [one for one in found if _key(one) not in settings or _key(one) == "data"]
        own = found if verb != "train" else own
        lines += [f"## picie {verb}", _paragraphs(made), _argument_table(own)]
        if verb == "train":
            rest = [one for one in found if one not in own]
            lines += [
                "Every [setting](settings.md) is a flag, too. Those that are on or off have an "
                "opposite: `--pretrained`, `--no-pretrained`.",
                _argument_table(rest),
            ]
    return _page(lines)


def _key(one: Argument) -> str:
    return "data" if one.shown == "PHOTOS" else one.shown.lstrip("-").replace("-", "_")


def _paragraphs(made: type[Any]) -> str:
    paragraphs = (inspect.getdoc(made) or "").split("\n\n")
    return "\n\n".join(_escaped(" ".join(part.split())) for part in paragraphs)


def _argument_table(found: list[Argument]) -> str:
    rows = [(f"`{one.shown}`", one.values, one.default, _escaped(one.meaning)) for one in found]
    return _table(("argument", "values", "default", "meaning"), rows)


# --- the settings


def settings() -> str:
    """The page of settings, the fields of `Config`."""
    lines = [
        "# Settings",
        "Each is a field of `picie.Config`: a keyword of `picie.train` and `picie.make_config`, a "
        "key of `config.toml`, and a flag of `picie train` (`kmeans_images` is "
        "`--kmeans-images`). The defaults are those of the preset `default`.",
    ]
    for title, names in _groups():
        lines += [f"## {title[0].upper()}{title[1:]}", _table(_SETTING, map(_setting, names))]
    rows = [
        (f"`reading.{one.shown[2:].replace('-', '_')}`", one.values, one.default, one.meaning)
        for one in arguments(Reading)
    ]
    lines += [
        "## How images are read",
        "The table `reading`; its keys are flags of their own (`--max-pixels`).",
        _table(_SETTING, rows),
        "## What the presets change",
        _changes(PRESETS),
        "## What an objective brings along",
        "After the preset, and before what is given by flag, file or keyword.",
        _changes(OBJECTIVES),
        "## What a backbone brings along",
        "By a pattern of its name, in the same place; [why](../backbones.md#settings-by-name).",
        _changes(BACKBONES),
    ]
    return _page(lines)


_SETTING = ("setting", "values", "default", "meaning")


def _groups() -> list[tuple[str, list[str]]]:
    """The fields below each comment `# --- title` of the class."""
    groups: list[tuple[str, list[str]]] = []
    for line in inspect.getsource(Config).splitlines():
        title, field = re.match(r"    # --- (.*)", line), re.match(r"    (\w+): .*Field\(", line)
        if title:
            groups.append((title[1].split(";")[0], []))
        elif field and field[1] in Config.model_fields:
            groups[-1][1].append(field[1])
    listed = [name for _, names in groups for name in names]
    if listed != list(Config.model_fields):
        missing = sorted(set(Config.model_fields) ^ set(listed))
        raise SystemExit(f"config.py: no comment '# --- title' above {missing}")
    return groups


def _setting(name: str) -> tuple[str, ...]:
    info = Config.model_fields[name]
    if dataclasses.is_dataclass(info.annotation):
        return f"`{name}`", "table", "see below", _escaped(info.description or "")
    bounds = [_bound(one) for one in info.metadata]
    values = ", ".join([_values(info.annotation), *filter(None, bounds)])
    return f"`{name}`", values, _shown(info.default), _escaped(info.description or "")


def _bound(one: Any) -> str:
    words = {"ge": "from {}", "gt": "above {}", "le": "to {}", "lt": "below {}"}
    words["multiple_of"] = "a multiple of {}"
    return " ".join(w.format(getattr(one, key)) for key, w in words.items() if hasattr(one, key))


def _changes(sets: dict[str, dict[str, Any]]) -> str:
    named = [name for name, values in sets.items() if values]
    fields = [name for name in Config.model_fields if any(name in sets[one] for one in named)]
    rows = [
        [f"`{field}`"] + [_shown(sets[one][field]) if field in sets[one] else "" for one in named]
        for field in fields
    ]
    return _table(["setting", *(f"`{name}`" for name in named)], rows)


# --- Python


def python() -> str:
    """The page of the public Python names."""
    lines = [
        "# Python",
        f"`import picie` offers {len(picie.__all__)} names; they are what versions keep stable. "
        "Modules below (`picie.clustering.linkage`, ...) may be imported too, and have docstrings, "
        "but may change.",
    ]
    values = {name: getattr(picie, name) for name in picie.__all__}
    calls = [name for name, value in values.items() if inspect.isfunction(value)]
    classes = [name for name, value in values.items() if inspect.isclass(value)]
    errors = [name for name in classes if issubclass(values[name], Exception)]
    records = [name for name in classes if name not in errors]
    for name in calls:
        lines += _described("##", f"picie.{name}", values[name])
    for name in records:
        if name == "Config":
            lines += [f"## picie.{name}", *_docstring(inspect.getdoc(values[name]) or "")]
            lines.append("Its fields are the [settings](settings.md).")
            continue
        lines += _described("##", f"picie.{name}", values[name])
        for key, member in _members(values[name]):
            lines += _described("###", f"{name}.{key}", member)
    lines += ["## Errors", "All of them are `PicieError`."]
    lines += [_table(("error", "meaning"), [(f"`{n}`", _first(values[n])) for n in errors])]
    lines += ["## picie.PRESETS", "The named settings as a dictionary: [Settings](settings.md)."]
    return _page(lines)


def _members(kind: type[Any]) -> Iterator[tuple[str, Any]]:
    """Public methods and properties of a class and of its base classes in this package."""
    known: set[str] = set()
    for base in kind.__mro__:
        if not base.__module__.startswith("picie."):
            continue
        for key, member in vars(base).items():
            if key.startswith("_") or key in known or not (_is_code(member)):
                continue
            known.add(key)
            yield key, member


def _is_code(member: Any) -> bool:
    return inspect.isfunction(member) or isinstance(member, property | classmethod | staticmethod)


def _described(heading: str, name: str, value: Any) -> list[str]:
    lines = [f"{heading} {name}"]
    code = getattr(value, "__func__", value)
    if not isinstance(code, property):
        lines.append(f"```python\n{_signature(name, code)}\n```")
    return lines + list(_docstring(inspect.getdoc(code) or ""))


def _signature(name: str, value: Callable[..., Any]) -> str:
    signature = inspect.signature(value)
    parts = [str(one) for key, one in signature.parameters.items() if key not in ("self", "cls")]
    kinds = [one.kind for key, one in signature.parameters.items() if key not in ("self", "cls")]
    if inspect.Parameter.KEYWORD_ONLY in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
        parts.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    empty = signature.return_annotation in (signature.empty, None) or inspect.isclass(value)
    returned = "" if empty else f" -> {inspect.formatannotation(signature.return_annotation)}"
    parts, returned = [_bare(part) for part in parts], _bare(returned)
    whole = f"{name}({', '.join(parts)}){returned}"
    inner = "".join(f"    {part},\n" for part in parts)
    return whole if len(whole) <= 88 else f"{name}(\n{inner}){returned}"


def _bare(part: str) -> str:
    """Remove the modules of types, and write arrays as in the source."""
    part = re.sub(r"(?:[a-z_]+\.)+(?=[A-Za-z])", "", part).replace("<factory>", "{}")
    return re.sub(r"ndarray\[tuple\[Any, \.\.\.\], dtype\[(\w+)\]\]", r"NDArray[\1]", part)


def _docstring(text: str) -> Iterator[str]:
    """Convert a Google-style docstring to Markdown."""
    parts = re.split(rf"^({'|'.join(_SECTIONS)}):[ ]*\n", text, flags=re.MULTILINE)
    if parts[0].strip():
        yield _escaped(parts[0].strip())
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        body = textwrap.dedent(body).strip()
        if title.startswith("Example"):
            yield f"```pycon\n{re.sub(r'  # doctest:.*', '', body)}\n```"
        elif title in ("Returns", "Yields", "Shape"):
            yield f"**{title}:** {_escaped(' '.join(body.split()))}"
        else:
            entries = re.split(r"\n(?=\S)", body)
            yield f"**{title}**\n\n" + "\n".join(_entry(one) for one in entries)


def _entry(text: str) -> str:
    name, _, meaning = " ".join(text.split()).partition(": ")
    return f"- `{name}`: {_escaped(meaning)}" if meaning else f"- {_escaped(name)}"


def _first(value: Any) -> str:
    return _escaped(" ".join((inspect.getdoc(value) or "").split("\n\n")[0].split()))


# --- words


def _values(kind: Any) -> str:
    """Describe a type in words."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(_values(one) for one in inner if one is not type(None))
    if origin is tuple and len(inner) == 2 and inner[0] is inner[1]:
        return f"two: {_values(inner[0])}"
    if origin in (tuple, list):
        return f"one or more: {_values(inner[0])}"
    words = {int: "whole number", float: "number", bool: "switch", str: "text", Path: "path"}
    return words.get(kind, getattr(kind, "__name__", str(kind)))


def _shown(value: Any) -> str:
    if value is None or value == "" or value == ():
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple | list):
        return " ".join(map(_shown, value))
    return f"`{value.as_posix() if isinstance(value, Path) else value}`"


def _escaped(text: str) -> str:
    """Escape Markdown's special characters and <TAGS> outside of code."""
    parts = re.split(r"(`[^`]*`)", text)
    plain = (re.sub(r"([*_<>|])", r"\\\1", part) for part in parts[::2])
    kept = iter([*parts[1::2], ""])
    return "".join(part + next(kept) for part in plain)


def _table(head: Any, rows: Any) -> str:
    lines = [tuple(head), ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _page(parts: list[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "command-line": command_line,
    "settings": settings,
    "python": python,
}
"""The function that makes each page, by file name."""


def main() -> None:
    """Write all pages."""
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    OUT.mkdir(exist_ok=True)
    for name, make in PAGES.items():
        (OUT / f"{name}.md").write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
