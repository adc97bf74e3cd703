"""Real processes of Python programs that need not import all again: one process imports, and forks itself for each.

A fork becomes `python -m MODULE ARGUMENTS` with an environment, directory and streams of its own, and ends as any
interpreter does. What Python reads from its environment before it imports anything (PYTHON* but for PYTHONPATH, LC_*)
is the server's.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

#: Bytes of a request: environment and arguments.
LIMIT = 1 << 20
#: What modules might read when they are imported.
DROPPED = ("PYTHON", "LC_", "LANG", "JUPYTER_", "KG_", "KG2AT_", "SPARK_")


class ForkServer:
    """A process that has imported `modules`; it is started for the first fork, and ends with the tests."""

    def __init__(self, *modules: str) -> None:
        self.modules = modules
        self._socket: socket.socket | None = None

    def start(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: str | Path,
        streams: Sequence[int],
        session: bool = False,
    ) -> Fork:
        """Start `python -m ARGV` on three file descriptors, which stay the caller's.

        With `session` it leads a session of its own.
        """
        request = json.dumps({"argv": list(argv), "env": dict(env), "cwd": str(cwd), "session": session}).encode()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            socket.send_fds(self._server(), [request], [*streams, theirs.fileno()])
        return Fork(list(argv), ours)

    def run(
        self, argv: Sequence[str], env: Mapping[str, str], cwd: str | Path = ".", timeout: float = 60
    ) -> subprocess.CompletedProcess[bytes]:
        """Run `python -m ARGV` with nothing to read, to its end, and collect what it writes.

        Raises subprocess.TimeoutExpired when it takes longer than `timeout` seconds; it is killed then.
        """
        with open(os.devnull, "rb") as nothing, pipe() as (out, out_end), pipe() as (err, err_end):
            with out_end, err_end:
                fork = self.start(argv, env, cwd, [nothing.fileno(), out_end.fileno(), err_end.fileno()])
            texts = fork.communicate(out, err, timeout)
        return subprocess.CompletedProcess(list(argv), fork.wait(timeout), *texts)

    def _server(self) -> socket.socket:
        if self._socket is None:
            self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                argv = [sys.executable, __file__, str(theirs.fileno()), *self.modules]
                env = {name: value for name, value in os.environ.items() if not name.startswith(DROPPED)}
                streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "pass_fds": [theirs.fileno()]}
                self._process = subprocess.Popen(argv, env=env | {"LC_ALL": "C.UTF-8"}, **streams)
            atexit.register(self._end)
        return self._socket

    def _end(self) -> None:
        """Called when the tests are over."""
        assert self._socket is not None
        self._socket.close()
        self._process.wait()


class Fork:
    """A process that a ForkServer has started; what subprocess.Popen offers, as far as tests need it."""

    def __init__(self, args: list[str], conversation: socket.socket) -> None:
        self.args, self._conversation = args, conversation
        self.pid = int(conversation.recv(100))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit status. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not _readable([self._conversation], timeout):
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(self._conversation.recv(100))
            self._conversation.close()
        return self.returncode

    def send_signal(self, signum: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, signum)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, out: IO[bytes], err: IO[bytes], timeout: float) -> tuple[bytes, bytes]:
        """Read both to their ends. Raises subprocess.TimeoutExpired, once it is killed."""
        texts, limit = {out: b"", err: b""}, time.monotonic() + timeout
        left = [out, err]
        while left:
            ready = _readable(left, max(0.0, limit - time.monotonic()))
            if not ready:
                self.kill()
                raise subprocess.TimeoutExpired(self.args, timeout, texts[out], texts[err])
            for stream in ready:
                read = os.read(stream.fileno(), 65536)
                texts[stream] += read
                if not read:
                    left.remove(stream)
        return texts[out], texts[err]


def _readable(streams: list[Any], timeout: float | None) -> list[Any]:
    """Those that can be read, after `timeout` seconds at most. Not by select(), which knows 1024 descriptors."""
    with selectors.DefaultSelector() as selector:
        for each in streams:
            selector.register(each, selectors.EVENT_READ)
        return [key.fileobj for key, _ in selector.select(timeout)]


@contextmanager
def pipe() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """A pipe: where to read and where to write."""
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as out, open(writer, "wb", buffering=0) as end:
        yield out, end


# The server itself.


def serve(requests: socket.socket) -> list[str]:
    """Fork for each request; returns the arguments in each fork. Ends with whoever asks."""
    while True:
        content, descriptors, *_ = socket.recv_fds(requests, LIMIT, 4)
        reap()
        if not content:
            sys.exit()
        if os.fork() == 0:
            requests.close()
            return keep(json.loads(content), descriptors)
        for each in descriptors:
            os.close(each)


def reap() -> None:
    """Wait for the children that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def keep(request: dict[str, Any], descriptors: list[int]) -> list[str]:
    """Fork the program, tell its pid and its exit status, and end; in the program itself, return its arguments."""
    with socket.socket(fileno=descriptors.pop()) as conversation:
        if pid := os.fork():
            for each in descriptors:
                os.close(each)
            conversation.send(str(pid).encode())
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            with contextlib.suppress(OSError):  # nobody wants to know any more
                conversation.send(str(status).encode())
            os._exit(0)
    become(request, descriptors)
    return list(request["argv"])


def become(request: dict[str, Any], descriptors: list[int]) -> None:
    """Take over environment, directory and streams."""
    if request["session"]:
        os.setsid()
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    os.chdir(request["cwd"])
    sys.path[0] = os.getcwd()
    sys.path[1:1] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    for target, each in enumerate(descriptors):
        os.dup2(each, target)
        os.close(each)
    for target, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        errors = "backslashreplace" if name == "stderr" else "surrogateescape"
        buffering = 1 if name == "stderr" or os.isatty(target) else -1
        stream = open(target, mode, buffering, "utf-8", errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)


def main() -> None:
    sys.path[0] = os.getcwd()
    for name in sys.argv[2:]:
        importlib.import_module(name)
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        module, *sys.argv[1:] = serve(requests)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
