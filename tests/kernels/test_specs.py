from __future__ import annotations

import json
import logging
import platform
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import NoSuchKernel
from jupyter_client.provisioning import KernelProvisionerFactory
from traitlets.config import Config

from kg2at_personality.errors import UnknownKernelSpec
from kg2at_personality.kernels.launch.launcher import Launcher
from kg2at_personality.kernels.specs import SparkKernelSpecManager, sizes
from kg2at_personality.kernels.user import GatewayUser
from kg2at_personality.spark.conf import SparkConfReader
from kg2at_personality.spark.master_url import local_cores
from tests.fakes.installation import make_python
from tests.fakes.toree import FakeSpark

TOREE, PYTHON = {"apache_toree_scala", "apache_toree_sql"}, "spark_python"
PRIVATE = {"kernel_provisioner": {"provisioner_name": "local-provisioner", "config": {"host": "h", "password": "hush"}}}


@pytest.fixture
def spark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSpark:
    return FakeSpark(tmp_path).enter(monkeypatch)


def manager(profiles: dict[str, dict[str, str]] | None = None, **traits: Any) -> SparkKernelSpecManager:
    return SparkKernelSpecManager(launcher=Launcher(profiles=profiles or {}), **traits)


def install(spark: FakeSpark, name: str, **more: Any) -> Path:
    """A kernelspec that somebody installed."""
    folder = spark.root / "DATA" / "kernels" / name
    folder.mkdir(parents=True)
    spec = {"argv": ["run", "--password=hush"], "env": {"A": "hush"}, "display_name": name, "language": "x"}
    (folder / "kernel.json").write_text(json.dumps(spec | more))
    return folder


def described(specs: dict[str, Any], name: str) -> tuple[str, dict[str, Any]]:
    spec = specs[name]["spec"]
    return spec["display_name"], spec["metadata"]["kg2at"]


class TestUsers:
    """Of a profile that is not for all."""

    @pytest.mark.parametrize(
        ("users", "name", "is_admin", "is_open"),
        [
            ({"ann"}, "ann", False, True),
            ({"ann"}, "bob", False, False),
            ({"ann"}, "Ann", False, False),
            ({"ann"}, "bob", True, True),
            ({"ann"}, "", True, True),
            ({"admins"}, "ann", False, False),
            ({"admins"}, "admins", False, False),
            ({"admins"}, "ann", True, True),
            ({"admins", "ann"}, "ann", False, True),
            ({"admins", "ann"}, "bob", False, False),
            (set(), "ann", False, False),
            (set(), "ann", True, True),
        ],
    )
    def test_whom_it_is_open_to(
        self, spark: FakeSpark, users: set[str], name: str, is_admin: bool, is_open: bool
    ) -> None:
        specs = manager({"Large": {}, "small": {}}, profile_users={"Large": frozenset(users)})
        user = GatewayUser(name, is_admin)
        for spelt in ("apache_toree_scala_large", "Apache_Toree_Scala_LARGE", "spark_python_Large"):
            assert specs.is_open_to(user, spelt) is is_open
            assert not specs.is_open_to(None, spelt)
        for other in ("apache_toree_scala", "apache_toree_scala_small", "python3", "no_such_kernel"):
            assert specs.is_open_to(user, other) and specs.is_open_to(None, other)

    def test_what_is_said_is_the_same_as_of_one_that_is_not_there(self, spark: FakeSpark) -> None:
        specs = manager({"large": {}, "small": {}}, profile_users={"large": frozenset({"ann"})})
        with pytest.raises(UnknownKernelSpec) as closed:
            specs.check_open_to(GatewayUser("bob"), "apache_toree_scala_large")
        unknown = str(specs.unknown("apache_toree_scala_larch"))
        assert str(closed.value) == unknown.replace("larch", "large")
        assert unknown.count("large") == 0 and "apache_toree_scala_small" in unknown
        specs.check_open_to(GatewayUser("ann"), "apache_toree_scala_large")


