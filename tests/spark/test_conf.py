from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from kg2at_personality.errors import SparkConfError
from kg2at_personality.spark.conf import SparkConf, SparkConfReader
from kg2at_personality.spark.properties import Property
from tests.cost import Calls
from tests.fakes.installation import make_spark

PATH = {"PATH": os.environ["PATH"]}
MASK = "*********(redacted)"


@pytest.fixture
def conf_dir(tmp_path: Path) -> Path:
    directory = tmp_path / "conf"
    directory.mkdir()
    return directory


def read(conf_dir: Path, text: str = "", environ: dict[str, str] | None = None, **traits: object) -> SparkConf:
    (conf_dir / "spark-defaults.conf").write_text(text)
    return SparkConfReader(conf_dir=str(conf_dir), **traits).read(environ or {})  # type: ignore[arg-type]


# Where the files are


def test_nothing_at_all() -> None:
    conf = SparkConfReader().read({})
    assert dict(conf) == {"spark.master": "local[*]"}
    assert conf.entry("spark.master").source == "kg2at's default"
    assert (conf.encoding, conf.ignored, conf.environ) == ("utf-8", (), {})


def make_conf(directory: Path, name: str) -> str:
    directory.mkdir(parents=True)
    (directory / "spark-defaults.conf").write_text(f"spark.app.name {name}\n")
    return str(directory)


def test_the_conf_dir_is_the_traits_then_the_variables_then_under_spark_home(tmp_path: Path) -> None:
    make_conf(tmp_path / "home" / "conf", "home")
    make_conf(tmp_path / "environ_home" / "conf", "environ home")
    trait, variable = make_conf(tmp_path / "trait", "trait"), make_conf(tmp_path / "variable", "variable")
    reader = SparkConfReader(spark_home=str(tmp_path / "home"))
    by_home = {"SPARK_HOME": str(tmp_path / "environ_home")}
    by_variable = by_home | {"SPARK_CONF_DIR": variable}
    both = SparkConfReader(spark_home=str(tmp_path / "home"), conf_dir=trait)
    assert reader.read({})["spark.app.name"] == "home"
    assert reader.read(by_home)["spark.app.name"] == "environ home"
    assert reader.read(by_variable)["spark.app.name"] == "variable"
    assert both.read(by_variable)["spark.app.name"] == "trait"
    assert reader.read({"SPARK_HOME": "", "SPARK_CONF_DIR": ""})["spark.app.name"] == "home"


def test_the_environment_is_completed_and_not_changed(tmp_path: Path) -> None:
    environ = {"A": "1"}
    conf = SparkConfReader(spark_home=str(tmp_path)).read(environ)
    assert conf.environ == {"A": "1", "SPARK_HOME": str(tmp_path), "SPARK_CONF_DIR": str(tmp_path / "conf")}
    assert environ == {"A": "1"}


def test_spark_env_sh_may_move_the_conf_dir(tmp_path: Path) -> None:
    elsewhere = make_conf(tmp_path / "elsewhere", "elsewhere")
    here = make_conf(tmp_path / "here", "here")
    (tmp_path / "here" / "spark-env.sh").write_text(f"SPARK_CONF_DIR={elsewhere}")
    assert SparkConfReader(conf_dir=here).read(PATH)["spark.app.name"] == "elsewhere"


# Precedence and origin


def origins(setting: Property | None) -> list[tuple[str, str]]:
    chain = []
    while setting:
        chain.append((setting.value, setting.where))
        setting = setting.overrode
    return chain


def test_each_source_overrides_the_ones_before_and_remembers_them(conf_dir: Path) -> None:
    (conf_dir / "spark-env.sh").write_text("SPARK_EXECUTOR_CORES=4\n")
    environ = PATH | {"SPARK_EXECUTOR_CORES": "3", "SPARK_OPTS": "--executor-cores 5"}
    text = "# two\nspark.executor.cores 1\nspark.executor.cores 2\n"
    conf = read(conf_dir, text, environ, overrides={"spark.executor.cores": "6"})
    conf = conf.overlay("profile large", {"spark.executor.cores": "7"})
    conf = conf.overlay("the request", {"spark.executor.cores": "8"})
    file = conf_dir / "spark-defaults.conf"
    assert origins(conf.entry("spark.executor.cores")) == [
        ("8", "the request"),
        ("7", "profile large"),
        ("6", "KG2ATPersonality.spark_conf"),
        ("5", "environment variable SPARK_OPTS"),
        ("4", f"environment variable SPARK_EXECUTOR_CORES, set in {conf_dir}/spark-env.sh, line 1"),
        ("3", "environment variable SPARK_EXECUTOR_CORES"),
        ("2", f"{file}, line 3"),
        ("1", f"{file}, line 2"),
    ]


