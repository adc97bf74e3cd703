"""Checks Spark's configuration: spark-env.sh, spark-defaults.conf, and the sources beside them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sized

from ...errors import SparkConfError
from ...plural import counted
from ...spark.conflicts import check_together
from ...spark.known_keys import misspelt
from ...spark.properties import Property, as_read, converted
from ...spark.redaction import Redactor
from ...spark.spark_defaults import NAME, Defaults, read_defaults
from ...spark.spark_env import SCRIPT
from ...spark.values import CHECKS
from .finding import Finding, error, ok, warning
from .subject import Subject


def configuration(subject: Subject) -> Iterator[Finding]:
    """Check both files line by line, then all the other sources."""
    told = [*spark_env(subject), *spark_defaults(subject)]
    yield from told
    yield from _other_sources(subject, [each for each in told if each.level == "error"])
    yield from _profiles(subject)
    yield from _warm_kernels(subject)


def spark_env(subject: Subject) -> Iterator[Finding]:
    """Check that the script runs to its end, and soon enough."""
    script = os.path.join(subject.conf_dir, SCRIPT)
    problem = subject.problem
    if isinstance(problem, SparkConfError) and SCRIPT in problem.where:
        yield error(SCRIPT, str(problem), "mend the script; each start of a kernel runs it")
    elif subject.conf_dir and os.path.isfile(script):
        yield ok(SCRIPT, script)
    else:
        yield ok(SCRIPT, f"none in {subject.conf_dir}" if subject.conf_dir else "none: no SPARK_CONF_DIR")


def spark_defaults(subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each bad line, with its number."""
    path = os.path.join(subject.conf_dir, NAME)
    if not subject.conf_dir or not os.path.exists(path):
        yield ok(NAME, f"none in {subject.conf_dir}" if subject.conf_dir else "none: no SPARK_CONF_DIR")
        return
    try:
        defaults = read_defaults(path, subject.launcher.reader.encoding)
    except SparkConfError as problem:
        yield error(NAME, str(problem), "mend the file, or set KG2ATPersonality.spark_defaults_encoding")
        return
    lines = list(_lines(subject, defaults))
    yield from lines or [ok(NAME, f"{_properties(defaults.entries)} in {path} ({defaults.encoding})")]


def _lines(subject: Subject, defaults: Defaults) -> Iterator[Finding]:
    seen: dict[str, Property] = {}
    for entry in defaults.entries:
        yield from _line(subject, entry)
        if entry.key in seen:
            said = f"{entry.where}: {entry.key} is set again, after line {seen[entry.key].line}"
            yield warning(NAME, said, "remove one of them; the last one counts")
        seen[entry.key] = entry


def _line(subject: Subject, entry: Property) -> Iterator[Finding]:
    if not entry.key.startswith("spark."):
        said = f"{entry.where}: {entry.key!r} is ignored, since it does not start with 'spark.'"
        yield warning(NAME, said, "remove the line, or mend the key")
        return
    yield from _misspelt(NAME, entry)
    try:
        if entry.key in CHECKS:
            converted(as_read(entry, subject.environ, subject.conf or {}), CHECKS[entry.key], Redactor)
        elif not entry.value:
            yield warning(NAME, f"{entry.where}: {entry.key} has no value", "give it one, or remove the line")
    except SparkConfError as problem:
        overridden = subject.conf is not None
        finding = warning if overridden else error
        yield finding(NAME, str(problem), "nobody uses it now; mend it all the same" if overridden else "mend the line")


def _misspelt(check: str, setting: Property) -> Iterator[Finding]:
    if near := misspelt(setting.key):
        yield warning(check, f"{setting.where}: Spark knows no {setting.key}", f"did you mean {near}?")


def _other_sources(subject: Subject, told: list[Finding]) -> Iterator[Finding]:
    """Check the environment, $SPARK_OPTS and spark_conf; yields the subject's problem unless it is in `told`."""
    check = "configuration"
    if subject.conf is None:
        if not told:
            yield error(check, str(subject.problem), "mend it; without it no kernel starts")
        return
    conf, path = subject.conf, os.path.join(subject.conf_dir, NAME)
    others = [conf.entry(key) for key in conf if conf.entry(key).source != path]
    found = [finding for setting in others for finding in _misspelt(check, setting)]
    found += [warning(check, each, "remove it, or put it right") for each in conf.ignored if not each.startswith(path)]
    yield from found or [ok(check, f"{_properties(conf)}, spark.master {conf.master}")]


def _profiles(subject: Subject) -> Iterator[Finding]:
    """Check each profile on top of the rest."""
    for name, values in subject.launcher.profiles.items():
        if subject.conf is None:
            return
        check, source = f"profile {name}", f"profile {name}"
        try:
            conf = subject.conf.overlay(source, values)
            check_together(conf)
        except SparkConfError as problem:
            yield error(check, str(problem), "mend KG2ATPersonality.profiles")
            continue
        found = [finding for key in values if key in conf for finding in _misspelt(check, conf.entry(key))]
        yield from found or [ok(check, _properties(values))]


def _warm_kernels(subject: Subject) -> Iterator[Finding]:
    """Check that the kernels which are to wait for users are some of kg2at's."""
    settings, command = subject.command.settings, subject.command
    if not settings.warm_kernels:
        return
    from ...kernels.specs import SparkKernelSpecManager  # imports Jupyter's client, which takes its time

    specs = SparkKernelSpecManager(launcher=subject.launcher, inject=settings.inject_kernelspecs, log=command.log)
    if problem := specs.why_unknown(settings.warm_kernels):
        yield warning("warm_kernels", problem, "put KG2ATPersonality.warm_kernels right: no such kernel waits")


def _properties(found: Sized) -> str:
    return counted(len(found), "property", "properties")
