"""The flags of a verb as a table, from its dataclass: for its help, its checks, and shells."""

import ast
import dataclasses
import inspect
import itertools
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from tyro.conf import Positional

__all__ = ["Flag", "flags_of"]

_POSITIONAL = get_args(Positional[int])[1]
_METAVARS = {int: "N", float: "NUMBER", Path: "PATH", str: "TEXT"}


@dataclass(frozen=True)
class Flag:
    """One flag of a verb, or one of its positional arguments.

    Attributes:
        name: "--out", or the name of a positional argument in the usage, such as PHOTOS.
        field: of the dataclass; of a nested one "reading.bands".
        kind: of its values: bool for a switch, int, float, str or Path.
        choices: the only values, if there are few.
        least: number of values that it needs.
        most: number of values that it takes; None = any number.
        metavar: what stands for a value.
        meaning: its help, in one line.
        default: None if it is left out.
        required: whether it cannot be left out.
        aliases: other names.
    """

    name: str
    field: str
    kind: Any
    choices: tuple[str, ...]
    least: int
    most: int | None
    metavar: str
    meaning: str
    default: Any
    required: bool
    aliases: tuple[str, ...] = ()

    @property
    def positional(self) -> bool:
        """Whether it has no dashes."""
        return not self.name.startswith("--")

    @property
    def hint(self) -> str:
        """Its default in brackets, if it says something."""
        nothing = self.required or self.kind is bool or self.default in (None, "", ())
        values = self.default if isinstance(self.default, tuple) else (self.default,)
        return "" if nothing else f"(default: {' '.join(map(str, values))})"

    @property
    def names(self) -> tuple[str, ...]:
        """Its name and the others."""
        return self.name, *self.aliases


def flags_of(record: type[Any], *, pairs: bool = False, within: str = "") -> Iterator[Flag]:
    """The flags of a verb, in the order of its dataclass.

    Args:
        record: the dataclass.
        pairs: whether switches have a negated form (--no-pretrained).
        within: prefix of the names of fields.
    """
    hints = get_type_hints(record, include_extras=True)
    texts = _texts(record)
    for field in dataclasses.fields(record):
        kind, extras = _unwrapped(hints[field.name])
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):  # its fields are the flags
            yield from flags_of(kind, pairs=pairs, within=f"{within}{field.name}.")
            continue
        yield _flag(field, kind, extras, texts.get(field.name, ""), pairs=pairs, within=within)


def _flag(
    field: dataclasses.Field[Any],
    kind: Any,
    extras: list[Any],
    text: str,
    *,
    pairs: bool,
    within: str,
) -> Flag:
    outer = extras[::-1]  # those of the field itself come before those of its type
    told = {
        name: next((getattr(one, name) for one in outer if getattr(one, name, None)), None)
        for name in ("name", "metavar", "help", "aliases")
    }
    kind, choices, least, most = _values(kind)
    positional = _POSITIONAL in extras
    missing = dataclasses.MISSING
    required = field.default is missing and field.default_factory is missing
    metavar = told["metavar"] or ("NAME" if choices else _METAVARS.get(kind, ""))
    flag = f"--{(told['name'] or field.name).replace('_', '-')}"
    aliases = tuple(told["aliases"] or ()) + (f"--no-{flag[2:]}",) * (pairs and kind is bool)
    return Flag(
        name=(told["metavar"] or field.name.upper()) if positional else flag,
        field=within + field.name,
        kind=kind,
        choices=choices,
        least=least,
        most=most,
        metavar=metavar,
        meaning=" ".join((told["help"] or text).split()),
        default=None if field.default is missing else _plain(field.default),
        required=required,
        aliases=aliases,
    )


def _plain(default: Any) -> Any:
    """A default; that of pydantic's `Field` is inside it."""
    return getattr(default, "default", default)


def _unwrapped(hint: Any) -> tuple[Any, list[Any]]:
    """The plain type of a hint, and its annotations."""
    if hasattr(hint, "__metadata__"):
        kind, extras = _unwrapped(hint.__origin__)
        return kind, [*extras, *hint.__metadata__]
    return hint, []


def _values(kind: Any) -> tuple[Any, tuple[str, ...], int, int | None]:
    """Type of a value, the only values, and their least and largest number."""
    if get_origin(kind) in (Union, types.UnionType):
        kinds = [_unwrapped(one)[0] for one in get_args(kind) if one is not type(None)]
        return _values(Path if Path in kinds else kinds[0])  # an address may stand for a path
    if kind is bool:
        return bool, (), 0, 0
    if get_origin(kind) is Literal:
        return str, get_args(kind), 1, 1
    if get_origin(kind) is tuple:
        inner = get_args(kind)
        most = None if inner[-1] is Ellipsis else len(inner)
        return inner[0], (), most or 0, most
    return kind, (), 1, 1


@cache
def _bodies(path: str) -> dict[str, list[ast.stmt]]:
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    return {one.name: one.body for one in tree.body if isinstance(one, ast.ClassDef)}


def _texts(record: type[Any]) -> dict[str, str]:
    """The docstrings of the fields of a dataclass and of its bases."""
    found: dict[str, str] = {}
    for base in reversed(record.__mro__):
        try:
            body = _bodies(inspect.getfile(base)).get(base.__name__, [])
        except (OSError, TypeError):  # without source there are no texts
            continue
        for field, text in itertools.pairwise(body):
            match field, text:
                case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(words))):
                    found[name] = words
    return found
