"""Settings from everywhere, checks before anything is served, the token, the end."""

from __future__ import annotations

import json
import logging
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from kernel_gateway.auth.identity import GatewayIdentityProvider
from kernel_gateway.gatewayapp import KernelGatewayApp
from traitlets import Float, Integer, List, Unicode
from traitlets.config import Config

from kg2at_personality import runtime_file
from kg2at_personality.assembly import normal_base_url
from kg2at_personality.kernels.launch.python import PythonRuntime
from kg2at_personality.kernels.manager import GatewayKernelManager
from kg2at_personality.personality import KG2ATPersonality
from kg2at_personality.settings import Settings
from kg2at_personality.spark import python_interpreter
from kg2at_personality.users_file import FileUser, changing, digest_of
from kg2at_personality.web.channels.connection import ChannelsConnection
from tests.fakes.gateway_process import Gateway
from tests.fakes.installation import add_pyspark, make_python
from tests.fakes.processes import runs
from tests.fakes.toree import FakeSpark

#: For each trait: what a KG2AT_ variable says, what the trait then is, and what a command line says instead.
VALUES: dict[str, tuple[str, Any, str, Any]] = {
    "spark_env_timeout": ("2.5", 2.5, "3", 3.0),
    "spark_conf": ("{'spark.a': 'b'}", {"spark.a": "b"}, "{'spark.c': 'd'}", {"spark.c": "d"}),
    "spark_defaults_encoding": ("utf-8", "utf-8", "latin-1", "latin-1"),
    "inject_kernelspecs": ("True", True, "False", False),
    "profiles": (
        "{'large': {'spark.cores.max': 8}}",
        {"large": {"spark.cores.max": 8}},
        "{'small': {'spark.cores.max': 1}}",
        {"small": {"spark.cores.max": 1}},
    ),
    "max_cores_per_kernel": ("4", 4, "5", 5),
    "max_executor_cores": ("2", 2, "3", 3),
    "max_executor_memory": ("4g", "4g", "5g", "5g"),
    "max_driver_memory": ("1g", "1g", "2048", "2048"),
    "max_body_size": ("1000", 1000, "0", 0),
    "max_message_size": ("1000", 1000, "0", 0),
    "core_check": ("reject", "reject", "off", "off"),
    "core_wait_timeout": ("3.5", 3.5, "0", 0.0),
    "core_poll_interval": ("2", 2.0, "0.5", 0.5),
    "core_requirement": ("min", "min", "max", "max"),
    "warm_kernels": ("{'spark_python': 2}", {"spark_python": 2}, "{}", {}),
    "warm_max_age": ("60.5", 60.5, "0", 0.0),
    "warm_memory_reserve": ("100", 100, "0", 0),
    "max_queue": ("5", 5, "0", 0),
    "max_cores_per_user": ("6", 6, "7", 7),
    "master_unreachable": ("admit", "admit", "wait", "wait"),
    "master_url": ("http://h:1", "http://h:1", "http://h:2", "http://h:2"),
    "master_timeout": ("1.5", 1.5, "2", 2.0),
    "master_max_answer": ("5000", 5000, "6000", 6000),
    "master_validate_cert": ("False", False, "True", True),
    "master_ca_certs": ("/a.pem", "/a.pem", "/b.pem", "/b.pem"),
    "idle_cores_timeout": ("60", 60, "0", 0),
    "idle_cached_cores_timeout": ("600", 600, "0", 0),
    "job_wait_timeout": ("30", 30.0, "0", 0.0),
    "spark_context": ("eager", "eager", "none", "none"),
    "toree_options": ("--a", ["--a"], "--d", ["--d"]),
    "niceness": ("3", 3, "4", 4),
    "job_name": ("TOREE1", "TOREE1", "TOREE2", "TOREE2"),
    "kernel_ports": ("41000-41999", "41000-41999", "42000-42999", "42000-42999"),
    "max_kernel_log_size": ("5000", 5000, "0", 0),
    "max_buffered_output": ("5000", 5000, "0", 0),
    "shutdown_timeout": ("7", 7.0, "8", 8.0),
    "state_dir": ("/a", "/a", "/b", "/b"),
    "keep_kernels_on_exit": ("True", True, "False", False),
    "admin_users": ("['root', 'eve']", ["root", "eve"], "adam", ["adam"]),
    "max_kernels_per_user": ("3", 3, "0", 0),
    "user_limits": (
        '{"alice": {"max_cores": 4}}',
        {"alice": {"max_cores": 4}},
        '{"bob": {"max_kernels": 0}}',
        {"bob": {"max_kernels": 0}},
    ),
    "queue_order": ("fair", "fair", "fifo", "fifo"),
    "allow_unauthenticated": ("True", True, "False", False),
    "allow_remote_access": ("True", True, "False", False),
    "authenticate_metrics": ("False", False, "True", True),
    "local_hostnames": ("['a', 'b']", ["a", "b"], "c", ["c"]),
    "listen_backlog": ("7", 7, "9", 9),
}
#: Those that must name what is there.
PLACES = {"spark_home": "spark", "java_home": "java", "toree_assembly": "toree", "spark_conf_dir": "conf"}
PLACES |= {"python": "python", "cache_dir": "cache", "users_file": "users.json", "events_file": "events.jsonl"}


