"""The page at /kg2at/, as people use it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from kg2at_personality.spark.standalone import StandaloneCluster
from tests.browser.accessibility import violations
from tests.browser.evidence import screenshot
from tests.fakes.cluster import CORES
from tests.fakes.gateway_process import Gateway, defaults_on
from tests.fakes.wait import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
PYTHON = "spark_python"
ALL_CORES = {"KERNEL_SPARK_CORES_MAX": str(CORES), "KERNEL_USERNAME": "ann"}
#: A job that is at work for as long as the test needs, on all cores.
LONG_JOB = "import time\nsc.parallelize(range(600), 600).foreach(lambda number: time.sleep(0.2))"


@pytest.fixture(scope="module")
def shared_gateway(cluster: StandaloneCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run a gateway where one who asks for cores waits for them as long as a test takes."""
    options = ("--KG2ATPersonality.core_wait_timeout=200", "--KG2ATPersonality.core_poll_interval=0.5")
    with Gateway(tmp_path_factory.mktemp("gateway"), *options, defaults=defaults_on(cluster)) as running:
        yield running


@pytest.fixture
def page(browser_page: Page, gateway: Gateway) -> Page:
    """The page, by the link that the gateway's log shows."""
    browser_page.goto(f"{gateway.url}/kg2at/?token={gateway.token}")
    return browser_page


def row(page: Page, kernel_id: str) -> Locator:
    return page.locator(f"#kernel-{kernel_id}")


def button(page: Page, kernel_id: str) -> Locator:
    return page.locator(f'[data-shutdown="{kernel_id}"]')


@pytest.fixture
def waiting(gateway: Gateway) -> Iterator[Any]:
    """Have somebody wait for a core, when it is called; returns the future of the answer."""
    env = {"KERNEL_SPARK_CORES_MAX": "1", "KERNEL_USERNAME": "bob <b>"}
    with ThreadPoolExecutor() as others:
        yield lambda: others.submit(gateway.request, "POST", "/api/kernels", {"name": PYTHON, "env": env})


def test_it_shows_who_has_the_cores_and_who_waits(page: Page, gateway: Gateway, waiting: Any) -> None:
    from playwright.sync_api import expect

    kernel_id = gateway.start_kernel(PYTHON, env=ALL_CORES)
    notebook = gateway.connect(kernel_id)
    notebook.execute(LONG_JOB)
    expect(row(page, kernel_id)).to_contain_text("busy", timeout=60_000)
    expect(row(page, kernel_id).locator("progress").first).to_be_visible(timeout=60_000)
    expect(row(page, kernel_id)).to_contain_text("of 600 tasks")
    bar = f"Cores: {CORES} in all; {CORES} held by notebooks, 0 free"
    expect(page.locator(".bar").first).to_have_attribute("aria-label", bar, timeout=20_000)
    request = waiting()
    waiter = page.locator("tr[id^=waiter-]")
    expect(waiter).to_contain_text("bob <b>", timeout=20_000)
    expect(waiter).to_contain_text("1 core")

    page.emulate_media(color_scheme="light")
    assert violations(page) == []
    screenshot(page, "page-light", full_page=True)
    page.emulate_media(color_scheme="dark")
    assert violations(page) == []
    screenshot(page, "page-dark", full_page=True)
    page.set_viewport_size({"width": 390, "height": 844})
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is wider than a phone"
    screenshot(page, "page-phone", full_page=True)

    # The one who waits gets the cores of the other, whose row goes.
    button(page, kernel_id).click()
    expect(row(page, kernel_id)).to_have_count(0, timeout=60_000)
    answer = request.result(60)
    assert answer.status == 201, answer
    expect(row(page, answer.body["id"])).to_be_visible(timeout=20_000)
    expect(waiter).to_have_count(0)
    notebook.close()


