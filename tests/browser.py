"""A browser without a window: Debian's chromium, led by Selenium.

A test takes the fixture `browser`; one that needs two visitors takes `browsers` and calls it for each. Both skip, and
say why, where there is no browser.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SIZE = (1280, 900)  # width and height of the page
WAIT = 60  # seconds
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # root may not have one
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",  # a camera is there, and allowed
    "--use-fake-device-for-media-stream",
    "--force-device-scale-factor=1",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
)


def missing() -> str | None:
    """Return why there is no browser here, or None."""
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "no browser: pip install selenium"
    if not any(map(shutil.which, _CHROMIUM)) or not shutil.which("chromedriver"):
        return "no browser: apt-get install chromium chromium-driver"
    return None


def open_browser(downloads: Path, profile: Path) -> Any:
    """Return a new browser (Selenium's WebDriver) that knows nothing of any other.

    Args:
        downloads: folder for what a page gives to keep.
        profile: an empty folder for the browser's own files.
    """
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = next(filter(None, map(shutil.which, _CHROMIUM)))
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"), log_output=os.devnull)
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_page_load_timeout(60)
    driver.set_script_timeout(60)
    return driver


def fresh(driver: Any, downloads: Path) -> Any:
    """Return a browser as if it had just been opened: an empty page of the usual size, light, no cookies."""
    driver.get("about:blank")
    driver.delete_all_cookies()
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    driver.execute_cdp_cmd("Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)})
    sized(driver, *SIZE)
    driver.get_log("browser")
    return driver


def sized(driver: Any, width: int, height: int) -> None:
    """Give the page this many pixels, whatever the window's own border; a phone's are about 390 x 844."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def dark(driver: Any, on: bool = True) -> None:
    """Have the visitor prefer dark pages, or light ones."""
    wish = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [wish]})


def wait(driver: Any, condition: str, *values: Any, seconds: float = WAIT) -> Any:
    """Wait until a JavaScript expression is true in the page and return it; `values` are its `arguments`."""
    from selenium.webdriver.support.ui import WebDriverWait

    text = f"{condition} did not become true within {seconds} s"
    return WebDriverWait(driver, seconds, 0.05).until(lambda d: d.execute_script(f"return {condition}", *values), text)


def complaints(driver: Any) -> list[str]:
    """Return what the page's scripts and its policy complained of since the last call; an icon's absence is none."""
    return [
        entry["message"]
        for entry in driver.get_log("browser")
        if entry["level"] in ("SEVERE", "WARNING") and "favicon.ico" not in entry["message"]
    ]


@pytest.fixture(scope="session")
def _shared_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if (reason := missing()) is not None:
        pytest.skip(reason)
    driver = open_browser(tmp_path_factory.mktemp("downloads"), tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@pytest.fixture
def browser(_shared_browser: Any, tmp_path: Path) -> Any:
    """One browser for all tests, fresh for each; downloads go to `tmp_path / "downloads"`."""
    return fresh(_shared_browser, tmp_path / "downloads")


@pytest.fixture
def browsers(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Iterator[Callable[[], Any]]:
    """Return what opens a browser of its own, for as many visitors as a test needs."""
    if (reason := missing()) is not None:
        pytest.skip(reason)
    opened: list[Any] = []

    def another() -> Any:
        driver = open_browser(tmp_path / "downloads", tmp_path_factory.mktemp("profile"))
        opened.append(driver)
        return fresh(driver, tmp_path / "downloads")

    yield another
    for driver in opened:
        driver.quit()