@pytest.fixture
def spark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSpark]:
    with FakeSpark(tmp_path).enter(monkeypatch) as fake:
        yield fake


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """A gateway in this process takes the signals for itself."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def make(*argv: str, **app_traits: Any) -> KernelGatewayApp:
    """A gateway with these command line arguments, and what its configuration file says of KernelGatewayApp."""
    app = KernelGatewayApp(config=Config({"KernelGatewayApp": {"api": "kg2at_personality", **app_traits}}))
    app.log.propagate = True
    app.initialize(list(argv), new_httpserver=False)
    return app


@pytest.fixture
def app(io_loop: Any, spark: FakeSpark, caplog: Any) -> Any:
    """Makes gateways; those that refuse to start raise SystemExit."""
    caplog.set_level(logging.INFO)
    return make


def users_of(spark: FakeSpark) -> Path:
    """A file of users, with one."""
    path = spark.root / "users.json"
    with changing(str(path)) as users:
        users["alice"] = FileUser(digest_of("of-alice"))
    return path


def refused(make_app: Any, caplog: Any, *argv: str, **app_traits: Any) -> str:
    """The sentence with which a gateway refuses to start."""
    with pytest.raises(SystemExit) as exit_:
        make_app(*argv, **app_traits)
    assert exit_.value.code == 1
    # The garbage of other tests may say something too, by asyncio.
    records = [record for record in caplog.records if record.name != "asyncio"]
    [sentence] = {record.getMessage() for record in records if record.levelno == logging.CRITICAL}
    assert not any(record.exc_info or "Traceback" in record.getMessage() for record in records), caplog.text
    return str(sentence)


class TestSettings:
    def test_the_table_of_this_test_knows_every_trait(self) -> None:
        assert VALUES.keys() | PLACES.keys() == set(Settings.class_trait_names(config=True))

    def test_each_can_be_set_by_a_variable(self, app: Any, spark: FakeSpark, monkeypatch: Any) -> None:
        make_python(spark.root / "python")
        users_of(spark)
        for name, (text, *_) in VALUES.items():
            monkeypatch.setenv(f"KG2AT_{name.upper()}", text)
        for name, folder in PLACES.items():
            monkeypatch.setenv(f"KG2AT_{name.upper()}", str(spark.root / folder))
        for name in ("SPARK_HOME", "JAVA_HOME", "TOREE_HOME", "SPARK_CONF_DIR"):
            monkeypatch.delenv(name)
        personality = app().personality
        assert {name: getattr(personality, name) for name in VALUES} == {name: row[1] for name, row in VALUES.items()}
        for name, folder in PLACES.items():
            assert getattr(personality, name) == str(spark.root / folder)

    def test_which_loses_to_the_command_line(self, app: Any, spark: FakeSpark, monkeypatch: Any) -> None:
        make_python(spark.root / "python")
        users_of(spark)
        for name, (text, *_) in VALUES.items():
            monkeypatch.setenv(f"KG2AT_{name.upper()}", text)
        for name in PLACES:
            monkeypatch.setenv(f"KG2AT_{name.upper()}", "/no/such/place")
        argv = [f"--KG2ATPersonality.{name}={row[2]}" for name, row in VALUES.items()]
        argv += [f"--KG2ATPersonality.{name}={spark.root / folder}" for name, folder in PLACES.items()]
        personality = app(*argv).personality
        assert {name: getattr(personality, name) for name in VALUES} == {name: row[3] for name, row in VALUES.items()}
        assert personality.spark_home == str(spark.root / "spark")

    def test_a_list_in_a_variable_can_hold_more_than_one(self, app: Any, monkeypatch: Any) -> None:
        """A command line gives the option several times, which a variable can't."""
        monkeypatch.setenv("KG2AT_TOREE_OPTIONS", "['--a', 'b c']")
        assert app().personality.toree_options == ["--a", "b c"]

    def test_and_to_the_configuration_file(self, app: Any, spark: FakeSpark, monkeypatch: Any) -> None:
        monkeypatch.setenv("KG2AT_NICENESS", "3")
        monkeypatch.setenv("KG2AT_MAX_BODY_SIZE", "1000")
        (spark.root / "CONFIG" / "jupyter_kernel_gateway_config.py").write_text(
            "c.KG2ATPersonality.niceness = 5\n"
            "c.KG2ATPersonality.profiles = {'large': {'spark.cores.max': 8}}\n"
            "c.JupyterWebsocketPersonality.env_whitelist = ['MINE']\n"
        )
        made = app()
        assert (made.personality.niceness, made.personality.max_body_size) == (5, 1000)
        assert made.personality.env_whitelist == ["MINE"]
        assert "apache_toree_scala_large" in made.kernel_spec_manager.find_kernel_specs()
        assert made.kernel_manager.launcher.options.niceness == 5

    @pytest.mark.parametrize(("timeout", "version", "times"), [(60, "2.4.8", 1), (60, "3.5.9", 0), (0, "2.4.8", 0)])
    def test_a_spark_that_can_not_give_cores_back_is_said_once(
        self, app: Any, spark: FakeSpark, caplog: Any, timeout: int, version: str, times: int
    ) -> None:
        (jar,) = (spark.root / "spark" / "jars").glob("spark-core_*.jar")
        jar.rename(jar.with_name(f"spark-core_2.12-{version}.jar"))
        app(f"--KG2ATPersonality.idle_cores_timeout={timeout}")
        said = [each for each in caplog.records if "idle_cores_timeout does nothing with" in each.getMessage()]
        assert len(said) == times and all(each.levelno == logging.WARNING for each in said)

    def test_how_long_a_job_may_wait(self, app: Any) -> None:
        assert app().kernel_manager.job_wait_timeout == 0
        assert app("--KG2ATPersonality.job_wait_timeout=2.5").kernel_manager.job_wait_timeout == 2.5

    @pytest.mark.parametrize(
        ("name", "text", "says"),
        [
            ("idle_cores_timeout", "-1", "'idle_cores_timeout'"),
            ("idle_cached_cores_timeout", "2147483648", "'idle_cached_cores_timeout'"),
            ("job_wait_timeout", "-1", "'job_wait_timeout'"),
            ("niceness", "lots", "'niceness'"),
            ("niceness", "20", "'niceness'"),
            ("max_body_size", "-1", "'max_body_size'"),
            ("spark_context", "sometimes", "'spark_context'"),
            ("kernel_ports", "41000", "kernel_ports: a port range is written FIRST-LAST"),
            ("kernel_ports", "41000-41003", "kernel_ports: '41000-41003' holds fewer than the 5 ports"),
            ("max_driver_memory", "1.5g", "max_driver_memory: '1.5g' is not a size"),
            ("max_executor_memory", "lots", "max_executor_memory: 'lots' is not a size"),
            ("profiles", "{'a b': {}}", "profiles: 'a b' can't be part of a kernel's name"),
            ("profiles", "{'large': 8}", "profiles"),
            ("profiles", "{'large': {'users': 5}}", "profiles: 'users' of 'large' must be a list of names, not 5"),
            ("profiles", "{'large': {'users': ['ann', 5]}}", "profiles: 'users' of 'large' must be a list of names"),
            ("profiles", "{'large': {'users': None}}", "profiles: 'users' of 'large' must be a list of names, not"),
            ("profiles", "{'large': {'admins': True}}", "profiles: 'admins' of 'large' is no Spark property."),
            ("profiles", "{'large': {'Users': ['ann']}}", "profiles: 'Users' of 'large' is no Spark property."),
            ("user_limits", "{'ann': {'max_cores': -1}}", "user_limits: 'ann' may have max_cores and max_kernels"),
            ("user_limits", "{'ann': {'max_core': 1}}", "whole numbers from 0, not {'max_core': 1}"),
            ("user_limits", "{'ann': {'max_kernels': '1'}}", "user_limits: 'ann' may have"),
            ("user_limits", "{'ann': {'max_kernels': True}}", "user_limits: 'ann' may have"),
            ("user_limits", "{'ann': 3}", "user_limits: 'ann' may have"),
            ("user_limits", "{'': {}}", "user_limits: '' is no user's name"),
            ("user_limits", "lots", "user_limits"),
            ("queue_order", "lifo", "'queue_order'"),
            ("profiles", "{'large': {'spark.cores.max': 'lots'}}", "profile large: spark.cores.max must be"),
            ("spark_conf", "{'spark.cores.max': 0}", "KG2ATPersonality.spark_conf: spark.cores.max must be"),
            ("spark_conf", "lots", "spark_conf"),
            ("spark_home", "/no/such/spark", "trait spark_home is '/no/such/spark'"),
        ],
    )
    def test_a_bad_value_is_named(
        self, app: Any, caplog: Any, monkeypatch: Any, name: str, text: str, says: str
    ) -> None:
        monkeypatch.setenv(f"KG2AT_{name.upper()}", text)
        assert says in refused(app, caplog)

    def test_kernels_are_listed_unless_somebody_says_no(self, app: Any, monkeypatch: Any) -> None:
        assert app().personality.list_kernels is True
        assert app("--JupyterWebsocketPersonality.list_kernels=False").personality.list_kernels is False
        assert app("--KG2ATPersonality.list_kernels=False").personality.list_kernels is False

    @pytest.mark.parametrize(
        ("said", "meant"),
        [(word, True) for word in ("true", "True", "TRUE", "1", "yes", "on", " true ", "")]
        + [(word, False) for word in ("false", "False", "FALSE", "0", "no", "off", "n")],
    )
    def test_the_listing_heeds_what_people_write(self, monkeypatch: Any, said: str, meant: bool) -> None:
        monkeypatch.setenv("KG_LIST_KERNELS", said)
        assert KG2ATPersonality.__new__(KG2ATPersonality).list_kernels is meant

    def test_a_word_that_is_neither_yes_nor_no_is_refused(self, app: Any, caplog: Any, monkeypatch: Any) -> None:
        monkeypatch.setenv("KG_LIST_KERNELS", "maybe")
        sentence = refused(app, caplog)
        assert "KG_LIST_KERNELS is 'maybe'. Set it to one of: true, yes, on" in sentence

    @pytest.mark.parametrize(
        ("given", "used"),
        [
            *[(text, "/foo/") for text in ("foo", "/foo", "foo/", "/foo/", "//foo//")],
            *[("", "/"), ("/", "/"), ("a/b", "/a/b/"), ("a b", "/a%20b/"), ("caf\u00e9", "/caf%C3%A9/")],
            *[("/user/a.b+c@d/", "/user/a.b+c@d/"), ("/caf%C3%A9", "/caf%C3%A9/")],
        ],
    )
    def test_the_base_url_is_normalised_as_in_jupyter_server(self, given: str, used: str) -> None:
        assert normal_base_url(given) == used == normal_base_url(used)

    def test_what_is_ignored_is_told(self, app: Any, spark: FakeSpark, caplog: Any) -> None:
        spark.defaults("cores.max 8")
        app('--KG2ATPersonality.profiles={"a": {"executor.cores": 2}, "b": {}}')
        told = "\n".join(record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)
        assert "line 2: 'cores.max' is ignored" in told
        assert "profile a: 'executor.cores' is ignored" in told

    @pytest.mark.parametrize("name", sorted(Settings.class_trait_names(config=True)))
    def test_its_help_says_what_it_needs_to(self, name: str) -> None:
        trait = Settings.class_traits()[name]
        told = " ".join(trait.help.split())
        assert len(told) > 30 and told.endswith("."), told
        if isinstance(trait, (Integer, Float)):
            units = ("seconds", "bytes", "mib", "cores", "count", "0 to 19")
            assert any(unit in told.lower() for unit in units), f"{name}: no unit in {told!r}"
            if trait.min is None or trait.min <= 0 <= (trait.max if trait.max is not None else 0):
                assert " 0" in told, f"{name}: what does 0 mean? {told!r}"
        if isinstance(trait, (Unicode, List)):
            assert "Empty:" in told, f"{name}: what does an empty one mean?"
        if trait.allow_none:
            assert "None:" in told, f"{name}: what does None mean?"


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "chosen"),
        [
            ("kernel_manager_class", "jupyter_server.services.kernels.kernelmanager.AsyncMappingKernelManager"),
            (
                "kernel_websocket_connection_class",
                "jupyter_server.gateway.connections.GatewayWebSocketConnection",
            ),
            ("kernel_spec_manager_class", "tests.test_personality.OtherSpecs"),
        ],
    )
    def test_a_manager_that_would_bypass_it(self, app: Any, caplog: Any, name: str, chosen: str) -> None:
        sentence = refused(app, caplog, f"--KernelGatewayApp.{name}={chosen}")
        assert f"KernelGatewayApp.{name} is {chosen}" in sentence and "Remove that setting" in sentence

    def test_one_derived_from_its_own_is_taken(self, app: Any) -> None:
        made = app(
            "--KernelGatewayApp.kernel_manager_class=tests.test_personality.DerivedManager",
            "--KernelGatewayApp.kernel_websocket_connection_class=tests.test_personality.DerivedConnection",
        )
        assert type(made.kernel_manager) is DerivedManager
        assert made.kernel_websocket_connection_class is DerivedConnection

    def test_a_broken_file(self, app: Any, spark: FakeSpark, caplog: Any) -> None:
        spark.defaults("# fine", "spark.cores.max=lots")
        sentence = (
            f"{spark.conf}/spark-defaults.conf, line 3: spark.cores.max must be a whole number of cores, not 'lots'"
        )
        assert refused(app, caplog) == f"kg2at can't start. {sentence}"

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            (
                "spark.driver.extraJavaOptions -Da='b",
                "line 2: spark.driver.extraJavaOptions must be options whose quotes",
            ),
            ("spark.driver.extraJavaOptions -Xmx2g", "must be free of -Xmx"),
            ("spark.driver.memory 100m", "Toree does not even answer below 160m"),
            ('spark.executor.memory "2g"', "(write 2g)"),
            ("spark.master spark://h", "(write spark://h:7077)"),
            ("spark.network.timeout 5s", "must be longer than spark.executor.heartbeatInterval"),
        ],
    )
    def test_what_would_fail_every_kernel(self, app: Any, spark: FakeSpark, caplog: Any, line: str, said: str) -> None:
        spark.defaults(line)
        assert said in refused(app, caplog)

    def test_a_port_of_the_master_s_page_that_is_none(
        self, app: Any, spark: FakeSpark, caplog: Any, monkeypatch: Any
    ) -> None:
        monkeypatch.setenv("SPARK_MASTER_WEBUI_PORT", "tcp://10.0.0.1:8080")
        spark.defaults(master="spark://h:7077")
        assert "SPARK_MASTER_WEBUI_PORT: 'tcp://10.0.0.1:8080' is not a port" in refused(app, caplog)
        app("--KG2ATPersonality.master_url=http://h:8080")

    def test_a_master_that_goes_unused_is_told(self, app: Any, caplog: Any, monkeypatch: Any) -> None:
        monkeypatch.setenv("MASTER", "spark://h:7077")
        app()
        assert "environment variable MASTER is not used: spark.master wins; kernels use local[2]" in caplog.text

    def test_a_missing_spark(self, app: Any, spark: FakeSpark, caplog: Any) -> None:
        spark.submit.unlink()
        assert "$SPARK_HOME is" in refused(app, caplog)

    def test_what_is_offered_is_told(self, app: Any, spark: FakeSpark, caplog: Any) -> None:
        """Python's absence is no warning, since Toree's kernels are the default."""
        spark.become("3.5.2", pyspark=False)
        made = app()
        [record] = [each for each in caplog.records if "are not offered" in each.getMessage()]
        assert record.levelno == logging.INFO
        assert record.getMessage().startswith("Python kernels are not offered. Python: Spark 3.5.2 in")
        assert "Java 17.0.15, Toree 0.5.0" in caplog.text
        assert made.kernel_manager.default_kernel_name == "apache_toree_scala"
        spark.become("3.5.2")
        caplog.clear()
        app()
        assert "not offered" not in caplog.text and "Toree 0.5.0, Python 3." in caplog.text

    def test_a_spark_4_has_python_alone(self, app: Any, spark: FakeSpark, caplog: Any) -> None:
        spark.become("4.0.1", "2.13")
        made = app()
        [record] = [each for each in caplog.records if "are not offered" in each.getMessage()]
        assert record.levelno == logging.WARNING
        assert record.getMessage().startswith("Scala and SQL kernels are not offered. ")
        assert "is built for Scala 2.12, Spark 4.0.1" in record.getMessage()
        assert made.kernel_manager.default_kernel_name == "spark_python"

    def test_nothing_can_be_offered(self, app: Any, spark: FakeSpark, caplog: Any, monkeypatch: Any) -> None:
        spark.become("4.0.1", "2.13")
        monkeypatch.setenv("PYSPARK_PYTHON", "/no/python")
        said = refused(app, caplog)
        assert "is built for Scala 2.12" in said and "$PYSPARK_PYTHON is '/no/python', but that won't do" in said

    def test_a_python_that_somebody_set(self, app: Any, spark: FakeSpark, caplog: Any, monkeypatch: Any) -> None:
        """The setting has to be right; what else names one keeps Python from being offered."""
        add_pyspark(spark.root / "spark")
        said = refused(app, caplog, "--KG2ATPersonality.python=/no/python")
        assert "Python: trait python is '/no/python', but that won't do: /no/python can't be run" in said
        monkeypatch.setenv("PYSPARK_PYTHON", "/no/python")
        caplog.clear()
        app()
        assert "Python kernels are not offered. Python: $PYSPARK_PYTHON is '/no/python'" in caplog.text

    def test_a_toree_that_somebody_set(self, app: Any, spark: FakeSpark, caplog: Any, monkeypatch: Any) -> None:
        """It has to be right, too, also where Python could do without."""
        add_pyspark(spark.root / "spark")
        monkeypatch.setenv("TOREE_HOME", "/no/toree")
        assert "Toree: $TOREE_HOME is '/no/toree', but that won't do" in refused(app, caplog)

    def test_a_start_asks_no_other_python(self, app: Any, spark: FakeSpark, monkeypatch: Any) -> None:
        """The gateway's own tells without a process."""
        add_pyspark(spark.root / "spark")
        monkeypatch.setattr(python_interpreter, "run_within", None)
        assert isinstance(app().personality.offers.look("").runtimes[PythonRuntime], PythonRuntime)

    def test_without_kernelspecs_of_its_own_it_needs_no_spark(self, app: Any, spark: FakeSpark) -> None:
        spark.submit.unlink()
        made = app("--KG2ATPersonality.inject_kernelspecs=False")
        assert made.kernel_manager.default_kernel_name == "python3"


