"""The layers of the package: which may import which, no module in a circle, and how long modules, classes and functions
may be.

Every import counts: at the top of a module, inside a function, and for type checkers alone.
"""

from __future__ import annotations

import ast
import graphlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "kg2at_personality"
ARCHITECTURE = PACKAGE.parent / "docs" / "architecture.md"
#: What any layer may use: errors for a user, JSON from outside, words.
COMMON = {"errors", "json_fields", "plural"}
#: What the commands stand on of all that the arrows allow: of some layers a few small parts without state only, and the
#: class whose settings `config` writes down.
FOR_CLI = COMMON | {"system", "spark", "settings", "assembly", "runtime_file", "users_file", PACKAGE.name}
PARTS_FOR_CLI = {"admission.request", "kernels.specs", "kernels.launch.launcher", "personality"}

MODULE_LINES, CLASS_LINES, FUNCTION_LINES = 300, 200, 40
#: The starter is one file, which runs without kg2at; the settings are a list, and a list may be long.
MAY_BE_LONGER = {"cli.setup.starter", "settings.Settings"}


@cache
def modules() -> dict[str, Path]:
    """Module name without the package's -> its file; the package itself is "kg2at_personality"."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name or PACKAGE.name] = path
    return found


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


@cache
def imported(module: str) -> set[str]:
    """The modules of the package that `module` imports, wherever in its text."""
    return {found for node in ast.walk(tree(module)) for found in _named(node, module)} - {module}


def _named(node: ast.AST, module: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (_module(alias.name) for alias in node.names if alias.name.split(".")[0] == PACKAGE.name)
    if isinstance(node, ast.ImportFrom):
        base = _base(node, module)
        if base.split(".")[0] == PACKAGE.name:
            yield from (_module(f"{base}.{alias.name}") for alias in node.names)


def _base(node: ast.ImportFrom, module: str) -> str:
    """What `from ... import` names, in full."""
    if not node.level:
        return node.module or ""
    here = modules()[module].relative_to(PACKAGE.parent).parts
    return ".".join([*here[: len(here) - node.level], *filter(None, [node.module])])


def _module(name: str) -> str:
    """The module that `name` is or is in."""
    inside = name.partition(".")[2]
    while inside and inside not in modules():
        inside = inside.rpartition(".")[0]
    return inside or PACKAGE.name


def layer(module: str) -> str:
    return module.split(".")[0]


def test_imports_are_found() -> None:
    """What the other tests stand on: each way of writing an import."""
    text = """
from kg2at_personality.errors import KG2ATError
from ..spark import conf, master
from . import __version__
from .. import nothing
def late():
    import kg2at_personality.web.status
"""
    nodes = ast.walk(ast.parse(text))
    found = [sorted(_named(node, "kernels.specs")) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    assert found == [["errors"], ["spark.conf", "spark.master"], ["kernels"], [PACKAGE.name], ["web.status"]]
    assert _circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) in (list("abc"), list("bca"), list("cab"))
    assert imported(PACKAGE.name) == {"personality"} and "spark.conf" in imported("kernels.specs")


@cache
def arrows() -> dict[str, set[str]]:
    """What each layer may import, by the arrows of docs/architecture.md: itself, and what they lead to."""
    [drawn] = re.findall(r"```mermaid\n(.*?)```", ARCHITECTURE.read_text(encoding="utf-8"), re.DOTALL)
    direct = {from_: set(to.split(" & ")) for from_, to in re.findall(r"^ +(\w+) --> (.+)$", drawn, re.MULTILINE)}
    direct |= {name: set() for name in set().union(*direct.values()) | COMMON if name not in direct}
    reached = {name: COMMON | {name} for name in direct} | {name: {name} for name in COMMON}
    for name in graphlib.TopologicalSorter(direct).static_order():
        reached[name] = reached[name].union(*(reached[below] for below in direct[name]))
    # The package itself is the entry point.
    return reached | {PACKAGE.name: {"personality"}, "cli": FOR_CLI | {"cli"}}


def test_every_layer_is_drawn() -> None:
    assert {layer(module) for module in modules()} == arrows().keys()
    assert arrows()["admission"] == COMMON | {"admission", "spark", "system"}


def test_imports_go_down() -> None:
    found = set()
    for module in modules():
        parts = PARTS_FOR_CLI if layer(module) == "cli" else set()
        found |= {
            f"{module} -> {name}" for name in imported(module) - parts if layer(name) not in arrows()[layer(module)]
        }
    assert not found


def test_every_module_is_in_the_tree() -> None:
    """A newcomer finds the room of any behaviour there."""
    [tree] = re.findall(r"```\n(kg2at_personality/.*?)```", ARCHITECTURE.read_text(encoding="utf-8"), re.DOTALL)
    words = set(re.findall(r"\w+", tree))
    names = {name.split(".")[-1] for name in modules()}
    assert not names - words - {"__main__"}


def test_the_commands_need_every_part() -> None:
    needed = {name for module in modules() if layer(module) == "cli" for name in imported(module)}
    assert needed >= PARTS_FOR_CLI


def test_a_kind_of_kernel_is_one_module() -> None:
    """Only the list of kinds names one; all others know the interface."""
    for kind in ("kernels.launch.toree", "kernels.launch.python"):
        assert {module for module in modules() if kind in imported(module)} == {"kernels.launch.runtimes"}


def test_no_module_is_in_a_circle() -> None:
    imports = {module: set(imported(module)) for module in modules()}
    found = set()
    while circle := _circle(imports):
        first = circle.index(min(circle))
        found.add(" -> ".join([*circle[first:], *circle[: first + 1]]))
        imports[circle[0]].discard(circle[1 % len(circle)])
    assert not found


def _circle(imports: dict[str, set[str]]) -> list[str]:
    """The modules of one circle, each of which imports the next; [] when there is none."""
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        return list(reversed(error.args[1][1:]))
    return []


def test_nothing_is_too_long() -> None:
    found = {name for module in modules() for name, lines, most in lengths(module) if lines > most}
    assert found == MAY_BE_LONGER


def lengths(module: str) -> Iterator[tuple[str, int, int]]:
    """Name, lines, and the most lines allowed, of the module and each class and function in it."""
    yield module, len(modules()[module].read_text(encoding="utf-8").splitlines()), MODULE_LINES
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            most = CLASS_LINES if isinstance(node, ast.ClassDef) else FUNCTION_LINES
            yield f"{module}.{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1, most
