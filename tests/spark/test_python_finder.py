"""Which Python runs a notebook, and which its tasks: small programs as interpreters, the real one once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from kg2at_personality.errors import InstallationError, WrongPlace
from kg2at_personality.spark import workers_python
from kg2at_personality.spark.conf import SparkConf, SparkConfReader
from kg2at_personality.spark.installation import Spark
from kg2at_personality.spark.installation_finder import InstallationFinder
from kg2at_personality.spark.python_finder import PythonFinder, PythonInstallation
from tests.fakes.installation import add_pyspark, make_python, make_spark, needs_spark

ELSEWHERE = "spark://192.0.2.7:7077"


@pytest.fixture
def spark(tmp_path: Path) -> Spark:
    home = make_spark(tmp_path / "spark")
    add_pyspark(home)
    return Spark(str(home), "3.5.9", "2.12")


def conf_of(environ: dict[str, str] | None = None, **properties: str) -> SparkConf:
    """A configuration, with `_` for the dots in the names of `properties`."""
    overrides = {"spark.master": "local[2]"} | {key.replace("_", "."): value for key, value in properties.items()}
    return SparkConfReader(overrides=overrides).read({"PATH": os.environ["PATH"], **(environ or {})})


def finder(python: object = "") -> PythonFinder:
    return PythonFinder(str(python), timeout=60)


def refused(spark: Spark, conf: SparkConf, python: object = "", error: type[Exception] = InstallationError) -> str:
    with pytest.raises(InstallationError) as caught:
        finder(python).find(conf, spark)
    assert type(caught.value) is error
    return str(caught.value)


def test_all_that_a_launch_needs(spark: Spark, tmp_path: Path) -> None:
    python = make_python(tmp_path / "python", "3.10.4", ipykernel="6.29.5")
    path = (f"{spark.home}/python", f"{spark.home}/python/lib/py4j-0.10.9.7-src.zip")
    expected = PythonInstallation(str(python), "3.10.4", "6.29.5", "3.5.9", path, str(python))
    assert finder(python).find(conf_of(), spark) == expected


#: Lowest first: each one wins over those before it.
ORDER = [
    lambda python: conf_of({"PYSPARK_PYTHON": python}),
    lambda python: conf_of({"PYSPARK_PYTHON": "/no", "PYSPARK_DRIVER_PYTHON": python}),
    lambda python: conf_of({"PYSPARK_PYTHON": "/no", "PYSPARK_DRIVER_PYTHON": "/no"}, spark_pyspark_python=python),
    lambda python: conf_of(
        {"PYSPARK_DRIVER_PYTHON": "/no"}, spark_pyspark_python="/no", spark_pyspark_driver_python=python
    ),
]


@pytest.mark.parametrize("conf", ORDER)
def test_the_order_of_spark(spark: Spark, tmp_path: Path, conf: object) -> None:
    python = str(make_python(tmp_path / "bin" / "python3.9", "3.9.2"))
    assert finder().find(conf(python), spark).executable == python  # type: ignore[operator]
    # The trait wins over all.
    other = make_python(tmp_path / "other", "3.12.1")
    assert finder(other).find(conf("/no"), spark).executable == str(other)  # type: ignore[operator]


def test_names_go_by_the_path_after_spark_env(spark: Spark, tmp_path: Path) -> None:
    python = make_python(tmp_path / "bin" / "python3.9", "3.9.2")
    (tmp_path / "conf").mkdir()
    script = f"PATH={tmp_path}/bin:$PATH\nPYSPARK_PYTHON=python3.9\n"
    (tmp_path / "conf" / "spark-env.sh").write_text(script)
    found = finder().find(conf_of({"SPARK_CONF_DIR": str(tmp_path / "conf")}), spark)
    # The workers look the name up for themselves.
    assert (found.executable, found.workers_python) == (str(python), "python3.9")


def test_nobody_says_so_it_is_the_gateways_own(spark: Spark) -> None:
    for conf in (conf_of(), conf_of({"PYSPARK_PYTHON": ""}, spark_pyspark_python="")):
        found = finder().find(conf, spark)
        assert (found.executable, found.workers_python, found.notes) == (sys.executable, sys.executable, ())


@pytest.mark.parametrize("name", ["jupyter", "ipython", "ipython3", "/opt/bin/jupyter-lab", "jupyter-notebook"])
def test_front_ends_are_passed_over(spark: Spark, tmp_path: Path, name: str) -> None:
    python = make_python(tmp_path / "python", "3.9.2")
    found = finder().find(conf_of({"PYSPARK_DRIVER_PYTHON": name, "PYSPARK_PYTHON": str(python)}), spark)
    assert found.executable == str(python)
    note = f"$PYSPARK_DRIVER_PYTHON is '{name}', a front end and no Python: it is passed over. Name a Python there."
    assert found.notes == (note,)
    only = finder().find(conf_of({"PYSPARK_DRIVER_PYTHON": name}), spark)
    assert (only.executable, only.notes) == (sys.executable, (note,))


@pytest.mark.parametrize("name", ["/opt/jupyter/bin/python", "python", "/opt/ipython.d/python3", "jupyterx"])
def test_what_is_no_front_end(spark: Spark, name: str) -> None:
    environ = {"PYSPARK_DRIVER_PYTHON": name, "PATH": ""}
    assert f"$PYSPARK_DRIVER_PYTHON is '{name}', but that won't do" in refused(spark, conf_of(environ))


def test_what_somebody_names_and_is_no_good(spark: Spark, tmp_path: Path) -> None:
    """The trait keeps the gateway from starting, all else keeps Python from being offered."""
    said = refused(spark, conf_of({"PYSPARK_PYTHON": "/no/python"}))
    assert said.startswith("Python: $PYSPARK_PYTHON is '/no/python', but that won't do: /no/python can't be run: No ")
    said = refused(spark, conf_of(spark_pyspark_python="/no/python"))
    assert said.startswith("Python: spark.pyspark.python (KG2ATPersonality.spark_conf) is '/no/python', but")
    said = refused(spark, conf_of(), "/no/python", WrongPlace)
    assert said.startswith("Python: trait python is '/no/python', but that won't do: /no/python can't be run")
    assert said.endswith(". Set python to one with ipykernel.")
    assert "trait python is 'no-python', but that won't do: there is no no-python" in refused(
        spark, conf_of(), "no-python", WrongPlace
    )


@pytest.mark.parametrize(
    ("version", "ipykernel", "said"),
    [
        ("3.7.17", "6.0", "it is Python 3.7.17, and PySpark 3.5.9 needs 3.8 or later"),
        ("3.9.1", "", "it has no ipykernel (`{python} -m pip install ipykernel` brings it)"),
        ("3.9.1", "5.5.6", "its ipykernel is 5.5.6, and 6 or later is needed"),
    ],
)
def test_interpreters_that_run_no_notebook(
    spark: Spark, tmp_path: Path, version: str, ipykernel: str, said: str
) -> None:
    python = make_python(tmp_path / "python", version, ipykernel=ipykernel)
    assert f"won't do: {said.format(python=python)}." in refused(spark, conf_of({"PYSPARK_PYTHON": str(python)}))
    refused(spark, conf_of(), python, WrongPlace)


def test_a_spark_without_pyspark_is_not_the_traits_fault(tmp_path: Path) -> None:
    python = make_python(tmp_path / "python")
    spark = Spark(str(make_spark(tmp_path / "spark")), "3.5.9", "2.12")
    assert "comes without PySpark" in refused(spark, conf_of(), python)
    assert "ends at Python 3.7" in refused(Spark(spark.home, "2.0.2", "2.11"), conf_of(), python)


def test_pandas_without_distutils(spark: Spark, tmp_path: Path) -> None:
    """Python 3.12 came without it, setuptools brings it, and PySpark 4 needs none."""
    for version, setuptools, of_spark, warned in (
        ("3.11.7", "", "3.5.9", False),
        ("3.12.1", "", "3.5.9", True),
        ("3.12.1", "/site/setuptools", "3.5.9", False),
        ("3.12.1", "", "4.0.1", False),
    ):
        python = make_python(tmp_path / "python", version, ipykernel="7.4.0", setuptools=setuptools)
        notes = finder(python).find(conf_of(), Spark(spark.home, of_spark, "")).notes
        assert bool(notes) is warned
    python = make_python(tmp_path / "python", "3.13.0")
    [note] = finder(python).find(conf_of(), spark).notes
    assert note == (
        "PySpark 3.5.9 imports distutils when it meets pandas, and Python 3.13 has none. "
        f"`{python} -m pip install setuptools` brings it."
    )


@pytest.mark.parametrize(
    ("ipykernel", "version", "better"),
    [
        ("6.31.0", "3.10.4", None),
        ("7.0.0", "3.10.4", "ipykernel<7"),
        ("7.3.0", "3.11.7", "ipykernel>=7.4"),
        ("7.4.0", "3.11.7", None),
        ("8.0.0", "3.11.7", None),
    ],
)
def test_an_ipykernel_that_keeps_answers_back(
    spark: Spark, tmp_path: Path, ipykernel: str, version: str, better: str | None
) -> None:
    python = make_python(tmp_path / "python", version, ipykernel=ipykernel)
    notes = finder(python).find(conf_of(), spark).notes
    assert [f"'{better}'" in note and f"ipykernel {ipykernel} keeps" in note for note in notes] == [True] * bool(better)


# The workers.


def test_the_workers_python_is_what_spark_would_take(spark: Spark, tmp_path: Path) -> None:
    python = make_python(tmp_path / "python", "3.9.2")
    set_both = conf_of({"PYSPARK_PYTHON": "python3.9"}, spark_pyspark_python="./env/bin/python")
    assert finder(python).find(set_both, spark).workers_python == "./env/bin/python"
    variable = conf_of({"PYSPARK_PYTHON": "python3.9", "PYSPARK_DRIVER_PYTHON": "/no"}, spark_pyspark_python="")
    assert finder(python).find(variable, spark).workers_python == "python3.9"


@pytest.mark.parametrize(
    ("master", "here"),
    [
        *(("local", True), ("local[2]", True), ("local-cluster[1,1,1024]", True), ("spark://127.0.0.1:7077", True)),
        *(("spark://localhost:1,[::1]:2", True), (ELSEWHERE, False), ("spark://localhost:1,192.0.2.7:2", False)),
        *(("yarn", False), ("k8s://https://h:6443", False), ("spark://no-such-host.invalid:7077", False)),
    ],
)
def test_workers_of_nobodys_choice(spark: Spark, tmp_path: Path, master: str, here: bool) -> None:
    """Here they run what the driver runs; elsewhere that may not be at the same place."""
    python = make_python(tmp_path / "python", "3.9.2")
    expected = str(python) if here else "python3.9"
    assert finder(python).find(conf_of(spark_master=master), spark).workers_python == expected


def test_a_master_by_the_name_of_this_machine(spark: Spark, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_python, "hosts_here", lambda hosts: frozenset(hosts) & {"head"})
    assert workers_python.is_all_here(conf_of(spark_master="spark://head:7077"))
    assert not workers_python.is_all_here(conf_of(spark_master="spark://head:7077,other:7077"))


def test_a_variable_of_the_executors_chooses_nothing(spark: Spark, tmp_path: Path) -> None:
    conf = conf_of().overlay("here", {"spark.executorEnv.PYSPARK_PYTHON": "/opt/python"})
    found = finder(make_python(tmp_path / "python")).find(conf, spark)
    assert found.workers_python == str(tmp_path / "python")
    assert found.notes == (
        "here: spark.executorEnv.PYSPARK_PYTHON does not choose the workers' Python. Set spark.pyspark.python.",
    )


def test_the_minor_version_on_the_workers(tmp_path: Path) -> None:
    python = make_python(tmp_path / "bin" / "python3", "3.9.2")
    here, elsewhere = conf_of({"PATH": str(python.parent)}), conf_of(spark_master=ELSEWHERE)
    assert workers_python.minor_on_workers("python3", here, 60) == "3.9"
    assert workers_python.minor_on_workers(str(python), here, 60) == "3.9"
    assert workers_python.minor_on_workers("/opt/python3.12", elsewhere, 60) == "3.12"
    assert workers_python.minor_on_workers("python3", elsewhere, 60) == ""
    with pytest.raises(InstallationError, match=r"there is no python3\.12 on the PATH"):
        workers_python.minor_on_workers("python3.12", here, 60)


def test_driver_and_workers_of_different_versions() -> None:
    for driver, workers in (("3.11", "3.11"), ("3.11", ""), ("", "3.11")):
        workers_python.check_minor(driver, workers, "python3")
    with pytest.raises(InstallationError) as caught:
        workers_python.check_minor("3.11", "3.9", "python3")
    for part in ("Python 3.11, and its workers Python 3.9 (python3)", "Set spark.pyspark.python to a Python 3.11"):
        assert part in str(caught.value)


@needs_spark
def test_the_real_ones() -> None:
    spark = InstallationFinder().spark(os.environ)
    conf = SparkConfReader(overrides={"spark.master": "local"}).read(os.environ)
    found = finder().find(conf, spark)
    assert (found.executable, found.pyspark, found.workers_python) == (sys.executable, spark.version, sys.executable)
    assert found.ipykernel and found.version == "{}.{}.{}".format(*sys.version_info)