class DerivedManager(GatewayKernelManager):
    """An administrator's."""


class DerivedConnection(ChannelsConnection):
    """An administrator's."""


class OtherSpecs(KernelSpecManager):
    """Lists other kernelspecs."""


class TestToken:
    @pytest.mark.parametrize(
        ("ip", "allow", "given", "made"),
        [
            ("127.0.0.1", None, "", False),
            ("localhost", None, "", False),
            ("::1", None, "", False),
            ("127.0.0.2", None, "", False),
            ("0.0.0.0", None, "", True),
            ("::", None, "", True),
            ("", None, "", True),
            ("*", None, "", True),
            ("192.0.2.1", None, "", True),
            ("gateway.example", None, "", True),
            ("0.0.0.0", True, "", False),
            ("127.0.0.1", False, "", True),
            ("0.0.0.0", None, "mine", False),
            ("127.0.0.1", False, "mine", False),
        ],
    )
    def test_one_is_made_where_the_gateway_would_be_open(
        self, app: Any, ip: str, allow: bool | None, given: str, made: bool
    ) -> None:
        argv = [] if allow is None else [f"--KG2ATPersonality.allow_unauthenticated={allow}"]
        running = app(*argv, ip=ip, auth_token=given)
        token = running.auth_token
        assert running.web_app.settings["kg_auth_token"] == token == running.identity_provider.token or not token
        assert (token == given) is not made and (not made or len(token) == 48)

    @pytest.mark.parametrize(("given", "used"), [("", "jupyters"), ("mine", "mine")])
    def test_that_of_jupyter_server_is_as_good(self, app: Any, given: str, used: str) -> None:
        running = app("--IdentityProvider.token=jupyters", ip="0.0.0.0", auth_token=given)
        assert running.web_app.settings["kg_auth_token"] == running.identity_provider.token == used

    def test_each_gateway_makes_its_own(self, app: Any) -> None:
        assert app(ip="0.0.0.0").auth_token != app(ip="0.0.0.0").auth_token

    @pytest.mark.gen_test
    @pytest.mark.parametrize(
        ("ip", "given", "login"),
        [
            ("0.0.0.0", "", "http://127.0.0.1:8888/kg2at/?token={token}"),
            ("0.0.0.0", "mine", "http://127.0.0.1:8888/kg2at/?token=<your token>"),
            ("127.0.0.1", "", "http://127.0.0.1:8888/kg2at/"),
            ("::1", "", "http://[::1]:8888/kg2at/"),
        ],
    )
    async def test_it_is_printed_when_it_was_made(self, app: Any, caplog: Any, ip: str, given: str, login: str) -> None:
        running = app(ip=ip, auth_token=given)
        await running.personality.init_configurables()
        assert f"kg2at serves Spark at {login.format(token=running.auth_token)}" in caplog.messages
        [line] = {message for message in caplog.messages if "Connect JupyterLab" in message}
        assert ("--GatewayClient.auth_token=" in line) is bool(running.auth_token)
        assert "mine" not in caplog.text


