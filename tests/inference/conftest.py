"""A hub that is a folder of this machine."""

import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest


class FakeHub:
    """Stands for huggingface_hub's functions; keeps repositories as folders."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.private: dict[str, bool] = {}
        self.tokens: list[str | None] = []
        self.asked: list[tuple[str, str | None]] = []
        self.error: Exception | None = None

    def snapshot_download(
        self, repo_id: str, *, revision: str | None = None, allow_patterns: list[str]
    ) -> str:
        self.asked.append((repo_id, revision))
        if self.error:
            raise self.error
        if not (self.root / repo_id).is_dir():
            raise FileNotFoundError(f"404 Client Error: {repo_id}\nmore")
        copy = self.root / "cache" / repo_id
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir(parents=True)
        for path in (self.root / repo_id).iterdir():
            if any(fnmatch(path.name, pattern) for pattern in allow_patterns):
                shutil.copy(path, copy)
        return str(copy)

    def HfApi(self, *, token: str | None = None) -> "FakeHub":
        self.tokens.append(token)
        return self

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> str:
        if self.error:
            raise self.error
        assert exist_ok
        self.private.setdefault(repo_id, private)
        (self.root / repo_id).mkdir(parents=True, exist_ok=True)
        return f"https://hub/{repo_id}"

    def upload_folder(
        self, *, repo_id: str, folder_path: str, commit_message: str, delete_patterns: list[str]
    ) -> None:
        assert commit_message
        for path in (self.root / repo_id).iterdir():
            if any(fnmatch(path.name, pattern) for pattern in delete_patterns):
                path.unlink()
        shutil.copytree(folder_path, self.root / repo_id, dirs_exist_ok=True)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    """The hub of this test."""
    fake = FakeHub(tmp_path / "hub")
    for name in ("snapshot_download", "HfApi"):
        monkeypatch.setattr(f"huggingface_hub.{name}", getattr(fake, name))
    return fake


def offline(*args: Any, **options: Any) -> Any:
    """No network."""
    raise ConnectionError("cannot reach huggingface.co\nmore")
