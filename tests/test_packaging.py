"""What is shipped: the wheel, the sdist, the wheel made from it, what is installed here, and the examples."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from kg2at_personality import __version__
from kg2at_personality.settings import Settings

ROOT = Path(__file__).parents[1]
KERNELSPECS = {
    f"kg2at_personality/kernelspecs/apache_toree_{language}/{file}"
    for language in ("scala", "sql")
    for file in ("kernel.json", "logo-32x32.png", "logo-64x64.png", "logo-svg.svg")
}
ENTRY_POINT = "kg2at-toree-provisioner = kg2at_personality.kernels.provisioner:ToreeProvisioner"
DIST_INFO = f"kg2at-{__version__}.dist-info"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree: building leaves traces, and old traces can hide what is missing."""
    copy = tmp_path_factory.mktemp("source") / "kg2at"
    traces = (".git", ".venv", ".hypothesis", ".*_cache", "__pycache__", "build", "dist", "*.egg-info")
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*traces))
    return copy


def build(source: Path, *options: str) -> list[Path]:
    """The files that `python -m build` makes, with the setuptools of this environment if it can make wheels."""
    can_make_wheels = importlib.metadata.entry_points(group="distutils.commands", name="bdist_wheel")
    isolation = ["--no-isolation"] if can_make_wheels else []
    out = source.parent / ("out" + "".join(options))
    command = [sys.executable, "-m", "build", *isolation, *options, "--outdir", str(out), str(source)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return sorted(out.iterdir())


@pytest.fixture(scope="module")
def built(source: Path) -> tuple[Path, Path]:
    """The sdist, and the wheel built from it."""
    wheel, sdist = build(source)
    return sdist, wheel


def check_wheel(path: Path) -> None:
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        assert names >= KERNELSPECS | {"kg2at_personality/py.typed"}
        assert not [name for name in names if not name.startswith(("kg2at_personality/", DIST_INFO))]
        assert any(name.startswith(DIST_INFO) and name.endswith("/LICENSE") for name in names)
        entry_points = wheel.read(f"{DIST_INFO}/entry_points.txt").decode()
        assert ENTRY_POINT in entry_points and "jupyter-kg2at = kg2at_personality.cli.app:main" in entry_points
        assert "kg2at_personality/spark/known_keys.txt" in wheel.namelist()


def test_the_sdist_is_the_whole_source(built: tuple[Path, Path]) -> None:
    root = f"kg2at-{__version__}"
    with tarfile.open(built[0]) as sdist:
        names = set(sdist.getnames())
    expected = {"LICENSE", "CHANGELOG.md", "Makefile", ".ci/run", "examples/pi.ipynb", "tests/test_packaging.py"}
    assert names >= {f"{root}/{name}" for name in KERNELSPECS | expected}


def test_the_wheel_made_from_the_sdist(built: tuple[Path, Path]) -> None:
    check_wheel(built[1])


def test_the_wheel_made_from_the_tree(source: Path) -> None:
    check_wheel(*build(source, "--wheel"))


def test_what_is_installed_here() -> None:
    package = importlib.resources.files("kg2at_personality")
    for name in KERNELSPECS:
        assert package.joinpath(*name.split("/")[1:]).is_file(), name
    found = importlib.metadata.entry_points(group="jupyter_client.kernel_provisioners", name="kg2at-toree-provisioner")
    assert {f"{point.name} = {point.value}" for point in found} == {ENTRY_POINT}


def test_the_example_configuration_names_real_settings() -> None:
    text = (ROOT / "examples" / "jupyter_kernel_gateway_config.py").read_text()
    named = set(re.findall(r"^#? ?c\.KG2ATPersonality\.(\w+) =", text, re.MULTILINE))
    inherited = {"list_kernels", "env_whitelist"}
    assert named - inherited == set(Settings.class_trait_names(config=True))
