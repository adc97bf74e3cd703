"""What the tests in a browser stand on: a page of Chromium, a cluster, a gateway on it, JupyterLab in front of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kg2at_personality.spark.installation_finder import InstallationFinder
from kg2at_personality.spark.standalone import StandaloneCluster
from tests.browser.chromium import launched
from tests.browser.evidence import Evidence
from tests.browser.jupyterlab import JupyterLab
from tests.fakes.cluster import quick_cluster
from tests.fakes.gateway_process import Gateway, defaults_on
from tests.fakes.jupyter_server import JupyterServer

if TYPE_CHECKING:  # playwright is there for these tests alone
    from playwright.sync_api import Browser, BrowserContext, Page


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Put what there is to look at into the report of a failed test, as long as its page and programs are there."""
    report = yield
    shown = getattr(item, "funcargs", {}).get("evidence")
    if report.failed and shown is not None:
        report.sections += shown.sections()
    return report


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Run Chromium. It ends with these tests: meanwhile no other event loop runs in this thread."""
    with launched() as running:
        yield running


@pytest.fixture
def evidence(request: pytest.FixtureRequest) -> Evidence:
    """What is shown when the test fails: tests and fixtures add to it."""
    return Evidence(request.node.name)


@pytest.fixture
def browser_context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser with nobody's cookies, storage or cache."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(30_000)
    yield context
    context.close()


@pytest.fixture
def browser_page(browser_context: BrowserContext, evidence: Evidence) -> Page:
    """A page of that browser; a test that fails shows what it looked like, and what it wrote to its console."""
    page = browser_context.new_page()
    evidence.watch(page)
    return page


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandaloneCluster]:
    """Run a standalone master with one worker."""
    with quick_cluster(InstallationFinder().find(os.environ), tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(scope="module")
def shared_gateway(cluster: StandaloneCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run a gateway on the cluster."""
    directory: Path = tmp_path_factory.mktemp("gateway")
    with Gateway(directory, "--KG2ATPersonality.core_wait_timeout=2", defaults=defaults_on(cluster)) as running:
        yield running


@pytest.fixture
def gateway(shared_gateway: Gateway, evidence: Evidence) -> Iterator[Gateway]:
    """That gateway; a test leaves no kernel on it."""
    evidence.add("the gateway's log", lambda: shared_gateway.log)
    yield shared_gateway
    for kernel in shared_gateway.request("GET", "/api/kernels").body:
        assert shared_gateway.delete(kernel["id"]) == 204


@pytest.fixture(scope="module")
def shared_server(shared_gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    """Run JupyterLab, of an environment of its own, in front of the gateway."""
    with JupyterLab.server(shared_gateway, tmp_path_factory.mktemp("jupyterlab")) as running:
        yield running


@pytest.fixture
def lab(shared_server: JupyterServer, gateway: Gateway, browser_page: Page, evidence: Evidence) -> JupyterLab:
    """JupyterLab on a page."""
    evidence.add("JupyterLab's log", lambda: shared_server.log)
    return JupyterLab(shared_server, browser_page)
