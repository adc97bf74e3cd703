from __future__ import annotations

import os
import re
import shlex
from dataclasses import replace
from pathlib import Path

import javaproperties
import pytest

from kg2at_personality.admission.request import RequestBounds
from kg2at_personality.errors import InstallationError, OutOfBounds, RequestError, SparkConfError
from kg2at_personality.kernels.files import KernelFiles
from kg2at_personality.kernels.launch.java_options import driver_options, java_options, sets_user, submit_options
from kg2at_personality.kernels.launch.launcher import Launcher
from kg2at_personality.kernels.launch.plan import LaunchOptions, Plan
from kg2at_personality.kernels.launch.process_environment import environment
from kg2at_personality.kernels.launch.properties import application_name, properties
from kg2at_personality.spark.cluster import ExecutorRequest
from kg2at_personality.spark.conf import SparkConfReader
from kg2at_personality.spark.idle_cores import IdleCores
from tests.fakes.plans import plan
from tests.fakes.toree import FakeSpark

KERNEL = "11-22-33-44-55"
PATH = {"PATH": os.environ["PATH"]}
DRIVER = "spark.driver.extraJavaOptions"
DEFAULT = "spark.driver.defaultJavaOptions"
EXECUTOR = "spark.executor.extraJavaOptions"
OPENS = "--add-opens=java.base/java.util.jar=ALL-UNNAMED"
UTF_8 = "-Dfile.encoding=UTF-8 -Dstdout.encoding=UTF-8 -Dstderr.encoding=UTF-8"
OURS = [OPENS, *UTF_8.split()]
AWKWARD = {
    "spark.blanks": "two  blanks and a\ttab",
    "spark.quotes": """a "double" and a 'single' one""",
    "spark.shell": "$HOME `id` $(id) ; | & > < * ? ! # \\",
    "spark.lines": "one\ntwo\r\nthree",
    "spark.letters": "Zürich, 東京, 𝄞, \u00a0",
    "spark.separators": "a=b:c d",
    "spark.key with blanks=and:more": "value",
    "spark.looks.like.a.reference": "${spark.quotes} {connection_file}",
    "spark.empty": "",
    "spark.ends.with.backslash": "C:\\temp\\",
}


def command(plan: Plan, name: str = "c") -> list[str]:
    return plan.runtime.command(plan, KernelFiles(f"/run/{name}.json"), {})


class TestCommand:
    def test_it_is_spark_submit_with_toree(self) -> None:
        argv = command(plan(), "kernel")
        assert argv[:6] == [
            "/opt/spark/bin/spark-submit",
            "--properties-file",
            "/run/kernel.properties",
            "--class",
            "org.apache.toree.Main",
            "/opt/toree.jar",
        ]
        assert argv[argv.index("--profile") + 1] == "/run/kernel.json"
        assert argv[argv.index("--alternate-sigint") + 1] == "USR2"

    def test_no_value_of_sparks_is_on_it(self) -> None:
        values = AWKWARD | {"spark.my.password": "hush", DRIVER: "-Dx=hush", "spark.master": "spark://hush:7077"}
        plain = command(plan(), "kernel")
        assert command(plan(values), "kernel") == plain

    @pytest.mark.parametrize("context", ["lazy", "eager", "none"])
    def test_the_context(self, context: str) -> None:
        argv = command(plan(options=LaunchOptions(spark_context=context)))
        assert argv[argv.index("--spark-context-initialization-mode") + 1] == context

    def test_more_options_of_toree_go_last_and_whole(self) -> None:
        options = LaunchOptions(toree_arguments=("--nosparkcontext", "a b", "$HOME"))
        assert command(plan(options=options))[-3:] == ["--nosparkcontext", "a b", "$HOME"]

    def test_niceness(self) -> None:
        assert command(plan(options=LaunchOptions(niceness=7)))[:3] == ["nice", "-n", "7"]