class TestListing:
    def test_both_languages_beside_what_is_installed(self, spark: FakeSpark) -> None:
        install(spark, "other")
        assert manager().get_all_specs().keys() >= TOREE | {"other", "python3"}

    def test_what_a_client_learns_of_the_cluster(self, spark: FakeSpark) -> None:
        spark.defaults(
            "spark.cores.max 6", "spark.executor.cores 2", "spark.executor.memory 1536", master="spark://h:1"
        )
        assert described(manager().get_all_specs(), "apache_toree_sql") == (
            "Apache Toree - SQL",
            {
                "interpreter": "SQL",
                "profile": "",
                "master": "spark://h:1",
                "cores": 6,
                "executor_cores": 2,
                "executor_memory": "1536m",
                "spark_version": "3.5.9",
                "toree_version": "0.5.0",
            },
        )

    @pytest.mark.parametrize(
        ("profile", "master", "label"),
        [
            ({"spark.cores.max": "8"}, "spark://h:1", "large, 8 cores"),
            ({"spark.cores.max": "1"}, "spark://h:1", "large, 1 core"),
            ({}, "spark://h:1", "large, 1 core"),
            ({"spark.executor.cores": "3"}, "spark://h:1", "large, 3 cores"),
            ({"spark.cores.max": "8"}, "local[2]", "large, 2 cores"),
            ({}, "local[*]", "large"),
            ({}, "yarn", "large"),
        ],
    )
    def test_the_name_of_a_profile(self, spark: FakeSpark, profile: dict[str, str], master: str, label: str) -> None:
        spark.defaults(master=master)
        specs = manager({"large": profile}).get_all_specs()
        assert described(specs, "apache_toree_scala_large")[0] == f"Apache Toree - Scala ({label})"
        assert described(specs, "apache_toree_sql_large")[0] == f"Apache Toree - SQL ({label})"
        assert described(specs, "apache_toree_scala")[0] == "Apache Toree - Scala"

    def test_the_listing_reads_the_files_afresh(self, spark: FakeSpark) -> None:
        specs = manager()
        for cores in (3, 4):
            spark.defaults(f"spark.cores.max {cores}", master="spark://h:1")
            assert described(specs.get_all_specs(), "apache_toree_scala")[1]["cores"] == cores

    def test_a_broken_file_is_told_where_it_matters_and_hides_nothing(self, spark: FakeSpark) -> None:
        spark.defaults("spark.cores.max lots")
        install(spark, "other")
        specs = manager({"large": {"spark.cores.max": "2"}}).get_all_specs()
        sentence = (
            f"{spark.conf}/spark-defaults.conf, line 2: spark.cores.max must be a whole number of cores, not 'lots'"
        )
        assert described(specs, "apache_toree_scala") == (
            "Apache Toree - Scala",
            {"interpreter": "Scala", "profile": "", "error": sentence},
        )
        assert described(specs, "apache_toree_scala_large")[0] == "Apache Toree - Scala (large)"
        assert "other" in specs

    def test_a_missing_spark_is_told(self, spark: FakeSpark) -> None:
        spark.submit.unlink()
        assert "SPARK_HOME" in described(manager().get_all_specs(), "apache_toree_scala")[1]["error"]

    def test_one_spec_says_the_same_as_the_listing(self, spark: FakeSpark) -> None:
        specs = manager({"large": {"spark.executor.memory": "4g"}})
        for name in (*TOREE, "apache_toree_sql_large", "python3"):
            assert specs.public_spec(name) == specs.get_all_specs()[name]["spec"]

    def test_nothing_private_is_handed_out(self, spark: FakeSpark) -> None:
        install(spark, "foreign", metadata=PRIVATE | {"process_proxy": {"config": "hush"}, "mine": 1})
        spark.defaults("spark.password hush", "spark.executor.extraJavaOptions -Dx=hush")
        specs = manager({"large": {"spark.secret": "hush"}})
        assert "hush" not in json.dumps(specs.get_all_specs())
        assert "hush" not in json.dumps(specs.public_spec("foreign"))
        assert specs.get_all_specs()["foreign"]["spec"]["metadata"] == {"mine": 1}
        for name in specs.get_all_specs():
            assert specs.public_spec(name)["argv"] == [] and specs.public_spec(name)["env"] == {}

    def test_but_it_is_still_used_to_launch(self, spark: FakeSpark) -> None:
        install(spark, "foreign", metadata=PRIVATE)
        spec = manager().get_kernel_spec("foreign")
        assert spec.metadata == PRIVATE and spec.argv == ["run", "--password=hush"] and spec.env == {"A": "hush"}