def test_what_spark_env_sh_takes_away_is_gone(conf_dir: Path) -> None:
    (conf_dir / "spark-env.sh").write_text("unset SPARK_EXECUTOR_CORES\nSPARK_OPTS='--conf spark.b=2'\n")
    environ = PATH | {"SPARK_EXECUTOR_CORES": "3", "SPARK_OPTS": "--conf spark.a=1"}
    conf = read(conf_dir, "", environ)
    assert set(conf) == {"spark.master", "spark.b"}
    assert conf.entry("spark.b").source == f"environment variable SPARK_OPTS, set in {conf_dir}/spark-env.sh, line 2"


def test_variables_with_a_property_of_their_own() -> None:
    environ = {"SPARK_EXECUTOR_CORES": "2", "SPARK_EXECUTOR_MEMORY": "3g", "SPARK_DRIVER_MEMORY": "1g"}
    conf = SparkConfReader().read(environ)
    assert conf["spark.executor.cores"] == "2"
    assert conf["spark.executor.memory"] == "3g"
    assert conf["spark.driver.memory"] == "1g"
    assert conf.entry("spark.driver.memory").source == "environment variable SPARK_DRIVER_MEMORY"
    assert "spark.executor.cores" not in SparkConfReader().read({"SPARK_EXECUTOR_CORES": ""})


def test_keys_that_spark_ignores_are_ignored_and_noted(conf_dir: Path) -> None:
    conf = read(
        conf_dir,
        "spark.a 1\nhadoop.password hunter2\nsparkle 1\n",
        {"SPARK_OPTS": "--conf x.y=1 --verbose"},
        overrides={"z": "1"},
    ).overlay("the request", {"": "1"})
    assert set(conf) == {"spark.a", "spark.master"}
    file = conf_dir / "spark-defaults.conf"
    assert conf.ignored == (
        f"{file}, line 2: 'hadoop.password' is ignored, since it does not start with 'spark.'",
        f"{file}, line 3: 'sparkle' is ignored, since it does not start with 'spark.'",
        "environment variable SPARK_OPTS: --verbose is ignored",
        "environment variable SPARK_OPTS: 'x.y' is ignored, since it does not start with 'spark.'",
        "KG2ATPersonality.spark_conf: 'z' is ignored, since it does not start with 'spark.'",
        "the request: '' is ignored, since it does not start with 'spark.'",
    )


def test_unbalanced_spark_opts() -> None:
    with pytest.raises(SparkConfError, match=r"^environment variable SPARK_OPTS: .*No closing quotation"):
        SparkConfReader().read({"SPARK_OPTS": "--conf 'spark.a=1"})


def test_values_are_trimmed_from_every_source() -> None:
    environ = {"SPARK_OPTS": "--conf 'spark.a= 1 '", "SPARK_EXECUTOR_MEMORY": " 2g"}
    conf = SparkConfReader(overrides={"spark.b": "\t2\n"}).read(environ).overlay("x", {"spark.c": " 3 "})
    assert [conf[key] for key in ("spark.a", "spark.executor.memory", "spark.b", "spark.c")] == ["1", "2g", "2\n", "3"]


# The master


def test_master_from_any_source_wins_over_the_variables(conf_dir: Path) -> None:
    environ = {"SPARK_MASTER_PORT": "no port at all"}
    assert read(conf_dir, "spark.master spark://a:1", environ).master == "spark://a:1"
    assert read(conf_dir, "", environ | {"SPARK_OPTS": "--master spark://b:1"}).master == "spark://b:1"
    assert read(conf_dir, "", environ, overrides={"spark.master": "spark://c:1"}).master == "spark://c:1"