class TestProperties:
    def test_they_survive_their_file(self, tmp_path: Path) -> None:
        files = KernelFiles(str(tmp_path / "kernel.json"))
        written = properties(plan(AWKWARD), KERNEL, "/run/kernel.javaopts")
        files.write_properties(written, "ascii")
        assert javaproperties.loads(files.properties.read_text("ascii")) == written
        assert {key: written[key] for key in AWKWARD} == AWKWARD

    def test_the_application_carries_the_kernels_id(self) -> None:
        assert properties(plan(), KERNEL, "")["spark.app.name"] == f"Apache Toree - Scala {KERNEL}"
        assert properties(plan({"spark.app.name": "Mine"}), KERNEL, "")["spark.app.name"] == f"Mine {KERNEL}"

    @pytest.mark.parametrize("name", ["Mine", " \t Mine", "Mi  ne", ""])
    def test_it_is_known_at_the_master_by_that_name(self, name: str) -> None:
        named = plan({"spark.app.name": name})
        assert application_name(named, KERNEL) == properties(named, KERNEL, "")["spark.app.name"]
        assert application_name(named, KERNEL) == f"{name} {KERNEL}".strip()

    def test_java_may_be_told_another_user(self) -> None:
        assert not sets_user(plan()) and sets_user(plan({"spark.driver.extraJavaOptions": "-Duser.name=else"}))
        told = plan()
        assert sets_user(replace(told, conf=replace(told.conf, environ={"JAVA_TOOL_OPTIONS": "-Duser.name=else"})))

    def test_the_master_is_always_told_and_the_driver_runs_here(self) -> None:
        told = properties(plan({"spark.submit.deployMode": "cluster"}), KERNEL, "")
        assert told["spark.master"] == "local[*]" and told["spark.submit.deployMode"] == "client"

    @pytest.mark.parametrize("key", ["spark.driver.memory", "spark.executor.memory"])
    @pytest.mark.parametrize(
        ("text", "mib"),
        [("600", 600), ("512m", 512), ("2g", 2048), ("512mb", 512), ("1gb", 1024), ("1GB", 1024), ("2G", 2048)],
    )
    def test_sizes_are_written_as_both_spark_and_java_read_them(self, key: str, text: str, mib: int) -> None:
        """-Xmx600 is 600 bytes for Java, and -Xmx512mb nothing at all."""
        size = re.fullmatch(r"(\d+)([mg])", properties(plan({key: text}), KERNEL, "")[key].lower())
        assert size and int(size[1]) * {"m": 1, "g": 1024}[size[2]] == mib


class TestJavaOptions:
    def test_java_from_9_on_lets_toree_open_jars(self) -> None:
        for java in (9, 11, 17, 21):
            assert properties(plan(java=java), KERNEL, "f")[DRIVER] == f"{OPENS} {UTF_8}"
        assert properties(plan({DRIVER: "-Dplain=1"}), KERNEL, "f")[DRIVER] == f"{OPENS} {UTF_8} -Dplain=1"

    def test_java_8_gets_no_option_that_it_does_not_know(self) -> None:
        assert properties(plan(java=8), KERNEL, "f")[DRIVER] == UTF_8
        old = plan({DRIVER: "-Dmy.password=hush"}, java=8)
        assert properties(old, KERNEL, "f")[DRIVER] == f"{UTF_8} -Dmy.password=hush" and java_options(old) == ""

    def test_executors_write_utf_8_unless_somebody_says_another(self) -> None:
        assert properties(plan(), KERNEL, "f")[EXECUTOR] == UTF_8
        assert properties(plan(), KERNEL, "f")["spark.executorEnv.PYTHONUTF8"] == "1"
        own = {EXECUTOR: "-Dfile.encoding=ISO-8859-1 -Da='b c'", "spark.executor.defaultJavaOptions": "-Dz=1"}
        told = properties(plan(own | {"spark.executorEnv.PYTHONUTF8": "0"}), KERNEL, "f")
        assert told[EXECUTOR] == f"{UTF_8} -Dz=1 -Dfile.encoding=ISO-8859-1 -Da='b c'", "the last one counts"
        assert told["spark.executorEnv.PYTHONUTF8"] == "0"
        assert "spark.executor.defaultJavaOptions" not in told, "Spark would put it there again"

    def test_python_on_z_os_is_left_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in ("properties", "process_environment"):
            monkeypatch.setattr(f"kg2at_personality.kernels.launch.{module}.PYTHON_UTF_8", {})
        told = properties(plan(), KERNEL, "f")
        assert told[EXECUTOR] == UTF_8 and "spark.executorEnv.PYTHONUTF8" not in told
        assert "PYTHONUTF8" not in environment(plan(), PATH, KERNEL)

    def test_without_a_secret_there_is_no_file(self) -> None:
        assert java_options(plan({DRIVER: "-Dplain=1"})) == ""

    def test_a_secret_goes_into_a_file(self) -> None:
        secret = plan({DRIVER: "-Dmy.password=hush -Dplain=1"})
        assert properties(secret, KERNEL, "/run/k.javaopts")[DRIVER] == "@/run/k.javaopts"
        assert java_options(secret) == "".join(f'"{each}"\n' for each in [*OURS, "-Dmy.password=hush", "-Dplain=1"])

    @pytest.mark.parametrize(
        ("written", "options"),
        [
            ("""-Dpassword="two words" -Db=1""", ["-Dpassword=two words", "-Db=1"]),
            ("""'-Dpassword=two words'""", ["-Dpassword=two words"]),
            (r"""-Dpassword=two\ words""", ["-Dpassword=two words"]),
            (r"""-Dpassword='a\b'""", [r"-Dpassword=a\b"]),
            (r"""-Dpassword='say "hush"' """, ['-Dpassword=say "hush"']),
            ("-Dpassword=#hash", ["-Dpassword=#hash"]),
            ("-Dpassword=ü", ["-Dpassword=ü"]),
        ],
    )
    def test_quoted_options_stay_whole(self, written: str, options: list[str]) -> None:
        # In a Java argument file a backslash in quotes escapes what follows (the java command, "@argfiles").
        lines = java_options(plan({DRIVER: written})).splitlines()
        assert [re.sub(r"\\(.)", r"\1", line[1:-1]) for line in lines] == [*OURS, *options]
        assert all(line[0] == line[-1] == '"' for line in lines)

    def test_spark_quotes_what_goes_on_the_command_line_itself(self) -> None:
        assert shlex.split(driver_options(plan({DRIVER: '-Da="two words"'}))) == [*OURS, "-Da=two words"]

    def test_default_options_are_no_way_around(self) -> None:
        """Since 3.0 Spark puts these on the JVM's command line as well, before the others."""
        both = plan({DEFAULT: "-Dmy.password=hush", DRIVER: "-Dplain=1"})
        written = properties(both, KERNEL, "/run/k.javaopts")
        assert "hush" not in written.get(DEFAULT, "") + written[DRIVER]
        assert java_options(both).splitlines()[-2:] == ['"-Dmy.password=hush"', '"-Dplain=1"']

    def test_a_quote_left_open_is_the_configurations_fault(self) -> None:
        """Spark itself would say "Invalid option string"."""
        for key in (DRIVER, DEFAULT):
            with pytest.raises(SparkConfError, match=rf"{key} must be options whose quotes are closed") as caught:
                plan({key: "-Dpassword='hush"})
            assert "hush" not in str(caught.value)


