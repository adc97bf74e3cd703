"""The stand-ins for the gateway's settings say what the real classes would."""

from __future__ import annotations

import subprocess
import sys

import pytest
from kernel_gateway.gatewayapp import KernelGatewayApp
from traitlets.config import Config, Configurable

from kg2at_personality.cli import gateway_settings
from kg2at_personality.personality import KG2ATPersonality

OURS = gateway_settings.KernelGatewayApp
VARIABLES = OURS.variables()
#: A value that is not the default, for each; of the others "/some/thing".
VALUES = {"port": "9999", "port_retries": "3", "ssl_version": "17"}
SETTINGS = [(OURS, KernelGatewayApp, name) for name in VARIABLES]
SETTINGS += [
    (gateway_settings.KG2ATPersonality, KG2ATPersonality, name)
    for name in gateway_settings.KG2ATPersonality.class_traits(config=True)
]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(
    ("own", "real", "name"), SETTINGS, ids=[f"{real.__name__}.{name}" for _, real, name in SETTINGS]
)
def test_each_setting_has_the_real_one_s_type(own: type[Configurable], real: type[Configurable], name: str) -> None:
    ours, theirs = own.class_traits()[name], real.class_traits(config=True)[name]
    assert type(ours) is type(theirs)
    assert ours.allow_none == theirs.allow_none


def test_our_settings_of_the_personality_lack_none() -> None:
    """Or an option that the gateway takes would be an error to a command."""
    theirs = KG2ATPersonality.class_traits(config=True).keys()
    assert gateway_settings.KG2ATPersonality.class_traits(config=True).keys() == theirs


@pytest.mark.parametrize(("name", "variable"), VARIABLES.items())
def test_default_variable_and_configuration(name: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert getattr(OURS(Config()), name) == getattr(KernelGatewayApp(), name)
    monkeypatch.setenv(variable, VALUES.get(name, "/some/thing"))
    real = getattr(KernelGatewayApp(), name)
    assert getattr(OURS(Config()), name) == real != getattr(KernelGatewayApp, name).default_value
    config = Config({"KernelGatewayApp": {name: type(real)(7)}})
    assert getattr(OURS(config), name) == type(real)(7), "it wins"


def test_each_variable_is_the_real_one() -> None:
    assert {name: getattr(KernelGatewayApp, f"{name}_env") for name in VARIABLES} == VARIABLES


def test_the_kernel_gateway_is_not_imported_for_a_command() -> None:
    """Its import takes longer than a command may."""
    program = "import sys, kg2at_personality.cli.check.check_command as _; sys.exit('kernel_gateway' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
