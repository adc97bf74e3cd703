"""`jupyter kg2at` itself: usage, and the configuration file that it writes."""

from __future__ import annotations

import os
import pty
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kg2at_personality.personality import KG2ATPersonality
from tests.cli.program import Place
from tests.fakes.gateway_process import FORKS

USAGE = [
    ((), "check\n"),
    (("chek",), "there is no subcommand 'chek' here; --help lists them"),
    (("--json", "check"), "options go behind the subcommand"),
    (("check", "--bogus=1"), "unknown option --bogus"),
    (("check", "--bogus"), "--bogus"),
    (("check", "more"), "'more' is one argument too many"),
    (("config", "a", "b"), "'b' is one argument too many"),
    (("check", "--CheckApp.start_timeout=soon"), "CheckApp.start_timeout expected a float"),
    (("status", "--interval=x"), "StatusApp.interval expected a float, not the str 'x'"),
    (("status", "--url"), "expected one argument; --help tells the usage"),
    (("status", "stop", "-x"), "expected one argument; --help tells the usage"),
    (("ports", "--json=3"), "'3'"),
]
WRONG = [
    (("check", "--config=/no/such/file.py"), "there is no file /no/such/file.py"),
    (("config", "--KG2ATPersonality.niceness=99"), "niceness"),
    (("check", "--config=/dev"), "/dev is passed over"),
    (("config", "--KernelGatewayApp.port=x"), "Kernel Gateway's settings: KernelGatewayApp.port expected an int"),
    (("ports", "--KernelGatewayApp.port=65536"), "KernelGatewayApp.port should not be greater than 65535"),
    (("ports", "--KernelGatewayApp.port=-1"), "KernelGatewayApp.port should not be less than 0"),
]
VARIABLES = [("KG_PORT", "x"), ("KG_PORT_RETRIES", ""), ("KG_SSL_VERSION", "TLS"), ("KG2AT_NICENESS", "x")]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize(("argv", "said"), USAGE, ids=str)
def test_usage_is_status_2(place: Place, argv: tuple[str, ...], said: str) -> None:
    ran = place.run(*argv)
    assert ran.status == 2
    assert said in ran.out + ran.err
    assert len(ran.err.splitlines()) <= 1


@pytest.mark.parametrize(("argv", "said"), WRONG, ids=str)
def test_a_wrong_setting_is_status_1(place: Place, argv: tuple[str, ...], said: str) -> None:
    ran = place.run(*argv)
    assert ran.status == 1
    assert said in ran.out + ran.err


@pytest.mark.parametrize(("name", "value"), VARIABLES)
def test_a_wrong_variable_is_status_1(place: Place, name: str, value: str) -> None:
    ran = place.run("config", **{name: value})
    assert ran.status == 1
    assert name.partition("_")[2].lower() in ran.err


@pytest.mark.parametrize("content", ["c.KG2ATPersonality.niceness = \n", "raise RuntimeError('no')\n"])
def test_a_broken_configuration_file(place: Place, content: str) -> None:
    path = place.directory / "broken.py"
    path.write_text(content)
    ran = place.run("config", f"--config={path}")
    assert ran.status == 1
    assert "configuration file can't be read" in ran.err


def test_help_all_names_every_setting(place: Place) -> None:
    ran = place.run("check", "--help-all")
    assert ran.status == 0
    for name in KG2ATPersonality.class_traits(config=True):
        assert f"--KG2ATPersonality.{name}=" in ran.out


@pytest.mark.parametrize("subcommand", ["check", "config", "ports", "users"])
def test_each_subcommand_has_help(place: Place, subcommand: str) -> None:
    ran = place.run(subcommand, "--help")
    assert ran.status == 0
    assert "--json" in ran.out and f"jupyter kg2at {subcommand}" in ran.out


# --generate-config.

