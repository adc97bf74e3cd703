"""A Python kernel that starts in a fifth of ipykernel's time: Jupyter's messages, and cells that are plain Python.

Run as `python kernel.py -f CONNECTION_FILE`; tests/fakes/jupyter has its kernelspec, which takes the name python3.
It answers what a notebook sends (docs of jupyter_client: Messaging); it has no magics, no history and no debugger.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import hmac
import io
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import zmq

DELIMITER = b"<IDS|MSG>"
#: Milliseconds after which a signal is handled at the latest.
SIGNAL_POLL = 100
INFO = {
    "status": "ok",
    "protocol_version": "5.3",
    "implementation": "small",
    "implementation_version": "1",
    "language_info": {"name": "python", "version": "3", "mimetype": "text/x-python", "file_extension": ".py"},
    "banner": "A small Python kernel",
}
Content = dict[str, Any]
Message = dict[str, Any]


class Stream(io.TextIOBase):
    """Standard output or error of the cells: line by line to the notebook."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self.show, self.text = show, ""

    def write(self, text: str) -> int:
        self.text += text
        if text.endswith("\n"):
            self.flush()
        return len(text)

    def flush(self) -> None:
        text, self.text = self.text, ""
        if text:
            self.show(text)


class Kernel:
    """Binds its sockets, and serves until it is told to shut down."""

    def __init__(self, connection: dict[str, Any]) -> None:
        self.key, self.session = connection["key"].encode(), os.urandom(16).hex()
        self.context, self.lock = zmq.Context(), threading.Lock()
        kinds = {"shell": zmq.ROUTER, "control": zmq.ROUTER, "stdin": zmq.ROUTER, "iopub": zmq.PUB, "hb": zmq.REP}
        self.sockets = {name: self.context.socket(kind) for name, kind in kinds.items()}
        # Else it throws messages away when a test's process, which is a gateway too, is slow to take them.
        self.sockets["iopub"].sndhwm = 0
        for name, socket in self.sockets.items():
            socket.linger = 1000
            socket.bind(f"tcp://{connection['ip']}:{connection[f'{name}_port']}")
        self.count, self.parent = 0, Message()
        #: What is called with the data of a comm_open, by the target's name; it returns the data of the comm_close.
        self.targets: dict[str, Callable[[Content], Content]] = {}
        self.names: dict[str, Any] = {"__name__": "__main__", "display": self.display}

    # Messages.

    def sign(self, parts: list[bytes]) -> bytes:
        if not self.key:
            return b""
        return hmac.new(self.key, b"".join(parts), hashlib.sha256).hexdigest().encode()

    def receive(self, socket: zmq.Socket[bytes]) -> Message | None:
        """The next message; None for one that is not signed rightly."""
        frames = socket.recv_multipart()
        at = frames.index(DELIMITER)
        parts = frames[at + 2 : at + 6]
        if not hmac.compare_digest(frames[at + 1], self.sign(parts)):
            return None
        header, parent, metadata, content = (json.loads(part) for part in parts)
        return {"to": frames[:at], "header": header, "parent": parent, "metadata": metadata, "content": content}

    def send(self, channel: str, kind: str, content: Content, parent: Message) -> None:
        """Send it to whoever sent `parent`, or to all by iopub."""
        now = datetime.now(timezone.utc).isoformat()
        header = {"msg_id": os.urandom(16).hex(), "msg_type": kind, "session": self.session, "username": "kernel"}
        header |= {"date": now, "version": "5.3"}
        parts = [json.dumps(part).encode() for part in (header, parent.get("header", {}), {}, content)]
        to = [f"kernel.{kind}".encode()] if channel == "iopub" else parent["to"]
        with self.lock:
            self.sockets[channel].send_multipart([*to, DELIMITER, self.sign(parts), *parts])

    def publish(self, kind: str, content: Content, parent: Message | None = None) -> None:
        self.send("iopub", kind, content, self.parent if parent is None else parent)

    def display(self, value: Any, raw: bool = False) -> None:
        """What a cell calls; `raw`: the value is data by MIME type."""
        data = value if raw else {"text/plain": repr(value)}
        self.publish("display_data", {"data": data, "metadata": {}, "transient": {}})

    def stream(self, name: str, text: str) -> None:
        self.publish("stream", {"name": name, "text": text})

    # Serving.

    def serve(self) -> None:
        """Answer on all channels; the cells run in the main thread, so that a signal reaches them."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        waker, wakes = self.context.socket(zmq.PAIR), self.context.socket(zmq.PAIR)
        waker.bind("inproc://end")
        wakes.connect("inproc://end")
        threading.Thread(target=self._beat, daemon=True).start()
        threading.Thread(target=self._control, args=(wakes,), daemon=True).start()
        self.publish("status", {"execution_state": "starting"})
        for name in ("stdout", "stderr"):
            setattr(sys, name, Stream(partial(self.stream, name)))
        poller = zmq.Poller()
        for socket in (self.sockets["shell"], waker):
            poller.register(socket, zmq.POLLIN)
        # With a limit: a signal that comes just before it blocks is handled by Python only when it returns.
        while waker not in (ready := dict(poller.poll(SIGNAL_POLL))):
            if ready:
                self._shell()
        os._exit(0)

    def _beat(self) -> None:
        while True:
            self.sockets["hb"].send(self.sockets["hb"].recv())

    def _control(self, wakes: zmq.Socket[bytes]) -> None:
        while True:
            message = self.receive(self.sockets["control"])
            if message is None:
                continue
            kind = message["header"]["msg_type"]
            if kind == "interrupt_request":
                os.kill(os.getpid(), signal.SIGINT)
            self._answer("control", message)
            if kind == "shutdown_request":
                for socket in ("control", "iopub"):
                    with self.lock:
                        self.sockets[socket].close()
                wakes.send(b"")
                return

    def _shell(self) -> None:
        message = self.receive(self.sockets["shell"])
        if message is None:
            return
        self.parent = message
        reply = self._answer("shell", message)
        if reply.get("status") == "error" and message["content"].get("stop_on_error", True):
            self._abort()

    def _abort(self) -> None:
        """Refuse the cells that were sent meanwhile."""
        while self.sockets["shell"].poll(0):
            if (message := self.receive(self.sockets["shell"])) is None:
                continue
            if message["header"]["msg_type"] != "execute_request":
                self._answer("shell", message)
                continue
            self.publish("status", {"execution_state": "busy"}, message)
            self.send("shell", "execute_reply", {"status": "aborted", "execution_count": self.count}, message)
            self.publish("status", {"execution_state": "idle"}, message)

    def _answer(self, channel: str, message: Message) -> Content:
        """Busy, the reply, idle."""
        kind = message["header"]["msg_type"]
        self.publish("status", {"execution_state": "busy"}, message)
        answer = getattr(self, f"on_{kind.removesuffix('_request')}", None)
        reply: Content = answer(message["content"]) if answer else {}
        if answer and kind.endswith("_request"):
            self.send(channel, kind.replace("_request", "_reply"), reply, message)
        self.publish("status", {"execution_state": "idle"}, message)
        return reply

    # What is asked.

    def on_kernel_info(self, content: Content) -> Content:
        return INFO

    def on_comm_info(self, content: Content) -> Content:
        return {"status": "ok", "comms": {}}

    def on_comm_open(self, content: Content) -> Content:
        """Answer on iopub; one without a target is closed too, as ipykernel and Toree do."""
        target = self.targets.pop(content["target_name"], None)
        data = target(content["data"]) if target else {}
        self.publish("comm_close", {"comm_id": content["comm_id"], "data": data})
        return {}

    def on_history(self, content: Content) -> Content:
        return {"status": "ok", "history": []}

    def on_is_complete(self, content: Content) -> Content:
        return {"status": "complete"}

    def on_interrupt(self, content: Content) -> Content:
        return {"status": "ok"}

    def on_shutdown(self, content: Content) -> Content:
        return {"status": "ok", "restart": content.get("restart", False)}

    def on_complete(self, content: Content) -> Content:
        at, word = content["cursor_pos"], content["code"][: content["cursor_pos"]].rpartition(" ")[2]
        found = sorted(name for name in {*self.names, *dir(builtins)} if name.startswith(word))
        return {"status": "ok", "matches": found, "cursor_start": at - len(word), "cursor_end": at, "metadata": {}}

    def on_inspect(self, content: Content) -> Content:
        word = content["code"].strip()
        found = word in self.names or hasattr(builtins, word)
        return {"status": "ok", "found": found, "data": {"text/plain": word} if found else {}, "metadata": {}}

    def on_execute(self, content: Content) -> Content:
        silent = content.get("silent", False)
        if not silent:
            self.count += content.get("store_history", True)
            self.publish("execute_input", {"code": content["code"], "execution_count": self.count})
        reply = self.execute(content["code"], silent)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        shown = {name: self._shown(text) for name, text in (content.get("user_expressions") or {}).items()}
        return {"execution_count": self.count, "user_expressions": shown, "payload": []} | reply

    def _shown(self, expression: str) -> Content:
        return {"status": "ok", "data": {"text/plain": repr(eval(expression, self.names))}, "metadata": {}}

    def execute(self, code: str, silent: bool) -> Content:
        """Run a cell; its last expression's value is its result."""
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                value = self._run(code)
            finally:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
        except BaseException as error:
            lines = traceback.format_exception(error)
            raised = {"ename": type(error).__name__, "evalue": str(error), "traceback": lines}
            self.publish("error", raised)
            return {"status": "error"} | raised
        if value is not None and not silent:
            shown = {"data": {"text/plain": repr(value)}, "metadata": {}, "execution_count": self.count}
            self.publish("execute_result", shown)
        return {"status": "ok"}

    def _run(self, code: str) -> object:
        tree = ast.parse(code)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "<cell>", "exec"), self.names)
        if not isinstance(last, ast.Expr):
            return None
        return eval(compile(ast.Expression(last.value), "<cell>", "eval"), self.names)


def main(kernel_class: type[Kernel] = Kernel, connection_file: str = "") -> None:
    with suppress(KeyboardInterrupt):
        path = Path(connection_file or sys.argv[sys.argv.index("-f") + 1])
        kernel_class(json.loads(path.read_text())).serve()


if __name__ == "__main__":
    main()
