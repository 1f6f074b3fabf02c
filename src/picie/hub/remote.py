"""Models in repositories of the Hugging Face Hub."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from picie.errors import ConfigError, MissingExtraError, ModelError

__all__ = ["FILES", "Repository", "find_repository", "local_folder", "upload_folder"]

FILES = ("model.safetensors", "config.json", "classes.toml")
"""What is taken from a repository; none of it can run code."""

_PREFIX = "hf://"
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_NAME = re.compile(rf"({_PART}/{_PART})(?:@([A-Za-z0-9][A-Za-z0-9._/-]*))?")


@dataclass(frozen=True)
class Repository:
    """A repository of a model.

    Attributes:
        name: user/name.
        revision: branch, tag or commit; "" = the newest.
        explicit: whether it was given as hf://user/name, which can be no folder.
    """

    name: str
    revision: str = ""
    explicit: bool = False

    def __str__(self) -> str:
        return f"{_PREFIX}{self.name}" + f"@{self.revision}" * bool(self.revision)


def find_repository(source: str | Path) -> Repository | None:
    """The repository that a text names: hf://user/name, user/name, or either with @revision.

    A `Path` is a repository only where it begins with hf:, since user/name may be a folder that is
    missing.

    Args:
        source: as people give it.

    Returns:
        None for anything else.

    Raises:
        ConfigError: hf:// and what follows is no name.
    """
    text = source if isinstance(source, str) else source.as_posix()
    if text.startswith("hf:/"):
        found = _NAME.fullmatch(text.removeprefix("hf:").lstrip("/"))
        if found is None:
            raise ConfigError(f"{text}: give a model on the hub as hf://user/name")
        return Repository(found[1], found[2] or "", explicit=True)
    found = _NAME.fullmatch(text) if isinstance(source, str) else None
    return Repository(found[1], found[2] or "") if found else None


def local_folder(source: str | Path) -> Path:
    """The folder of a model: that of this name, else one that is downloaded from the hub.

    Args:
        source: a folder, which is preferred, or what `find_repository` knows.

    Raises:
        ConfigError: hf:// and what follows is no name.
        MissingExtraError: huggingface_hub is not installed.
        ModelError: the hub has no such model, or cannot be reached and it was not loaded before.
    """
    if Path(source).is_dir():
        return Path(source)
    repository = find_repository(source)
    if repository is None:
        return Path(source)
    hub = _hub("picie.load of a model on the hub")
    try:
        folder = hub.snapshot_download(
            repository.name, revision=repository.revision or None, allow_patterns=list(FILES)
        )
    except Exception as error:  # the hub's client has many network errors with no common base
        folder_too = "" if repository.explicit else f"there is no folder {source} here, and "
        raise ModelError(
            f"{folder_too}{repository} cannot be had from the Hugging Face Hub ({_reason(error)}); "
            "check the name, connect to the network, log in for a private model (hf auth login), "
            "or give the folder of a model"
        ) from None
    return Path(folder)


def upload_folder(folder: Path, name: str, *, private: bool, token: str | None) -> str:
    """Make a repository what the folder is; files of a model that the folder lacks are removed.

    Args:
        folder: written by `save_pretrained`.
        name: user/name; made where it is missing.
        private: nobody else sees a repository that is made now.
        token: of the hub; the one that is stored on this machine if None.

    Returns:
        Its address.

    Raises:
        ConfigError: no user/name.
        MissingExtraError: huggingface_hub is not installed.
        ModelError: the hub refuses, or cannot be reached.
    """
    repository = find_repository(name)
    if repository is None or repository.revision:
        raise ConfigError(f"{name!r}: give the name of a repository on the hub as user/name")
    api = _hub("push_to_hub").HfApi(token=token)
    try:
        address = api.create_repo(repository.name, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repository.name,
            folder_path=str(folder),
            commit_message="Model from picie",
            delete_patterns=[*FILES, "sheet.png"],
        )
    except Exception as error:  # as above
        raise ModelError(
            f"{repository} cannot be written ({_reason(error)}); check the name, the network and "
            "your login (hf auth login, or token=), or share the folder of save_pretrained"
        ) from None
    return str(address)


def _hub(what: str) -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise MissingExtraError(f'{what} needs huggingface_hub: pip install "picie[hub]"') from None
    return huggingface_hub


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