# An unset env_whitelist is [""] in the stock gateway, which allows nothing.
SHOW_SETTINGS = """
import sys
from kernel_gateway.gatewayapp import KernelGatewayApp
from kg2at_personality.personality import KG2ATPersonality
app = KernelGatewayApp.instance()
app.initialize([f"--config={path}" for path in sys.argv[1:]])
own = KG2ATPersonality(parent=app)
for name in sorted(own.trait_names(config=True)):
    value = getattr(own, name)
    print(name, [] if value == [""] else value)
"""


def test_the_configuration_file_has_every_setting_and_its_help(place: Place) -> None:
    ran = place.run("--generate-config")
    path = place.directory / "config" / "jupyter_kernel_gateway_config.py"
    assert (ran.status, ran.out) == (0, f"Written: {path}\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    named = re.findall(r"^# c\.KG2ATPersonality\.(\w+) = ", text, re.MULTILINE)
    traits = KG2ATPersonality.class_traits(config=True)
    assert sorted(named) == sorted(traits)
    words = " ".join(text.replace("\n## ", " ").split())
    for trait in traits.values():
        assert " ".join(trait.help.split()) in words


def test_the_gateway_reads_the_file_and_its_defaults_are_the_defaults(place: Place) -> None:
    """With every setting uncommented nothing changes: what the file calls a default is one."""
    path = place.directory / "all.py"
    assert place.run("--generate-config", f"--config={path}").status == 0
    path.write_text(path.read_text().replace("\n# c.", "\nc."))
    (place.directory / "shown.py").write_text(SHOW_SETTINGS)
    bare, full = (FORKS.run(["shown", *more], place.environ, place.directory) for more in ([], [str(path)]))
    assert bare.returncode == full.returncode == 0, bare.stderr + full.stderr
    assert bare.stdout == full.stdout
    assert b"list_kernels True" in full.stdout


def test_it_asks_before_it_replaces_a_file(place: Place) -> None:
    path = place.directory / "mine.py"
    path.write_text("# mine\n")
    option = f"--config={path}"
    ran = place.run("--generate-config", option)
    assert (ran.status, path.read_text()) == (1, "# mine\n")
    assert "is left as it was" in ran.err and "--yes" in ran.err
    assert _at_terminal(place, "no\n", "--generate-config", option) == 1
    assert path.read_text() == "# mine\n"
    assert _at_terminal(place, "y\n", "--generate-config", option) == 0
    assert "KG2ATPersonality" in path.read_text()
    assert place.run("--generate-config", "-y", option).status == 0


def test_a_place_that_can_t_be_written(place: Place) -> None:
    (place.directory / "file").touch()
    ran = place.run("--generate-config", f"--config={place.directory}/file/config.py")
    assert ran.status == 1
    assert "can't be written" in ran.err


def _at_terminal(place: Place, answer: str, *argv: str) -> int:
    """The exit status when somebody types `answer`."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "kg2at_personality.cli", *argv]
    os.write(leader, answer.encode())
    try:
        return subprocess.run(
            command,
            env=place.environ,
            cwd=place.directory,
            stdin=follower,
            stdout=follower,
            stderr=follower,
            timeout=200,
        ).returncode
    finally:
        os.close(leader)
        os.close(follower)


def test_tables_are_drawn_at_a_terminal_only(place: Place) -> None:
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "kg2at_personality.cli", "config"]
    ended = subprocess.run(command, env=place.environ, cwd=place.directory, stdout=follower, timeout=200)
    os.close(follower)
    drawn = os.read(leader, 65536).decode()
    os.close(leader)
    assert ended.returncode == 0
    assert "───" in drawn and "spark.master" in drawn
    piped = place.run("config").out
    assert "─" not in piped and "spark.master" in piped


def test_a_reader_that_goes_away_is_no_error(place: Place) -> None:
    shell = f"{sys.executable} -m kg2at_personality.cli config | true"
    options = {"env": place.environ, "cwd": place.directory, "capture_output": True, "timeout": 200}
    ended = subprocess.run(["sh", "-c", shell], **options)
    assert (ended.returncode, ended.stderr) == (0, b"")
