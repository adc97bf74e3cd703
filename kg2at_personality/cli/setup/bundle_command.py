"""`jupyter kg2at setup bundle`: gather, on a connected machine, all that an unconnected one needs."""

from __future__ import annotations

import os
import re
import shutil
import sys
from typing import Any, ClassVar

from traitlets import Bool, List, Unicode

from ..command import OK, WRONG, Command
from ..jupyter_command import UsageError
from ..output import print_json
from ..progress import Progress
from .bundle_builder import MARK, BundleBuilder
from .starter import Interruption, StepFailed, stop_on_signals


class BundleApp(Command):
    """`setup bundle DIR`."""

    name = "jupyter-kg2at-setup-bundle"
    description = "Gather in DIR all that a machine without a network needs to install kg2at: wheels and a starter."
    examples = "jupyter kg2at setup bundle kg2at-bundle --platform manylinux2014_x86_64 --python-version 3.11"
    positional = 1

    platform = List(
        Unicode(),
        help="That machine as pip names it, as manylinux_2_17_x86_64 with glibc 2.17 or later. None: one like this.",
    ).tag(config=True)
    python_version = Unicode(
        "", help="Its Python, as in 3.11, whichever 3.11.x. Empty: as the one that runs this."
    ).tag(config=True)
    embedded = Bool(True, help="Whether Spark, Java and what Python notebooks expect go into it (460 MB).").tag(
        config=True
    )

    aliases: ClassVar[Any] = {  # type: ignore[misc]
        **Command.aliases,
        "platform": "BundleApp.platform",
        "python-version": "BundleApp.python_version",
    }
    flags: ClassVar[Any] = {  # type: ignore[misc]
        **Command.flags,
        "no-embedded": ({"BundleApp": {"embedded": False}}, "Leave out Spark, Java, pandas: that machine has its own."),
    }

    def run(self) -> int:
        """Make the bundle. Called for `setup bundle`."""
        if len(self.extra_args) != 1:
            raise UsageError("name the directory to gather everything in")
        if not re.fullmatch(r"(3\.1\d)?", self.python_version):
            raise UsageError(
                f"--python-version: {self.python_version!r} is none that kg2at runs on; write it as in 3.11"
            )
        target = os.path.abspath(self.extra_args[0])
        if not self._may_take(target):
            return WRONG
        stop_on_signals()
        try:
            self._gather(target)
        except StepFailed as error:
            print(f"{self.name}: {error}", file=sys.stderr)
            return WRONG
        except Interruption as stopped:
            return 128 + int(stopped.args[0])
        return OK

    def _may_take(self, target: str) -> bool:
        """Return whether `target` is free, or a bundle that may be replaced. Raises UsageError for anything else."""
        if not os.path.lexists(target) or (os.path.isdir(target) and not os.listdir(target)):
            return True
        if not os.path.isfile(os.path.join(target, MARK)):
            raise UsageError(f"{target} is there already and no bundle; name a new directory")
        return self.confirm(f"Replace the bundle {target}?")

    def _gather(self, target: str) -> None:
        """Make the bundle beside `target`, and put it there when it is whole. Raises StepFailed."""
        beside = f"{target}.partial"
        try:
            shutil.rmtree(beside, ignore_errors=True)
            os.makedirs(os.path.join(beside, "wheels"))
            with Progress(sys.stderr if self.as_json else sys.stdout) as progress:
                builder = BundleBuilder(beside, progress, self.platform, self.python_version, self.embedded)
                about = builder.build()
            shutil.rmtree(target, ignore_errors=True)
            os.rename(beside, target)
        except OSError as error:
            raise StepFailed(f"{error.filename or target}: {error.strerror}") from error
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        if self.as_json:
            return print_json({"bundle": target, **about})
        print(f"{target} is complete: {len(about['wheels'])} wheels, {about['bytes'] / 1e6:.0f} MB.")
        print(f"It is for {about['target']}. Copy all of it there, then:")
        print(f"  python{about['python_version']} starter.py -i /absolute/path/to/install/into")
