"""spark-env.sh, spark-defaults.conf, and what else Spark is told."""

from __future__ import annotations

import locale
import os
import sys
from collections.abc import Iterator, Sized

from ...errors import SparkConfError
from ...plural import counted
from ...spark.conflicts import check_together
from ...spark.known_keys import misspelt
from ...spark.properties import CHECKS, Setting, as_read, converted
from ...spark.redaction import Redactor
from ...spark.spark_defaults import NAME, Defaults, read_defaults
from ...spark.spark_env import SCRIPT
from .finding import Finding, error, ok, warning
from .subject import Subject

UTF_8 = "set LC_ALL=C.UTF-8, or another UTF-8 locale, where the gateway starts"


def configuration(subject: Subject) -> Iterator[Finding]:
    """Both files line by line, then all the other sources."""
    told = [*spark_env(subject), *spark_defaults(subject)]
    yield from told
    yield from _other_sources(subject, [each for each in told if each.level == "error"])
    yield from _profiles(subject)


def spark_env(subject: Subject) -> Iterator[Finding]:
    """Whether the script runs to its end, soon."""
    script = os.path.join(subject.conf_dir, SCRIPT)
    problem = subject.problem
    if isinstance(problem, SparkConfError) and SCRIPT in problem.where:
        yield error(SCRIPT, str(problem), "mend the script; each start of a kernel runs it")
    elif subject.conf_dir and os.path.isfile(script):
        yield ok(SCRIPT, script)
    else:
        yield ok(SCRIPT, f"none in {subject.conf_dir}" if subject.conf_dir else "none: no SPARK_CONF_DIR")


def spark_defaults(subject: Subject) -> Iterator[Finding]:
    """Each bad line, with its number."""
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
    yield from lines or [ok(NAME, f"{_count(defaults.entries)} in {path} ({defaults.encoding})")]


def _lines(subject: Subject, defaults: Defaults) -> Iterator[Finding]:
    seen: dict[str, Setting] = {}
    for entry in defaults.entries:
        yield from _line(subject, entry)
        if entry.key in seen:
            said = f"{entry.where}: {entry.key} is set again, after line {seen[entry.key].line}"
            yield warning(NAME, said, "remove one of them; the last one counts")
        seen[entry.key] = entry


def _line(subject: Subject, entry: Setting) -> Iterator[Finding]:
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


def _misspelt(check: str, setting: Setting) -> Iterator[Finding]:
    if near := misspelt(setting.key):
        yield warning(check, f"{setting.where}: Spark knows no {setting.key}", f"did you mean {near}?")


def _other_sources(subject: Subject, told: list[Finding]) -> Iterator[Finding]:
    """The environment, $SPARK_OPTS and the trait; and the problem, unless it has been told."""
    check = "configuration"
    if subject.conf is None:
        if not told:
            yield error(check, str(subject.problem), "mend it; without it no kernel starts")
        return
    conf, path = subject.conf, os.path.join(subject.conf_dir, NAME)
    others = [conf.setting(key) for key in conf if conf.setting(key).source != path]
    found = [finding for setting in others for finding in _misspelt(check, setting)]
    found += [warning(check, each, "remove it, or put it right") for each in conf.ignored if not each.startswith(path)]
    yield from found or [ok(check, f"{_count(conf)}, spark.master {conf.master}")]


def _profiles(subject: Subject) -> Iterator[Finding]:
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
        found = [finding for key in values if key in conf for finding in _misspelt(check, conf.setting(key))]
        yield from found or [ok(check, _count(values))]


def _count(properties: Sized) -> str:
    return counted(len(properties), "property", "properties")


def encodings(subject: Subject) -> Iterator[Finding]:
    """In which encodings text goes in and out."""
    check = "encodings"
    files, output = sys.getfilesystemencoding(), locale.getpreferredencoding(False)
    if files.lower() not in ("utf-8", "utf8"):
        yield warning(check, f"file names and variables are {files}: other characters can't pass", UTF_8)
    elif output.lower() not in ("utf-8", "utf8"):
        yield warning(
            check, f"the locale is {output}: Spark can't open files with other characters in their names", UTF_8
        )
    elif sys.platform == "zos" and os.environ.get("_BPXK_AUTOCVT") not in ("ON", "ALL"):
        yield warning(check, "_BPXK_AUTOCVT is not set: tagged files are not converted", "export _BPXK_AUTOCVT=ON")
    else:
        yield ok(check, f"{files}{f'; {NAME} is {subject.conf.encoding}' if subject.conf else ''}")
