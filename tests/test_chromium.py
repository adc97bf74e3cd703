"""`.ci/chromium`: which browser `make test-browser` takes, and what happens when there is none."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """All of the PATH."""
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin"


def make(place: Path, name: str, does: str = "") -> Path:
    """A program of the place."""
    (place / name).write_text(f"#!/bin/sh\n{does}\n")
    (place / name).chmod(0o755)
    return place / name


def run(place: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    argv = ["/bin/sh", str(ROOT / ".ci" / "chromium"), *arguments]
    return subprocess.run(argv, env={"PATH": str(place)} | environ, capture_output=True, text=True)


def test_the_first_that_has_a_name_on_path(place: Path) -> None:
    google = make(place, "google-chrome")
    assert run(place).stdout.strip() == str(google)
    chromium = make(place, "chromium")
    assert run(place).stdout.strip() == str(chromium)


def test_the_one_that_is_named(place: Path, tmp_path: Path) -> None:
    make(place, "chromium")
    own = make(tmp_path, "own")
    assert run(place, KG2AT_TEST_CHROMIUM=str(own)).stdout.strip() == str(own)
    assert run(place, KG2AT_TEST_CHROMIUM="/nowhere").returncode == 1


def test_debian_s_is_installed_by_root_where_it_is_asked_for(place: Path) -> None:
    make(place, "id", "echo 0")
    make(place, "apt-get", f'echo "$@"; [ "$1" = update ] || {shutil.which("cp")} "$0" {place}/chromium')
    assert run(place).returncode == 1
    ran = run(place, "install")
    assert (ran.returncode, ran.stdout.strip()) == (0, str(place / "chromium"))
    assert "--no-install-recommends chromium" in ran.stderr


@pytest.mark.parametrize("who", ["1000", "0"])
def test_nobody_else_and_nowhere_else(place: Path, who: str) -> None:
    make(place, "id", f"echo {who}")
    if who != "0":
        make(place, "apt-get", f"touch {place}/chromium")
    ran = run(place, "install")
    assert ran.returncode == 1 and "install it" in ran.stderr and "KG2AT_TEST_CHROMIUM" in ran.stderr
