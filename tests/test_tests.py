"""What holds for the tests themselves: who imports whom, and whose a port is."""

from __future__ import annotations

import ast
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_client.connect import LocalPortCache

from tests.fakes.ports import LOOPBACK, held_port, held_range

ROOT = Path(__file__).parent
FILES = sorted(ROOT.glob("**/*.py"))


def imports(path: Path) -> Iterator[str]:
    """Yield the full name of each module, or of each thing in one, that the file imports."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports by a relative name"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def of_tests(path: Path) -> list[list[str]]:
    """Return the parts of each such name that is below `tests`, without `tests`."""
    return [name.split(".")[1:] for name in imports(path) if name.startswith("tests.")]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", [each for each in FILES if each.parent.name == "fakes"], ids=name_of)
def test_fakes_stand_on_nothing_of_the_tests_but_fakes(path: Path) -> None:
    assert [parts for parts in of_tests(path) if parts[0] != "fakes"] == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nobody_imports_from_a_conftest_or_from_a_file_of_tests(path: Path) -> None:
    """Fixtures stand in a conftest.py above all that use them; what else is shared, in a module without tests."""
    names = [part for parts in of_tests(path) for part in parts]
    assert [name for name in names if name == "conftest" or name.startswith("test_")] == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere they can't be held")
class TestHeldPorts:
    @staticmethod
    def refused(port: int) -> bool:
        """Whether a program that names the port without SO_REUSEADDR, as other tests do, is refused."""
        with socket.socket() as other:
            try:
                other.bind((LOOPBACK, port))
            except OSError:
                return True
            return False

    def test_who_knows_one_can_listen_on_it_again_and_again(self) -> None:
        port = held_port()
        for _ in range(2):
            assert self.refused(port)
            with socket.create_server((LOOPBACK, port)), socket.create_connection((LOOPBACK, port)):
                pass

    def test_a_kernels_are_none_that_linux_gives_to_who_asks_for_any(self) -> None:
        ports = {LocalPortCache().find_available_port(LOOPBACK) for _ in range(10)}
        assert len(ports) == 10 and all(10_000 <= port < 20_000 for port in ports)

    def test_a_range(self) -> None:
        first, last = map(int, held_range(7).split("-"))
        assert last - first == 6 and all(self.refused(port) for port in range(first, last + 1))
