"""What is made of the settings, the same for the gateway and for `jupyter kg2at`."""

from __future__ import annotations

import logging
from dataclasses import fields

import pytest

from kg2at_personality.admission.policy import AdmissionPolicy
from kg2at_personality.assembly import (
    admission_policy_of,
    clusters_of,
    launcher_of,
    master_options_of,
    normal_base_url,
    port_range_of,
    profile_users_of,
    truth,
)
from kg2at_personality.errors import ConfigError
from kg2at_personality.settings import Settings
from kg2at_personality.spark.conf import SparkConfReader
from kg2at_personality.spark.idle_cores import IdleCores
from kg2at_personality.spark.installation_finder import InstallationFinder
from kg2at_personality.spark.master import MasterClient
from kg2at_personality.spark.master_options import MasterOptions


def test_defaults_stand_in_one_place() -> None:
    settings = Settings()
    assert admission_policy_of(settings) == AdmissionPolicy()
    assert master_options_of(settings) == MasterOptions()
    assert launcher_of(settings).reader == SparkConfReader()
    finder = launcher_of(settings).finder
    assert finder == InstallationFinder(kernel_dirs=finder.kernel_dirs)
    assert launcher_of(settings).idle_cores == IdleCores()
    assert port_range_of(settings) is None


def test_users_take_turns_where_they_are_told_apart_unless_somebody_says_how() -> None:
    chosen = {
        (order, names_users): admission_policy_of(Settings(queue_order=order), names_users).queue_order
        for order in (None, "fifo", "fair")
        for names_users in (False, True)
    }
    assert chosen == {
        (None, False): "fifo",
        (None, True): "fair",
        ("fifo", False): "fifo",
        ("fifo", True): "fifo",
        ("fair", False): "fair",
        ("fair", True): "fair",
    }


def test_who_may_use_which_profile() -> None:
    profiles = {
        "all": {"spark.cores.max": 1},
        "ann": {"users": "ann"},
        "some": {"users": ["ann", "bob"]},
        "admins": {"users": "admins"},
        "both": {"users": ("admins", "bob")},
        "nobody": {"users": []},
    }
    assert profile_users_of(Settings(profiles=profiles)) == {
        "ann": {"ann"},
        "some": {"ann", "bob"},
        "admins": {"admins"},
        "both": {"admins", "bob"},
        "nobody": set(),
    }


def test_the_policy_is_what_the_settings_say() -> None:
    changed = {
        "core_check": "reject",
        "core_wait_timeout": 3.0,
        "core_poll_interval": 0.5,
        "core_requirement": "min",
        "max_queue": 7,
        "max_cores_per_user": 5,
        "queue_order": "fair",
        "master_unreachable": "admit",
    }
    assert set(changed) == {field.name for field in fields(AdmissionPolicy)}
    assert admission_policy_of(Settings(**changed)) == AdmissionPolicy(**changed)  # type: ignore[arg-type]


def test_users_who_are_told_apart_take_turns_unless_the_settings_say_otherwise() -> None:
    assert admission_policy_of(Settings()).queue_order == "fifo"
    assert admission_policy_of(Settings(), names_users=True).queue_order == "fair"
    assert admission_policy_of(Settings(queue_order="fifo"), names_users=True).queue_order == "fifo"  # type: ignore[call-arg]


def test_masters_are_asked_as_the_settings_say() -> None:
    settings = Settings(
        master_url="http://m:1",
        master_timeout=2.0,
        master_validate_cert=False,
        master_ca_certs="/ca.pem",
        master_max_answer=2048,
    )
    options = MasterOptions("http://m:1", 2.0, False, "/ca.pem", 2048)
    assert master_options_of(settings) == options
    clusters = clusters_of(settings, logging.getLogger("tests.assembly"))
    assert (clusters.options, clusters.policy) == (options, AdmissionPolicy())
    client = MasterClient.with_options(["http://m:1"], options)
    made = client.urls, client.timeout, client.validate_cert, client.ca_certs, client.max_answer
    assert made == (("http://m:1",), 2.0, False, "/ca.pem", 2048)
    assert MasterClient.with_options([], MasterOptions()).ca_certs is None


def test_launches_are_what_the_settings_say() -> None:
    settings = Settings(
        spark_home="/spark",
        java_home="/java",
        spark_conf_dir="/conf",
        spark_conf={"spark.cores.max": 2},
        spark_env_timeout=3.0,
        profiles={"large": {"spark.cores.max": 8, "users": ["ann"]}},
        niceness=5,
        toree_options=["--nosparkcontext"],
        python="/python",
        max_cores_per_kernel=4,
        idle_cores_timeout=60,
        idle_cached_cores_timeout=600,
    )
    made = launcher_of(settings)
    assert made.reader == SparkConfReader("/spark", "/conf", {"spark.cores.max": "2"}, None, 3.0)
    assert (made.finder.spark_home, made.finder.java_home, made.finder.toree_assembly) == ("/spark", "/java", None)
    assert made.profiles == {"large": {"spark.cores.max": "8"}}
    assert made.options.python == "/python"
    assert made.idle_cores == IdleCores(60, 600)
    assert (made.options.niceness, made.options.toree_arguments, made.bounds.cores) == (5, ("--nosparkcontext",), 4)


def test_a_range_of_ports() -> None:
    found = port_range_of(Settings(kernel_ports="41000-41009"))
    assert found is not None and (found.first, found.last) == (41000, 41009)


@pytest.mark.parametrize(
    ("given", "expected"), [("", "/"), ("/", "/"), ("a", "/a/"), ("//a/b//", "/a/b/"), ("/a b/%20", "/a%20b/%20/")]
)
def test_base_urls(given: str, expected: str) -> None:
    assert normal_base_url(given) == expected


@pytest.mark.parametrize(("value", "expected"), [("yes", True), ("F", False), (" 1 ", True), ("", None), (" ", None)])
def test_yes_and_no(monkeypatch: pytest.MonkeyPatch, value: str, expected: bool | None) -> None:
    monkeypatch.setenv("KG_ANY", value)
    for default in (True, False):
        assert truth("KG_ANY", default) is (default if expected is None else expected)


def test_neither_yes_nor_no_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KG_ANY", "perhaps")
    with pytest.raises(ConfigError, match=r"KG_ANY is 'perhaps'\. Set it to one of: true, yes"):
        truth("KG_ANY", True)