class TestEnvironment:
    def test_what_spark_submit_must_find(self) -> None:
        assert environment(plan(), PATH, KERNEL) == PATH | {
            "SPARK_HOME": "/opt/spark",
            "JAVA_HOME": "/opt/java",
            "KERNEL_ID": KERNEL,
            "PYTHONHASHSEED": "0",
            "PYTHONUTF8": "1",
        }

    def test_what_was_found_wins_and_the_rest_stays(self) -> None:
        env = environment(plan(), {"SPARK_HOME": "/other", "KERNEL_MARK": "mine", "_BPXK_AUTOCVT": "ON"}, KERNEL)
        assert (env["SPARK_HOME"], env["KERNEL_MARK"], env["_BPXK_AUTOCVT"]) == ("/opt/spark", "mine", "ON")

    def test_an_own_choice_for_python_wins(self) -> None:
        assert environment(plan(), PATH | {"PYTHONUTF8": "0"}, KERNEL)["PYTHONUTF8"] == "0"

    def test_spark_opts_are_in_the_properties_already(self) -> None:
        assert "SPARK_OPTS" not in environment(plan(), {"SPARK_OPTS": "--conf spark.password=hush"}, KERNEL)

    def test_the_job_name(self) -> None:
        named = plan(options=LaunchOptions(job_name="TOREE1"))
        assert environment(named, {"_BPX_JOBNAME": "GATEWAY"}, KERNEL)["_BPX_JOBNAME"] == "TOREE1"
        assert environment(plan(), {"_BPX_JOBNAME": "GATEWAY"}, KERNEL)["_BPX_JOBNAME"] == "GATEWAY"

    def test_the_configurations_directory(self) -> None:
        moved = replace(plan(), conf_dir="/etc/spark")
        assert environment(moved, {"SPARK_CONF_DIR": "/old"}, KERNEL)["SPARK_CONF_DIR"] == "/etc/spark"
        assert environment(plan(), {"SPARK_CONF_DIR": "/old"}, KERNEL)["SPARK_CONF_DIR"] == "/old"


