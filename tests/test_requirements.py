"""What setup.cfg declares: every library that the package imports, none that it does not, and bounds that are tried."""

from __future__ import annotations

import ast
import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from setuptools.config.setupcfg import read_configuration

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "kg2at_personality"
#: What runs inside the notebook's Python, which need not be the gateway's, and what each such Python has.
NOTEBOOK = PACKAGE / "spark_python"
IN_NOTEBOOKS = {"ipykernel", "IPython", "traitlets", "pyspark", "py4j"}
LOWEST = ROOT / "tests" / "constraints-lowest.txt"
#: The libraries whose private names kg2at uses: what a major version may drop.
CAPPED = {"jupyter-client", "jupyter-kernel-gateway", "jupyter-server", "traitlets"}


def requirements(lines: list[str]) -> dict[str, Requirement]:
    """The requirements by the names of their distributions."""
    return {canonicalize_name(each.name): each for each in map(Requirement, lines)}


@pytest.fixture(scope="module")
def declared() -> dict[str, Requirement]:
    """What is installed always, and for JupyterHub's users."""
    options = read_configuration(ROOT / "setup.cfg")["options"]
    return requirements([*options["install_requires"], *options["extras_require"]["hub"]])


@pytest.fixture(scope="module")
def imported() -> dict[str, str]:
    """Each library that the gateway's side imports, by its distribution's name -> a file that does."""
    installed = distributions()
    found = {}
    for path in sorted(path for path in PACKAGE.rglob("*.py") if NOTEBOOK not in path.parents):
        for name in libraries(path.read_text(encoding="utf-8")):
            assert name in installed, f"{path} imports {name}, which is not installed"
            found |= dict.fromkeys(installed[name], str(path))
    return found


def distributions() -> dict[str, set[str]]:
    """Each module at the top -> its distributions. importlib.metadata's own function misses most on Python 3.10."""
    found: dict[str, set[str]] = {}
    for each in importlib.metadata.distributions():
        for name in {file.parts[0].removesuffix(".py") for file in each.files or ()}:
            found.setdefault(name, set()).add(canonicalize_name(each.metadata["Name"]))
    return found


def libraries(text: str) -> Iterator[str]:
    """The modules at the top that `text` imports, but those of Python and of kg2at; inside functions, too."""
    for node in ast.walk(ast.parse(text)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        for name in (name.split(".")[0] for name in names):
            if name not in sys.stdlib_module_names and name != PACKAGE.name:
                yield name


def test_imports_are_found() -> None:
    text = """
import os, zmq.asyncio
from . import a
from kg2at_personality import b
def late():
    from tornado.web import c
"""
    assert list(libraries(text)) == ["zmq", "tornado"]


def test_every_import_is_declared(declared: dict[str, Requirement], imported: dict[str, str]) -> None:
    assert {name: path for name, path in imported.items() if name not in declared} == {}


def test_nothing_is_declared_that_is_not_imported(declared: dict[str, Requirement], imported: dict[str, str]) -> None:
    assert declared.keys() <= imported.keys()


def test_the_notebooks_side_imports_what_ipykernel_and_pyspark_bring() -> None:
    names = {name for path in NOTEBOOK.rglob("*.py") for name in libraries(path.read_text(encoding="utf-8"))}
    assert {"ipykernel", "pyspark"} <= names <= IN_NOTEBOOKS


def test_the_next_major_version_is_kept_out_where_private_names_are_used(declared: dict[str, Requirement]) -> None:
    for name in CAPPED:
        bounds = {each.operator: Version(each.version) for each in declared[name].specifier}
        assert bounds.keys() == {">=", "<"} and bounds["<"] == Version(str(bounds[">="].major + 1)), name


def test_the_lowest_versions_are_those_that_are_tried(declared: dict[str, Requirement]) -> None:
    lines = [line for line in LOWEST.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    tried = {name: str(each.specifier) for name, each in requirements(lines).items()}
    bounds = {name: [str(s) for s in each.specifier if s.operator == ">="] for name, each in declared.items()}
    assert {name: [bound.replace("==", ">=")] for name, bound in tried.items()} == bounds
