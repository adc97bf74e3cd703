"""The configuration file that `jupyter kg2at --generate-config` writes."""

from __future__ import annotations

import contextlib
import os
import tempfile
import textwrap
from collections.abc import Iterator
from typing import Any

WIDTH = 100
HEAD = """\
# Configuration of a Jupyter Kernel Gateway with kg2at; `jupyter kernelgateway` and `jupyter kg2at` read it.
# Each setting can be given on the command line, too (--KG2ATPersonality.niceness=5), which wins; those of kg2at also as
# variables (KG2AT_NICENESS=5), which lose. What is commented out is the default.

c = get_config()  # noqa: F821

# Makes Kernel Gateway serve Spark. This line is all that is needed.
c.KernelGatewayApp.api = "kg2at_personality"
"""


def write(path: str) -> None:
    """Write the file, readable by its owner alone. Written beside, then renamed. Raises OSError."""
    directory = os.path.dirname(os.path.abspath(path))
    os.makedirs(directory, mode=0o700, exist_ok=True)
    descriptor, beside = tempfile.mkstemp(dir=directory, prefix=".kg2at-")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text())
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.remove(beside)
        raise


def text() -> str:
    """The whole file."""
    return HEAD + "".join(_settings())


def _settings() -> Iterator[str]:
    """Every setting of the personality, the inherited ones last, with its help."""
    from ..personality import KG2ATPersonality  # slow: it brings the gateway's web server
    from ..settings import Settings

    traits = KG2ATPersonality.class_traits(config=True)
    inherited = sorted(traits.keys() - Settings.class_traits().keys())
    for name in [*(name for name in vars(Settings) if name in traits), *inherited]:
        yield f"\n{_comment(traits[name].help or name)}\n# c.KG2ATPersonality.{name} = {_default(name, traits[name])}\n"


def _comment(help_text: str) -> str:
    """Lines break at blanks only, so that names stay whole."""
    words = " ".join(help_text.split())
    lines = textwrap.wrap(words, WIDTH, break_on_hyphens=False, break_long_words=False)
    return "\n".join(f"## {line}" for line in lines)


def _default(name: str, trait: Any) -> str:
    """As Python writes it. kg2at's own default for list_kernels is not the stock gateway's, which its trait names."""
    return "True" if name == "list_kernels" else str(trait.default_value_repr())
