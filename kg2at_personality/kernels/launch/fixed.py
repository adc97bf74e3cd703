"""What only the start of a process sets: a process that waits fits launches for which all of it is the same."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping

from ...spark.redaction import Redactor
from .plan import Plan

_HIDDEN = "sha256:"
#: How many names a difference has.
MOST = 3


def hidden(value: str) -> str:
    """Return what stands for a value that nobody is shown; the same for the same value."""
    return _HIDDEN + hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()


def shown(redactor: Redactor, values: Mapping[str, str]) -> dict[str, str]:
    """Return properties by name, those that are secret hidden."""
    return {key: hidden(value) if redactor.is_secret(key, value) else value for key, value in values.items()}


def variables(env: Mapping[str, str], names: Collection[str], prefixes: tuple[str, ...]) -> dict[str, str]:
    """Return those variables of an environment, all of them hidden."""
    return {f"${name}": hidden(value) for name, value in env.items() if name in names or name.startswith(prefixes)}


def options_of(plan: Plan) -> dict[str, str]:
    """Return the gateway's own options, by the names of its settings."""
    options = plan.options
    return {
        "spark_context": options.spark_context,
        "toree_options": hidden("\0".join(options.toree_arguments)),
        "niceness": str(options.niceness),
        "job_name": options.job_name,
        "conf_dir": plan.conf_dir,
    }


def difference(has: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """Return a clause on the first difference that can be shown, else on some by their names; "" for none."""
    names = sorted(name for name in {*has, *wanted} if has.get(name) != wanted.get(name))
    for name in names:
        new, old = wanted.get(name, "unset"), has.get(name, "unset")
        if not new.startswith(_HIDDEN) and not old.startswith(_HIDDEN) and not name.startswith("$"):
            return f"{name} is {new}, the one that waits has {old}"
    return _others(names)


def _others(names: list[str]) -> str:
    if not names:
        return ""
    *most, last = names[:MOST]
    return f"{', '.join(most)} and {last} are others" if most else f"{last} is another"
