"""SIGINT, with a real signal."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from kg2at_personality.spark_python.interrupt_handler import InterruptHandler
from tests.fakes.wait import wait_until


class Context:
    """A SparkContext whose jobs can be cancelled, unless its JVM doesn't answer."""

    def __init__(self) -> None:
        self.cancelled: list[str] = []
        self.answers = threading.Event()
        self.answers.set()

    def cancelAllJobs(self) -> None:
        assert self.answers.wait(20)
        self.cancelled.append(threading.current_thread().name)


class Driver:
    def __init__(self) -> None:
        self.context: Context | None = Context()


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture
def handler(driver: Driver) -> Iterator[InterruptHandler]:
    before = signal.getsignal(signal.SIGINT)
    yield InterruptHandler(driver, limit=20)
    signal.signal(signal.SIGINT, before)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    wait_until(lambda: False, "the interrupt")


def test_a_cell(handler: InterruptHandler, driver: Driver) -> None:
    handler.begin()
    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert driver.context is not None and driver.context.cancelled == ["kg2at interrupt"]


def test_a_jvm_that_does_not_answer(handler: InterruptHandler, driver: Driver) -> None:
    assert driver.context is not None
    driver.context.answers.clear()
    InterruptHandler(driver, limit=0.05).begin()
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            interrupt()
    driver.context.answers.set()


def test_between_cells(handler: InterruptHandler, driver: Driver) -> None:
    handler.begin()
    handler.end()
    os.kill(os.getpid(), signal.SIGINT)
    assert driver.context is not None
    context = driver.context
    wait_until(lambda: context.cancelled, "the cancelled jobs")


def test_without_spark(handler: InterruptHandler, driver: Driver) -> None:
    driver.context = None
    handler.begin()
    with pytest.raises(KeyboardInterrupt):
        interrupt()


def test_another_handler_after(handler: InterruptHandler, driver: Driver) -> None:
    seen: list[int] = []
    handler.begin()
    with handler.then(lambda signum, frame: seen.append(signum)):
        os.kill(os.getpid(), signal.SIGINT)
        wait_until(lambda: seen, "the handler")
    handler.install_again()  # pyspark had put its own in
    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert seen == [signal.SIGINT]


def test_in_another_thread(handler: InterruptHandler) -> None:
    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=handler.begin)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGINT) is before
