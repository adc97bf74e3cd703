from __future__ import annotations

from typing import Any

import pytest

from kg2at_personality.spark.java_options import driver, executor, split

#: What is written, and the options it is.
OPTIONS = {
    "": [],
    "  \t\n ": [],
    "-Da=1 -Db=2": ["-Da=1", "-Db=2"],
    " -Da=1\t-Db=2\n": ["-Da=1", "-Db=2"],
    '-Da="two words" -Db=1': ["-Da=two words", "-Db=1"],
    "'-Da=two words'": ["-Da=two words"],
    r"-Da=two\ words": ["-Da=two words"],
    r"-Da='a\b'": [r"-Da=a\b"],
    r'-Da="C:\dir"': ["-Da=C:dir"],
    r'-Da="a\"b\\c"': [r'-Da=a"b\c'],
    "-Da='say \"so\"'": ['-Da=say "so"'],
    "-Da=#hash": ["-Da=#hash"],
    "-Da=ü\u00a0ü": ["-Da=ü\u00a0ü"],
    "'' \"\" x": ["", "", "x"],
    "a''b": ["ab"],
}
OPEN = ["-Da='b c", '-Da="b c', "-Da=b\\", "'", '"', "\\", '"a\\"']


@pytest.mark.parametrize("text", OPTIONS)
def test_they_are_split_as_a_shell_would(text: str) -> None:
    assert split(text) == OPTIONS[text]


@pytest.mark.parametrize("text", OPEN)
def test_what_is_left_open(text: str) -> None:
    with pytest.raises(ValueError, match="options whose quotes are closed"):
        split(text)


def test_a_long_value_is_split_quickly() -> None:
    assert len(split("-Dx='" + "a" * 1_000_000 + "' " + '"b" ' * 100_000)) == 100_001


@pytest.mark.parametrize("text", ["-Xmx2g", "-Da=1 -Xmx2g", "'-Xmx2g'", "-XX:Xmx", "-Da=Xmx"])
def test_the_driver_has_no_xmx_at_all(text: str) -> None:
    with pytest.raises(ValueError, match=r"free of -Xmx.*spark\.driver\.memory"):
        driver(text)


@pytest.mark.parametrize("charset", ["ISO-8859-1", "US-ASCII", "COMPAT", "UTF-16", "IBM-1047"])
def test_the_driver_has_no_charset_that_hangs_cells(charset: str) -> None:
    with pytest.raises(ValueError, match=r"free of -Dfile\.encoding, or have it UTF-8"):
        driver(f"-Da=1 -Dfile.encoding={charset}")


@pytest.mark.parametrize(
    "text", ["-Dfile.encoding=UTF-8", "-Dfile.encoding=utf8", "-Xms1g -Dx=Xm", "-Da='-Dfile.encoding=x'"]
)
def test_what_a_driver_may_have(text: str) -> None:
    assert driver(text) == split(text)


def test_the_last_charset_counts() -> None:
    assert driver("-Dfile.encoding=ASCII -Dfile.encoding=UTF-8")
    with pytest.raises(ValueError):
        driver("-Dfile.encoding=UTF-8 -Dfile.encoding=ASCII")


def test_what_an_executor_may_have() -> None:
    with pytest.raises(ValueError, match=r"free of -Xmx.*spark\.executor\.memory"):
        executor("-Da=1 -Xmx2g")
    with pytest.raises(ValueError, match=r"free of -Dspark"):
        executor("-Dspark.x=1")
    for text in ("-Xms1g", "-Da=Xmx", "-Dfile.encoding=ISO-8859-1", "${env:OPTIONS}", "-Da='b c"):
        assert executor(text) == text


# Against the real Spark.


@pytest.mark.e2e
def test_spark_splits_them_so(spark_jvm: Any) -> None:
    from py4j.protocol import Py4JJavaError

    lang = spark_jvm.java.lang
    methods = lang.Class.forName("org.apache.spark.launcher.CommandBuilderUtils").getDeclaredMethods()
    [method] = [each for each in methods if each.getName() == "parseOptionString"]
    method.setAccessible(True)

    def spark_split(text: str) -> list[str]:
        arguments = lang.reflect.Array.newInstance(lang.Class.forName("java.lang.Object"), 1)
        arguments[0] = text
        return list(method.invoke(None, arguments))

    for text, options in OPTIONS.items():
        assert spark_split(text) == options, text
    for text in OPEN:
        with pytest.raises(Py4JJavaError):
            spark_split(text)


@pytest.mark.e2e
@pytest.mark.parametrize("text", ["-Xmx2g", "-Dspark.x=1", "-Xms1g", "-Da=Xmx", "-Da='b c"])
def test_spark_refuses_the_same_for_executors(spark_jvm: Any, text: str) -> None:
    from py4j.protocol import Py4JJavaError

    conf = spark_jvm.org.apache.spark.SparkConf(False).set("spark.executor.extraJavaOptions", text)
    if text in ("-Xmx2g", "-Dspark.x=1"):
        with pytest.raises(Py4JJavaError, match="is not allowed"):
            conf.validateSettings()
    else:
        conf.validateSettings()
