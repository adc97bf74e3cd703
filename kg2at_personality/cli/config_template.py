"""The configuration file that `jupyter kg2at --generate-config` writes."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..system.private_file import write_private

WIDTH = 100
HEAD = """\
# Configuration of a Jupyter Kernel Gateway with kg2at; `jupyter kernelgateway` and `jupyter kg2at` read it.
# Each setting can be given on the command line, too (--KG2ATPersonality.niceness=5), which wins; those of kg2at also as
# variables (KG2AT_NICENESS=5), which lose. What is commented out is the default.

c = get_config()  # noqa: F821

# Makes Kernel Gateway serve Spark. This line is all that is needed.
c.KernelGatewayApp.api = "kg2at_personality"
"""


def write_template(path: str) -> None:
    """Write the file, readable by its owner alone. Written beside, then renamed. Raises OSError."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), mode=0o700, exist_ok=True)
    write_private(Path(path), text().encode())


def text() -> str:
    """Return the content of the file."""
    return HEAD + "".join(_settings())


def _settings() -> Iterator[str]:
    """Yield a paragraph for every setting of the personality, with its help; the inherited ones last."""
    from ..personality import KG2ATPersonality  # slow: it brings the gateway's web server
    from ..settings import Settings

    traits = KG2ATPersonality.class_traits(config=True)
    inherited = sorted(traits.keys() - set(Settings.names()))
    for name in [*Settings.names(), *inherited]:
        yield f"\n{_comment(traits[name].help or name)}\n# c.KG2ATPersonality.{name} = {_default(name, traits[name])}\n"


def _comment(help_text: str) -> str:
    """Return the help as comment lines, which break at blanks only, so that names stay whole."""
    words = " ".join(help_text.split())
    lines = textwrap.wrap(words, WIDTH, break_on_hyphens=False, break_long_words=False)
    return "\n".join(f"## {line}" for line in lines)


def _default(name: str, trait: Any) -> str:
    """Return the default as Python writes it.

    The trait of list_kernels has the stock gateway's default, and the personality a `@default` of its own: True.
    """
    return "True" if name == "list_kernels" else str(trait.default_value_repr())
