"""`jupyter kg2at check`: each check made to fail once, by the real program on a machine that lacks one thing."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.cli.authority import Authority
from tests.cli.program import Place
from tests.fakes.installation import PYSPARK_CLASS, add_pyspark, make_jar, make_java, make_python, make_spark
from tests.fakes.master import FakeMaster
from tests.fakes.ports import held_port


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@dataclass
class Fault:
    """Something wrong: `break_it` gets the place and returns options. Then a line is as `line`, the status `status`."""

    name: str
    break_it: Callable[[Place], list[str] | None]
    line: str
    status: int = 1


def variables(**values: str) -> Callable[[Place], None]:
    """Set variables; {place} in a value is the directory."""
    return lambda place: place.environ.update(
        {name: value.format(place=place.directory) for name, value in values.items()}
    )


def without(name: str) -> Callable[[Place], None]:
    return lambda place: place.environ.update({name: ""})


def options(*words: str) -> Callable[[Place], list[str]]:
    return lambda place: list(words)


def lines(text: str) -> Callable[[Place], None]:
    """A spark-defaults.conf."""
    return lambda place: void(place.defaults(text))


def void(_: object) -> None:
    return None


def old_tornado(place: Place) -> None:
    folder = place.directory / "site" / "tornado-5.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: tornado\nVersion: 5.0\n")
    place.environ["PYTHONPATH"] = f"{folder.parent}{os.pathsep}{place.environ['PYTHONPATH']}"


def open_users(place: Place) -> None:
    place.environ["KG2AT_USERS_FILE"] = str(users_of(place))
    users_of(place).chmod(0o644)


def users_of(place: Place) -> Path:
    """A file of users without any."""
    path = place.directory / "users.json"
    path.write_text('{"version": 1, "users": {}}')
    path.chmod(0o600)
    return path


def python(version: str) -> Callable[[Place], None]:
    """A sitecustomize that makes Python say another version."""

    def change(place: Place) -> None:
        folder = place.directory / "site"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(f"import platform\nplatform.python_version = lambda: {version!r}\n")
        place.environ["PYTHONPATH"] = f"{folder}{os.pathsep}{place.environ['PYTHONPATH']}"

    return change


def java(version: str) -> Callable[[Place], None]:
    def change(place: Place) -> None:
        place.environ["JAVA_HOME"] = str(make_java(place.directory / "other-java", version))

    return change


def toree(version: str, scala: str, *more: str) -> Callable[[Place], None]:
    def change(place: Place) -> None:
        jar = place.directory / "other-toree" / "lib" / f"toree-assembly-{version}.jar"
        place.environ["TOREE_HOME"] = str(make_jar(jar, version, scala, *more).parents[1])

    return change


def old_toree_without_py4j(place: Place) -> None:
    toree("0.2.0", "2.11.8", PYSPARK_CLASS)(place)
    place.environ["SPARK_HOME"] = str(make_spark(place.directory / "old-spark", "2.0.2", "2.11"))
    java("1.8.0_392")(place)


def unknown_spark(place: Place) -> None:
    place.environ["SPARK_HOME"] = str(make_spark(place.directory / "odd-spark", core=""))


def become(place: Place, version: str, scala: str, pyspark: bool = True) -> None:
    """Be another Spark."""
    spark = make_spark(place.directory / "other-spark", version, scala)
    if pyspark:
        add_pyspark(spark, version)
    place.environ["SPARK_HOME"] = str(spark)


def spark_4(place: Place) -> None:
    become(place, "4.0.1", "2.13")


def spark_4_without_python(place: Place) -> None:
    spark_4(place)
    place.environ["PYSPARK_PYTHON"] = "/nowhere"


def spark_2(place: Place) -> None:
    become(place, "2.4.8", "2.11")
    toree("0.4.0", "2.11.12")(place)
    java("1.8.0_392")(place)


def no_pyspark(place: Place) -> None:
    become(place, "3.5.2", "2.12", pyspark=False)


def bare_python(place: Place) -> None:
    make_python(place.python, ipykernel="")


def hanging_python(place: Place) -> None:
    place.python.write_text("#!/bin/sh\nsleep 60\n")


def other_python(place: Place) -> None:
    """A driver's, beside that of the workers."""
    place.environ["PYSPARK_DRIVER_PYTHON"] = str(make_python(place.directory / "python3.12", "3.12.1"))


