"""Install kg2at from the folder that this file lies in, with no network: python3 starter.py -i DIR

It needs nothing but Python 3.10 or later. `jupyter kg2at setup bundle` made the folder; `jupyter kg2at setup` stands on
the same steps as this file, which is copied into each bundle.
"""

import argparse
import contextlib
import fcntl
import glob
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, Protocol

if sys.version_info < (3, 10):  # noqa: UP036  whoever starts this may have any Python
    sys.exit("kg2at needs Python 3.10 or later, and this is {}.{}. Take a later one.".format(*sys.version_info[:2]))

STEPS = ("virtual environment", "kg2at", "Toree", "Spark and Java", "Python notebooks", "py4j", ".kg2at_conf")
NOTES = ".kg2at_setup"  # what was done so far, in the directory that is set up
GUARD = 'exec 3<&0; (read -r _ <&3; kill -s KILL 0) & exec "$@" 3<&- </dev/null'
PIP = ("-m", "pip")
PIP_OPTIONS = ("--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--no-color")
# What would lead Python or pip elsewhere.
ASTRAY = ("PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_ROOT", "PIP_REQUIREMENT")


class StepFailed(Exception):
    """A step did not work; the message says why, and a user can read it."""


class Interruption(BaseException):
    """A signal ends the set-up."""


def stop_on_signals() -> None:
    """Have Ctrl-C, SIGTERM and a closed terminal raise Interruption, so that what is half done is removed first."""

    def stop(signum: int, _frame: object) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise Interruption(signum)

    signals = [each for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) is not None]
    signals = [each for each in signals if signal.getsignal(each) is not signal.SIG_IGN]
    for each in signals:
        signal.signal(each, stop)


class StepDisplay(Protocol):
    """Shows the steps: this file's Progress, or that of `jupyter kg2at`."""

    def begin(self, name: str) -> None: ...
    def tick(self) -> None: ...
    def end(self, result: str) -> None: ...


class Progress:
    """A line for each step; at a terminal it counts the seconds meanwhile. Without rich, which may not be installed."""

    def __init__(self, to_stderr: bool = False) -> None:
        self.out = sys.stderr if to_stderr else sys.stdout
        self.in_place = self.out.isatty()

    def begin(self, name: str) -> None:
        self.text = f"{name} ..."
        self.since, self.shown = time.monotonic(), 0
        self._write(self.text)

    def tick(self) -> None:
        seconds = int(time.monotonic() - self.since)
        if self.in_place and seconds > self.shown:
            self.shown = seconds
            self._write(f"\r{self.text} {seconds} s")

    def end(self, result: str) -> None:
        if self.in_place:
            self._write("\r\033[K" + self.text)
        self._write(f" {result}\n")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self.out.write(text)
            self.out.flush()


def run(argv: Sequence[str], log: str, tick: Callable[[], None] = lambda: None) -> None:
    """Run a program that does not outlive this one, its output going to `log`.

    Raises StepFailed with its last lines when it fails.
    """
    env = {name: value for name, value in os.environ.items() if name not in ASTRAY}
    lifeline, guard_end = socket.socketpair()
    with lifeline:
        with guard_end, open(log, "wb") as out:
            streams: dict[str, Any] = {"stdin": guard_end, "stdout": out, "stderr": out}
            guarded = ["/bin/sh", "-c", GUARD, "guard", *argv]
            process = subprocess.Popen(guarded, env=env, start_new_session=True, **streams)
        try:
            while process.poll() is None:
                tick()
                time.sleep(0.05)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
    if process.returncode:
        raise StepFailed(_tail(log) or f"{argv[0]} ended with {process.returncode}")


def _tail(log: str, lines: int = 8) -> str:
    with open(log, encoding="utf-8", errors="replace") as file:
        said = [line.rstrip() for line in file if line.strip() and not line.startswith("WARNING: Retrying")]
    errors = [line for line in said if line.startswith("ERROR")]
    return "\n".join((errors or said)[-lines:])


