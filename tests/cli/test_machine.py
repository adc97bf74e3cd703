"""The checks of the machine, where a test can't make the real one lack something."""

from __future__ import annotations

import builtins
import locale
import os
import socket
import sys
from typing import Any, cast

import pytest

from kg2at_personality.cli.check import machine
from kg2at_personality.cli.check.finding import Finding
from kg2at_personality.cli.check.subject import Subject
from kg2at_personality.spark.conf import SparkConf, SparkConfReader


def subject(conf: SparkConf | None = None, **environ: str) -> Subject:
    nothing = cast(Any, None)  # these checks look at the configuration and the environment alone
    return Subject(nothing, nothing, conf, None, environ, "/dev/urandom")


def levels(found: list[Finding]) -> list[str]:
    return [each.level for each in found]


def test_memory_without_psutil(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on z/OS: nothing is said of it."""
    conf = SparkConfReader().read({})
    assert levels(list(machine.memory(subject(conf)))) == ["ok"]
    assert list(machine.memory(subject())) == []
    real = builtins.__import__

    def without_psutil(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "psutil":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_psutil)
    assert list(machine.memory(subject(conf))) == []


def test_no_local_ip_and_a_host_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "localhost")
    [found] = machine.local_ip(subject())
    assert (found.level, found.said) == ("ok", "not set; localhost is 127.0.0.1")
    monkeypatch.setattr(socket, "gethostname", lambda: "no.such.invalid")
    [found] = machine.local_ip(subject())
    assert (found.level, found.said) == ("error", "not set, and no.such.invalid has no address")


@pytest.mark.parametrize(
    ("platform", "files", "text", "autocvt", "said"),
    [
        ("linux", "utf-8", "UTF-8", None, "utf-8"),
        ("linux", "ascii", "UTF-8", None, "file names and variables are ascii"),
        ("linux", "utf-8", "ISO-8859-1", None, "the locale is ISO-8859-1"),
        ("zos", "utf-8", "utf8", None, "_BPXK_AUTOCVT is not set"),
        ("zos", "utf-8", "utf8", "ON", "utf-8"),
    ],
)
def test_encodings(
    platform: str, files: str, text: str, autocvt: str | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: files)
    monkeypatch.setattr(locale, "getpreferredencoding", lambda do_setlocale=True: text)
    monkeypatch.delenv("_BPXK_AUTOCVT", raising=False)
    if autocvt:
        monkeypatch.setenv("_BPXK_AUTOCVT", autocvt)
    [found] = machine.encodings(subject())
    assert found.said.startswith(said) and (found.level == "ok") == (said == "utf-8")


def test_a_random_device_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(size: int) -> bytes:
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(os, "urandom", fail)
    [found] = machine.random_numbers(subject())
    assert found.level == "error" and "Input/output error" in found.said
