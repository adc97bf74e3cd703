"""Checks what this machine has to have: memory, an address, a directory, encodings, random numbers, TERM."""

from __future__ import annotations

import locale
import os
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator

from jupyter_core.paths import jupyter_runtime_dir

from ...spark.spark_defaults import NAME
from ...spark.units import spark_size
from ...system.loopback import is_loopback
from ...system.own_hosts import is_here
from .finding import Finding, error, ok, warning
from .subject import Subject

#: What Spark gives a driver that asks for nothing (spark.driver.memory), MiB.
DRIVER_MIB = 1024
UTF_8 = "set LC_ALL=C.UTF-8, or another UTF-8 locale, where the gateway starts"


def memory(subject: Subject) -> Iterator[Finding]:
    """Check that a driver fits, since drivers run on this machine. Yields nothing where free memory is not known."""
    free = _free_mib()
    if subject.conf is None or free is None:
        return
    driver = subject.conf.memory_mib("spark.driver.memory", DRIVER_MIB)
    said = f"{spark_size(free)} free on this machine, and a notebook's driver may take {spark_size(driver)}"
    if free < driver:
        yield warning("memory", said, "lower spark.driver.memory, or free some")
    else:
        yield ok("memory", f"{said}: enough for {free // driver}")


def _free_mib() -> int | None:
    try:
        import psutil

        return int(psutil.virtual_memory().available) // 2**20
    except (ImportError, OSError):  # z/OS has no psutil
        return None


def local_ip(subject: Subject) -> Iterator[Finding]:
    """Check the address that drivers listen on and executors connect to."""
    check, ip = "SPARK_LOCAL_IP", subject.environ.get("SPARK_LOCAL_IP", "")
    if not ip:
        yield _hostname(check)
        return
    try:
        here = is_here(ip)
    except OSError as problem:
        here, ip = False, f"{ip} ({problem.strerror})"
    if not here:
        yield error(check, f"{ip} is no address of this machine", "set it to one; `ip addr` or `netstat -h` lists them")
    elif is_loopback(ip) and subject.conf and not all(map(is_loopback, subject.conf.master_hosts)):
        said = f"{ip} is reached from this machine only, but the master is {subject.conf.master}"
        yield warning(check, said, "set it to an address that the workers reach")
    else:
        yield ok(check, ip)


def _hostname(check: str) -> Finding:
    """Check the host's name, whose address Spark takes when SPARK_LOCAL_IP is not set; without one Spark ends."""
    name = socket.gethostname()
    try:
        return ok(check, f"not set; {name} is {socket.gethostbyname(name)}")
    except OSError:
        return error(check, f"not set, and {name} has no address", "set it, or name the host in /etc/hosts")


def state_directory(subject: Subject) -> Iterator[Finding]:
    """Check the directory of the kernels' connection files, properties and logs."""
    check, path = "state directory", jupyter_runtime_dir()
    remedy = "set JUPYTER_RUNTIME_DIR to a directory that only you can write"
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            mode = stat.S_IMODE(os.stat(path).st_mode)
    except OSError as problem:
        yield error(check, f"{path} can't be written: {problem.strerror}", remedy)
        return
    if mode & 0o022:
        yield warning(check, f"{path} can be written by others (mode {mode:o})", f"chmod go-w {path}")
    else:
        yield ok(check, path)


def encodings(subject: Subject) -> Iterator[Finding]:
    """Check the encodings of file names, of text, and on z/OS the conversion of tagged files."""
    check = "encodings"
    files, text = sys.getfilesystemencoding(), locale.getpreferredencoding(False)
    if not _is_utf_8(files):
        yield warning(check, f"file names and variables are {files}: other characters can't pass", UTF_8)
    elif not _is_utf_8(text):
        yield warning(
            check, f"the locale is {text}: Spark can't open files with other characters in their names", UTF_8
        )
    elif sys.platform == "zos" and os.environ.get("_BPXK_AUTOCVT") not in ("ON", "ALL"):
        yield warning(check, "_BPXK_AUTOCVT is not set: tagged files are not converted", "export _BPXK_AUTOCVT=ON")
    else:
        yield ok(check, f"{files}{f'; {NAME} is {subject.conf.encoding}' if subject.conf else ''}")


def _is_utf_8(encoding: str) -> bool:
    return encoding.lower() in ("utf-8", "utf8")


def random_numbers(subject: Subject) -> Iterator[Finding]:
    """Check the device of random numbers, which tokens, keys and Java need; z/OS has it only where ICSF is set up."""
    path = subject.random_device
    try:
        os.urandom(16)
        with open(path, "rb", buffering=0) as device:
            enough = len(device.read(16)) == 16
    except OSError as problem:
        enough, path = False, f"{path}: {problem.strerror}"
    if enough:
        yield ok("random numbers", path)
    else:
        yield error("random numbers", f"{path} gives none", "make the device work (z/OS: start ICSF; see mknod)")


def terminal(subject: Subject) -> Iterator[Finding]:
    """Check TERM, without which curses complains at each start: the PyCurses message of z/OS."""
    if name := os.environ.get("TERM"):
        yield ok("TERM", name)
    else:
        yield warning("TERM", "not set; programs may complain of it at each start", "export TERM=dumb")
