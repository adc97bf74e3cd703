"""Finds the cells that use Spark, by their syntax, and has them make the session first.

So what a cell sees is real from its first line on, and an interrupt or an error meanwhile is one of the cell.
"""

from __future__ import annotations

import ast
from typing import Any

from .lazy_names import LazyNames

#: A cell that has one of them makes a session of its own, perhaps before it uses our names.
_OWN_SESSION = {"SparkSession", "SparkContext", "getOrCreate"}
_USE = "get_ipython().kernel.use_spark()"
_LATER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class UseFinder(ast.NodeTransformer):
    """An AST transformer for InteractiveShell.ast_transformers."""

    def __init__(self, names: LazyNames) -> None:
        self.names = names

    def visit(self, node: ast.AST) -> ast.AST:
        """Return the cell, with one more statement when it uses a name that is still lazy."""
        if isinstance(node, ast.Module) and node.body and uses(node) & set(self.names.unmade):
            [use] = ast.parse(_USE).body
            for part in ast.walk(use):
                ast.copy_location(part, node.body[0])
            node.body.insert(_after_future(node), use)
        return node


def _after_future(cell: ast.Module) -> int:
    """Return before which statement another may stand; __future__ has to come first."""
    places = [place for place, part in enumerate(cell.body) if getattr(part, "module", None) == "__future__"]
    return places[-1] + 1 if places else 0


def uses(cell: ast.Module) -> set[str]:
    """Return the names that a cell reads as soon as it runs and does not bind itself; none when it makes a session."""
    reader = _Reader()
    reader.visit(cell)
    return set() if reader.mentioned & _OWN_SESSION else reader.read - reader.bound


class _Reader(ast.NodeVisitor):
    """Which names are read, bound and mentioned."""

    def __init__(self) -> None:
        self.read: set[str] = set()
        self.bound: set[str] = set()
        self.mentioned: set[str] = set()

    def visit_Name(self, node: ast.Name) -> None:
        (self.read if isinstance(node.ctx, ast.Load) else self.bound).add(node.id)
        self.mentioned.add(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.mentioned.add(node.attr)
        if node.attr == "stop" and isinstance(node.value, ast.Name):
            return  # spark.stop() needs no session
        self.generic_visit(node)

    def generic_visit(self, node: ast.AST) -> None:
        if isinstance(node, _LATER):
            self.bound.add(getattr(node, "name", ""))
            defaults = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
            for part in [*getattr(node, "decorator_list", []), *defaults]:
                self.visit(part)
            return
        self._bind(node)
        super().generic_visit(node)

    def _bind(self, node: Any) -> None:
        """Note what a statement other than an assignment binds: imports, classes, handlers, patterns."""
        if isinstance(node, ast.alias):
            self.bound.add((node.asname or node.name).split(".")[0])
            self.mentioned.add(node.name)
        elif isinstance(node, (ast.ClassDef, ast.ExceptHandler)) or type(node).__name__.startswith("Match"):
            self.bound.update(filter(None, (getattr(node, "name", None), getattr(node, "rest", None))))