def far_workers(place: Place) -> None:
    dead_master(place)
    path = place.conf / "spark-defaults.conf"
    place.defaults(path.read_text().replace("127.0.0.1", "192.0.2.7"))
    place.environ |= {"PYSPARK_PYTHON": "python3", "PYSPARK_DRIVER_PYTHON": str(place.python)}


def ebcdic_gone_wrong(place: Place) -> list[str]:
    (place.conf / "spark-defaults.conf").write_bytes(b"spark.x.y caf\xe9\n")
    return []


def latin_1_comment(place: Place) -> list[str]:
    (place.conf / "spark-defaults.conf").write_bytes(b"# caf\xe9\nspark.ui.port ${env:NONE}\n")
    return []


def utf_16(place: Place) -> None:
    (place.conf / "spark-defaults.conf").write_bytes("spark.x.y 1\n".encode("utf-16"))


def open_state_directory(place: Place) -> None:
    runtime = place.directory / "runtime"
    runtime.mkdir()
    runtime.chmod(0o777)


def taken_port(*words: str) -> Callable[[Place], list[str]]:
    """Somebody listens on the gateway's port until the place is forgotten."""

    def take(place: Place) -> list[str]:
        place.listener = socket.create_server(("127.0.0.1", int(place.environ["KG_PORT"])))  # type: ignore[attr-defined]
        return list(words)

    return take


def taken_driver_port(place: Place) -> None:
    place.listener = socket.create_server(("", 0))  # type: ignore[attr-defined]
    port = place.listener.getsockname()[1]  # type: ignore[attr-defined]
    place.defaults(f"spark.driver.port {port}\nspark.port.maxRetries 0\n")


def dead_master(place: Place) -> None:
    place.defaults(f"spark.master spark://127.0.0.1:7077\nspark.master.ui.port {held_port()}\n")


