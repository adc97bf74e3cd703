"""The private names of libraries that kg2at uses: each is there, is in the table below, and stands in an adapter.

A release may drop one without a word. Then the tests of the first part fail with a sentence; they import nothing of
kg2at. Those of the second part keep a new name from being used unnoticed.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager
from jupyter_server.services.kernels import kernelmanager

from tests.private_names import Found, assigned_in, found_in, names_of

PACKAGE = Path(__file__).parents[1] / "kg2at_personality"
#: The modules where private names may stand.
ADAPTERS = {
    "cli.jupyter_command",
    "kernels.jupyter_kernel",
    "kernels.jupyter_manager",
    "kernels.jupyter_sessions",
    "spark_python.ipykernel_internals",
    "spark_python.pyspark_internals",
    "web.library_internals",
}
#: Modules whose class is what a library wants overridden, and nothing else: private methods may stand there that
#: override the library's, and calls of these.
OVERRIDERS = {"kernels.kernel", "kernels.manager", "spark_python.spark_kernel"}
#: Import name -> distribution, where they differ.
DISTRIBUTIONS = {"kernel_gateway": "jupyter_kernel_gateway", "zmq": "pyzmq"}


@dataclass(frozen=True)
class Attribute:
    """`name` of the class `owner` ("module:class"), which the module `user` of kg2at uses for a purpose ("to ...").

    The class has it itself, or its methods give it to `self`.
    """

    owner: str
    name: str
    user: str
    purpose: str
    verb = "uses"

    def __str__(self) -> str:
        return f"{self.owner.split(':')[1]}.{self.name}"

    def sentence(self) -> str | None:
        """What an administrator or a developer has to know when the library lacks it; None when all is well."""
        module, _, name = self.owner.partition(":")
        try:
            owner = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            broken: str | None = f"has no {name} in {module} any more, nor {self}"
        else:
            broken = self.broken(owner)
        root = module.split(".")[0]
        library = DISTRIBUTIONS.get(root, root)
        file = f"kg2at_personality/{self.user.replace('.', '/')}.py"
        said = f"{library} {version(library)} {broken}, which {file} {self.verb} {self.purpose}: see there."
        return said if broken else None

    def broken(self, owner: type) -> str | None:
        return None if any(self.name in names_of(each) for each in owner.__mro__) else f"has no {self} any more"


@dataclass(frozen=True)
class Method(Attribute):
    """A method, that takes `parameters` in that order, perhaps among others. `wrapped`: with `__wrapped__`."""

    parameters: str = ""
    is_coroutine: bool = False
    wrapped: bool = False

    def broken(self, owner: type) -> str | None:
        method = getattr(owner, self.name, None)
        if not callable(method):
            return f"has no method {self} any more"
        if inspect.iscoroutinefunction(method) != self.is_coroutine:
            return f"has {self} as a {'plain' if self.is_coroutine else 'coroutine'} function now"
        if self.wrapped and not hasattr(method, "__wrapped__"):
            return f"has {self} without __wrapped__ now"
        takes = list(inspect.signature(method).parameters)[1:]
        return None if self.fits(takes) else f"has {self}({', '.join(takes)}) now, not ({self.parameters})"

    def fits(self, takes: list[str]) -> bool:
        wanted = self.parameters.split()
        return [name for name in takes if name in wanted] == wanted


@dataclass(frozen=True)
class Override(Method):
    """A method that kg2at overrides, so that it takes `parameters` and no others."""

    verb = "overrides"

    def fits(self, takes: list[str]) -> bool:
        return takes == self.parameters.split()


@dataclass(frozen=True)
class OnKernel(Attribute):
    """An attribute that the methods of `owner` give to a manager of one kernel."""

    def __str__(self) -> str:
        return f"{self.name} of a kernel"

    def broken(self, owner: type) -> str | None:
        wanted = {f"kernel.{self.name}", f"self.kernel_manager.{self.name}"}
        is_set = any(ast.unparse(each) in wanted for each in assigned_in(owner))
        return None if is_set else f"does not set {self} any more"


@dataclass(frozen=True)
class Key(Attribute):
    """A key of a dictionary in the text of `owner`: a literal, or the name of an argument."""

    def __str__(self) -> str:
        return f"key {self.name!r} of {self.owner.split(':')[1]}"

    def broken(self, owner: type) -> str | None:
        nodes = list(ast.walk(ast.parse(inspect.getsource(inspect.getmodule(owner)))))  # type: ignore[arg-type]
        keys = {node.value for node in nodes if isinstance(node, ast.Constant)}
        keys |= {node.arg for node in nodes if isinstance(node, ast.keyword)}
        return None if self.name in keys else f"has no {self} any more"


KERNEL = "jupyter_client.manager:KernelManager"
FILE = "jupyter_client.connect:ConnectionFileMixin"
KERNELS = "jupyter_client.multikernelmanager:MultiKernelManager"
MAPPING = "jupyter_server.services.kernels.kernelmanager:MappingKernelManager"
CHANNELS = "jupyter_server.services.kernels.connection.channels:ZMQChannelsWebsocketConnection"
CONTEXT = "pyspark.context:SparkContext"
GATEWAY = "kernel_gateway.gatewayapp:KernelGatewayApp"

ONE, ALL, WEB = "kernels.jupyter_kernel", "kernels.jupyter_manager", "web.library_internals"
OURS, OURS_ALL, CLI = "kernels.kernel", "kernels.manager", "cli.jupyter_command"
PYSPARK = "spark_python.pyspark_internals"
FOR_PYSPARK = (PYSPARK, "spark_python.py4j_hooks")

CONTRACTS: list[Attribute] = [
    # One kernel.
    Method(KERNEL, "_async_start_kernel", ONE, "to start without its decorator's sleep", "", True, wrapped=True),
    Method(
        KERNEL,
        "_async_shutdown_kernel",
        ONE,
        "to end without its decorator's sleep",
        "now restart",
        True,
        wrapped=True,
    ),
    Method(KERNEL, "_async_restart_kernel", ONE, "to replace a process on the same ports", "now newports", True),
    Method(KERNEL, "_async_kill_kernel", ONE, "to send SIGKILL and wait for the end", "", True),
    Attribute(KERNEL, "_attempted_start", ONE, "to take over a kernel that another gateway started"),
    Attribute(KERNEL, "_launch_args", ONE, "to launch again as before, and to take over a kernel"),
    Attribute(KERNEL, "_kernel_spec", ONE, "to launch by another kernelspec than the name says"),
    Attribute(KERNEL, "_ready", ONE, "to tell others of the end of a launch"),
    Attribute(KERNEL, "_restarter", ONE, "to reach the callbacks of open websockets"),
    Attribute(FILE, "_connection_file_written", ONE, "to write the connection file anew, and to leave it at the end"),
    Method("jupyter_client.restarter:KernelRestarter", "_fire_callbacks", ONE, "to tell of a death", "event"),
    OnKernel(MAPPING, "_activity_stream", ONE, "to read what a kernel publishes before jupyter_server does"),
    OnKernel(CHANNELS, "_kernel_info_future", ONE, "to answer what a kernel is without asking it again"),
    Attribute("zmq.eventloop.zmqstream:ZMQStream", "_recv_callback", ONE, "to call what jupyter_server has set"),
    Override(KERNEL, "_async_start_kernel", OURS, "to start once it may have its cores", "kw", True),
    Override(KERNEL, "_async_launch_kernel", OURS, "to keep what the process prints", "kernel_cmd kw", True),
    Override(KERNEL, "_async_restart_kernel", OURS, "to plan the new process first", "now newports kw", True),
    Override(KERNEL, "_async_shutdown_kernel", OURS, "to stop watching the start", "now restart", True),
    Override(KERNEL, "_async_request_shutdown", OURS, "to go on without a socket for the request", "restart", True),
    Override(KERNEL, "_async_finish_shutdown", OURS, "to look more often", "waittime pollinterval restart", True),
    Override(KERNEL, "_async_interrupt_kernel", OURS, "to go on when the signal is refused", "", True),
    Override(KERNEL, "_async_send_kernel_sigterm", OURS, "to go on when the signal is refused", "restart", True),
    Override(KERNEL, "_async_kill_kernel", OURS, "to go on when the signal is refused", "restart", True),
    Override(KERNEL, "_async_cleanup_resources", OURS, "to remove the files of a kernel", "restart", True),
    Override(FILE, "_create_connected_socket", OURS, "to say that there are no sockets left", "channel identity"),
    # All kernels.
    Attribute(KERNELS, "_kernels", ALL, "to list and unlist kernels"),
    Attribute(KERNELS, "_pending_kernels", ALL, "to unlist kernels"),
    Override(
        KERNELS,
        "_add_kernel_when_ready",
        ALL,
        "to log no traceback",
        "kernel_id km kernel_awaitable",
        True,
    ),
    Attribute(MAPPING, "_kernel_connections", ALL, "to list and unlist kernels"),
    Attribute(MAPPING, "_kernel_ports", ALL, "to follow a kernel to other ports"),
    Attribute(MAPPING, "_kernel_buffers", ALL, "to bound what waits for a notebook"),
    Key(MAPPING, "buffer", ALL, "to bound what waits for a notebook"),
    Method(MAPPING, "_check_kernel_id", ALL, "to answer 404 for an unknown id", "kernel_id"),
    Method(MAPPING, "_finish_kernel_start", ALL, "to list a kernel that was taken over", "kernel_id", True),
    Method(MAPPING, "_kernel_start_kwargs", ALL, "to start a kernel as jupyter_client would", "kwargs"),
    Key(GATEWAY, "kg_max_kernels", ALL, "to take the limit as the stock gateway does"),
    Override(MAPPING, "_check_kernel_id", OURS_ALL, "to tell why a kernel was culled", "kernel_id"),
    Override(MAPPING, "_handle_kernel_died", OURS_ALL, "to keep a dead kernel listed", "kernel_id"),
    # Sessions.
    Attribute(
        "kernel_gateway.services.sessions.sessionmanager:SessionManager",
        "_sessions",
        "kernels.jupyter_sessions",
        "to forget and restore sessions",
    ),
    # Websockets and requests.
    Attribute(MAPPING, "_kernel_buffers", WEB, "to send in pieces what waits for a notebook"),
    Key(MAPPING, "buffer", WEB, "to send in pieces what waits for a notebook"),
    Key(MAPPING, "session_key", WEB, "to know whose output waits"),
    Attribute("jupyter_server.base.handlers:JupyterHandler", "_jupyter_current_user", WEB, "to know nobody"),
    Attribute(CHANNELS, "_open_sockets", WEB, "to forget a websocket that failed to open"),
    Method(CHANNELS, "_limit_rate", WEB, "to hold to the rate limits", "channel msg msg_list"),
    Method(CHANNELS, "_on_error", WEB, "to hide tracebacks", "channel msg msg_list"),
    Method(CHANNELS, "_reserialize_reply", WEB, "to write frames of the older protocol", "msg_or_list channel"),
    Method(GATEWAY, "_signal_stop", WEB, "to end by a signal that comes while it writes its log", "sig frame"),
    Key(GATEWAY, "kg_", WEB, "to read the settings of the personality"),
    Key(GATEWAY, "kg_auth_token", "web.identity.access", "to check the token"),
    Key(GATEWAY, "kg_personality", "web.handler", "to find the personality"),
    Attribute("tornado.http1connection:HTTP1Connection", "stream", WEB, "to know whether a client has hung up"),
    Attribute("tornado.tcpserver:TCPServer", "_sockets", WEB, "to let more connections wait"),
    Attribute("tornado.web:RequestHandler", "_unimplemented_method", WEB, "to tell the methods that a route has"),
    # Python notebooks.
    Attribute(CONTEXT, "_active_spark_context", PYSPARK, "to know whether there is a session"),
    Attribute(CONTEXT, "_gateway", PYSPARK, "to know the JVM, and to forget it when it has ended"),
    Attribute(CONTEXT, "_jvm", PYSPARK, "to forget the JVM when it has ended"),
    Attribute(CONTEXT, "_jsc", PYSPARK, "to tell what the driver does"),
    Method(CONTEXT, "_initialize_context", PYSPARK, "to make contexts of the kernel's size and name", "jconf"),
    Attribute("pyspark.sql.session:SparkSession", "_sc", PYSPARK, "to know what ends with a context"),
    Attribute("pyspark.sql.session:SparkSession", "_instantiatedSession", PYSPARK, "to forget what has ended"),
    Attribute("pyspark.sql.session:SparkSession", "_activeSession", PYSPARK, "to forget what has ended"),
    Attribute("pyspark.sql.context:SQLContext", "_instantiatedContext", PYSPARK, "to forget what has ended"),
    Attribute(
        "ipykernel.iostream:OutStream",
        "_original_stdstream_copy",
        "spark_python.ipykernel_internals",
        "to keep the JVM's output out of notebooks",
    ),
    Override(
        "ipykernel.ipkernel:IPythonKernel",
        "_cancel_on_sigint",
        "spark_python.spark_kernel",
        "to cancel Spark's jobs as well",
        "future",
    ),
    # The command line.
    Override(
        "traitlets.config.application:Application",
        "_create_loader",
        CLI,
        "to read the command line by its own rules",
        "argv aliases flags classes",
    ),
    Override(
        "traitlets.config.loader:KVArgParseConfigLoader",
        "_handle_unrecognized_alias",
        CLI,
        "to refuse an unknown option",
        "arg",
    ),
]


def contract(user: str, name: str) -> Attribute:
    [found] = [each for each in CONTRACTS if (each.user, each.name) == (user, name)]
    return found


# The libraries.


def is_there(module: str) -> bool:
    """Whether the libraries of a module are installed: a Spark of one's own has its own pyspark."""
    return module not in FOR_PYSPARK or importlib.util.find_spec("pyspark") is not None