class Site:
    """The directory that is set up: a virtual environment in `venv`, and notes of what was done.

    A step is noted before it begins and when it is done, so that the next run knows what a killed one left half done.
    """

    def __init__(self, path: str, progress: StepDisplay) -> None:
        self.path, self.progress = path, progress
        self.venv = os.path.join(path, "venv")
        self.python = os.path.join(self.venv, "bin", "python")
        self.notes = os.path.join(path, NOTES)
        self.log = os.path.join(self.notes, "log")
        self.done: dict[str, str] = {}
        self.begun: dict[str, Any] = {}
        self.is_new = False

    def open(self, lock: bool = True) -> None:
        """Make the directory, lock it, and remove what a killed run left half done. Raises StepFailed."""
        self.is_new = not os.path.isdir(self.path)
        try:
            os.makedirs(self.notes, exist_ok=True)
            if lock:
                self._lock()
            self._load()
        except OSError as error:
            raise StepFailed(f"{error.filename or self.path}: {error.strerror}") from error
        if lock and self.begun:
            self._undo()

    def _lock(self) -> None:
        """Lock the directory until this process ends; the program that it becomes (`go_on`) holds the lock too."""
        file = os.open(os.path.join(self.notes, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
        os.set_inheritable(file, True)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StepFailed(f"Another setup is at work in {self.path}.") from error

    def _load(self) -> None:
        with contextlib.suppress(FileNotFoundError, ValueError, TypeError, AttributeError):
            with open(os.path.join(self.notes, "state.json"), encoding="utf-8") as file:
                state = json.load(file)
            self.done, self.begun = dict(state.get("done") or {}), dict(state.get("begun") or {})

    def _save(self) -> None:
        replace(os.path.join(self.notes, "state.json"), json.dumps({"done": self.done, "begun": self.begun}))

    def step(self, name: str, wanted: str, action: Callable[[], str], intact: bool = True) -> None:
        """Do one step, unless just this (`wanted`) is done and `intact`. `action` returns what it did.

        Raises StepFailed, when what was half done is removed.
        """
        self.progress.begin(f"[{STEPS.index(name) + 1}/{len(STEPS)}] {name}")
        began = time.monotonic()
        if self.done.get(name) == wanted and intact:
            self.progress.end("already there")
            return
        self.done.pop(name, None)
        self.begun = {"step": name, "before": self._picture()}
        try:
            self._save()
            result = action()
        except BaseException as error:
            self.progress.end("failed" if isinstance(error, Exception) else "stopped")
            self._undo()
            if isinstance(error, OSError):
                raise StepFailed(f"{name}: {error.filename or self.path}: {error.strerror}") from error
            if isinstance(error, StepFailed):
                raise StepFailed(f"{name}: {error}") from error
            raise
        self.done[name], self.begun = wanted, {}
        self._save()
        self.progress.end(f"{result}, {time.monotonic() - began:.1f} s")

    def _picture(self) -> list[list[Any]]:
        """Return what is in the environment: enough to see whether anything was installed or removed."""
        folders = glob.glob(os.path.join(glob.escape(self.venv), "lib*", "python3*", "site-packages"))
        entries = [entry for folder in [*folders, os.path.dirname(self.python)] for entry in _entries(folder)]
        return sorted([entry.path, entry.stat(follow_symlinks=False).st_mtime_ns] for entry in entries)

    def _undo(self) -> None:
        """Remove what the step that was begun left half done: all of the environment, if it changed any of it."""
        if self.begun.get("step") == STEPS[0] or self._picture() != self.begun.get("before"):
            shutil.rmtree(self.venv, ignore_errors=True)
            self.done = {}
        self.begun = {}
        if self.done or not self.is_new:
            return self._save()
        shutil.rmtree(self.notes, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.rmdir(self.path)

    # Steps.

    def make_environment(self, folders: Sequence[str]) -> None:
        """Do the first step: a virtual environment with pip, from a wheel of pip in `folders` or Python's own."""
        if os.path.lexists(self.venv) and not self.done:
            raise StepFailed(f"{self.venv} is there, and no setup made it. Remove it, or choose another directory.")

        def make() -> str:
            shutil.rmtree(self.venv, ignore_errors=True)
            self.done = {}
            run([sys.executable, "-I", "-m", "venv", "--without-pip", self.venv], self.log, self.progress.tick)
            wheels = [path for folder in folders for path in glob.glob(os.path.join(glob.escape(folder), "pip-*.whl"))]
            if wheels:
                self.pip("install", *offline(folders), "pip", pip=(os.path.join(wheels[-1], "pip"),))
            else:
                self._ensure_pip()
            return "Python {}.{}.{}".format(*sys.version_info[:3])

        self.step(STEPS[0], "{}.{}".format(*sys.version_info[:2]), make, os.access(self.python, os.X_OK))

    def _ensure_pip(self) -> None:
        try:
            run([self.python, "-I", "-m", "ensurepip"], self.log, self.progress.tick)
        except StepFailed as error:
            remedy = "If it has no ensurepip, install that (Debian, Ubuntu: python3-venv) or take another Python."
            raise StepFailed(f"{sys.executable} can't put pip into {self.venv}. {remedy}\n{error}") from error

    def install_kg2at(self, wheel: str, folders: Sequence[str]) -> None:
        """Do the second step: install kg2at's `wheel`, and what it needs, from `folders` if there are any."""
        wanted = fingerprint(wheel)
        replaces = STEPS[1] in self.done

        def install() -> str:
            if replaces:
                self.pip("install", "--force-reinstall", "--no-deps", *offline(folders), wheel)
            self.pip("install", *offline(folders), wheel)
            return os.path.basename(wheel).split("-")[1]

        self.step(STEPS[1], wanted, install)

    def pip(self, command: str, *arguments: str, pip: Sequence[str] = PIP) -> None:
        """Run the environment's pip. Raises StepFailed."""
        run([self.python, "-I", *pip, command, *PIP_OPTIONS, *arguments], self.log, self.progress.tick)

    def go_on(self, folder: str, *options: str) -> NoReturn:
        """Become the environment's own `jupyter kg2at setup`, for the steps that are left."""
        argv = [self.python, "-I", "-m", "kg2at_personality.cli", "setup", "--SetupApp.within=True", "-i", self.path]
        argv += ["-t", folder] if folder else []
        for name in ASTRAY:
            os.environ.pop(name, None)
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(self.python, [*argv, *options])  # noqa: S606


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        yield from (entry for entry in entries if entry.name != "__pycache__")


def replace(path: str, text: str, encoding: str = "utf-8") -> None:
    """Write a file beside `path`, then put it in its place."""
    with open(f"{path}.new", "w", encoding=encoding, newline="\n") as file:
        file.write(text)
    os.replace(f"{path}.new", path)


def offline(folders: Sequence[str]) -> list[str]:
    """Return the options that keep pip from the network, whatever is configured; none without `folders`."""
    links = [option for folder in folders for option in ("--find-links", folder)]
    return ["--isolated", "--no-index", *links] if links else []


def folders_of(folder: str) -> list[str]:
    """Return where the wheels and archives of `folder` are: in it, and in `wheels` in it if it is a bundle."""
    inside = os.path.join(folder, "wheels")
    return [inside, folder] if os.path.isdir(inside) else [folder]


def wheel_in(folders: Sequence[str]) -> str | None:
    """Return kg2at's own wheel in `folders`: the last by version; None without any."""
    wheels = [path for folder in folders for path in glob.glob(os.path.join(glob.escape(folder), "kg2at-*.whl"))]
    return max(
        wheels,
        key=lambda path: [int(number) for number in re.findall(r"\d+", os.path.basename(path))[1:]],
        default=None,
    )


def fingerprint(wheel: str) -> str:
    """Return a hash that tells wheels of the same version apart, however they were packed. Raises StepFailed."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.endswith(".dist-info/RECORD")]
            lines = archive.read(names[0]).decode().splitlines()
    except (OSError, zipfile.BadZipFile, IndexError, ValueError) as error:
        raise StepFailed(f"{wheel} is no wheel, or a damaged one: {error}") from error
    return hashlib.sha256("\n".join(sorted(line for line in lines if ",sha256=" in line)).encode()).hexdigest()


def fits(folder: str) -> None:
    """Raise StepFailed if the bundle was made for another Python. No-op for what is no bundle."""
    with contextlib.suppress(OSError, ValueError), open(os.path.join(folder, "bundle.json"), encoding="utf-8") as file:
        made_for = str(json.load(file)["python_version"])
        mine = "{}.{}".format(*sys.version_info[:2])
        if made_for != mine:
            raise StepFailed(f"The bundle is for Python {made_for}, and this is {mine}. Start it by python{made_for}.")


def check_wheels(folders: Sequence[str], wheel: str) -> None:
    """Raise StepFailed with the wheels that don't fit this Python on this machine.

    The code for that is imported from kg2at's own `wheel`, and from that of packaging: nothing is installed for it.
    """
    found = [path for folder in folders for path in glob.glob(os.path.join(glob.escape(folder), "packaging-*.whl"))]
    fingerprint(wheel)
    sys.path[:0] = [wheel, *found]
    try:
        from kg2at_personality.cli.setup.wheels import misfits
    except (ImportError, SyntaxError) as error:
        said = f"{folders[0]} lacks a wheel of kg2at or packaging that works ({error})"
        raise StepFailed(f"{said}. Take the whole of the bundle.") from error
    finally:
        del sys.path[: len(found) + 1]
    if text := misfits(folders):
        raise StepFailed(text)


def main() -> None:
    """Run `python3 starter.py`."""
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description="Install kg2at and Toree from this folder, with no network.")
    parser.add_argument(
        "-i", "--install-directory", metavar="DIR", required=True, help="absolute path; made if need be"
    )
    parser.add_argument("-t", "--tar-directory", metavar="DIR", default=here, help="wheels (default: this folder)")
    parser.add_argument(
        "--embedded", action="store_true", help="install Spark and Java even if the machine has its own"
    )
    parser.add_argument("-y", "--yes", action="store_true", help="replace a .kg2at_conf without a question")
    parser.add_argument("--json", action="store_true", help="print JSON in the end")
    options = parser.parse_args()
    if not os.path.isabs(options.install_directory):
        parser.error(f"-i {options.install_directory}: the directory must be an absolute path")
    if not os.path.isdir(options.tar_directory):
        parser.error(f"-t {options.tar_directory}: there is no such directory")
    stop_on_signals()
    try:
        begin(Site(os.path.normpath(options.install_directory), Progress(options.json)), options)
    except StepFailed as error:
        sys.exit(f"starter: {error}")
    except Interruption as stopped:
        sys.exit(128 + int(stopped.args[0]))


def begin(site: Site, options: argparse.Namespace) -> NoReturn:
    """Do the first two steps, and become the program that does the others. Raises StepFailed."""
    folder = os.path.abspath(options.tar_directory)
    fits(folder)
    folders = folders_of(folder)
    wheel = wheel_in(folders)
    if wheel is None:
        raise StepFailed(f"{folder} has no wheel of kg2at (kg2at-*.whl). Take the whole of the bundle.")
    check_wheels(folders, wheel)
    site.open()
    site.make_environment(folders)
    site.install_kg2at(wheel, folders)
    flags = ("embedded", "yes", "json")
    site.go_on(folder, *(f"--{flag}" for flag in flags if getattr(options, flag)))


if __name__ == "__main__":
    main()
