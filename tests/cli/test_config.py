"""`jupyter kg2at config`: what the real program says of real files, and what a shell makes of its --export."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kg2at_personality.spark.conf import SparkConfReader
from tests.cli.program import Place

SECRET = "swordfish 0815"
VALUES = {
    "quotes": """it's "quoted" ''" twice""",
    "blanks": "two  blanks\tand a tab",
    "dollar": "$HOME ${HOME} $(touch owned) `touch owned` $'x' !!",
    "newline": "one\ntwo\n\nfour",
    "backslash": "\\ \\n \\\\ end\\",
    "non-ascii": "Grüße 日本 🚀 \xa0 \x85",
    "operators": "a; b & c | d > e < f # g * ? [x] ~ {1,2} (y)",
    "equals": "-Da=b -Dc==d",
    "empty": "",
    "option": "--conf spark.x=y",
}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def escaped(text: str) -> str:
    """`text` as a value of a Java properties file."""
    units = text.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def rows(place: Place, *argv: str, **environ: str) -> dict[str, dict[str, object]]:
    ran = place.run("config", "--json", *argv, **environ)
    assert ran.status == 0, ran.err
    return {row["key"]: row for row in json.loads(ran.out)}


def test_each_value_with_its_file_and_line_and_what_it_overrode(place: Place) -> None:
    path = place.defaults("# comment\nspark.ui.port 4100\nspark.ui.port 4200\nspark.executor.memory 2g\n")
    script = place.script("SPARK_EXECUTOR_MEMORY=3g\n")
    found = rows(place, SPARK_OPTS="--conf spark.ui.port=4300")
    assert found["spark.ui.port"] == {
        "key": "spark.ui.port",
        "value": "4300",
        "source": "environment variable SPARK_OPTS",
        "line": None,
        "where": "environment variable SPARK_OPTS",
        "overrode": [
            {"key": "spark.ui.port", "value": "4200", "source": str(path), "line": 3},
            {"key": "spark.ui.port", "value": "4100", "source": str(path), "line": 2},
        ],
    }
    assert (
        found["spark.executor.memory"]["where"]
        == f"environment variable SPARK_EXECUTOR_MEMORY, set in {script}, line 1"
    )
    line = next(line for line in place.run("config").out.splitlines() if line.startswith("spark.executor.memory"))
    assert line.endswith(f"2g ({path}, line 4)")


def test_a_profile_and_a_kernelspec(place: Place) -> None:
    profiles = {"KG2AT_PROFILES": '{"Large": {"spark.executor.memory": "8g", "users": ["ann"]}}'}
    for name in ("Large", "apache_toree_scala_large", "apache_toree_sql_large", "spark_python_large"):
        assert rows(place, name, **profiles)["spark.executor.memory"]["where"] == "profile Large"
        assert "users" not in rows(place, name, **profiles)
    assert "spark.executor.memory" not in rows(place, "apache_toree_sql", **profiles)
    ran = place.run("config", "nix", **profiles)
    assert ran.status == 1
    assert "'nix' is no kernelspec of kg2at's and no profile" in ran.err and "apache_toree_sql_large" in ran.err


def test_settings_come_from_option_file_and_variable_as_the_gateway_s_do(place: Place) -> None:
    path = place.directory / "config" / "jupyter_kernel_gateway_config.py"
    path.parent.mkdir()
    value = '{"spark.executor.memory": "%s"}'
    shown = [rows(place, KG2AT_SPARK_CONF=value % "1g")]
    path.write_text(f"c.KG2ATPersonality.spark_conf = {value % '2g'}\n")
    shown += [rows(place, KG2AT_SPARK_CONF=value % "1g")]
    shown += [rows(place, f"--KG2ATPersonality.spark_conf={value % '3g'}", KG2AT_SPARK_CONF=value % "1g")]
    assert [found["spark.executor.memory"]["value"] for found in shown] == ["1g", "2g", "3g"]