def test_master_of_spark_env_sh(conf_dir: Path) -> None:
    (conf_dir / "spark-env.sh").write_text("SPARK_LOCAL_IP=10.0.0.1\nSPARK_MASTER_PORT=7078\n")
    conf = read(conf_dir, "", PATH)
    assert conf.master == "spark://10.0.0.1:7078"
    assert conf.entry("spark.master").source == "SPARK_LOCAL_IP and SPARK_MASTER_PORT"


def test_a_master_of_the_environment_says_where_it_was_set(conf_dir: Path) -> None:
    script = conf_dir / "spark-env.sh"
    script.write_text("export MASTER=spark://h:7077\n")
    conf = read(conf_dir, "", PATH)
    assert conf.master == "spark://h:7077"
    assert conf.entry("spark.master").where == f"environment variable MASTER, set in {script}, line 1"
    script.write_text("MASTER='spark://h'\n")
    with pytest.raises(
        SparkConfError, match=rf"^environment variable MASTER, set in {script}, line 1: spark.master must be"
    ):
        read(conf_dir, "", PATH)


def test_a_master_that_goes_unused_is_told(conf_dir: Path) -> None:
    conf = read(conf_dir, "\nspark.master spark://a:1\n", {"MASTER": "spark://b:1", "SPARK_MASTER_HOST": "c"})
    [own, host] = conf.ignored
    used = f"kernels use spark://a:1 ({conf_dir}/spark-defaults.conf, line 2)"
    assert own == f"environment variable MASTER is not used: spark.master wins; {used}"
    assert host == f"environment variable SPARK_MASTER_HOST is not used: another setting wins; {used}"


def test_the_old_name_of_a_masters_host_by_sparks_version(conf_dir: Path, tmp_path: Path) -> None:
    old, new = make_spark(tmp_path / "old", "3.5.9"), make_spark(tmp_path / "new", "4.0.0", "2.13")
    conf = read(conf_dir, "", {"SPARK_MASTER_IP": "h", "SPARK_HOME": str(old)})
    assert (conf.master, conf.ignored) == ("spark://h:7077", ())
    conf = read(conf_dir, "", {"SPARK_MASTER_IP": "h", "SPARK_HOME": str(new)})
    assert conf.master == "local[*]"
    assert [each for each in conf.ignored if "SPARK_MASTER_IP is not used: Spark 4 and later" in each]


def test_an_overlaid_master_remembers_the_default() -> None:
    conf = SparkConfReader().read({}).overlay("the request", {"spark.master": "spark://a:1"})
    assert origins(conf.entry("spark.master")) == [("spark://a:1", "the request"), ("local[*]", "kg2at's default")]


