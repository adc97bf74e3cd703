from __future__ import annotations

import functools
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kg2at_personality.kernels.launch.class_archive import MOST, ClassArchives, Train
from kg2at_personality.spark.installation import Installation, Java, Spark
from kg2at_personality.spark.submit_command import SubmitCommand
from kg2at_personality.system.free_ports import IN_USE, PORT_TRIES
from tests.fakes import wait

#: What makes an archive runs with a low priority: beside other tests it takes its time.
wait_until = functools.partial(wait.wait_until, limit=250.0)
ROOT = Path(__file__).parents[3]
#: A kernel that takes each cell for run, and has written its archive before; each run leaves a line in RUNS.
TOREE = """
import sys
from tests.fakes.kernel import Kernel, main
option, properties, connection, runs = sys.argv[1:]
open(runs, "a").write(open(properties).read().count("local[1]") * "run\\n")
class Toree(Kernel):
    def execute(self, code, silent):
        return {"status": "ok"}
open(option.partition("=")[2], "w").write("an archive")
main(Toree, connection)
"""


@pytest.fixture
def command(tmp_path: Path) -> SubmitCommand:
    home = tmp_path / "spark"
    (home / "jars").mkdir(parents=True)
    (home / "jars" / "a.jar").touch()
    (tmp_path / "java").mkdir()
    java = Java(str(tmp_path / "java"), "17.0.15", 17)
    return SubmitCommand(Installation(Spark(str(home), "3.5.9", "2.12"), java), ("-XX:+Ignore",), frozenset({"org"}))


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., ClassArchives]]:
    made: list[ClassArchives] = []

    def archives(quiet: float = 0.0) -> ClassArchives:
        made.append(ClassArchives(tmp_path / "cache", logging.getLogger("kg2at"), quiet))
        return made[-1]

    yield archives
    for each in made:
        each.close()


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def train(tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    program = tmp_path / "toree.py"
    program.write_text(TOREE)
    return lambda option: lambda properties, connection: [
        sys.executable, str(program), option, properties, connection, str(runs),
    ]  # fmt: skip


def used(options: list[str]) -> Path:
    assert options[1:] == ["-Xshare:auto", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]
    return Path(options[0].partition("-XX:SharedArchiveFile=")[2])


def test_the_first_start_has_one_made_for_those_after_it(
    make: Callable[..., ClassArchives], command: SubmitCommand, train: Train, runs: Path, tmp_path: Path
) -> None:
    archives, folder = make(), tmp_path / "jars-1"
    assert archives.options(command, folder, [], train) == []
    path = used(wait_until(lambda: archives.options(command, folder, [], train), "the archive"))
    assert path.read_text() == "an archive" and path.stat().st_mode & 0o777 == 0o600
    assert used(make().options(command, folder, [], train)) == path, "another gateway uses it"
    other = SubmitCommand(command.installation, command.options, frozenset({"com", "org"}))
    assert used(archives.options(other, folder, [], train)) == path
    assert runs.read_text() == "run\n", "it was made once, without a cluster"
    assert {each.suffix for each in (tmp_path / "cache").iterdir()} == {".jsa", ".sum", ".lock"}


@pytest.mark.parametrize("change", ["cut", "spark", "toree", "options"])
def test_one_that_does_not_fit_is_not_used(
    make: Callable[..., ClassArchives], command: SubmitCommand, train: Train, tmp_path: Path, change: str
) -> None:
    archives, folder = make(), tmp_path / "jars-1"
    path = used(wait_until(lambda: archives.options(command, folder, [], train), "the archive"))
    if change == "cut":
        path.write_text("an")
    elif change == "spark":
        (tmp_path / "spark" / "jars" / "b.jar").touch()
    elif change == "toree":
        folder = tmp_path / "jars-2"
    else:
        command = SubmitCommand(command.installation, (), frozenset())
    later = make(quiet=600)
    assert later.options(command, folder, [], train) == []


def test_a_damaged_one_is_made_anew(
    make: Callable[..., ClassArchives], command: SubmitCommand, train: Train, runs: Path, tmp_path: Path
) -> None:
    archives, folder = make(), tmp_path / "jars-1"
    path = used(wait_until(lambda: archives.options(command, folder, [], train), "the archive"))
    path.write_text("an")
    assert archives.options(command, folder, [], train) == []
    wait_until(lambda: archives.options(command, folder, [], train), "another one")
    assert path.read_text() == "an archive" and runs.read_text() == "run\n" * 2


@pytest.mark.parametrize("own", ["-XX:SharedArchiveFile=/mine.jsa", "-Xmx1g -Xshare:off", "-XX:ArchiveClassesAtExit=a"])
def test_an_administrators_own_wins(
    make: Callable[..., ClassArchives], command: SubmitCommand, train: Train, tmp_path: Path, own: str
) -> None:
    archives, folder = make(), tmp_path / "jars-1"
    wait_until(lambda: archives.options(command, folder, [], train), "the archive")
    assert archives.options(command, folder, ["", own], train) == []


def test_java_before_13_has_none(
    make: Callable[..., ClassArchives], command: SubmitCommand, train: Train, runs: Path, tmp_path: Path
) -> None:
    spark, java = command.installation.spark, Java(command.installation.java.home, "11.0.20", 11)
    archives = make()
    assert archives.options(SubmitCommand(Installation(spark, java), (), frozenset()), tmp_path, [], train) == []
    archives.close()
    assert not runs.exists()


def test_it_waits_while_kernels_are_started(
    make: Callable[..., ClassArchives], command: SubmitCommand, train: Train, runs: Path, tmp_path: Path
) -> None:
    archives = make(quiet=600)
    assert archives.options(command, tmp_path / "jars-1", [], train) == []
    began = time.monotonic()
    archives.close()
    assert not runs.exists() and time.monotonic() - began < 60, "the gateway's end does not wait for it"
    assert archives.options(command, tmp_path / "jars-1", [], train) == []


def test_a_run_that_fails_is_told_once(
    make: Callable[..., ClassArchives],
    command: SubmitCommand,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def train(option: str) -> Callable[[str, str], list[str]]:
        return lambda properties, connection: ["sh", "-c", "echo no room; exit 1"]

    archives = make()
    for _ in range(3):
        assert archives.options(command, tmp_path / "jars-1", [], train) == []
        wait_until(lambda: "No archive of classes is used" in caplog.text, "the warning")
    assert caplog.text.count("No archive of classes is used") == 1 and "no room" in caplog.text
    assert not list((tmp_path / "cache").glob("*.jsa*"))


@pytest.mark.parametrize("times", [PORT_TRIES - 1, PORT_TRIES])
def test_a_port_that_another_program_takes_first(
    make: Callable[..., ClassArchives],
    command: SubmitCommand,
    train: Train,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    times: int,
) -> None:
    """Each run has other ports, three times at most."""
    tries: list[str] = []

    def taken(option: str) -> Callable[[str, str], list[str]]:
        def launch(properties: str, connection: str) -> list[str]:
            tries.append(connection)
            taken = ["sh", "-c", f"echo 'java.net.BindException: {IN_USE}'; echo at a place; echo and another; exit 1"]
            return taken if len(tries) <= times else train(option)(properties, connection)

        return launch

    archives = make()
    is_made = times < PORT_TRIES

    def has_ended() -> bool:
        return bool(archives.options(command, tmp_path / "jars-1", [], taken)) or "No archive" in caplog.text

    wait_until(has_ended, "the archive, or the warning")
    assert ("No archive" not in caplog.text) == is_made and len(tries) == PORT_TRIES == len(set(tries))


def test_few_are_kept(make: Callable[..., ClassArchives], command: SubmitCommand, train: Train, tmp_path: Path) -> None:
    archives, paths = make(), []
    for number in range(MOST + 1):
        folder = tmp_path / f"jars-{number}"
        paths.append(used(wait_until(lambda folder=folder: archives.options(command, folder, [], train), "one")))
        os.utime(paths[-1].with_suffix(".sum"), (number, number))
    assert [path.exists() for path in paths] == [False, *[True] * MOST]


def test_one_that_another_gateway_has_removed_meanwhile(
    make: Callable[..., ClassArchives], command: SubmitCommand, train: Train, tmp_path: Path
) -> None:
    (tmp_path / "cache").mkdir(mode=0o700)
    (tmp_path / "cache" / "gone.sum").symlink_to(tmp_path / "gone")
    archives = make()
    assert used(wait_until(lambda: archives.options(command, tmp_path / "jars-1", [], train), "one")).exists()
