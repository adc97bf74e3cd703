"""What is shipped: the wheel, the sdist, the wheel made from it, each of them installed, and the examples.

Each way to install kg2at goes into an environment of its own, which sees this one's libraries but not its kg2at.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from setuptools import find_packages
from setuptools.config.setupcfg import read_configuration

from kg2at_personality import __version__
from kg2at_personality.settings import Settings

#: Seconds for a test with what it builds and installs first.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[1]
NAMES = {"apache_toree_scala", "apache_toree_sql"}
FILES = {"kernel.json", "logo-32x32.png", "logo-64x64.png", "logo-svg.svg"}
KERNELSPECS = {f"kernelspecs/{name}/{file}" for name in NAMES | {"spark_python"} for file in FILES}
TEMPLATES = {f"web/page/templates/{path.name}" for path in (ROOT / "kg2at_personality/web/page/templates").iterdir()}
DATA = {"py.typed", "spark/known_keys.txt", "web/openapi.yaml", "kernels/kernel_events.yaml"} | TEMPLATES
ENTRY_POINT = "kg2at-spark-provisioner = kg2at_personality.kernels.provisioner:SparkProvisioner"
DIST_INFO = f"kg2at-{__version__}.dist-info"
FIND_SPECS = """
import json
from kg2at_personality.kernels.specs import SparkKernelSpecManager
print(json.dumps(SparkKernelSpecManager().find_kernel_specs()))
"""
OWN_WHEEL = "import sys; from kg2at_personality.cli.setup.own_wheel import own_wheel; print(own_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree: building leaves traces, and old traces can hide what is missing."""
    copy = tmp_path_factory.mktemp("source") / "kg2at"
    traces = (".git", ".venv*", ".hypothesis", ".*_cache", "__pycache__", "build", "dist", "*.egg-info")
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


@pytest.fixture(scope="module")
def wheel(source: Path) -> Path:
    """The wheel built from the tree."""
    return build(source, "--wheel")[0]


class Environment:
    """A virtual environment whose only kg2at is the one that was installed into it."""

    def __init__(self, directory: Path, *requirement: str) -> None:
        """Install `requirement`, a wheel or the options for an editable install, without a network."""
        self.directory = directory
        venv.create(directory, with_pip=False, symlinks=True)
        self.python = directory / "bin" / "python"
        paths = {"base": str(directory), "platbase": str(directory)}
        Path(sysconfig.get_path("purelib", "posix_prefix", paths), "libraries.pth").write_text(
            sysconfig.get_path("purelib")
        )
        options = ("--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation")
        self._run("-m", "pip", "install", *options, *requirement)

    def _run(self, *arguments: str) -> str:
        # pip takes a false value of the variable for --no-build-isolation: `pip wheel` would ask the network otherwise.
        env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        env |= {"PIP_NO_BUILD_ISOLATION": "0"}
        argv = [str(self.python), *arguments]
        ran = subprocess.run(argv, env=env, cwd=self.directory, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def check(self, folder: Path) -> None:
        """Assert that kg2at finds both kernelspecs, all of their files, in `folder`."""
        found = json.loads(self._run("-c", FIND_SPECS))
        assert {name: found.get(name) for name in NAMES} == {name: str(folder / name) for name in NAMES}
        assert {f"kernelspecs/{path.relative_to(folder)}" for path in folder.glob("*/*")} == KERNELSPECS

    def check_own(self) -> None:
        """Assert that kg2at finds both kernelspecs in the package."""
        (site,) = self.directory.glob("lib/python3*/site-packages")
        self.check(site / "kg2at_personality" / "kernelspecs")

    def own_wheel(self) -> str:
        """The wheel that this kg2at makes of itself, as `jupyter kg2at setup` and its `bundle` do."""
        (self.directory / "own").mkdir()
        return self._run("-c", OWN_WHEEL, str(self.directory / "own")).strip()


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel built from the tree."""
    return Environment(tmp_path_factory.mktemp("installed"), str(wheel))


@pytest.fixture(scope="module")
def editable(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with an editable install of the tree."""
    return Environment(tmp_path_factory.mktemp("editable"), "--editable", str(source))


def check_wheel(path: Path) -> None:
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        assert names >= {f"kg2at_personality/{name}" for name in KERNELSPECS | DATA}
        assert not [name for name in names if not name.startswith(("kg2at_personality/", DIST_INFO))]
        assert any(name.startswith(DIST_INFO) and name.endswith("/LICENSE") for name in names)
        entry_points = wheel.read(f"{DIST_INFO}/entry_points.txt").decode()
        assert ENTRY_POINT in entry_points and "jupyter-kg2at = kg2at_personality.cli.app:main" in entry_points


def test_every_package_is_shipped() -> None:
    listed = read_configuration(ROOT / "setup.cfg")["options"]["packages"]
    found = find_packages(str(ROOT), include=["kg2at_personality*"])
    assert sorted(listed) == sorted([*found, "kg2at_personality.kernelspecs"])


def test_the_sdist_is_the_whole_source(built: tuple[Path, Path]) -> None:
    root = f"kg2at-{__version__}"
    with tarfile.open(built[0]) as sdist:
        names = set(sdist.getnames())
    expected = {"LICENSE", "CHANGELOG.md", "Makefile", ".ci/run", "tests/test_packaging.py"}
    expected |= {"examples/pi.ipynb", "examples/plot.ipynb"}
    assert names >= {f"{root}/{name}" for name in KERNELSPECS | expected}


def test_the_wheel_made_from_the_sdist(built: tuple[Path, Path], tmp_path: Path) -> None:
    check_wheel(built[1])
    Environment(tmp_path, str(built[1])).check_own()


def test_the_wheel_made_from_the_tree(wheel: Path, installed: Environment) -> None:
    check_wheel(wheel)
    installed.check_own()


def test_an_editable_install_finds_the_kernelspecs_beside_the_package(editable: Environment, source: Path) -> None:
    editable.check(source / "kernelspecs")


@pytest.mark.parametrize("kind", ["installed", "editable"])
def test_the_wheel_that_kg2at_makes_of_itself(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    made = request.getfixturevalue(kind).own_wheel()
    check_wheel(Path(made))
    Environment(tmp_path, made).check_own()


def test_the_entry_point_is_installed_here() -> None:
    found = importlib.metadata.entry_points(group="jupyter_client.kernel_provisioners", name="kg2at-spark-provisioner")
    assert {f"{point.name} = {point.value}" for point in found} == {ENTRY_POINT}


def test_the_example_configuration_names_real_settings() -> None:
    text = (ROOT / "examples" / "jupyter_kernel_gateway_config.py").read_text()
    named = set(re.findall(r"^#? ?c\.KG2ATPersonality\.(\w+) =", text, re.MULTILINE))
    inherited = {"list_kernels", "env_whitelist"}
    assert named - inherited == set(Settings.class_trait_names(config=True))