class TestSparkEnv:
    """spark-env.sh is run here, and not again by spark-submit."""

    def test_what_it_sets_reaches_the_kernel(self, tmp_path: Path) -> None:
        (tmp_path / "spark-env.sh").write_text("A=$KERNEL_MARK$SPARK_HOME\nexport LC_ALL=C\nunset GONE\n")
        env = environment(replace(plan(), conf_dir=str(tmp_path)), PATH | {"KERNEL_MARK": "m", "GONE": "g"}, KERNEL)
        assert (env["A"], env["LC_ALL"], env["SPARK_ENV_LOADED"]) == ("m/opt/spark", "C", "1")
        assert "GONE" not in env and env["SPARK_CONF_DIR"] == str(tmp_path)

    def test_what_is_for_other_programs_does_not(self, tmp_path: Path) -> None:
        names = "SPARK_OPTS SPARK_DAEMON_JAVA_OPTS SPARK_WORKER_OPTS PYSPARK_SUBMIT_ARGS TOREE_OPTS".split()
        (tmp_path / "spark-env.sh").write_text("".join(f"export {name}='-Dpassword=hush'\n" for name in names))
        env = environment(plan(), PATH | {"SPARK_CONF_DIR": str(tmp_path), "SPARK_MASTER_OPTS": "hush"}, KERNEL)
        assert env["SPARK_ENV_LOADED"] == "1"
        assert not [name for name, value in env.items() if "hush" in value]

    def test_what_was_found_wins_over_it(self, tmp_path: Path) -> None:
        """Found with the environment after the script, so a trait has won."""
        (tmp_path / "spark-env.sh").write_text(
            "SPARK_HOME=/other\nJAVA_HOME=/other\nKERNEL_ID=x\nSPARK_CONF_DIR=/moved\n"
        )
        env = environment(replace(plan(), conf_dir=str(tmp_path)), PATH, KERNEL)
        assert (env["SPARK_HOME"], env["JAVA_HOME"], env["KERNEL_ID"]) == ("/opt/spark", "/opt/java", KERNEL)
        assert env["SPARK_CONF_DIR"] == "/moved", "spark-submit follows it"

    def test_one_that_fails_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "spark-env.sh").write_text("[ -z $KERNEL_ID ] || exit 3\n")
        with pytest.raises(SparkConfError, match=r"spark-env.sh: it ended the shell with status 3"):
            environment(replace(plan(), conf_dir=str(tmp_path)), PATH, KERNEL)
        (tmp_path / "spark-env.sh").write_text("sleep 60\n")
        with pytest.raises(SparkConfError, match=r"did not end within 0\.2 s"):
            environment(replace(plan(), conf_dir=str(tmp_path), script_timeout=0.2), PATH, KERNEL)


class TestSubmitOptions:
    """Spark puts SPARK_SUBMIT_OPTS on the JVM's command line as well."""

    def test_a_secret_goes_into_a_file(self) -> None:
        assert (
            submit_options(plan(), {"SPARK_SUBMIT_OPTS": "-Dpassword='a b' -Xmx1g"}) == '"-Dpassword=a b"\n"-Xmx1g"\n'
        )
        named = plan({"spark.redaction.regex": "geheim"})
        assert submit_options(named, {"SPARK_SUBMIT_OPTS": "-Dgeheim=1"}) == '"-Dgeheim=1"\n'

    def test_what_is_none_stays(self) -> None:
        for env in ({}, {"SPARK_SUBMIT_OPTS": ""}, {"SPARK_SUBMIT_OPTS": "-Dplain=1"}):
            assert submit_options(plan(), env) == ""
        assert submit_options(plan(java=8), {"SPARK_SUBMIT_OPTS": "-Dpassword=hush"}) == "", "Java 8 has no such files"

    def test_an_open_quote(self) -> None:
        with pytest.raises(SparkConfError, match=r"^environment variable SPARK_SUBMIT_OPTS: it must be options whose"):
            submit_options(plan(), {"SPARK_SUBMIT_OPTS": "-Da='b"})
        with pytest.raises(SparkConfError) as caught:
            submit_options(plan(), {"SPARK_SUBMIT_OPTS": "-Dpassword='hush"})
        assert "hush" not in str(caught.value)