# Checks


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("spark.cores.max", "lots", "spark.cores.max must be a whole number of cores, not 'lots'"),
        ("spark.cores.max", "0", "spark.cores.max must be at least 1, not '0'"),
        ("spark.cores.max", "-2", "spark.cores.max must be at least 1, not '-2'"),
        ("spark.cores.max", "1.5", "spark.cores.max must be a whole number of cores, not '1.5'"),
        ("spark.cores.max", "1_000", "spark.cores.max must be a whole number of cores, not '1_000'"),
        ("spark.cores.max", "2147483648", "spark.cores.max must be at most 2147483647, not '2147483648'"),
        ("spark.cores.max", "", "spark.cores.max must be a whole number of cores, not ''"),
        ("spark.executor.cores", "0", "spark.executor.cores must be at least 1, not '0'"),
        ("spark.driver.cores", "x", "spark.driver.cores must be a whole number of cores, not 'x'"),
        ("spark.task.cpus", "0", "spark.task.cpus must be at least 1, not '0'"),
        ("spark.executor.instances", "-1", "spark.executor.instances must be at least 0, not '-1'"),
        ("spark.dynamicAllocation.maxExecutors", "0", "maxExecutors must be at least 1, not '0'"),
        ("spark.driver.port", "65536", "spark.driver.port must be at most 65535, not '65536'"),
        ("spark.ui.port", "80", "spark.ui.port must be 0 for any port or a port from 1024 up, not '80'"),
        ("spark.blockManager.port", "x", "spark.blockManager.port must be a whole number: a port, not 'x'"),
        ("spark.executor.memory", "1.5g", "in whole numbers (1536m, not 1.5g), not '1.5g'"),
        ("spark.executor.memory", "much", "spark.executor.memory must be a size such as 512m or 2g"),
        ("spark.executor.memory", "449m", "executor.memory must be at least 450m, since Spark starts no executor with"),
        ("spark.driver.memory", "449m", "at least 450m, since Spark makes no SparkContext with less, not '449m'"),
        ("spark.driver.memory", "100m", "and Toree does not even answer below 160m, not '100m'"),
        ("spark.driver.memory", "0", "spark.driver.memory must be at least 450m"),
        ("spark.driver.memory", '"2g"', "not '\"2g\"' (write 2g)"),
        ("spark.executor.memory", "'2g' # each", "(write 2g)"),
        ("spark.cores.max", '"4"', "spark.cores.max must be a whole number of cores, not '\"4\"' (write 4)"),
        ("spark.cores.max", "4 # all", "not '4 # all' (write 4)"),
        ("spark.ui.port", "'4050'", "(write 4050)"),
        ("spark.master.ui.port", '"8080"', "must be a whole number: a port, not '\"8080\"' (write 8080)"),
        ("spark.master.ui.port", "0", "spark.master.ui.port must be at least 1"),
        ("spark.ssl.enabled", "yes", "spark.ssl.enabled must be true or false"),
        ("spark.ssl.standalone.port", "x", "spark.ssl.standalone.port must be a whole number: a port"),
        ("spark.memory.fraction", "1.5", "spark.memory.fraction must be a number from 0 to 1, not '1.5'"),
        ("spark.memory.storageFraction", "half", "spark.memory.storageFraction must be a number from 0 to 1"),
        ("spark.driver.extraJavaOptions", "-Xmx2g", "spark.driver.extraJavaOptions must be free of -Xmx"),
        ("spark.driver.defaultJavaOptions", "-Xmx2g", "spark.driver.defaultJavaOptions must be free of -Xmx"),
        ("spark.driver.extraJavaOptions", "-Da='b c", "must be options whose quotes are closed"),
        ("spark.executor.extraJavaOptions", "-Xmx2g", "spark.executor.extraJavaOptions must be free of -Xmx"),
        ("spark.executor.defaultJavaOptions", "-Dspark.x=1", "must be free of -Dspark"),
        ("spark.executor.memoryOverhead", "-1", "spark.executor.memoryOverhead must be a size such as"),
        ("spark.driver.memoryOverhead", "1x", "spark.driver.memoryOverhead must be a size such as"),
        ("spark.network.timeout", "soon", "spark.network.timeout must be a time such as 90s"),
        ("spark.dynamicAllocation.enabled", "yes", "spark.dynamicAllocation.enabled must be true or false, not 'yes'"),
        ("spark.redaction.regex", "(geheim", "spark.redaction.regex must be a regular expression (not a regular"),
        ("spark.master", " ", "spark.master must be set to something, or not be there at all, not ''"),
        ("spark.master", '"spark://h:7077"', "(write spark://h:7077)"),
        ("spark.master", "http://h:8080", "k8s://..., not 'http://h:8080' (write spark://h:7077)"),
        ("spark.master", "http://mytoken:8080", "spark.master must be spark://HOST:PORT"),
        ("spark.cores.max", "mytoken", "spark.cores.max must be a whole number of cores"),
    ],
)  # fmt: skip
def test_bad_values(key: str, value: str, problem: str) -> None:
    with pytest.raises(SparkConfError) as caught:
        SparkConfReader(overrides={key: value}).read({})
    assert caught.value.where == "KG2ATPersonality.spark_conf"
    assert problem in caught.value.problem
    assert "token" not in caught.value.problem
    assert "geheim" not in caught.value.problem


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("spark.cores.max", " +4 "),
        ("spark.executor.instances", "0"),
        ("spark.executor.memory", "1024"),
        ("spark.executor.memory", "450m"),
        ("spark.driver.memory", "460800k"),
        ("spark.memory.fraction", "0.6"),
        ("spark.driver.extraJavaOptions", "-Da='b c' -Xms1g"),
        ("spark.executor.extraJavaOptions", "-Da='b c"),
        ("spark.executor.memoryOverhead", "0"),
        ("spark.driver.port", "0"),
        ("spark.ui.enabled", "TRUE"),
        ("spark.redaction.regex", "(?i)secret|geheim"),
        ("spark.unknown", "whatever"),
    ],
)
def test_good_values(key: str, value: str) -> None:
    assert key in SparkConfReader(overrides={key: value}).read({})


