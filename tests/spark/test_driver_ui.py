"""The client of a driver's web UI; tests/web/spark_ui has it behind a gateway, tests/e2e with real drivers."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from kg2at_personality.errors import SparkUiSilent
from kg2at_personality.spark.driver_ui import DriverUi, UiRequest
from tests.fakes.master import FakeMaster
from tests.fakes.master_server import MasterServer

APPLICATIONS = "/api/v1/applications"


def port_of(server: MasterServer) -> int:
    return int(server.url.rpartition(":")[2])


def test_https(certificate: Path) -> None:
    """Whoever has signed the certificate: who listens there is known otherwise."""

    async def scene() -> bytes:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        async with MasterServer(FakeMaster(), ssl_options=context) as server:
            server.pages["/jobs/"] = "the jobs"
            ui = DriverUi("127.0.0.1", port_of(server), has_https=True)
            return (await ui.fetch(UiRequest("/jobs/"))).body

    assert asyncio.run(scene()) == b"the jobs"


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ('[{"id": "app-0"}, {"id": "app-1"}]', True),
        ('[{"id": "app-10"}]', False),
        ('{"id": "app-1"}', False),
        ("[1]", False),
        ("<html>app-1</html>", False),
        (None, False),
    ],
)
def test_whose_application_it_is(page: str | None, expected: bool) -> None:
    async def scene() -> bool:
        async with MasterServer(FakeMaster()) as server:
            if page is not None:
                server.pages[APPLICATIONS] = page
            return await DriverUi("127.0.0.1", port_of(server)).has_application("app-1")

    assert asyncio.run(scene()) is expected


def test_a_driver_that_does_not_answer_in_time() -> None:
    async def scene() -> None:
        async with MasterServer(FakeMaster()) as server:
            server.fault = "slow"
            with pytest.raises(SparkUiSilent):
                await DriverUi("127.0.0.1", port_of(server)).fetch(UiRequest("/json/", timeout=0.2))
            server.fault = "huge-until-close"
            with pytest.raises(SparkUiSilent):
                await DriverUi("127.0.0.1", port_of(server)).fetch(UiRequest("/json/", max_answer=1_000_000))

    asyncio.run(scene())


def test_an_address_of_ipv6() -> None:
    assert DriverUi("fd00::1", 4040).url == "http://[fd00::1]:4040"
    assert DriverUi("127.0.0.1", 4440, has_https=True).url == "https://127.0.0.1:4440"