def test_secrets_are_masked_also_where_they_were_overridden(place: Place) -> None:
    place.defaults(f"spark.my.password {SECRET}\nspark.my.password {SECRET} new\n")
    for option in ((), ("--json",)):
        assert SECRET not in place.run("config", *option).out
    assert f"{SECRET} new" in place.run("config", "--with-secrets").out


def test_control_characters_can_t_move_the_cursor(place: Place) -> None:
    place.defaults(f"spark.x.y {escaped('a' + chr(27) + '[2J' + chr(10) + 'z')}\n")
    ran = place.run("config")
    assert "\x1b" not in ran.out and r"\x1b[2J\nz" in ran.out


def test_an_ignored_line_is_told(place: Place) -> None:
    path = place.defaults("sparc.ui.port 4100\n")
    assert f"{path}, line 1: 'sparc.ui.port' is ignored" in place.run("config").err


def test_a_broken_file_is_a_sentence(place: Place) -> None:
    path = place.defaults("spark.executor.memory lots\n")
    ran = place.run("config")
    assert (ran.status, ran.out) == (1, "")
    assert f"{path}, line 1: spark.executor.memory must be a size" in ran.err


# --export.


def exported(place: Place, shell: str = "sh", *options: str) -> dict[str, str]:
    """What kg2at reads from SPARK_OPTS after a shell has evaluated the output; the files are gone by then."""
    program = f"{sys.executable} -m kg2at_personality.cli config --export {' '.join(options)}"
    dump = f"{sys.executable} -c 'import os,sys; sys.stdout.buffer.write(os.environb[b\"SPARK_OPTS\"])'"
    script = f'opts=$({program}) || exit 9; eval "$opts"; {dump}'
    ended = subprocess.run(
        [shell, "-c", script], env=place.environ, cwd=place.directory, capture_output=True, timeout=200
    )
    assert ended.returncode == 0, ended.stderr
    conf = SparkConfReader().read({"SPARK_OPTS": ended.stdout.decode("utf-8", "surrogateescape")})
    assert not conf.ignored
    return dict(conf)


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_export_survives_the_shell_and_kg2at_s_own_reader(place: Place, shell: str) -> None:
    lines = (f"spark.test.{name} {escaped(value)}" for name, value in VALUES.items())
    place.defaults("spark.master local[3]\n" + "\n".join(lines))
    expected = {f"spark.test.{name}": value for name, value in VALUES.items()} | {"spark.master": "local[3]"}
    assert exported(place, shell) == expected
    assert not (place.directory / "owned").exists()


def test_export_twice_is_the_same(place: Place) -> None:
    place.defaults(f"spark.test.x {escaped(VALUES['quotes'])}\n")
    first = exported(place)
    opts = place.run("config", "--export").out
    place.environ["SPARK_OPTS"] = subprocess.run(
        ["sh", "-c", f'{opts}\nprintf %s "$SPARK_OPTS"'], capture_output=True, text=True
    ).stdout
    place.defaults("")
    assert exported(place) == first


def test_export_where_the_locale_lacks_characters(place: Place) -> None:
    place.environ |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "latin-1"}
    place.defaults("spark.test.x plain\n")
    assert exported(place)["spark.test.x"] == "plain"
    place.defaults(f"spark.test.x {escaped('日本')}\n")
    ran = place.run("config", "--export")
    assert (ran.status, ran.out) == (1, "")
    assert "The locale's ascii lacks characters" in ran.err


def test_export_refuses_secrets_unless_told(place: Place) -> None:
    place.defaults(f"spark.my.password {SECRET}\n")
    ran = place.run("config", "--export")
    assert (ran.status, ran.out) == (1, "")
    assert "spark.my.password" in ran.err and "--with-secrets" in ran.err and SECRET not in ran.err
    assert exported(place, "sh", "--with-secrets")["spark.my.password"] == SECRET


def test_a_key_that_spark_opts_can_t_say(place: Place) -> None:
    place.defaults("spark.a\\=b c\n")
    ran = place.run("config", "--export")
    assert (ran.status, ran.out) == (1, "")
    assert "'spark.a=b' can't be in SPARK_OPTS" in ran.err
