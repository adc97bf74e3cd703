"""`jupyter kg2at config`: Spark's configuration as a kernel will see it, with the origin of each value."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from traitlets import Bool

from ..errors import ConfigError, KG2ATError
from ..kernels.specs import SparkKernelSpecManager
from ..spark.conf import SparkConf
from ..spark.properties import Property
from ..spark.redaction import Redactor
from .command import OK, Command

COLUMNS = {"key": "property", "value": "value", "where": "set in", "overrode": "instead of"}


class ConfigApp(Command):
    """Print what Spark is told when a kernel starts."""

    name = "jupyter-kg2at-config"
    description = """Spark's configuration as a kernel will see it.

    jupyter kg2at config [KERNELSPEC or PROFILE]

    Each property with its value (secrets masked), the file and line or the variable that set it, and what that
    overrode. With --export it prints `export SPARK_OPTS=...` for a shell; secrets are values, too, and must be in it
    to work, so it refuses when there are any unless --with-secrets says that they may be shown."""
    examples = """
    jupyter kg2at config                     # what every kernel gets
    jupyter kg2at config apache_toree_sql    # a kernelspec's
    jupyter kg2at config large               # a profile's
    eval "$(jupyter kg2at config --export)"  # what configToree.sh did
    """
    positional = 1

    export = Bool(False, help="Print `export SPARK_OPTS=...`, safe to `eval` in a shell.").tag(config=True)
    with_secrets = Bool(False, help="Show secret values instead of masking them.").tag(config=True)

    flags: ClassVar[Any] = Command.flags | {  # type: ignore[misc]
        "export": ({"ConfigApp": {"export": True}}, "Print `export SPARK_OPTS=...`, safe to `eval` in a shell."),
        "with-secrets": ({"ConfigApp": {"with_secrets": True}}, "Show secret values; --export needs them, if any."),
    }

    def run(self) -> int:
        """Print the properties, or the line for a shell. Called by Command."""
        conf = self.launcher.conf(self._profile())
        for sentence in conf.ignored:
            print(f"{self.name}: {sentence}", file=sys.stderr)
        if self.export:
            _write(f"export SPARK_OPTS={shlex.quote(self._spark_opts(conf))}\n")
        else:
            redactor = None if self.with_secrets else conf.redactor()
            rows = [self._row(conf.entry(key), redactor) for key in sorted(conf)]
            self.table(rows, COLUMNS)
        return OK

    def _profile(self) -> str:
        """Return the profile that the argument names, by itself or as a kernelspec; "" for none. Raises ConfigError."""
        name = self.extra_args[0] if self.extra_args else ""
        if not name or name in self.launcher.profiles:
            return name
        specs = SparkKernelSpecManager(launcher=self.launcher, log=self.log).own
        if name.lower() in specs:
            return specs[name.lower()].profile
        known = ", ".join([*specs, *self.launcher.profiles])
        raise ConfigError(f"{name!r} is no kernelspec of kg2at's and no profile. There are: {known}.")

    def _row(self, setting: Property, redactor: Redactor | None) -> dict[str, Any]:
        overrode = list(_overridden(setting, redactor))
        row: dict[str, Any] = _shown(setting, redactor) | {"where": setting.where}
        return row | {"overrode": overrode if self.as_json else "; ".join(map(_line, overrode))}

    def _spark_opts(self, conf: SparkConf) -> str:
        """Return the value of SPARK_OPTS, which kg2at and Toree's run.sh split into words again as a shell does.

        Raises KG2ATError for secrets that may not be shown, and for keys that can't be in it.
        """
        redactor = conf.redactor()
        secret = sorted(key for key, value in conf.items() if redactor.is_secret(key, value))
        if secret and not self.with_secrets:
            raise KG2ATError(f"SPARK_OPTS would hold secrets ({', '.join(secret)}). To have them shown: --with-secrets")
        for key in conf:
            if "=" in key:
                raise KG2ATError(f"{key!r} can't be in SPARK_OPTS, since it has a '=' ({conf.entry(key).where})")
        return shlex.join(word for key in sorted(conf) for word in ("--conf", f"{key}={conf[key]}"))


def _overridden(setting: Property, redactor: Redactor | None) -> Iterator[dict[str, Any]]:
    """Yield what `setting` overrode, and what that overrode, and so on."""
    while setting.overrode:
        setting = setting.overrode
        yield _shown(setting, redactor)


def _shown(setting: Property, redactor: Redactor | None) -> dict[str, Any]:
    value = redactor.mask(setting.key, setting.value) if redactor else setting.value
    return {"key": setting.key, "value": value, "source": setting.source, "line": setting.line}


def _line(shown: Mapping[str, Any]) -> str:
    line = "" if shown["line"] is None else f", line {shown['line']}"
    return f"{shown['value']} ({shown['source']}{line})"


def _write(text: str) -> None:
    """Print `text` in the encoding in which Python reads the environment again.

    Raises KG2ATError when that encoding lacks some of its characters.
    """
    encoding = sys.stdout.encoding if sys.platform == "zos" else sys.getfilesystemencoding()
    try:
        content = text.encode(encoding, "surrogateescape")
    except UnicodeEncodeError as error:
        raise KG2ATError(f"The locale's {encoding} lacks characters of a value. Set LC_ALL=C.UTF-8.") from error
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
