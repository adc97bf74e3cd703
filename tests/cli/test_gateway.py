"""The stand-in for Kernel Gateway's settings says what the real application would."""

from __future__ import annotations

import pytest
from kernel_gateway.gatewayapp import KernelGatewayApp
from traitlets.config import Config

from kg2at_personality.cli import gateway

#: A value that is not the default, for each.
VALUES = {"port": "9999", "port_retries": "3", "ssl_version": "17"}


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in gateway.VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(("name", "variable"), gateway.VARIABLES.items())
def test_default_variable_and_configuration(name: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert getattr(gateway.KernelGatewayApp(Config()), name) == getattr(KernelGatewayApp(), name)
    monkeypatch.setenv(variable, VALUES.get(name, "/some/thing"))
    real = getattr(KernelGatewayApp(), name)
    assert getattr(gateway.KernelGatewayApp(Config()), name) == real != getattr(KernelGatewayApp, name).default_value
    config = Config({"KernelGatewayApp": {name: type(real)(7)}})
    assert getattr(gateway.KernelGatewayApp(config), name) == type(real)(7), "it wins"


def test_each_setting_of_the_stand_in_has_its_variable() -> None:
    own = set(gateway.KernelGatewayApp.class_own_traits(config=True))
    assert own == set(gateway.VARIABLES)
    assert {name: getattr(KernelGatewayApp, f"{name}_env") for name in own} == gateway.VARIABLES