class TestOffers:
    """A fake Spark, and the gateway's own Python, which is that of the test."""

    def test_all_three_languages_and_what_runs_them(self, spark: FakeSpark) -> None:
        spark.become("3.5.2")
        specs = manager({"large": {"spark.cores.max": "8"}})
        found = specs.get_all_specs()
        assert found.keys() >= TOREE | {PYTHON, f"{PYTHON}_large", "apache_toree_sql_large"}
        assert described(found, PYTHON)[0] == "Apache Spark - Python"
        about = described(found, PYTHON)[1]
        assert about["interpreter"] == "Python" and about["spark_version"] == "3.5.2"
        assert about["python_version"] == platform.python_version() and "toree_version" not in about
        assert specs.public_spec(PYTHON) == found[PYTHON]["spec"]
        assert specs.default_name == "apache_toree_scala"

    @pytest.mark.parametrize(("version", "scala", "pyspark"), [("3.5.2", "2.12", False), ("4.0.1", "2.13", True)])
    def test_only_what_can_run(self, spark: FakeSpark, version: str, scala: str, pyspark: bool) -> None:
        spark.become(version, scala, pyspark)
        specs = manager({"large": {}})
        offered, missing = ({PYTHON}, TOREE) if pyspark else (TOREE, {PYTHON})
        names = {name for name in specs.get_all_specs() if "spark" in name or "toree" in name}
        assert names == offered | {f"{name}_large" for name in offered}
        assert specs.default_name == (PYTHON if pyspark else "apache_toree_scala")
        for name in missing:
            with pytest.raises(NoSuchKernel):
                specs.public_spec(name)
            # Its launch says why.
            assert specs.get_kernel_spec(name).metadata["kg2at"]["profile"] == ""

    def test_what_changes_is_seen_at_the_next_listing(self, spark: FakeSpark) -> None:
        specs = manager()
        for version, scala, pyspark, offered in (
            ("3.5.2", "2.12", False, TOREE),
            ("3.5.2", "2.12", True, TOREE | {PYTHON}),
            ("4.0.1", "2.13", True, {PYTHON}),
            ("4.0.1", "2.13", False, {PYTHON}),  # nothing runs: what was there says why
        ):
            spark.become(version, scala, pyspark)
            found = specs.get_all_specs()
            assert found.keys() & (TOREE | {PYTHON}) == offered
            assert specs.default_name == (PYTHON if scala == "2.13" else "apache_toree_scala")
        assert "comes without PySpark" in described(found, PYTHON)[1]["error"]

    def test_a_profile_may_have_another_python(self, spark: FakeSpark) -> None:
        spark.become("3.5.2")
        old = make_python(spark.root / "python", "3.9.2")
        specs = manager({"old": {"spark.pyspark.python": str(old)}, "bad": {"spark.pyspark.python": "/no"}})
        found = specs.get_all_specs()
        assert described(found, f"{PYTHON}_old")[1]["python_version"] == "3.9.2"
        assert found.keys() & {f"{PYTHON}_bad", "apache_toree_sql_bad"} == {"apache_toree_sql_bad"}

    def test_the_kernel_of_those_who_name_none(self, spark: FakeSpark) -> None:
        spark.become("3.5.2")
        specs = manager(config=Config({"KernelSpecManager": {"allowed_kernelspecs": {PYTHON, "python3"}}}))
        assert specs.default_name == PYTHON
        assert manager(inject=False).default_name == "python3"


