"""The page in a real browser, in front of a living fake node.

Rule: the browser runs in a thread, the node in trio; nothing sleeps, everything is waited for.
Spec: docs/reference/api.md (Page). Deviations: none.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from collections.abc import Callable, Iterator

import pytest
import trio
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from node.api.guard import CHART_STYLE_HASH, PAGE_POLICY
from node.api.pages import MEDIA_TYPES, WEB_DIR
from tests.free_ports import free_port
from tests.node.fake_server import serving
from tests.node.fake_service import FakeService

WAIT_S = 120
PERIOD_S = 1.0  # between blocks: a browser that gets little of a busy machine must keep up
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
)


@pytest.fixture(scope="module")
def driver() -> Iterator[webdriver.Chrome]:
    """One browser for all tests of this file; starting it takes longer than a test."""
    options = Options()
    options.binary_location = shutil.which("chromium") or ""
    for switch in SWITCHES:
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    chrome.set_script_timeout(WAIT_S)
    try:
        yield chrome
    finally:
        chrome.quit()


def show(driver: webdriver.Chrome, url: str, width: int, height: int = 900) -> None:
    """Open the page in a window of this size, without anything remembered."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.get_log("browser")
    driver.get(url)


async def look(work: Callable[[str], None]) -> None:
    """Run the browser's part in a thread while the fake node lives."""
    service = FakeService(blocks=150)
    async with serving(service) as url, trio.open_nursery() as nursery:
        nursery.start_soon(service.run, PERIOD_S)
        await trio.to_thread.run_sync(work, url)
        nursery.cancel_scope.cancel()


def wait(driver: webdriver.Chrome, condition: str) -> None:
    WebDriverWait(driver, WAIT_S, 0.1).until(lambda d: d.execute_script(f"return {condition}"))


def text_of(driver: webdriver.Chrome, element_id: str) -> str:
    text: str = driver.execute_script(f"return document.getElementById('{element_id}').innerText")
    return text


def errors_of(driver: webdriver.Chrome) -> list[str]:
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]


def is_filled(element_id: str, rows: int) -> str:
    return f"document.getElementById('{element_id}').children.length >= {rows}"


@pytest.mark.browser
async def test_the_page_is_live_and_clean(driver: webdriver.Chrome) -> None:
    def work(url: str) -> None:
        show(driver, url, 1280)
        for element_id, rows in (
            ("markets", 4),
            ("trades", 5),
            ("blocks", 5),
            ("validators", 4),
            ("fees", 4),
            ("checkpoints", 2),
            ("messages", 2),
        ):
            wait(driver, is_filled(element_id, rows))
        wait(driver, "document.querySelectorAll('#candles canvas').length > 0")
        wait(
            driver,
            "document.querySelectorAll('#ladder .row:not(.empty):not(.head)').length > 8",
        )
        first = {name: text_of(driver, name) for name in ("vital-final", "trades", "blocks")}
        for name, before in first.items():
            wait(driver, f"document.getElementById('{name}').innerText !== {before!r}")
        wait(driver, "document.querySelectorAll('.stale').length === 0")
        wait(driver, "document.getElementById('link').innerText === 'live'")
        assert driver.find_element(By.ID, "tv-attr-logo").is_displayed()
        far_order = driver.execute_async_script(
            """const [done] = arguments;
               const side = [[101, 500], [102, 450], [900, 50]];
               import("/web/book.js").then((book) => done(book.reach(side, 100)));"""
        )
        assert far_order == 2, "one order far away does not flatten the depth"
        assert errors_of(driver) == []

    await look(work)


@pytest.mark.browser
async def test_nothing_overflows_at_360_pixels(driver: webdriver.Chrome) -> None:
    def work(url: str) -> None:
        show(driver, url, 360, 740)
        wait(driver, is_filled("blocks", 5))
        wait(driver, is_filled("fees", 4))
        width = driver.execute_script("return document.documentElement.scrollWidth")
        assert width <= 360
        outside = driver.execute_script(
            """return [...document.querySelectorAll('main .panel *')].filter((element) => {
                 const box = element.getBoundingClientRect();
                 return box.width > 0 && box.right > 361 && !element.closest('#candles');
               }).map((element) => element.outerHTML.slice(0, 80))"""
        )
        assert outside == []
        assert errors_of(driver) == []

    await look(work)