def test_a_bad_value_in_the_file_names_its_line(conf_dir: Path) -> None:
    with pytest.raises(SparkConfError) as caught:
        read(conf_dir, "# cores\n\nspark.cores.max=lots\n")
    assert caught.value.where == f"{conf_dir}/spark-defaults.conf, line 3"


def test_a_bad_value_of_the_environment_names_its_variable() -> None:
    with pytest.raises(SparkConfError, match=r"^environment variable SPARK_EXECUTOR_CORES: spark.executor.cores must"):
        SparkConfReader().read({"SPARK_EXECUTOR_CORES": "x"})


def test_a_bad_value_of_an_overlay_names_it() -> None:
    with pytest.raises(SparkConfError, match=r"^the request: spark.cores.max must be at least 1"):
        SparkConfReader().read({}).overlay("the request", {"spark.cores.max": "0"})


def test_a_bad_value_that_is_overridden_harms_nobody(conf_dir: Path) -> None:
    conf = read(conf_dir, "spark.cores.max lots\n", overrides={"spark.cores.max": "2"})
    assert conf.integer("spark.cores.max", 1) == 2


def test_a_secret_value_is_not_in_the_error() -> None:
    overrides = {"spark.redaction.regex": "geheim", "spark.geheim.size": "hunter2"}
    conf = SparkConfReader(overrides=overrides).read({})
    with pytest.raises(SparkConfError) as caught:
        conf.integer("spark.geheim.size", 1)
    assert "hunter2" not in str(caught.value)


def test_a_bad_redaction_regex_is_found_first() -> None:
    with pytest.raises(SparkConfError, match=r"spark.redaction.regex must be"):
        SparkConfReader(overrides={"spark.cores.max": "lots", "spark.redaction.regex": "("}).read({})


def test_characters_no_file_can_hold() -> None:
    for values in ({"spark.a": "\ud800"}, {"spark.\udcff": "a"}):
        with pytest.raises(SparkConfError, match=r"^the request: .*UTF-8 can't write"):
            SparkConfReader().read({}).overlay("the request", values)


# References


def test_a_reference_is_resolved_where_spark_does(conf_dir: Path) -> None:
    text = "spark.ui.port ${env:UI}\nspark.network.timeout ${spark.my.time}\nspark.my.time 90s\nspark.x ${env:UI}\n"
    (conf_dir / "spark-env.sh").write_text("UI=4050\n")
    conf = read(conf_dir, text, PATH)
    assert (conf["spark.ui.port"], conf.seconds("spark.network.timeout", 1)) == ("4050", 90)
    assert conf["spark.x"] == "${env:UI}", "Spark resolves what kg2at has no use for"
    over = conf.overlay("profile", {"spark.driver.port": "${env:UI}"})
    assert over["spark.driver.port"] == "4050"


@pytest.mark.parametrize(
    "key", ["spark.cores.max", "spark.executor.memory", "spark.master", "spark.executor.instances"]
)
def test_a_reference_that_spark_submit_refuses(conf_dir: Path, key: str) -> None:
    with pytest.raises(SparkConfError, match=r"line 1: spark\.\S+ must be .*not '\$\{env:X\}'"):
        read(conf_dir, f"{key} ${{env:X}}\n", {"X": "2"})


