"""Hooks on modules that are imported later."""

from __future__ import annotations

import importlib
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from kg2at_personality.spark_python.import_hook import HookedLoader, ImportHook


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """Hook two modules, of which one is in a zip file, and one that there is not."""
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    (tmp_path / "kg2at_plain.py").write_text("value = 1\nbroken = open('/nowhere/at/all') if fails else None\n")
    with zipfile.ZipFile(tmp_path / "zipped.zip", "w") as archive:
        archive.writestr("kg2at_zipped.py", "value = 2\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "zipped.zip"), *sys.path])
    found: list[str] = []

    def hook(module: ModuleType) -> None:
        found.append(f"{module.__name__} {module.value}")

    ImportHook(dict.fromkeys(("kg2at_plain", "kg2at_zipped", "kg2at_none"), hook)).install()
    yield found
    for name in ("kg2at_plain", "kg2at_zipped"):
        sys.modules.pop(name, None)


def test_modules(seen: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.fails", False, raising=False)
    plain = importlib.import_module("kg2at_plain")
    zipped = importlib.import_module("kg2at_zipped")
    assert seen == ["kg2at_plain 1", "kg2at_zipped 2"] and plain.value + zipped.value == 3


def test_after_an_import_that_failed(seen: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.fails", True, raising=False)
    with pytest.raises(FileNotFoundError):
        importlib.import_module("kg2at_plain")
    monkeypatch.setattr("builtins.fails", False, raising=False)
    importlib.import_module("kg2at_plain")
    assert seen == ["kg2at_plain 1"]


def test_a_module_that_is_not_there(seen: list[str]) -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("kg2at_none")


def test_what_is_imported_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    seen: list[ModuleType] = []
    ImportHook({"json": seen.append}).install()
    assert seen == [sys.modules["json"]]


def test_a_loader_of_the_old_kind() -> None:
    """Python 3.8's for zip files has load_module alone."""

    class Old:
        def load_module(self, name: str) -> ModuleType:
            return ModuleType(name)

    seen: list[ModuleType] = []
    loader = HookedLoader(Old(), seen.append)
    assert not hasattr(loader, "exec_module") and loader.load_module("x") is seen[0]
