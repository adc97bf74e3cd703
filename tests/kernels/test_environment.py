from __future__ import annotations

import pytest

from kg2at_personality.kernels.environment import NEEDED, kernel_environment

TOKEN = "the-gateways-own-token"
GATEWAY = {
    "PATH": "/usr/bin",
    "HOME": "/home/me",
    "LC_ALL": "C.UTF-8",
    "SPARK_LOCAL_IP": "10.0.0.1",
    "HADOOP_CONF_DIR": "/etc/hadoop",
    "KG_AUTH_TOKEN": TOKEN,
    "KG2AT_SPARK_CONF": "{'spark.password': 'x'}",
    "JUPYTERHUB_API_TOKEN": "for-the-hub",
    "JUPYTERHUB_SERVICE_NAME": "kg2at",
    "CONFIGPROXY_AUTH_TOKEN": "for-the-proxy",
    "KERNEL_USERNAME": "who started the gateway",
    "DATABASE_PASSWORD": "hush",
    "MY_TOKEN": TOKEN,
    "MY_URL": f"http://gateway/?token={TOKEN}",
}
#: Those that no kernel may see.
OWN = ["KG_AUTH_TOKEN", "KG2AT_SPARK_CONF", "MY_TOKEN", "MY_URL"]
OWN += ["JUPYTERHUB_API_TOKEN", "JUPYTERHUB_SERVICE_NAME", "CONFIGPROXY_AUTH_TOKEN"]


def test_without_a_clients_env_all_is_inherited_but_the_gateways_own() -> None:
    passed = kernel_environment(GATEWAY, None, token=TOKEN)
    assert passed.keys() == GATEWAY.keys() - set(OWN)
    assert all(passed[name] == GATEWAY[name] for name in passed)


def test_with_a_clients_env_only_what_is_needed_is_inherited() -> None:
    passed = kernel_environment(GATEWAY, {"KERNEL_MARK": "mine"}, token=TOKEN)
    needed = {name: GATEWAY[name] for name in ("PATH", "HOME", "LC_ALL", "SPARK_LOCAL_IP", "HADOOP_CONF_DIR")}
    assert passed == needed | {"KERNEL_MARK": "mine"}


def test_an_empty_env_is_an_env() -> None:
    assert "DATABASE_PASSWORD" not in kernel_environment(GATEWAY, {})


def test_the_clients_values_win() -> None:
    assert kernel_environment(GATEWAY, {"PATH": "/mine"})["PATH"] == "/mine"


def test_what_the_administrator_lets_through() -> None:
    passed = kernel_environment(GATEWAY, {}, ["DATABASE_PASSWORD", "NOT_SET"], TOKEN)
    assert passed["DATABASE_PASSWORD"] == "hush" and "NOT_SET" not in passed


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("env", [None, {}])
def test_even_he_can_not_let_the_gateways_own_through(name: str, env: dict[str, str] | None) -> None:
    assert name not in kernel_environment(GATEWAY, env, [name], TOKEN)


def test_a_kernel_never_sees_the_kernel_variables_of_the_gateway_beside_its_own() -> None:
    """A gateway started from a notebook has KERNEL_ID, KERNEL_USERNAME and the like of its own."""
    assert "KERNEL_USERNAME" not in kernel_environment(GATEWAY, {"KERNEL_MARK": "mine"})


@pytest.mark.parametrize("name", ["_BPXK_AUTOCVT", "_BPX_SHAREAS", "_CEE_RUNOPTS", "_TAG_REDIR_ERR", "_EDC_ADD_ERRNO2"])
def test_zos_language_environment_is_kept(name: str) -> None:
    assert kernel_environment({name: "ON"}, {}) == {name: "ON"}


@pytest.mark.parametrize("name", ["LIBPATH", "STEPLIB", "JAVA_HOME", "KRB5CCNAME", "SPARK_CONF_DIR"])
def test_what_spark_java_and_zos_look_for_is_kept(name: str) -> None:
    assert kernel_environment({name: "/x"}, {}) == {name: "/x"}


def test_without_a_token_nothing_is_taken_for_it() -> None:
    assert kernel_environment({"PATH": "/usr/bin"}, {}, token="") == {"PATH": "/usr/bin"}


def test_a_token_that_is_a_common_word_costs_no_variable_that_programs_need() -> None:
    """Someone's token is "spark"; spark-submit without a PATH finds neither bash nor dirname."""
    environ = {"PATH": "/opt/spark/bin:/usr/bin", "HOME": "/home/spark", "NOTE": "it is spark"}
    passed = kernel_environment(environ, {}, token="spark")
    assert passed == {"PATH": "/opt/spark/bin:/usr/bin", "HOME": "/home/spark"}


def test_neither_argument_is_changed() -> None:
    environ, env = dict(GATEWAY), {"KERNEL_A": "1"}
    kernel_environment(environ, env, token=TOKEN)["KERNEL_A"] = "2"
    assert environ == GATEWAY and env == {"KERNEL_A": "1"}


def test_no_name_of_the_gateways_own_is_called_needed() -> None:
    assert not [name for name in NEEDED if name.startswith(("KG_", "KG2AT_", "KERNEL_"))]
