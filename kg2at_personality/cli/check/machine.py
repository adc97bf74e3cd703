"""What this machine has to have: an address, a directory, random numbers, a terminal's name."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Iterator

from jupyter_core.paths import jupyter_runtime_dir

from ...system.loopback import is_loopback
from ..ports.sockets import is_here
from .finding import Finding, error, ok, warning
from .subject import Subject


def local_ip(subject: Subject) -> Iterator[Finding]:
    """The address that drivers listen on and executors connect to."""
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
    """Unset: Spark looks for the address of the host's name, and ends when there is none."""
    name = socket.gethostname()
    try:
        return ok(check, f"not set; {name} is {socket.gethostbyname(name)}")
    except OSError:
        return error(check, f"not set, and {name} has no address", "set it, or name the host in /etc/hosts")


def state_directory(subject: Subject) -> Iterator[Finding]:
    """Where connection files, properties and logs of kernels go."""
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


def random_numbers(subject: Subject) -> Iterator[Finding]:
    """Tokens, keys and Java need them; z/OS has them only where ICSF is set up."""
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
    """Without TERM curses complains at each start: the PyCurses message of z/OS."""
    if name := os.environ.get("TERM"):
        yield ok("TERM", name)
    else:
        yield warning("TERM", "not set; programs may complain of it at each start", "export TERM=dumb")