def test_a_reference_to_nothing_or_to_itself(conf_dir: Path) -> None:
    with pytest.raises(SparkConfError, match=r"line 1: spark.ui.port must be .*not '\$\{env:X\}'"):
        read(conf_dir, "spark.ui.port ${env:X}\n")
    with pytest.raises(SparkConfError, match=r"line 1: spark.ui.port must be without a reference that leads to itself"):
        read(conf_dir, "spark.ui.port ${spark.ui.port}\n")


# Typed reading


def test_typed_values() -> None:
    values = {"spark.i": "7", "spark.m": "2g", "spark.bare": "512", "spark.s": "1500ms", "spark.b": "False"}
    conf = SparkConfReader(overrides=values).read({})
    assert (conf.integer("spark.i", 1), conf.integer("spark.none", 1)) == (7, 1)
    assert (conf.memory_mib("spark.m", 1), conf.memory_mib("spark.bare", 1), conf.memory_mib("x", 3)) == (2048, 512, 3)
    assert (conf.seconds("spark.s", 1), conf.seconds("spark.i", 1), conf.seconds("x", 2.5)) == (1.5, 7, 2.5)
    assert (conf.boolean("spark.b", True), conf.boolean("x", True)) == (False, True)


@pytest.mark.parametrize("method", ["integer", "memory_mib", "seconds", "boolean"])
def test_typed_reading_of_nonsense(method: str) -> None:
    conf = SparkConfReader(overrides={"spark.x": "?"}).read({})
    with pytest.raises(SparkConfError, match=r"^KG2ATPersonality.spark_conf: spark.x must be .*, not '\?'$"):
        getattr(conf, method)("spark.x", 1)


def test_setting_of_an_unset_key() -> None:
    with pytest.raises(KeyError):
        SparkConfReader().read({}).entry("spark.none")


# The object


def test_it_is_a_mapping_that_pickles_and_shows_no_values() -> None:
    conf = SparkConfReader(overrides={"spark.password": "hunter2"}).read({"TOKEN": "hunter2"})
    assert pickle.loads(pickle.dumps(conf)) == conf == {"spark.password": "hunter2", "spark.master": "local[*]"}
    assert len(conf) == 2
    assert "hunter2" not in repr(conf) + repr(conf.entry("spark.password"))


def test_overlay_leaves_the_original_alone() -> None:
    conf = SparkConfReader().read({"A": "1"})
    over = conf.overlay("the request", {"spark.a": "1"})
    assert "spark.a" not in conf
    assert (over.environ, over.encoding) == (conf.environ, conf.encoding)


def test_immutable() -> None:
    with pytest.raises(AttributeError):
        SparkConfReader().read({}).encoding = "x"  # type: ignore[misc]


def test_redactor_knows_the_regex_and_the_secrets_of_the_conf() -> None:
    overrides = {"spark.redaction.regex": "geheim", "spark.geheim": "open sesame", "spark.password": "plain"}
    redactor = SparkConfReader(overrides=overrides).read({}).redactor()
    assert redactor.mask("spark.geheim", "open sesame") == MASK
    assert redactor.mask("spark.password", "plain") == "plain"
    assert redactor.text("open sesame, plain") == f"{MASK}, plain"


def test_encodings(conf_dir: Path) -> None:
    (conf_dir / "spark-defaults.conf").write_bytes("spark.a 1".encode("cp1047") + b"\x15")
    conf = SparkConfReader(conf_dir=str(conf_dir)).read({})
    assert (conf["spark.a"], conf.encoding) == ("1", "cp1047")
    with pytest.raises(SparkConfError, match="isn't utf-8"):
        SparkConfReader(conf_dir=str(conf_dir), encoding="utf-8").read({})


def test_time_limit_of_the_script(conf_dir: Path) -> None:
    (conf_dir / "spark-env.sh").write_text("sleep 600\n")
    with pytest.raises(SparkConfError, match=r"did not end within 0.2 s"):
        read(conf_dir, "", PATH, env_script_timeout=0.2)


def test_reading_is_cheap(conf_dir: Path) -> None:
    text = "".join(f"spark.some.property.{number} value {number}\n" for number in range(100))
    read(conf_dir, text)
    with Calls() as calls:
        SparkConfReader(conf_dir=str(conf_dir)).read({})
    assert calls.count < 7_000
