"""The only configuration: one frozen model, made from presets, and TOML in and out."""

import difflib
import tomllib
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from picie.errors import ConfigError
from picie.presets import OBJECTIVES, PRESETS
from picie.settings import MACHINE, Config

__all__ = ["MACHINE", "Config", "make_config", "read_config", "suggest", "write_config"]


def make_config(preset: str = "default", **settings: Any) -> Config:
    """A preset with some settings changed.

    An objective other than `picie` brings settings of its own, which those given here replace.

    Args:
        preset: a key of `PRESETS`.
        **settings: fields of `Config`.

    Raises:
        ConfigError: unknown preset or field (the nearest name is proposed), or a bad value.

    Example:
        >>> make_config("reference", clusters=11).balance
        'frequency'
    """
    if preset not in PRESETS:
        raise ConfigError(f"unknown preset {preset!r}; {suggest(preset, list(PRESETS))}")
    return _build(_defaults(preset, settings) | settings, where="settings")


def read_config(path: Path, **settings: Any) -> Config:
    """Read a `config.toml`.

    Args:
        path: the file.
        **settings: fields of `Config` that replace those of the file.

    Raises:
        ConfigError: missing file, broken TOML, unknown key or bad value.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8")) | settings
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid TOML ({error}); correct it") from None
    preset = values.pop("preset", "default")
    if not isinstance(preset, str) or preset not in PRESETS:
        hint = suggest(str(preset), list(PRESETS))
        raise ConfigError(f"{path}: unknown preset {preset!r}; {hint}")
    return _build(_defaults(preset, values) | values, where=str(path))


def write_config(config: Config, path: Path) -> None:
    """Write every field, so that the run is described whole even when presets change later."""
    path.write_text(tomli_w.dumps(config.model_dump()), encoding="utf-8")


def _defaults(preset: str, settings: dict[str, Any]) -> dict[str, Any]:
    objective = settings.get("objective")
    own = OBJECTIVES.get(objective, {}) if isinstance(objective, str) else {}
    return PRESETS[preset] | own


def _build(values: dict[str, Any], *, where: str) -> Config:
    try:
        return Config(**values)
    except ValidationError as error:
        problems = [_problem(item) for item in error.errors(include_url=False)]
        raise ConfigError(f"{where}: " + "; ".join(problems)) from None


def _problem(item: Any) -> str:
    name = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"unknown setting {name!r}; {suggest(name, list(Config.model_fields))}"
    message = item["msg"].removeprefix("Value error, ")
    return f"{name} = {item['input']!r}: {message}" if name else message


def suggest(name: str, known: list[str]) -> str:
    """What to say about an unknown name: the nearest known one, or all of them."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