@pytest.mark.parametrize("each", CONTRACTS, ids=lambda each: f"{each.user}-{each}")
def test_the_installed_release_has_it(each: Attribute) -> None:
    if not is_there(each.user):
        pytest.skip("no pyspark is installed")
    said = each.sentence()
    assert said is None, said


class TestARelease:
    """What the sentences say of a release that has dropped or changed a name."""

    def test_without_a_method(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(KernelManager, "_async_kill_kernel")
        assert contract(ONE, "_async_kill_kernel").sentence() == (
            f"jupyter_client {version('jupyter_client')} has no method KernelManager._async_kill_kernel any more, "
            "which kg2at_personality/kernels/jupyter_kernel.py uses to send SIGKILL and wait for the end: see there."
        )

    def test_without_an_attribute(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class MappingKernelManager:
            def __init__(self) -> None:
                self._kernel_ports: dict[str, Any] = {}

        monkeypatch.setattr(kernelmanager, "MappingKernelManager", MappingKernelManager)
        assert contract(ALL, "_kernel_ports").sentence() is None
        assert contract(WEB, "_kernel_buffers").sentence() == (
            f"jupyter_server {version('jupyter_server')} has no MappingKernelManager._kernel_buffers any more, which "
            "kg2at_personality/web/library_internals.py uses to send in pieces what waits for a notebook: see there."
        )
        assert str(contract(ONE, "_activity_stream").sentence()).startswith(
            f"jupyter_server {version('jupyter_server')} does not set _activity_stream of a kernel any more, which "
        )

    def test_without_a_class(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(importlib.import_module("tornado.tcpserver"), "TCPServer")
        said = str(contract(WEB, "_sockets").sentence())
        assert "has no TCPServer in tornado.tcpserver any more, nor TCPServer._sockets, which" in said

    def test_without_a_key(self) -> None:
        said = str(Key(GATEWAY, "kg_gone", WEB, "to try").sentence())
        assert f"{version('jupyter_kernel_gateway')} has no key 'kg_gone' of KernelGatewayApp any more, which" in said

    def test_with_other_arguments(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def changed(self: object, restart: bool = False, hard: bool = False) -> None: ...

        monkeypatch.setattr(KernelManager, "_async_kill_kernel", changed)
        assert contract(ONE, "_async_kill_kernel").sentence() is None
        said = str(contract(OURS, "_async_kill_kernel").sentence())
        assert "has KernelManager._async_kill_kernel(restart, hard) now, not (restart), which" in said
        assert "kg2at_personality/kernels/kernel.py overrides to go on when the signal is refused: see there." in said
        monkeypatch.setattr(KernelManager, "_async_restart_kernel", changed)
        assert "not (now newports), which" in str(contract(ONE, "_async_restart_kernel").sentence())

    def test_with_another_kind_of_function(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def changed(self: object, now: bool = False, restart: bool = False) -> None: ...

        monkeypatch.setattr(KernelManager, "_async_shutdown_kernel", changed)
        said = str(contract(ONE, "_async_shutdown_kernel").sentence())
        assert "has KernelManager._async_shutdown_kernel as a plain function now, which" in said

    def test_without_a_decorator(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def changed(self: object, **kw: Any) -> None: ...

        monkeypatch.setattr(KernelManager, "_async_start_kernel", changed)
        said = str(contract(ONE, "_async_start_kernel").sentence())
        assert "has KernelManager._async_start_kernel without __wrapped__ now, which" in said


# The package.


@pytest.fixture(scope="module")
def found() -> dict[str, list[Found]]:
    """The private names of libraries, by the module of the package without the package's name."""
    package = importlib.import_module(PACKAGE.name)
    names = [each.name for each in pkgutil.walk_packages(package.__path__, f"{PACKAGE.name}.")]
    # First all of them: a base is held against what its derived classes, in other modules, are mixed with.
    names = [name for name in names if not name.endswith("__main__") and is_there(name.partition(".")[2])]
    modules = [package, *map(importlib.import_module, names)]
    found = {}
    for module in modules:
        tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        found[module.__name__.partition(".")[2]] = list(found_in(tree, vars(module), PACKAGE.name))
    return found


def owner_of(each: Attribute) -> type:
    module, _, name = each.owner.partition(":")
    owner: type = getattr(importlib.import_module(module), name)
    return owner


def test_each_name_is_in_the_table(found: dict[str, list[Found]]) -> None:
    listed = {(each.user, each.name, owner_of(each)) for each in CONTRACTS if is_there(each.user)}
    unlisted = [
        f"{module}, line {each.line}: {each.name} is a private name of a library, and not in CONTRACTS"
        for module, names in found.items()
        for each in names
        if each.name != "__wrapped__"
        and not any((user, name) == (module, each.name) and each.is_of(owner) for user, name, owner in listed)
    ]
    assert not unlisted, "\n".join(unlisted)


def test_each_stands_in_an_adapter(found: dict[str, list[Found]]) -> None:
    elsewhere = [
        f"{module}, line {each.line}: {each.name} is a private name of a library; it belongs into an adapter"
        for module, names in found.items()
        for each in names
        if module not in ADAPTERS and not (module in OVERRIDERS and each.name in overridden(names))
    ]
    assert not elsewhere, "\n".join(elsewhere)


def overridden(names: list[Found]) -> set[str]:
    return {each.name for each in names if each.is_override}


def test_the_table_lists_what_is_used() -> None:
    """What kg2at does not use any more is no contract."""
    for each in CONTRACTS:
        text = (PACKAGE / f"{each.user.replace('.', '/')}.py").read_text(encoding="utf-8")
        assert each.name in text or each.name.removeprefix("kg_") in text, f"{each.user} does not use {each}"


class TestAModule:
    """What is found in one."""

    @staticmethod
    def found(text: str, **namespace: Any) -> Iterator[tuple[str, bool]]:
        exec(compile(text, "module", "exec"), namespace)
        for each in found_in(ast.parse(text), namespace, "ours"):
            yield each.name, each.is_override

    def test_with_names_of_other_objects(self) -> None:
        text = """
import os
def try_it(kernel):
    kernel._ready.cancel()
    getattr(kernel, "_restarter", None)
    kernel.__dict__["_spec"]
    kernel.__dict__.pop("_info", None)
    kernel.start.__wrapped__(kernel, "_a_text")
    return kernel.settings["kg_max_kernels"], f"kg_{kernel}", kernel.__class__, "kg2at"
os._exit
"""
        names = {name for name, _ in self.found(text)}
        assert names == {"_ready", "_restarter", "_spec", "_info", "__wrapped__", "kg_max_kernels", "kg_"}

    def test_with_imports(self) -> None:
        text = "import zmq._future\nfrom jupyter_client.manager import _ShutdownStatus, KernelManager\nimport os as _\n"
        assert list(self.found(text)) == [("_future", False), ("_ShutdownStatus", False)]

    def test_with_classes_derived_from_a_library(self) -> None:
        text = """
from jupyter_client import KernelManager
class Mixin:
    _ready = None
    def try_it(self):
        return self._ours, self._launch_args
class Kernel(Mixin, KernelManager):
    def _interrupt(self):
        return self._mine, self._activity_stream
    async def _async_kill_kernel(self, restart=False):
        await super()._async_kill_kernel(restart)
"""
        names = list(self.found(text, __name__="ours"))
        assert names == [
            ("_launch_args", False),
            ("_ready", False),
            ("_activity_stream", False),
            ("_async_kill_kernel", False),
            ("_async_kill_kernel", True),
        ]

    def test_whose_class_has_no_library(self) -> None:
        assert not list(self.found("class Plain:\n    def try_it(self):\n        self._ready = 1\n", __name__="ours"))


def test_a_new_name_is_told() -> None:
    outside = {"web.status": [Found("_kernels", 7)], OURS: [Found("_ready", 8), Found("_ready", 9)]}
    with pytest.raises(AssertionError, match=r"web\.status, line 7: _kernels is .* not in CONTRACTS"):
        test_each_name_is_in_the_table(outside)
    with pytest.raises(AssertionError, match=r"kernels\.kernel, line 8: _ready is .* belongs into an adapter"):
        test_each_stands_in_an_adapter({OURS: outside[OURS]})
    test_each_stands_in_an_adapter({OURS: [Found("_ready", 8), Found("_ready", 9, is_override=True)]})
