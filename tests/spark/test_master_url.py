"""spark.master: what Spark takes, what it refuses, and the likely right value."""

from __future__ import annotations

from typing import Any

import pytest

from kg2at_personality.spark.master_url import hint, is_standalone, parse_master, standalone_addresses

GOOD = [
    "local",
    "local[1]",
    "local[*]",
    "local[04]",
    "local[2,3]",
    "local[* , 3]",
    "local-cluster[2, 1, 1024]",
    "yarn",
    "yarn-client",
    "k8s://https://h:443",
    "k8s://h",
    "mesos://zk://h:2181/mesos",
    "spark://h:7077",
    "spark://h-1.example.com:7077",
    "spark://h1:7077,h2:7078",
    "spark://10.0.0.1:7077",
    "spark://[::1]:7077",
    "spark://H:1",
    "spark://h.:7077",
]
#: What is wrong -> the likely right value, "" where nobody can tell.
BAD = {
    '"spark://h:7077"': "spark://h:7077",
    "'spark://h:7077'": "spark://h:7077",
    "spark://h:7077 # the big one": "spark://h:7077",
    '"spark://h:7077" # the big one': "spark://h:7077",
    "spark://h:7077\r": "spark://h:7077",
    "spark://h:7077/": "spark://h:7077",
    "spark://h": "spark://h:7077",
    "spark://h:": "spark://h:7077",
    "spark:h:7077": "spark://h:7077",
    "SPARK://h:7077": "spark://h:7077",
    "h:7077": "spark://h:7077",
    "http://h:8080": "spark://h:7077",
    "https://h:8080/": "spark://h:7077",
    "http://h:7077": "spark://h:7077",
    "tcp://10.0.0.1:7077": "spark://10.0.0.1:7077",
    "spark://spark://h:7077": "spark://h:7077",
    "spark://spark://h:7077:7077": "",
    "spark://h1:7077, h2:7077": "spark://h1:7077,h2:7077",
    "spark://h1:7077,spark://h2:7077": "spark://h1:7077,h2:7077",
    "spark://h1,h2": "spark://h1:7077,h2:7077",
    "spark://my_master:7077": "",
    "spark://h.1:7077": "",
    "spark://u@h:7077": "",
    "spark://h:70000": "",
    "spark://h:7077?a=b": "",
    "spark://": "",
    "spark://h1:7077,": "",
    "Local[*]": "local[*]",
    '"local[2]"': "local[2]",
    "yarn # queue": "yarn",
    "YARN": "yarn",
    "local[0]": "",
    "local[]": "",
    "local[*": "",
    "localhost": "",
    "cluster": "",
    "${env:MASTER}": "",
}


@pytest.mark.parametrize("text", GOOD)
def test_what_spark_takes(text: str) -> None:
    assert parse_master(text) == text


@pytest.mark.parametrize("text", BAD)
def test_what_spark_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"^spark://HOST:PORT \(more masters"):
        parse_master(text)
    assert hint(text).rpartition("(write ")[2] == f"{BAD[text]})" if BAD[text] else "(write" not in hint(text)


def test_the_wrong_one_of_several_is_told() -> None:
    assert hint("spark://h1:7077,h2") == "; 'h2' is no HOST:PORT (write spark://h1:7077,h2:7077)"
    assert hint("spark://my_master:7077") == "; Java takes no host name with an underscore"
    assert hint("") == ""


@pytest.mark.parametrize(
    ("master", "addresses"),
    [
        ("spark://h:7077", [("h", 7077)]),
        ("spark://h1:7077,[::1]:7078", [("h1", 7077), ("[::1]", 7078)]),
        ("spark://h1, h2:1", [("h1", 7077), ("h2", 1)]),
        ("spark://[fe80::a]", [("[fe80::a]", 7077)]),
        ("local[2]", []),
        ("k8s://h:443", []),
    ],
)
def test_addresses_of_standalone_masters(master: str, addresses: list[tuple[str, int]]) -> None:
    assert standalone_addresses(master) == addresses
    assert is_standalone(master) is bool(addresses)


@pytest.mark.e2e
def test_as_spark_says(spark_jvm: Any) -> None:
    """Spark bounds no port; else it agrees about each address and each local master."""
    from py4j.protocol import Py4JJavaError

    utils, shapes = spark_jvm.org.apache.spark.util.Utils, spark_jvm.org.apache.spark.SparkMasterRegex
    patterns = [getattr(shapes, name)() for name in ("LOCAL_N_REGEX", "LOCAL_N_FAILURES_REGEX", "LOCAL_CLUSTER_REGEX")]

    def takes(text: str) -> bool:
        if text.startswith("local"):
            return text == "local" or any(each.pattern().matcher(text).matches() for each in patterns)
        try:
            for address in text.removeprefix("spark://").split(","):
                utils.extractHostPortFromSparkUrl(f"spark://{address}")
        except Py4JJavaError:
            return False
        return True

    for text in GOOD:
        assert takes(text) or not text.startswith(("spark", "local")), text
    for text in BAD:
        if text.startswith(("spark://", "local")) and text not in ("spark://h:70000", "local[0]"):
            assert not takes(text), text


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("spark://h1:7078", [("h1", 7078)]),
        ("spark://h1:7077, h2:7078", [("h1", 7077), ("h2", 7078)]),
        ("spark://[::1]:7077,[fe80::2]:1", [("[::1]", 7077), ("[fe80::2]", 1)]),
        ("spark://h1", [("h1", 7077)]),
        ("spark://h1:²", [("h1:²", 7077)]),
    ],
)
def test_the_addresses_of_standalone_masters(text: str, addresses: list[tuple[str, int]]) -> None:
    assert is_standalone(text)
    assert standalone_addresses(text) == addresses


@pytest.mark.parametrize("text", ["", "local[*]", "yarn", "k8s://spark://h:1", "SPARK://h:7077"])
def test_other_masters_have_no_addresses(text: str) -> None:
    assert not is_standalone(text)
    assert standalone_addresses(text) == []
