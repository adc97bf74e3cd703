"""`jupyter kg2at setup`: install kg2at, Toree and, where the machine has none, Spark and Java into a directory.

The first steps are those of starter.py; then the new environment's own `setup` goes on, which sees what is in it.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from traitlets import Bool, Unicode

from ...spark.installation import Installation
from ...spark.installation_finder import InstallationFinder
from ..command import OK, WRONG, Command
from ..jupyter_command import UsageError
from ..output import print_json
from ..progress import Progress
from .bundle_command import BundleApp
from .installer import Installer
from .kg2at_conf import CONF, WANTED
from .own_wheel import own_wheel
from .starter import Interruption, Site, StepFailed, fits, folders_of, offline, stop_on_signals, wheel_in
from .wheels import misfits


class SetupApp(Command):
    """`setup`: install into a directory."""

    name = "jupyter-kg2at-setup"
    description = (
        "Install kg2at and Toree into a virtual environment in DIR, and Spark and Java too if this machine has none. "
        "Python notebooks get pandas, PyArrow and matplotlib with that Spark, ipykernel alone beside one of your own. "
        "Run again, it goes on where it stopped. `setup bundle` gathers what a machine without a network needs."
    )
    examples = "jupyter kg2at setup -i $PWD/kg2at\njupyter kg2at setup -i /opt/kg2at -t /media/bundle"
    subcommands: ClassVar[Any] = {  # type: ignore[misc]
        "bundle": (BundleApp, "Gather all that a machine without a network needs.")
    }

    directory = Unicode("", help="Directory to install into, an absolute path; it is made if need be.").tag(config=True)
    folder = Unicode(
        "", help="Directory with wheels and archives, or a bundle. pip takes all from there, and none from the network."
    ).tag(config=True)
    embedded = Bool(False, help="Install Spark and Java even if this machine has its own, and use them.").tag(
        config=True
    )
    within = Bool(False, help="Set by setup itself, for the steps that the new environment does.").tag(config=True)

    aliases: ClassVar[Any] = {  # type: ignore[misc]
        **Command.aliases,
        ("i", "install-directory"): "SetupApp.directory",
        ("t", "tar-directory"): "SetupApp.folder",
    }
    flags: ClassVar[Any] = {  # type: ignore[misc]
        **Command.flags,
        "embedded": ({"SetupApp": {"embedded": True}}, "Install Spark and Java even if this machine has its own."),
    }

    def run(self) -> int:
        """Do the steps, or in the new environment the rest of them. Called for `setup`."""
        if not os.path.isabs(self.directory):
            given = f"-i {self.directory}" if self.directory else "-i DIR"
            raise UsageError(f"{given}: name the directory to install into by an absolute path")
        if self.folder and not os.path.isdir(self.folder):
            raise UsageError(f"-t {self.folder}: there is no such directory")
        stop_on_signals()
        try:
            with Progress(sys.stderr if self.as_json else sys.stdout) as progress:
                site = Site(os.path.normpath(self.directory), progress)
                return self._finish(site) if self.within else self._begin(site)
        except StepFailed as error:
            return _end(f"{self.name}: {error}", WRONG)
        except Interruption as stopped:
            return _end(f"{self.name}: stopped", 128 + int(stopped.args[0]))

    def _begin(self, site: Site) -> int:
        """Do the steps before the environment has a kg2at of its own, which then goes on. Raises StepFailed."""
        folder = os.path.abspath(self.folder) if self.folder else ""
        folders = folders_of(folder) if folder else []
        if folder:
            fits(folder)
            if text := misfits(folders):
                raise StepFailed(text)
        site.open()
        site.make_environment(folders)
        with tempfile.TemporaryDirectory(prefix="kg2at-setup-") as directory:
            site.install_kg2at(wheel_in(folders) or own_wheel(directory), folders)
        flags = {"--embedded": self.embedded, "--yes": self.answer_yes, "--json": self.as_json}
        config = [f"--config={self.config_file}"] if self.config_file else []
        site.go_on(folder, *config, *(flag for flag, said in flags.items() if said))

    def _finish(self, site: Site) -> int:
        """Do the steps inside the environment. Raises StepFailed."""
        site.open(lock=False)
        source = offline(folders_of(self.folder)) if self.folder else []
        installer = Installer(site, source, self._finder(), self.embedded, self.confirm)
        installer.install_toree()
        installer.install_spark()
        installer.install_python()
        found, toree = installer.check_py4j()
        installer.write_conf(found)
        self._tell(site, found, toree, installer.environ)
        return OK

    def _finder(self) -> InstallationFinder:
        """Return what finds the installation: with --embedded not by the settings and kernelspecs of this machine."""
        finder = self.launcher.finder
        return replace(finder, spark_home=None, java_home=None, kernel_dirs=()) if self.embedded else finder

    def _tell(self, site: Site, found: Installation, toree: str, environ: Mapping[str, str]) -> None:
        missing = [name for name in WANTED if not environ.get(name)]
        conf = os.path.join(site.path, CONF)
        if self.as_json:
            versions = {"spark": found.spark.version, "java": found.java.version, "toree": toree}
            return print_json({"directory": site.path, "conf": conf, "missing": missing, **versions})
        for warning in found.warnings:
            print(f"Warning: {warning}")
        for name in missing:
            print(f"{name} is not set: {WANTED[name]}.")
        if missing:
            print(f"Set {' and '.join(missing)} in your profile, or in {conf}.")
        if not os.environ.get("SPARK_HOME"):
            print(f"SPARK_HOME is not set: {CONF} sets it to {found.spark.home}.")
        print(
            f"kg2at is installed. To use it: . {shlex.quote(conf)}\nThen see whether all is well: jupyter kg2at check"
        )


def _end(text: str, status: int) -> int:
    """Say it, and exit at once: the environment that this runs in may be removed."""
    print(text, file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(status)
