"""A release of Kernel Gateway that lacks a handler is told in a sentence."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest
from kernel_gateway.services.kernels import handlers

from kg2at_personality.web import routes, stock_handlers
from kg2at_personality.web.handler import GatewayHandler
from kg2at_personality.web.stock_handlers import stock_handler

SENTENCE = (
    r"jupyter_kernel_gateway \d\S* routes no \w+ in [\w.]+\.default_handlers, from which kg2at derives its own\. "
    r"Install a release that has it, .*pip install"
)
NEEDED = {
    "KernelActionHandler": "services.kernels",
    "KernelWebsocketHandler": "services.kernels",
    "SessionHandler": "services.sessions",
    "KernelSpecResourceHandler": "services.kernelspecs",
}
#: Imports Kernel Gateway once, and kg2at in a fork for each handler that is not there.
WITHOUT = f"""
import importlib, os
import kernel_gateway.gatewayapp
for name, module in {NEEDED}.items():
    if os.fork() == 0:
        handlers = importlib.import_module(f"kernel_gateway.{{module}}.handlers")
        handlers.default_handlers = [route for route in handlers.default_handlers if route[1].__name__ != name]
        import kg2at_personality.web.routes
        os._exit(0)
    assert os.WEXITSTATUS(os.wait()[1]) == 1
"""


def test_it_is_the_one_that_is_routed() -> None:
    found = stock_handler(handlers, "KernelActionHandler")
    assert found in [handler for _, handler, *_ in handlers.default_handlers]
    for name, own in routes.OWN.items():
        assert own.__name__ == name and issubclass(own, GatewayHandler)


@pytest.mark.parametrize("routed", [[], [("/api", GatewayHandler)], None])
def test_one_that_is_gone(routed: list[tuple[str, type]] | None) -> None:
    module = ModuleType("kernel_gateway.services.anything.handlers")
    if routed is not None:
        module.default_handlers = routed  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match=SENTENCE):
        stock_handler(module, "KernelActionHandler")


def test_one_whose_version_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stock_handlers, "PACKAGE", "no_such_package")
    with pytest.raises(ImportError, match=r"no_such_package \(of an unknown version\) routes no X in"):
        stock_handler(handlers, "X")


def test_a_release_without_one_is_told_at_import() -> None:
    ended = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=240)
    assert ended.returncode == 0, ended.stderr
    lines = [line for line in ended.stderr.splitlines() if line.startswith("ImportError: ")]
    assert len(lines) == len(NEEDED)
    for line, (name, module) in zip(lines, NEEDED.items(), strict=True):
        assert f"routes no {name} in kernel_gateway.{module}.handlers.default_handlers" in line
