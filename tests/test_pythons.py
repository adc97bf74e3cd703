"""`.ci/pythons`: which Pythons `make test-pythons` and `make test-lowest` find."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A machine with two folders for Pythons: bin, which is all of the PATH, and pyenv/versions."""
    (tmp_path / "bin").mkdir()
    for name in ("sed", "dirname"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or name)
    return tmp_path


def make(path: Path, says: str) -> None:
    """A Python that says its version and where it is, or fails, as pyenv's do for a version that is not chosen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {says}\n" if says else "#!/bin/sh\nexit 127\n")
    path.chmod(0o755)


def found(place: Path) -> list[str]:
    env = {"PATH": str(place / "bin"), "PYENV_ROOT": str(place / "pyenv"), "HOME": str(place)}
    ran = subprocess.run([ROOT / ".ci" / "pythons"], env=env, cwd=place, capture_output=True, text=True)
    assert ran.returncode == 0 and ran.stderr == "", ran
    return ran.stdout.splitlines()


def test_those_that_run_the_oldest_first(place: Path) -> None:
    make(place / "bin" / "python3.13", "3.13 /a")
    make(place / "bin" / "python3.10", "")
    make(place / "pyenv" / "versions" / "3.10.13" / "bin" / "python", "3.10 /b")
    make(place / "pyenv" / "versions" / "3.13.0" / "bin" / "python", "3.13 /c")
    make(place / "pyenv" / "versions" / "3.9.18" / "bin" / "python", "3.9 /d")
    make(place / "bin" / "python3.11", "3.12 /e")
    assert found(place) == ["3.10 /b", "3.13 /a"]


def test_none_at_hand(place: Path) -> None:
    assert found(place) == []