class TestNames:
    def test_injection_can_be_turned_off(self, spark: FakeSpark) -> None:
        install(spark, "apache_toree_scala")
        specs = manager({"large": {}}, inject=False)
        assert specs.injected == {} and not {name for name in specs.get_all_specs() if "large" in name}
        assert specs.get_kernel_spec("apache_toree_scala").argv == ["run", "--password=hush"]

    def test_the_administrators_choice_of_kernelspecs_holds(self, spark: FakeSpark) -> None:
        allowed = {"apache_toree_scala_large", "other"}
        install(spark, "other")
        specs = manager({"large": {}}, config=Config({"KernelSpecManager": {"allowed_kernelspecs": allowed}}))
        assert specs.get_all_specs().keys() == allowed
        for name in ("apache_toree_scala", "apache_toree_sql_large"):
            with pytest.raises(NoSuchKernel):
                specs.get_kernel_spec(name)
        assert specs.get_kernel_spec("apache_toree_scala_large").metadata["kg2at"]["profile"] == "large"

    def test_names_are_found_in_any_case(self, spark: FakeSpark) -> None:
        specs = manager({"Large.2": {"spark.cores.max": "2"}})
        assert "apache_toree_scala_large.2" in specs.get_all_specs()
        assert specs.get_kernel_spec("Apache_Toree_Scala_LARGE.2").metadata["kg2at"]["profile"] == "Large.2"

    def test_an_installed_one_of_the_same_name_is_shadowed_with_a_line(self, spark: FakeSpark, caplog: Any) -> None:
        folder = install(spark, "apache_toree_scala")
        log = logging.getLogger("test_specs")
        caplog.set_level(logging.INFO, log.name)
        specs = manager(log=log)
        for _ in range(2):
            assert specs.get_all_specs()["apache_toree_scala"]["resource_dir"] != str(folder)
        [line] = [line for line in caplog.messages if "is used instead of" in line]
        assert str(folder) in line and "apache_toree_scala" in line

    def test_unknown(self, spark: FakeSpark) -> None:
        for name in ("nope", "apache_toree_scala_nope", "apache_toree_python", "../apache_toree_scala"):
            with pytest.raises((NoSuchKernel, KeyError)):
                manager().get_kernel_spec(name)

    def test_one_whose_provisioner_is_not_installed_is_not_offered(
        self, spark: FakeSpark, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(KernelProvisionerFactory, "is_provisioner_available", lambda self, spec: False)
        with pytest.raises(NoSuchKernel, match="apache_toree_sql"):
            manager().get_kernel_spec("apache_toree_sql")
        assert not TOREE & manager().get_all_specs().keys()

    def test_both_are_launched_by_the_provisioner_and_interrupted_by_a_signal(self, spark: FakeSpark) -> None:
        for name in TOREE:
            spec = manager().get_kernel_spec(name)
            assert spec.metadata["kernel_provisioner"]["provisioner_name"] == "kg2at-spark-provisioner"
            assert spec.interrupt_mode == "signal"

    def test_the_name_alone_costs_no_look_at_spark(self, spark: FakeSpark) -> None:
        spark.defaults("spark.cores.max lots")
        assert manager().get_kernel_spec("apache_toree_scala").metadata["kg2at"] == {
            "interpreter": "Scala",
            "profile": "",
        }

    def test_one_kernels_spec_is_not_anothers(self, spark: FakeSpark) -> None:
        specs = manager({"large": {}})
        specs.get_kernel_spec("apache_toree_scala").metadata["kg2at"]["profile"] = "changed"
        assert specs.get_kernel_spec("apache_toree_scala").metadata["kg2at"]["profile"] == ""


@pytest.mark.parametrize(
    ("master", "cores"),
    [
        ("local", 1),
        ("local[4]", 4),
        ("local[ 4 , 2 ]", 4),
        ("local[*]", None),
        ("local[*,2]", None),
        ("local-cluster[2,1,512]", None),
        ("spark://h:1", None),
        ("yarn", None),
    ],
)
def test_cores_of_a_local_master(master: str, cores: int | None) -> None:
    assert local_cores(master) == cores


def test_sizes_of_a_plain_spark() -> None:
    plain = {"master": "local[*]", "cores": None, "executor_cores": None, "executor_memory": "1g"}
    assert sizes(SparkConfReader().read({})) == plain