@pytest.mark.browser
async def test_keys_choose_the_market_and_the_theme_and_a_block_opens(
    driver: webdriver.Chrome,
) -> None:
    def work(url: str) -> None:
        show(driver, url, 1280)
        wait(driver, is_filled("blocks", 3))
        body = driver.find_element(By.TAG_NAME, "body")
        body.send_keys("3")
        wait(driver, "document.getElementById('pair').innerText === 'WBTC-USDX'")
        dark = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
        body.send_keys("t")
        wait(driver, f"getComputedStyle(document.body).backgroundColor !== {dark!r}")
        driver.execute_script("document.querySelector('#blocks .height').click()")
        wait(driver, "document.querySelector('#detail dl') !== null")
        links = driver.find_elements(By.CSS_SELECTOR, "#detail a")
        assert links
        assert all("/ipfs/baf" in link.get_attribute("href") for link in links)
        assert errors_of(driver) == []

    await look(work)


@pytest.mark.browser
async def test_a_lost_node_greys_the_page_out_and_it_comes_back(driver: webdriver.Chrome) -> None:
    service = FakeService(blocks=150)

    async def serve_on(port: int, stop: trio.Event, started: trio.Event) -> None:
        async with serving(service, port=port) as url, trio.open_nursery() as nursery:
            ports.append(int(url.rpartition(":")[2]))
            started.set()
            nursery.start_soon(service.run, PERIOD_S)
            await stop.wait()
            nursery.cancel_scope.cancel()

    async def lives(port: int) -> trio.Event:
        stop, started = trio.Event(), trio.Event()
        nursery.start_soon(serve_on, port, stop, started)
        await started.wait()
        return stop

    ports: list[int] = []
    with trio.fail_after(4 * WAIT_S):
        async with trio.open_nursery() as nursery:
            stop = await lives(free_port())
            url = f"http://127.0.0.1:{ports[0]}/"

            async def see(condition: str) -> None:
                await trio.to_thread.run_sync(wait, driver, condition)

            await trio.to_thread.run_sync(show, driver, url, 1280)
            await see("document.getElementById('link').dataset.state === 'live'")
            stop.set()
            await see("document.getElementById('link').dataset.state === 'lost'")
            await see("document.querySelectorAll('.panel:not(.stale)').length === 0")
            await see("!document.getElementById('notice').hidden")
            stop = await lives(ports[0])
            await see("document.getElementById('link').dataset.state === 'live'")
            await see("document.querySelectorAll('.panel.stale').length === 0")
            stop.set()


def test_the_policy_allows_the_one_style_of_the_chart_and_no_other() -> None:
    script = (WEB_DIR / "vendor" / "lightweight-charts.mjs").read_text(encoding="utf-8")
    (style,) = re.findall(r'"(a#tv-attr-logo\{[^"]*)"', script)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"sha256-{digest}" == CHART_STYLE_HASH
    assert "unsafe" not in PAGE_POLICY


def test_the_page_holds_no_inline_script_style_or_foreign_address() -> None:
    page = (WEB_DIR / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon[a-z]+=", page)
    for path in WEB_DIR.rglob("*"):
        if path.suffix in (".js", ".css", ".html") and "vendor" not in path.parts:
            addresses = set(re.findall(r"https?://[^\s\"'`)]+", path.read_text(encoding="utf-8")))
            assert addresses <= {"https://www.tradingview.com/", "http://www.w3.org/2000/svg"}
            assert "innerHTML" not in path.read_text(encoding="utf-8")


def test_every_file_of_the_page_can_be_served_and_keeps_its_licence() -> None:
    names = {path.name for path in WEB_DIR.rglob("*") if path.is_file()}
    assert all("." + name.rpartition(".")[2] in MEDIA_TYPES for name in names)
    assert {"lightweight-charts.LICENSE.txt", "NOTICE.txt"} <= names
