"""Archives of the classes that a Toree loads at its start (class data sharing, JEP 350): the JVM maps them as they are.

A JVM checks that an archive fits its version and its class path, and else goes on without; of the archive's body it
checks nothing, so kg2at does.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ...errors import KG2ATError
from ...spark.submit_command import SubmitCommand
from ...system.file_digests import FileDigests
from ...system.file_lock import try_lock
from ...system.private_directory import last_changed, private_directory, put_in_place
from ..environment import kernel_environment
from .archive_training import Command, Training

#: How many archives are kept, 150 MB each.
MOST = 2
#: Seconds without a start after which one is made: it takes both cores of a small machine for 20 s.
QUIET = 20.0
#: The first JDK that writes an archive at its exit.
LEAST_JAVA = 13
#: What the JVM says of an archive that does not fit is nothing for a kernel's log.
_USE = ("-Xshare:auto", "-Xlog:cds=off", "-Xlog:cds+dynamic=off")
#: Options of an administrator's own, which win.
_OTHERS = ("SharedArchiveFile", "-Xshare", "ArchiveClassesAtExit")
#: Makes the command of a Toree that is no kernel, with an option of the JVM's.
Train = Callable[[str], Command]


class ClassArchives:
    """Has an archive for each Spark, Java and Toree in `directory`, made in the background after the first start."""

    def __init__(self, directory: Path, log: logging.Logger, quiet: float = QUIET) -> None:
        self._directory, self._log, self._quiet = directory, log, quiet
        self._digests, self._lock, self._end = FileDigests(), threading.Lock(), threading.Event()
        self._last_start = 0.0
        self._maker: threading.Thread | None = None
        #: Those whose making has begun and not succeeded: it is not tried again.
        self._tried: set[Path] = set()

    def options(self, command: SubmitCommand, folder: Path, own: Sequence[str], train: Train) -> list[str]:
        """Return what has a JVM use its archive; [] while there is none: then `train` is run some time later.

        `folder` holds the jars of its Toree, `own` are its other options. Blocking: 0.3 s at the first call, else 1 ms.
        """
        self._last_start = time.monotonic()
        if command.installation.java.major < LEAST_JAVA or any(name in option for name in _OTHERS for option in own):
            return []
        try:
            path = private_directory(self._directory) / f"{_key(command, folder)}.jsa"
            if self._is_good(path):
                os.utime(path.with_suffix(".sum"))
                return [f"-XX:SharedArchiveFile={path}", *_USE]
        except OSError as error:
            self._tell(self._directory, str(error))
            return []
        self._have_made(path, train)
        return []

    def close(self) -> None:
        """Make none any more, and end what makes one. Blocking: 1 s at most."""
        self._end.set()
        if self._maker is not None:
            self._maker.join()

    def _is_good(self, path: Path) -> bool:
        try:
            return path.with_suffix(".sum").read_text("ascii") == self._digests.of(path)
        except (OSError, ValueError):
            return False

    def _have_made(self, path: Path, train: Train) -> None:
        with self._lock:
            if path in self._tried or (self._maker is not None and self._maker.is_alive()) or self._end.is_set():
                return
            self._tried.add(path)
            self._maker = threading.Thread(target=self._make, args=(path, train), name="kg2at archive", daemon=True)
            self._maker.start()

    def _make(self, path: Path, train: Train) -> None:
        """Make one when no kernel has been started for a while. Called in a thread of its own."""
        while (left := self._last_start + self._quiet - time.monotonic()) > 0:
            if self._end.wait(left):
                return
        beside = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
        try:
            with _locked(path.with_suffix(".lock")) as is_ours:
                if is_ours and not self._is_good(path):
                    self._train(path, beside, train)
        except (KG2ATError, OSError) as error:
            if not self._end.is_set():
                self._tell(path, str(error))
        finally:
            beside.unlink(missing_ok=True)

    def _train(self, path: Path, beside: Path, train: Train) -> None:
        began = time.monotonic()
        env = kernel_environment(os.environ, {}) | {"SPARK_LOCAL_IP": "127.0.0.1"}
        Training(train(f"-XX:ArchiveClassesAtExit={beside}"), env, self._end.is_set).run()
        beside.chmod(0o600)
        os.replace(beside, path)
        self._remove_old(path)
        digest = self._digests.of(path)
        put_in_place(path.with_suffix(".sum"), lambda new: new.write_text(digest, "ascii"))
        self._tried.discard(path)
        self._log.info("Toree kernels start sooner from now on: %s was made in %.0f s", path, time.monotonic() - began)

    def _tell(self, path: Path, problem: str) -> None:
        self._log.warning("No archive of classes is used, so that Toree kernels start later: %s: %s", path, problem)

    def _remove_old(self, new: Path) -> None:
        """Keep those that were used last, beside the `new` one."""
        others = [each for each in self._directory.glob("*.sum") if each.stem != new.stem]
        for old in sorted(others, key=last_changed, reverse=True)[MOST - 1 :]:
            for suffix in (".sum", ".jsa", ".lock"):
                old.with_suffix(suffix).unlink(missing_ok=True)


def _key(command: SubmitCommand, folder: Path) -> str:
    """Return a name for all that decides whether an archive fits: Java, Spark's jars, Toree, options."""
    java, jars = Path(command.installation.java.home), Path(command.installation.spark.home, "jars")
    found = [(each.name, each.stat()) for each in sorted(jars.glob("*.jar"))]
    seen = [(name, status.st_size, status.st_mtime_ns) for name, status in found]
    release = java / "release"
    content = release.read_bytes() if release.exists() else b""
    about = (os.path.realpath(java), content, command.installation, command.options, str(folder), seen)
    return hashlib.sha256(repr(about).encode()).hexdigest()[:16]


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold the lock of one archive, as of all gateways one makes it. Yields False when another has it."""
    with open(path, "wb") as file:
        yield try_lock(file.fileno())