class OtherIdentity(GatewayIdentityProvider):  # type: ignore[misc]
    """An administrator's."""


class TestUsers:
    def test_a_file_that_can_t_be_used(self, app: Any, spark: FakeSpark, caplog: Any) -> None:
        path = spark.root / "users.json"
        option = f"--KG2ATPersonality.users_file={path}"
        for damage, said in (
            (lambda: None, "`jupyter kg2at users add NAME --admin` makes one"),
            (lambda: users_of(spark).chmod(0o604), f"`chmod 600 {path}`"),
            (lambda: (path.write_text("[]"), path.chmod(0o600)), "is broken: it: expected an object"),
        ):
            damage()
            caplog.clear()
            assert said in refused(app, caplog, option)
        path.write_text('{"version": 1, "users": {}}')
        app(option)

    def test_a_file_beside_an_identity_provider(self, app: Any, spark: FakeSpark, caplog: Any) -> None:
        option = f"--KG2ATPersonality.users_file={users_of(spark)}"
        said = refused(app, caplog, option, identity_provider_class=OtherIdentity)
        assert "identity_provider_class is tests.test_personality.OtherIdentity: either says who is let in" in said

    @pytest.mark.gen_test
    @pytest.mark.parametrize("given", ["", "mine"])
    async def test_no_token_is_made_or_written(self, app: Any, spark: FakeSpark, caplog: Any, given: str) -> None:
        option = f"--KG2ATPersonality.users_file={users_of(spark)}"
        running = app(option, ip="0.0.0.0", auth_token=given)
        await running.personality.init_configurables()
        assert running.auth_token == given
        [known] = runtime_file.running(running.runtime_dir)
        assert known.token == ""
        assert "jupyter lab --gateway-url=http://127.0.0.1:8888 --GatewayClient.auth_token=<your token>" in caplog.text
        assert "http://127.0.0.1:8888/kg2at/?token=<your token>" in caplog.text and "mine" not in caplog.text


