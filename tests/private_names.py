"""Finds the private names of libraries in the text of a module.

Those are: names that begin with one underscore, of a library's objects, classes and modules; `__wrapped__`; and keys
"kg_..." of tornado's settings, a convention of Kernel Gateway's own.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

#: Python's own documentation describes it.
DOCUMENTED = {"os._exit"}
BY_NAME = {"getattr", "hasattr", "setattr", "delattr"}
SETTING = "kg_"
#: They give kernels attributes that no class declares.
JUPYTER = {"jupyter_client", "jupyter_server", "kernel_gateway"}


@dataclass(frozen=True)
class Found:
    """A private name in a module. `owners`: the library's classes that have it; empty where the text does not tell."""

    name: str
    line: int
    is_override: bool = False
    owners: frozenset[type] = frozenset()

    def is_of(self, owner: object) -> bool:
        return not self.owners or owner in self.owners


def is_private(name: object) -> bool:
    return isinstance(name, str) and name.isidentifier() and name.startswith("_") and not name.startswith("__")


def found_in(tree: ast.Module, namespace: Mapping[str, Any], package: str) -> Iterator[Found]:
    """Yield the private names of libraries in a module, whose names are `namespace`. The package's own are left out."""
    for node in ast.walk(tree):
        yield from _of_other_objects(node)
        yield from _imported(node, package)
        yield from _written_as_text(node)
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from _of_library_bases(node, namespace[node.name], package)


def _of_other_objects(node: ast.AST) -> Iterator[Found]:
    if not isinstance(node, ast.Attribute) or _is_self(node.value) or ast.unparse(node) in DOCUMENTED:
        return
    if is_private(node.attr) or node.attr == "__wrapped__":
        yield Found(node.attr, node.lineno)


def _is_self(node: ast.expr) -> bool:
    """Whether it is `self`, `cls` or `super()`."""
    if isinstance(node, ast.Call):
        node = node.func
    return isinstance(node, ast.Name) and node.id in ("self", "cls", "super")


def _imported(node: ast.AST, package: str) -> Iterator[Found]:
    paths = []
    if isinstance(node, ast.Import):
        paths = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and not node.level:
        paths = [f"{node.module}.{alias.name}" for alias in node.names]
    for path in paths:
        top, *parts = path.split(".")
        if top != package:
            yield from (Found(part, node.lineno) for part in (top, *parts) if is_private(part))


def _written_as_text(node: ast.AST) -> Iterator[Found]:
    """Settings, and names that getattr and its like, or an object's `__dict__`, are called with."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(SETTING):
        yield Found(node.value, node.lineno)
    if isinstance(node, ast.Subscript) and "__dict__" in ast.unparse(node.value):
        yield from _private_texts([node.slice])
    if isinstance(node, ast.Call) and (ast.unparse(node.func) in BY_NAME or "__dict__" in ast.unparse(node.func)):
        yield from _private_texts(node.args)


def _private_texts(nodes: list[ast.expr]) -> Iterator[Found]:
    for node in nodes:
        if isinstance(node, ast.Constant) and is_private(node.value):
            yield Found(str(node.value), node.lineno)


def _of_library_bases(node: ast.ClassDef, cls: type, package: str) -> Iterator[Found]:
    """The names on `self` that a library's class has too: a base of `cls`, or of a class that `cls` is mixed into.

    A name of ours that a library has by chance is found as well.
    """
    libraries = {base for each in _family(cls) for base in each.__mro__ if not _is_ours(base, package)} - {object}
    for name, line, is_override in _own_names(node):
        owners = frozenset(library for library in libraries if name in names_of(library))
        if owners or (libraries and name in given_names()):
            yield Found(name, line, is_override, owners)


def _family(cls: type) -> Iterator[type]:
    yield cls
    for derived in cls.__subclasses__():
        yield from _family(derived)


def _is_ours(cls: type, package: str) -> bool:
    return cls.__module__.split(".")[0] == package


def _own_names(node: ast.ClassDef) -> Iterator[tuple[str, int, bool]]:
    """The private names of a class that is written there, with their lines, and whether they are its methods."""
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and is_private(each.attr) and _is_self(each.value):
            yield each.attr, each.lineno, False
    for each in node.body:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and is_private(each.name):
            yield each.name, each.lineno, True
        for target in _targets(each):
            if isinstance(target, ast.Name) and is_private(target.id):
                yield target.id, each.lineno, False


def _targets(node: ast.stmt) -> list[ast.expr]:
    """What a statement assigns to."""
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, ast.AnnAssign) else []


@cache
def given_names() -> frozenset[str]:
    """The names that modules of Jupyter, of those that are loaded, give to objects that are not their own `self`."""
    files = {getattr(module, "__file__", None) for name, module in sys.modules.items() if name.split(".")[0] in JUPYTER}
    trees = [ast.parse(Path(file).read_text(encoding="utf-8")) for file in files if file]
    nodes = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    return frozenset(each.attr for each in nodes if isinstance(each.ctx, ast.Store) and not _is_self(each.value))


@cache
def names_of(cls: type) -> frozenset[str]:
    """The names that a class has itself, and those that its methods give to `self`."""
    return frozenset(vars(cls)) | frozenset(
        each.attr for each in assigned_in(cls) if isinstance(each.value, ast.Name) and each.value.id in ("self", "cls")
    )


@cache
def assigned_in(cls: type) -> tuple[ast.Attribute, ...]:
    """The attributes of any object that the text of a class assigns; none for a class without text."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError):
        return ()
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store))
    return tuple(nodes)
