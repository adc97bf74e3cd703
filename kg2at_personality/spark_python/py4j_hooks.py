"""What is put into py4j, so that interrupts do no harm, and its errors say what is wrong.

This module imports py4j, and is itself imported when pyspark is.
"""

from __future__ import annotations

import functools
from typing import Any, Callable

from py4j import clientserver, java_gateway, protocol

from .short_error import JvmLost
from .worker_python import problem


class JvmLostError(JvmLost, protocol.Py4JNetworkError):  # type: ignore[misc]
    """That the JVM has ended, in the place of py4j's error; pyspark catches those."""

    def __init__(self) -> None:
        super().__init__("Spark's JVM has ended, and with it whatever was made with it: DataFrames, RDDs, sessions.")


def install() -> None:
    """Put the hooks in. Called when pyspark is imported."""
    for connection in (clientserver.ClientServerConnection, java_gateway.GatewayConnection):
        connection.send_command = _closed_by_interrupt(connection.send_command)
    connection = clientserver.ClientServerConnection
    connection.connect_to_java_server = _telling_of_the_jvm(connection.connect_to_java_server)
    # It logs each interrupt as an error of the root logger, for which that gets a handler that prints into notebooks.
    java_gateway.logging = java_gateway.logger
    # pyspark wraps that of `protocol` with each session (install_exception_handler), py4j calls its own import of it.
    protocol.get_return_value = _telling_what_is_wrong(protocol.get_return_value)
    java_gateway.get_return_value = protocol.get_return_value


def _closed_by_interrupt(send_command: Callable[..., Any]) -> Callable[..., Any]:
    """Return it so that an interrupt between command and answer closes the connection.

    A thread has the same connection always (ClientServer), and the next call would read the answer of this one.
    """

    @functools.wraps(send_command)
    def send(self: Any, *args: Any) -> Any:
        try:
            return send_command(self, *args)
        except Exception:
            raise
        except BaseException:
            self.close()
            raise

    return send


def _telling_of_the_jvm(connect: Callable[..., Any]) -> Callable[..., Any]:
    """Return it so that it raises JvmLostError when nobody listens any more, or nobody answers."""

    @functools.wraps(connect)
    def connect_to_java_server(self: Any) -> Any:
        try:
            return connect(self)
        except (ConnectionError, protocol.Py4JNetworkError):
            pass
        raise JvmLostError

    return connect_to_java_server


def _telling_what_is_wrong(get_return_value: Callable[..., Any]) -> Callable[..., Any]:
    """Return it so that it raises an error that says it, where one is known."""

    @functools.wraps(get_return_value)
    def get(answer: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return get_return_value(answer, *args, **kwargs)
        except Exception as error:
            # The bare sign of an error stands for an answer that did not come (GatewayClient.send_command).
            found = JvmLostError() if answer == protocol.ERROR else problem(error)
            if found is None:
                raise
        raise found

    return get