class TestLauncher:
    @pytest.fixture
    def spark(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSpark:
        return FakeSpark(tmp_path).enter(monkeypatch)

    @pytest.mark.parametrize(
        ("master", "lines", "cores"),
        [
            ("spark://h:7077", [], "1"),
            ("spark://h1:7077,h2:7077", [], "1"),
            ("spark://h:7077", ["spark.executor.cores 4"], "4"),
            ("spark://h:7077", ["spark.cores.max 6"], "6"),
            ("spark://h:7077", ["spark.cores.max 6", "spark.executor.cores 2"], "6"),
            ("spark://h:7077", ["spark.dynamicAllocation.enabled true"], None),
            ("spark://h:7077", ["spark.dynamicAllocation.enabled false"], "1"),
            ("local[*]", [], None),
            ("yarn", [], None),
            ("k8s://https://h:443", ["spark.executor.cores 4"], None),
        ],
    )
    def test_no_notebook_takes_a_whole_standalone_cluster(
        self, spark: FakeSpark, master: str, lines: list[str], cores: str | None
    ) -> None:
        spark.defaults(*lines, master=master)
        assert Launcher().conf().get("spark.cores.max") == cores

    def test_the_request_wins_over_the_profile_and_that_over_the_file(self, spark: FakeSpark) -> None:
        spark.defaults("spark.cores.max 2", "spark.executor.memory 2g", "spark.driver.memory 2g")
        launcher = Launcher(profiles={"large": {"spark.cores.max": "8", "spark.executor.memory": "8g"}})
        found = launcher.conf("large", {"KERNEL_SPARK_CORES_MAX": "4"})
        assert found["spark.cores.max"] == "4" and found.entry("spark.cores.max").source == "the request"
        assert found["spark.executor.memory"] == "8g" and found.entry("spark.executor.memory").source == "profile large"
        assert found["spark.driver.memory"] == "2g"

    def test_a_request_above_its_bound(self, spark: FakeSpark) -> None:
        launcher = Launcher(bounds=RequestBounds(cores=4))
        with pytest.raises(OutOfBounds):
            launcher.conf("", {"KERNEL_SPARK_CORES_MAX": "5"})

    def test_a_bound_holds_for_requests_only(self, spark: FakeSpark) -> None:
        spark.defaults("spark.cores.max 8")
        assert Launcher(bounds=RequestBounds(cores=4)).conf()["spark.cores.max"] == "8"

    def test_more_cores_than_spark_can_count_is_the_requests_fault(self, spark: FakeSpark) -> None:
        with pytest.raises(RequestError):
            Launcher().conf("", {"KERNEL_SPARK_CORES_MAX": str(2**31)})

    def test_each_plan_reads_the_files_afresh(self, spark: FakeSpark) -> None:
        launcher = Launcher()
        for value in ("1", "2"):
            spark.defaults(f"spark.cores.max {value}")
            assert launcher.plan("Scala").conf["spark.cores.max"] == value

    def test_a_plan(self, spark: FakeSpark) -> None:
        options = LaunchOptions(niceness=3)
        made = Launcher(SparkConfReader(conf_dir=str(spark.conf)), options=options).plan("SQL")
        assert (made.interpreter, made.options, made.conf_dir) == ("SQL", options, str(spark.conf))
        assert made.installation.spark.home == str(spark.root / "spark")

    def test_what_is_asked_of_the_cluster_counts_for_idle_cores(self, spark: FakeSpark) -> None:
        spark.defaults("spark.executor.cores 2", master="spark://h:7077")
        launcher = Launcher(profiles={"fixed": {"spark.dynamicAllocation.enabled": "false"}}, idle_cores=IdleCores(60))
        made = launcher.plan("Scala", env={"KERNEL_SPARK_CORES_MAX": "6"})
        assert made.executors == ExecutorRequest(6, 2, 1024, initial_executors=3)
        assert properties(made, KERNEL, "")["spark.dynamicAllocation.maxExecutors"] == "3"
        assert launcher.plan("Scala", "fixed").executors == ExecutorRequest(2, 2, 1024)

    def test_a_notebook_without_spark_leaves_no_cores_idle(self, spark: FakeSpark) -> None:
        spark.defaults(master="spark://h:7077")
        made = Launcher(options=LaunchOptions(spark_context="none"), idle_cores=IdleCores(60)).plan("Scala")
        assert "spark.dynamicAllocation.enabled" not in made.conf

    def test_a_broken_file(self, spark: FakeSpark) -> None:
        spark.defaults("spark.cores.max lots")
        with pytest.raises(SparkConfError, match=r"spark-defaults.conf, line 2: spark.cores.max"):
            Launcher().plan("Scala")

    def test_what_spark_refuses_together(self, spark: FakeSpark) -> None:
        spark.defaults("spark.network.timeout 5s")
        with pytest.raises(SparkConfError, match=r"line 2: spark.network.timeout \(5 s\) must be longer"):
            Launcher().conf()
        profile = {"mended": {"spark.executor.heartbeatInterval": "2s"}}
        assert Launcher(profiles=profile).conf("mended")

    def test_a_missing_spark(self, spark: FakeSpark) -> None:
        spark.submit.unlink()
        with pytest.raises(InstallationError, match="SPARK_HOME"):
            Launcher().plan("Scala")
