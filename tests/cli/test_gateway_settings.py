"""The stand-ins for the gateway's settings say what the real classes would."""

from __future__ import annotations

import subprocess
import sys

import pytest
from kernel_gateway.gatewayapp import KernelGatewayApp
from traitlets.config import Config, Configurable

from kg2at_personality.cli import gateway_settings
from kg2at_personality.personality import KG2ATPersonality

STAND_IN = gateway_settings.KernelGatewayApp
VARIABLES = STAND_IN.variables()
#: A value that is not the default, for each; of the others "/some/thing".
VALUES = {"port": "9999", "port_retries": "3", "ssl_version": "17"}
SETTINGS = [(STAND_IN, KernelGatewayApp, name) for name in VARIABLES]
SETTINGS += [
    (gateway_settings.KG2ATPersonality, KG2ATPersonality, name)
    for name in gateway_settings.KG2ATPersonality.class_traits(config=True)
]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(
    ("stand_in", "real", "name"), SETTINGS, ids=[f"{real.__name__}.{name}" for _, real, name in SETTINGS]
)
def test_each_setting_has_the_real_one_s_type(
    stand_in: type[Configurable], real: type[Configurable], name: str
) -> None:
    ours, theirs = stand_in.class_traits()[name], real.class_traits(config=True)[name]
    assert type(ours) is type(theirs)
    assert ours.allow_none == theirs.allow_none


def test_the_personality_s_stand_in_lacks_none() -> None:
    """Or an option that the gateway takes would be an error to a command."""
    theirs = KG2ATPersonality.class_traits(config=True).keys()
    assert gateway_settings.KG2ATPersonality.class_traits(config=True).keys() == theirs


@pytest.mark.parametrize(("name", "variable"), VARIABLES.items())
def test_default_variable_and_configuration(name: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert getattr(STAND_IN(Config()), name) == getattr(KernelGatewayApp(), name)
    monkeypatch.setenv(variable, VALUES.get(name, "/some/thing"))
    real = getattr(KernelGatewayApp(), name)
    assert getattr(STAND_IN(Config()), name) == real != getattr(KernelGatewayApp, name).default_value
    config = Config({"KernelGatewayApp": {name: type(real)(7)}})
    assert getattr(STAND_IN(config), name) == type(real)(7), "it wins"


def test_each_variable_is_the_real_one() -> None:
    assert {name: getattr(KernelGatewayApp, f"{name}_env") for name in VARIABLES} == VARIABLES


def test_the_kernel_gateway_is_not_imported_for_a_command() -> None:
    """Its import takes longer than a command may."""
    program = "import sys, kg2at_personality.cli.check.check_command as _; sys.exit('kernel_gateway' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
