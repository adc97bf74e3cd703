"""Whom a kernel that waits fits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kg2at_personality.kernels.launch.fixed import difference, hidden
from kg2at_personality.kernels.launch.plan import LaunchOptions
from kg2at_personality.spark.installation import Java
from tests.kernels.launch.test_toree import DRIVER, plan


def misfit(values: dict[str, str] | None = None, env: dict[str, str] | None = None, cwd: str | None = None) -> str:
    """What is said of a Toree that was started with nothing special."""
    waits, wanted = plan(), plan(values)
    return difference(waits.runtime.fixed(waits, {}, None), wanted.runtime.fixed(wanted, env or {}, cwd))


class TestToree:
    @pytest.mark.parametrize(
        "key",
        """spark.app.name spark.executor.memory spark.executor.cores spark.cores.max spark.my.password spark.serializer
        spark.sql.shuffle.partitions spark.hadoop.fs.s3a.secret.key spark.executor.extraJavaOptions spark.executorEnv.A
        spark.dynamicAllocation.maxExecutors spark.ui.port spark.eventLog.dir spark.driver.maxResultSize""".split(),
    )
    def test_what_is_read_when_the_context_is_made(self, key: str) -> None:
        assert misfit({key: "2048"}) == ""

    @pytest.mark.parametrize(
        "key",
        """spark.driver.extraClassPath spark.driver.extraLibraryPath spark.driver.userClassPathFirst spark.jars
        spark.jars.packages spark.jars.ivy spark.files spark.archives spark.submit.pyFiles spark.kerberos.principal
        spark.yarn.queue spark.local.dir spark.repl.classdir spark.hadoop.hadoop.security.authentication""".split(),
    )
    def test_what_the_start_reads(self, key: str) -> None:
        assert misfit({key: "true"}) == f"{key} is true, the one that waits has unset"

    def test_sizes_by_what_they_are(self) -> None:
        assert misfit({"spark.driver.memory": "1g"}) == misfit({"spark.driver.memory": "1024m"}) == ""
        assert misfit({"spark.driver.memory": "2g"}) == "spark.driver.memory is 2048m, the one that waits has 1024m"

    def test_secrets_by_their_names(self) -> None:
        assert misfit({DRIVER: "-Dmy.password=hush"}) == f"{DRIVER} is another"
        assert misfit({"spark.kerberos.password": "hush"}) == "spark.kerberos.password is another"

    def test_masters_of_one_kind(self) -> None:
        assert misfit({"spark.master": "local[3]"}) == ""
        said = "the kind of spark.master is spark, the one that waits has local"
        assert misfit({"spark.master": "spark://h:7077"}) == said

    @pytest.mark.parametrize("name", ["KERNEL_USERNAME", "USER", "MY_TOKEN", "SPARK_USER", "TERM", "PYTHONPATH"])
    def test_variables_that_a_jvm_reads_when_it_uses_them(self, name: str) -> None:
        assert misfit(env={name: "hush"}) == ""

    @pytest.mark.parametrize(
        "name",
        """LD_PRELOAD LIBPATH LANG LC_ALL TZ PATH HOME CLASSPATH JAVA_TOOL_OPTIONS _JAVA_OPTIONS JDK_JAVA_OPTIONS
        IBM_JAVA_OPTIONS SPARK_SUBMIT_OPTS SPARK_LOCAL_IP SPARK_CONF_DIR HADOOP_CONF_DIR KRB5CCNAME _BPXK_AUTOCVT
        _CEE_RUNOPTS MALLOC_ARENA_MAX""".split(),
    )
    def test_variables_that_are_read_at_the_start(self, name: str) -> None:
        assert misfit(env={name: "hush"}) == f"${name} is another"

    def test_the_rest(self) -> None:
        assert misfit(cwd="/elsewhere") == "working directory is /elsewhere, the one that waits has ."
        waits = plan()
        java = replace(waits, installation=replace(waits.installation, java=Java("/opt/java", "17.0.9", 17)))
        for wanted in (java, plan(options=LaunchOptions(niceness=3)), plan(options=LaunchOptions("eager"))):
            assert difference(waits.runtime.fixed(waits, {}, None), wanted.runtime.fixed(wanted, {}, None))


def test_what_can_be_shown_is_said_first() -> None:
    has, wanted = {"a": hidden("1"), "b": "1"}, {"a": hidden("2"), "b": "2"}
    assert difference(has, wanted) == "b is 2, the one that waits has 1"


def test_hidden_ones_by_three_names_at_most() -> None:
    names = "abcd"
    has, wanted = {name: hidden("1") for name in names}, {name: hidden("2") for name in names}
    assert difference(has, wanted) == "a, b and c are others"
    assert difference({"a": hidden("1")}, {}) == "a is another" and difference(has, has) == ""