DEFAULTS, SCRIPT = r"\S+/spark-defaults.conf, line {}: ", r"\S+/spark-env.sh: "
NO_TOKEN = "--KG2ATPersonality.allow_unauthenticated=True"
FAULTS = [
    Fault("new Python", python("3.99.0"), r"warning  Python +3.99.0 in .*use one of these", 0),
    Fault("old Python", python("3.9.1"), r"error +Python +3.9.1 in .*kg2at needs Python 3.10"),
    Fault("old package", old_tornado, r"error +packages +tornado is 5.0, but .* pip install \"tornado>=6.4\""),
    Fault("no Spark", variables(SPARK_HOME="/nowhere"), r"error +Spark +Spark: \$SPARK_HOME is '/nowhere'"),
    Fault("odd Spark", unknown_spark, r"warning  Spark +\S+ does not tell its version", 0),
    Fault("no Java", variables(JAVA_HOME="/nowhere"), r"error +Java +Java: \$JAVA_HOME is '/nowhere'"),
    Fault("wrong Java", java("21.0.1"), r"warning  Java +Java 21\.0\.1 .* supports \(8, 11, 17\)", 0),
    Fault("no Toree", variables(TOREE_HOME="/nowhere"), r"error +Toree +Toree: \$TOREE_HOME is '/nowhere'"),
    Fault(
        "wrong Scala", toree("0.6.0", "2.13.8"), r"warning +Scala +not offered: .* for Scala 2.13, Spark .*a Toree", 0
    ),
    Fault(
        "Spark 4", spark_4, r"warning  Scala +not offered: .* is built for Scala 2.12, Spark 4.0.1 .*a Toree built", 0
    ),
    Fault("Spark 4 alone", spark_4_without_python, r"error +Scala +\S+ is built for Scala 2.12, Spark 4.0.1"),
    Fault("no Python either", spark_4_without_python, r"error +Python kernels +Python: \$PYSPARK_PYTHON is '/nowhere'"),
    Fault("Spark 2", spark_2, r"warning  Python kernels +not offered: .*2.4.8 ends at Python 3.7.* Set SPARK_HOME", 0),
    Fault(
        "no Python",
        variables(PYSPARK_PYTHON="/nowhere"),
        r"warning  Python kernels +not offered: .*: /nowhere can't be run: No such .* Set python to one with ipykernel",
        0,
    ),
    Fault(
        "no ipykernel", bare_python, r"warning  Python kernels +not offered: .* has no ipykernel \(`\S+ -m pip inst", 0
    ),
    Fault("Python hangs", hanging_python, r"warning  Python kernels +not offered: .* did not answer within 0.9 s", 0),
    Fault("wrong Python", options("--KG2ATPersonality.python=/no"), r"error +Python kernels +Python: trait python is"),
    Fault(
        "front end",
        variables(PYSPARK_DRIVER_PYTHON="jupyter"),
        r"warning  Python kernels +\S+ is 'jupyter', a front .* +Name a",
        0,
    ),
    Fault("no pyspark", no_pyspark, r"warning  Python kernels +not offered: .*Spark 3.5.2 .* comes without PySpark", 0),
    Fault(
        "workers", other_python, r"error +workers' Python +\S+ notebook runs Python 3.12, and its workers Python 3.11"
    ),
    Fault(
        "no worker's",
        lambda place: void(other_python(place)) or variables(PYSPARK_PYTHON="/no")(place),
        r"error +workers' Python +/no: /no can't be run: No such .* set spark.pyspark.python to a Python 3.12",
    ),
    Fault("far workers", far_workers, r"ok +workers' Python +python3 of each worker, not seen .*has to be Python 3.11"),
    Fault("unknown Scala", toree("9.9.9", ""), r"warning  Scala +Can't tell .* --start", 0),
    Fault("py4j", old_toree_without_py4j, r"error +py4j .*Put it there"),
    Fault("script fails", lambda p: void(p.script("exit 3\n")), rf"error +spark-env.sh +{SCRIPT}it ended .* status 3"),
    Fault("script hangs", lambda p: void(p.script("sleep 9\n")), rf"error +spark-env.sh +{SCRIPT}it did not end"),
    Fault("bad size", lines("#\nspark.executor.memory lots\n"), rf"error +\S+ +{DEFAULTS.format(2)}spark.exec"),
    Fault("bad escape", lines("#\n\nspark.x.y \\u00g0\n"), rf"error +\S+ +{DEFAULTS.format(3)}\\u must be followed"),
    Fault("foreign key", lines("sparc.ui.port 1\n"), rf"warning +\S+ +{DEFAULTS.format(1)}'sparc.ui.port' is ign", 0),
    Fault("no value", lines("spark.x.y\n"), rf"warning +\S+ +{DEFAULTS.format(1)}spark.x.y has no value", 0),
    Fault("twice", lines("spark.x.y 1\nspark.x.y 2\n"), rf"warning +\S+ +{DEFAULTS.format(2)}spark.x.y is set", 0),
    Fault("misspelt", lines("spark.exector.memory 1g\n"), r"warning .*did you mean spark.executor.memory\?", 0),
    Fault("encoding", ebcdic_gone_wrong, rf"error +spark-defaults.conf +{DEFAULTS.format(1)}it isn't utf-8"),
    Fault("comment", latin_1_comment, rf"error +spark-defaults.conf +{DEFAULTS.format(2)}spark.ui.port must be"),
    Fault(
        "UTF-16", utf_16, r"error +spark-defaults.conf +\S+/spark-defaults.conf: it is UTF-16, and Spark reads UTF-8"
    ),
    Fault("CR LF", lambda p: void(p.script("A=1\r\n")), r"error +spark-env.sh +\S+, line 1: it ends with CR LF"),
    Fault(
        "bad master", lines("spark.master http://h:8080\n"), rf"error +\S+ +{DEFAULTS.format(1)}spark.master .*\(write"
    ),
    Fault("MASTER", variables(MASTER="spark://h"), r"error +configuration +environment variable MASTER: spark.master"),
    Fault("unused", variables(SPARK_MASTER="spark://h:1"), r"warning  configuration +.* SPARK_MASTER is not used", 0),
    Fault(
        "Xmx", lines("spark.driver.extraJavaOptions -Xmx2g\n"), rf"error +\S+ +{DEFAULTS.format(1)}spark.driver.extr"
    ),
    Fault(
        "quote", lines("spark.driver.extraJavaOptions -Da='b\n"), rf"error +\S+ +{DEFAULTS.format(1)}spark.driver.ex"
    ),
    Fault("100m", lines("spark.driver.memory 100m\n"), rf"error +\S+ +{DEFAULTS.format(1)}spark.driver.* 450m.* 160m"),
    Fault(
        "together", lines("spark.network.timeout 5s\n"), rf"error +configuration +{DEFAULTS.format(1)}spark.network.ti"
    ),
    Fault(
        "profile together",
        variables(KG2AT_PROFILES='{{"big": {{"spark.network.timeout": "5s"}}}}'),
        r"error +profile big +profile big: spark.network.timeout \(5 s\) must be longer",
    ),
    Fault("SPARK_OPTS", variables(SPARK_OPTS="--conf 'x"), r"error +configuration +environment variable SPARK_OPTS: "),
    Fault("option", variables(SPARK_OPTS="--bogus"), r"warning  configuration +\S+ variable SPARK_OPTS: --bogus is", 0),
    Fault("key", variables(SPARK_OPTS="-c spark.ui.prot=1"), r"warning  configuration .*did you mean spark.ui.port", 0),
    Fault(
        "profile",
        variables(KG2AT_PROFILES='{{"big": {{"spark.cores.max": "x"}}}}'),
        r"error +profile big +profile big: ",
    ),
    Fault(
        "profile's users",
        variables(KG2AT_PROFILES='{{"big": {{"users": 5}}}}'),
        r"error +settings +kg2at's settings: profiles: 'users' of 'big' must be a list of names, not 5",
    ),
    Fault(
        "user's limits",
        variables(KG2AT_USER_LIMITS='{{"ann": {{"max_cores": -1}}}}'),
        r"error +settings +kg2at's settings: user_limits: 'ann' may have max_cores and max_kernels, whole numbers",
    ),
    Fault(
        "profile of some",
        variables(KG2AT_PROFILES='{{"big": {{"spark.cores.max": "x", "users": "admins"}}}}'),
        r"error +profile big +profile big: spark.cores.max must be",
    ),
    Fault(
        "warm kernels",
        variables(KG2AT_WARM_KERNELS='{{"spark_python": 1, "nope": 1}}'),
        r"warning  warm_kernels +warm_kernels names 'nope', but kg2at's kernelspecs are: apache_toree_scala",
        0,
    ),
    Fault("settings", variables(KG2AT_NICENESS="99"), r"error +settings +kg2at's settings: .*niceness"),
    Fault("locale", variables(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"), r"warning  encodings .*LC_ALL", 0),
    Fault("no master", dead_master, r"error +master +Spark master http://127.0.0.1:\d+: .*refused.* is it started\?"),
    Fault("memory", lines("spark.driver.memory 9999g\n"), r"warning  memory .* may take 9999g +lower", 0),
    Fault("foreign IP", variables(SPARK_LOCAL_IP="192.0.2.1"), r"error +SPARK_LOCAL_IP +192.0.2.1 is no address"),
    Fault("no such IP", variables(SPARK_LOCAL_IP="no.such.invalid"), r"error +SPARK_LOCAL_IP +no.such.invalid"),
    Fault("clash", lines("spark.ui.port 9100\nspark.driver.port 9100\n"), r"error +ports +Application WebUI .*Driver"),
    Fault("taken", taken_port(), r"warning  ports +the gateway's port \d+ is taken by .*pid \d+.* another", 0),
    Fault(
        "taken for good", taken_port("--KernelGatewayApp.port_retries=0"), r"error +ports +the gateway's port \d+ is"
    ),
    Fault("no driver port", taken_driver_port, r"error +ports +no port is free for a kernel: Driver \d+"),
    Fault("no such address", options("--KernelGatewayApp.ip=192.0.2.1"), r"error +address +192.0.2.1 is no address"),
    Fault("open", options("--KernelGatewayApp.ip=0.0.0.0", NO_TOKEN), r"error +address +0.0.0.0 without a token"),
    Fault("no https", options("--KernelGatewayApp.ip=0.0.0.0"), r"warning  address +0.0.0.0 without https", 0),
    Fault(
        "no users",
        variables(KG2AT_USERS_FILE="{place}/users.json"),
        r"error +users +There is no users file .*users.json +`jupyter kg2at users add NAME --admin` makes one",
    ),
    Fault("open users", open_users, r"error +users +Others may read or write .*users.json +Look .*`chmod 600 "),
    Fault("no certfile", variables(KG_CERTFILE="/no.pem"), r"error +https +certfile /no.pem: No such file"),
    Fault("no PEM", variables(KG_CERTFILE=__file__), r"error +https .*test_check.py: not a PEM certificate"),
    Fault("keyfile alone", variables(KG_KEYFILE=__file__), r"error +https +keyfile without a certfile"),
    Fault("TLS alone", variables(KG_SSL_VERSION="17"), r"error +https +ssl_version without a certfile"),
    Fault("state", variables(JUPYTER_RUNTIME_DIR="/proc/kg2at"), r"error +state directory +/proc/kg2at can't be"),
    Fault("open state", open_state_directory, r"warning  state directory .* by others \(mode 777\) +chmod go-w", 0),
    Fault("random", options("--CheckApp.random_device=/no/dev"), r"error +random numbers +/no/dev: No such"),
    Fault("random ends", options("--CheckApp.random_device=/dev/null"), r"error +random numbers +/dev/null gives none"),
    Fault("TERM", without("TERM"), r"warning  TERM +not set.*export TERM=dumb", 0),
]


def test_all_is_well(place: Place) -> None:
    ran = place.run("check")
    assert ran.status == 0, ran
    assert "warning" not in ran.out and "error" not in ran.out
    for name in (
        "Python",
        "Spark",
        "Java",
        "Toree",
        "Scala",
        "py4j",
        "Python kernels",
        "workers' Python",
        "spark-defaults.conf",
        "spark-env.sh",
        "master",
    ):
        assert re.search(rf"^ok +{name} ", ran.out, re.MULTILINE), name
    for name in ("SPARK_LOCAL_IP", "ports", "state directory", "random numbers", "TERM", "encodings", "address"):
        assert re.search(rf"^ok +{name} ", ran.out, re.MULTILINE), name


def test_a_gateway_with_users(place: Place) -> None:
    """It lets nobody in without a token, also where it makes none."""
    place.environ["KG2AT_USERS_FILE"] = str(users_of(place))
    ran = place.run("check", "--KernelGatewayApp.ip=0.0.0.0", "--KG2ATPersonality.allow_unauthenticated=True")
    assert ran.status == 0, ran
    assert re.search(r"(?m)^ok +users +0 users in .*/users.json$", ran.out), ran.out
    assert re.search(r"(?m)^warning +address +0.0.0.0 without https: the token can be read", ran.out), ran.out


def https(place: Place) -> dict[str, str]:
    """The variables of a gateway that speaks https to those who have a certificate."""
    authority = Authority(place.directory / "authority")
    pair = authority.sign("gateway")
    own = {"CERTFILE": pair.cert, "KEYFILE": pair.key, "CLIENT_CA": authority.root.cert, "SSL_VERSION": 5}
    return {f"KG_{name}": str(value) for name, value in own.items()}


def test_a_gateway_with_https(place: Place) -> None:
    """Set by variables, as much as by options."""
    own = https(place) | {"KG_IP": "0.0.0.0"}
    cert, key = own["KG_CERTFILE"], own["KG_KEYFILE"]
    ran = place.run("check", **own)
    assert ran.status == 0, ran
    assert re.search(r"(?m)^ok +address +0.0.0.0, with https", ran.out), ran.out
    assert re.search(rf"(?m)^ok +https +{cert} and {key}, for clients with a certificate", ran.out), ran.out
    locked = place.directory / "locked.key"
    words = ["openssl", "pkey", "-in", key, "-aes128", "-passout", "pass:secret", "-out", locked]
    subprocess.run(words, check=True, capture_output=True)
    for wrong, said in (
        ({"KG_KEYFILE": cert}, "not a PEM certificate and its key"),
        ({"KG_CLIENT_CA": key}, "it holds no PEM certificates"),
        ({"KG_KEYFILE": str(locked)}, "the key has a passphrase"),
    ):
        ran = place.run("check", **own | wrong)
        assert ran.status == 1 and said in ran.out, ran


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_check_fails_once(place: Place, fault: Fault) -> None:
    argv = fault.break_it(place) or []
    ran = place.run("check", *argv)
    if listener := getattr(place, "listener", None):
        listener.close()
    assert re.search("^" + fault.line, ran.out, re.MULTILINE), ran.out + ran.err
    assert ran.status == fault.status, ran.out
    machine = place.run("check", "--json", *argv) if not listener else None
    if machine:
        levels = {each["level"] for each in json.loads(machine.out)}
        assert ("error" in levels) == bool(fault.status), machine.out


def test_every_bad_line_is_told_and_no_secret(place: Place) -> None:
    place.defaults("spark.ui.port x\nspark.cores.max 0\nspark.my.password swordfish\nfoo.password swordfish\n")
    ran = place.run("check")
    assert re.search(r"line 1: spark.ui.port must be", ran.out)
    assert re.search(r"line 2: spark.cores.max must be", ran.out)
    assert "swordfish" not in ran.out + ran.err


# The master.


@contextlib.contextmanager
def serving(answer: Callable[[], Any]) -> Iterator[int]:
    """The port of a master's web UI that answers so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(answer()).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def told(place: Place, master: FakeMaster, *properties: str) -> tuple[int, dict[str, str]]:
    """Exit status and the lines about master and room."""
    with serving(master.to_json) as port:
        own = ["spark.master spark://127.0.0.1:7077", f"spark.master.ui.port {port}", *properties]
        place.defaults("\n".join(own))
        ran = place.run("check", "--json")
    found = {each["check"]: f"{each['level']}: {each['said']}" for each in json.loads(ran.out)}
    return ran.status, {name: found[name] for name in ("master", "room") if name in found}


def test_workers_elsewhere_of_a_master_here(place: Place) -> None:
    """The interpreter of the notebooks may not be there."""
    master = FakeMaster()
    for host in ("127.0.0.1", "192.0.2.8"):
        master.add_worker(4, 4096, host)
    del place.environ["PYSPARK_PYTHON"]
    place.environ["PYSPARK_DRIVER_PYTHON"] = str(place.python)
    with serving(master.to_json) as port:
        place.defaults(f"spark.master spark://127.0.0.1:7077\nspark.master.ui.port {port}\n")
        ran = place.run("check")
        told = rf"warning +workers' Python +{place.python}, the notebooks' own, which has to be on 192.0.2.8 too"
        assert re.search(f"(?m)^{told} +set spark.pyspark.python to one", ran.out), ran.out
        assert ran.status == 0
        place.environ["PYSPARK_PYTHON"] = str(place.python)
        assert "has to be on" not in place.run("check").out


def test_room_for_so_many_notebooks(place: Place) -> None:
    master = FakeMaster()
    master.add_worker(4, 4096)
    master.submit("other", 1, 1, 1024)
    master.step()
    status, found = told(place, master)
    assert status == 0
    assert found["master"].startswith("ok: spark://127.0.0.1:7077 is ALIVE: 3 of 4 cores and 3g of 4g free")
    assert (
        found["room"] == "ok: a notebook of 1 core and 1g for each executor fits 3 times now, 4 when nothing else runs"
    )


ROOMS = [
    (("spark.cores.max 4",), 0, "warning: a notebook of 4 cores .* does not fit now, 1 when nothing else runs"),
    (("spark.cores.max 5",), 1, "error: a notebook of 5 cores .* does not fit even when nothing else runs"),
    (("spark.executor.memory 5g",), 1, "error: .* 5g for each executor does not fit even"),
    (("spark.cores.max 1", "spark.executor.cores 2"), 1, "error: spark.cores.max is 1 and spark.executor.cores is 2"),
]


@pytest.mark.parametrize(("properties", "status", "room"), ROOMS)
def test_no_room(place: Place, properties: tuple[str, ...], status: int, room: str) -> None:
    master = FakeMaster()
    master.add_worker(4, 4096)
    master.submit("other", 1, 1, 1024)
    master.step()
    ended, found = told(place, master, *properties)
    assert ended == status
    assert re.match(room, found["room"]), found


def test_masters_that_grant_nothing(place: Place) -> None:
    assert told(place, FakeMaster(status="STANDBY")) == (
        1,
        {"master": f"error: Spark master {_url(place)}: it is STANDBY"},
    )
    status, found = told(place, FakeMaster(status="RECOVERING"))
    assert (status, found["master"]) == (1, "error: spark://127.0.0.1:7077 is RECOVERING")
    status, found = told(place, FakeMaster())
    assert (status, found["master"]) == (1, "error: spark://127.0.0.1:7077 is ALIVE, but has no worker")


def _url(place: Place) -> str:
    port = re.search(r"spark.master.ui.port (\d+)", (place.conf / "spark-defaults.conf").read_text())
    return f"http://127.0.0.1:{port[1] if port else ''}"


def test_it_ends_in_time_when_the_master_hangs(place: Place) -> None:
    """The worst of all at once: a master that takes the connection and is silent, a script that never ends.

    Each costs its limit, which the line tells, and costs it once: `run` ends what takes a minute.
    """
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place.defaults(f"spark.master spark://127.0.0.1:7077\nspark.master.ui.port {silent.getsockname()[1]}\n")
        ran = place.run("check")
        assert re.search(r"^error +master .*no complete answer within 0.9 s", ran.out, re.MULTILINE)
        assert _connections(silent) == 1
        place.script(f"echo >> {place.directory}/runs; sleep 600\n")
        ran = place.run("check")
        assert ran.status == 1
        assert re.search(r"^error +spark-env.sh .*it did not end within 0.9 s", ran.out, re.MULTILINE)
        assert (place.directory / "runs").read_text() == "\n" and _connections(silent) <= 1


def _connections(server: socket.socket) -> int:
    """Return how many have come to a server that accepts none by itself, since the last look."""
    server.setblocking(False)
    count = 0
    with suppress(BlockingIOError):
        while True:
            server.accept()[0].close()
            count += 1
    return count


def test_local_ip_that_workers_can_t_reach(place: Place) -> None:
    place.defaults("spark.master spark://192.0.2.7:7077\n")
    out = place.run("check", "--KG2ATPersonality.master_url=http://127.0.0.1:9").out
    assert re.search(r"^warning  SPARK_LOCAL_IP +127.0.0.1 is reached from this machine only", out, re.MULTILINE)


# --start.


def test_start_is_not_tried_after_an_error(place: Place) -> None:
    place.environ["SPARK_HOME"] = "/nowhere"
    ran = place.run("check", "--start")
    assert ran.status == 1
    assert "no kernel is started; mend the errors first" in ran.err


def test_start_tells_what_a_kernel_said_that_died(place: Place) -> None:
    submit = place.spark / "bin" / "spark-submit"
    submit.write_text("#!/bin/sh\necho 'java.lang.IllegalStateException: no luck'\nexit 3\n")
    submit.chmod(0o755)
    place.environ |= https(place)  # nobody but the check itself asks this gateway
    # Longer than `run` waits.
    ran = place.run("check", "--start", "--CheckApp.start_timeout=600")
    assert ran.status == 1
    assert re.search(r"^ok +gateway +listens", ran.out, re.MULTILINE)
    assert re.search(r"^error +kernel", ran.out, re.MULTILINE)
    assert "no luck" in ran.out


def test_start_when_the_gateway_can_t(place: Place) -> None:
    ran = place.run("check", "--start", "--KernelGatewayApp.kernel_manager_class=jupyter_client.KernelManager")
    assert ran.status == 1
    assert re.search(r"^error +gateway +it ended by itself", ran.out, re.MULTILINE), ran.out


@pytest.mark.e2e
@pytest.mark.timeout(600)
def test_start_runs_a_job_on_the_real_spark(place: Place) -> None:
    for name in ("SPARK_HOME", "JAVA_HOME", "TOREE_HOME", "PYSPARK_PYTHON"):
        del place.environ[name]
        if name in os.environ:
            place.environ[name] = os.environ[name]
    place.defaults("spark.master local[1]\nspark.ui.enabled false\n")
    ran = place.run("check", "--start", "--json", timeout=500)
    assert ran.status == 0, ran.out + ran.err
    found = {each["check"]: each for each in json.loads(ran.out)}
    for of_it in ("", ", spark_python"):
        assert "is 5050.0" in found[f"Spark job{of_it}"]["said"]
        assert found[f"shutdown{of_it}"]["level"] == "ok"