class TestProcess:
    """What only a gateway in a process of its own shows."""

    @staticmethod
    def gateway(spark: FakeSpark, *options: str, **more: Any) -> Gateway:
        environ = spark.environ | more.pop("environ", {})
        text = (spark.conf / "spark-defaults.conf").read_text()
        made = Gateway(spark.root / "gateway", *options, environ=environ, defaults=text, **more)
        return made

    @pytest.mark.parametrize(
        ("options", "lines", "says"),
        [
            (
                [
                    "--KernelGatewayApp.kernel_manager_class=jupyter_server.services.kernels.kernelmanager.MappingKernelManager"
                ],
                [],
                "kg2at brings its own",
            ),
            ([], ["spark.cores.max lots"], "spark-defaults.conf, line 2: spark.cores.max"),
        ],
    )
    def test_a_refusal_is_one_sentence_and_status_1(
        self, spark: FakeSpark, options: list[str], lines: list[str], says: str
    ) -> None:
        spark.defaults(*lines)
        gateway = self.gateway(spark, *options, quick=True)
        with pytest.raises(RuntimeError, match="ended with 1"):
            gateway.start()
        told = [line for line in gateway.log.splitlines() if "Warning" not in line and "warn" not in line]
        assert len(told) == 1 and says in told[0] and "Traceback" not in gateway.log, gateway.log

    def test_sigint_without_a_terminal_ends_it_and_its_kernels(self, spark: FakeSpark) -> None:
        gateway = self.gateway(spark)
        with gateway:
            kernel_id = gateway.start_kernel()
            channels = gateway.connect(kernel_id)
            channels.close()
            [seen] = spark.launches(kernel_id)
            assert stat.S_IMODE((spark.runtime / f"kernel-{kernel_id}.json").stat().st_mode) == 0o600
            assert gateway.process is not None
            os.kill(gateway.process.pid, signal.SIGINT)
            assert gateway.process.wait(30) == 0, gateway.log
            assert not runs(seen["pid"]) and spark.left() == []

    def test_one_flag_and_a_configuration_file_are_enough_and_nohup_keeps_sigint_away(self, spark: FakeSpark) -> None:
        config = "c.KG2ATPersonality.profiles = {'large': {'spark.cores.max': 8}}\nc.KernelGatewayApp.max_kernels = 0\n"
        (spark.root / "CONFIG" / "jupyter_kernel_gateway_config.py").write_text(config)
        with self.gateway(spark, nohup=True) as gateway:
            assert gateway.process is not None
            os.kill(gateway.process.pid, signal.SIGINT)
            os.kill(gateway.process.pid, signal.SIGHUP)
            listing = gateway.request("GET", "/api/kernelspecs").body
            assert listing["default"] == "apache_toree_scala" and "apache_toree_sql_large" in listing["kernelspecs"]
            assert gateway.request("POST", "/api/kernels", {}).status == 403
            assert gateway.stop() == 0


def test_it_is_the_stock_personality_and_more(app: Any) -> None:
    from kernel_gateway.jupyter_websocket import JupyterWebsocketPersonality

    made = app()
    assert isinstance(made.personality, KG2ATPersonality) and isinstance(made.personality, JupyterWebsocketPersonality)
    assert isinstance(made.kernel_manager, GatewayKernelManager)
    assert made.kernel_manager.kernel_spec_manager is made.kernel_spec_manager
    assert made.session_manager.kernel_manager is made.kernel_manager
    assert json.dumps(sorted(made.web_app.settings["kg_profiles"])) == "[]"