def test_one_click_ends_a_kernel_and_another_takes_it_back(page: Page, gateway: Gateway) -> None:
    from playwright.sync_api import expect

    kept, ended = gateway.start_kernel(PYTHON), gateway.start_kernel(PYTHON)
    button(page, kept).click()
    expect(button(page, kept)).to_have_text("Undo")
    button(page, kept).click()
    expect(button(page, kept)).to_have_text("Shut down")
    expect(page.locator("#told")).to_contain_text("goes on")
    # By the keyboard, and the page is drawn anew meanwhile.
    button(page, ended).focus()
    page.keyboard.press("Enter")
    with page.expect_response(lambda answer: answer.request.method == "DELETE") as deleted:
        expect(button(page, ended)).to_be_focused()
    assert deleted.value.status == 204
    expect(row(page, ended)).to_have_count(0)
    expect(row(page, kept)).to_be_visible()
    assert [kernel["id"] for kernel in gateway.request("GET", "/api/kernels").body] == [kept]
    expect(page.locator("#kernels")).to_be_focused()


def test_who_goes_away_within_the_time_has_not_taken_it_back(page: Page, gateway: Gateway) -> None:
    kernel_id = gateway.start_kernel(PYTHON)
    button(page, kernel_id).click()
    page.goto("about:blank")
    wait_until(lambda: gateway.request("GET", "/api/kernels").body == [], "the end of the kernel")


def test_focus_and_scroll_stay_while_it_refreshes(page: Page, gateway: Gateway) -> None:
    from playwright.sync_api import expect

    first = gateway.start_kernel(PYTHON)
    page.set_viewport_size({"width": 390, "height": 300})
    expect(button(page, first)).to_be_visible()
    page.locator("details summary").first.click()
    button(page, first).focus()
    page.evaluate("scrollTo(0, 250)")
    page.evaluate("window.mine = document.activeElement")
    other = gateway.start_kernel(PYTHON)
    expect(row(page, other)).to_be_visible()
    assert page.evaluate("document.activeElement === window.mine && scrollY === 250")
    assert page.locator("details").first.get_attribute("open") is not None


def test_a_tab_that_nobody_sees_asks_nothing(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate(
        """() => { Object.defineProperty(document, "hidden", {get: () => window.isHidden});
                   window.isHidden = true; document.dispatchEvent(new Event("visibilitychange")); }"""
    )
    asked.clear()
    page.wait_for_timeout(5_000)  # two refreshes would have come
    assert asked == []
    with page.expect_request(lambda request: "part=main" in request.url):
        page.evaluate('window.isHidden = false; document.dispatchEvent(new Event("visibilitychange"))')


def test_it_says_that_the_gateway_is_away(page: Page, gateway: Gateway) -> None:
    from playwright.sync_api import expect

    gateway.kill()
    try:
        expect(page.locator("#lost")).to_contain_text("The gateway does not answer", timeout=20_000)
        screenshot(page, "page-away")
    finally:
        gateway.start()
    # The browsers that have signed in are in the memory of the gateway that has gone.
    expect(page.locator("#lost")).to_contain_text("Reload the page to sign in", timeout=20_000)
    page.reload()
    page.fill("#token", "wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("Nobody has this token.")
    assert violations(page) == []
    page.fill("#token", gateway.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#main")).to_contain_text("No kernels.")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_what_came_to_nothing_is_told(page: Page, gateway: Gateway) -> None:
    from playwright.sync_api import expect

    refused = gateway.request("POST", "/api/kernels", {"name": PYTHON, "env": {"KERNEL_SPARK_CORES_MAX": "many"}})
    assert refused.status == 400
    expect(page.locator("#main")).to_contain_text(refused.body["message"][:40])


def test_nothing_is_loaded_from_elsewhere_and_nothing_is_blocked(page: Page, gateway: Gateway) -> None:
    asked: list[str] = []
    told: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: told.append(message.text))
    with page.expect_response(lambda answer: "part=main" in answer.url):
        page.reload()
    assert all(url.startswith((gateway.url, "data:")) for url in asked) and told == []
    assert gateway.token not in page.url and gateway.token not in page.content()
