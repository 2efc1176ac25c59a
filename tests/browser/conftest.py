"""A portal of its own on a free loopback port, with a small cluster, and a headless Chromium."""

import json
import os
import subprocess
import urllib.request
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("MEMC_PORTAL", ROOT / "target/debug/memc-portal"))
CHROMIUM = "/usr/bin/chromium"
CHROMEDRIVER = "/usr/bin/chromedriver"
PASSWORD = "correct horse battery"

# The last five keep Chromium from asking for addresses on the Internet.
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--lang=en-US",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Portal:
    """The running program and a token for its API."""

    def __init__(self, base, token):
        self.base = base
        self.token = token

    def api(self, method, path, body=None):
        """What the API answers."""
        request = urllib.request.Request(
            f"{self.base}/api/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None


@pytest.fixture(scope="session")
def portal(tmp_path_factory):
    """A portal on a fresh store; it ends with the tests."""
    store = f"sqlite://{tmp_path_factory.mktemp('store')}/memc.db"

    def run(*arguments, text=None):
        command = [BINARY, *arguments, "--store", store]
        return subprocess.run(command, input=text, text=True, check=True, stdout=subprocess.PIPE).stdout

    run("user", "add", "ada", "--admin", "--password-stdin", text=PASSWORD)
    run("user", "add", "lin", "--team", "shop", "--password-stdin", text=PASSWORD)
    token = run("token", "create", "--user", "ada").strip()
    serve = [BINARY, "serve", "--listen", "127.0.0.1:0", "--store", store, "--log", "warn", "--no-observe"]
    process = subprocess.Popen(serve, stdout=subprocess.PIPE, text=True)
    try:
        # The first line names the port: "listening on http://127.0.0.1:40123"
        portal = Portal(process.stdout.readline().split()[-1], token)
        portal.api("POST", "/clusters", {"name": "web", "first_port": 11210, "last_port": 11299})
        for number in (1, 2):
            host = {"name": f"m{number}", "cluster": "web", "address": f"127.0.1.{number}", "memory_mib": 1024}
            portal.api("POST", "/hosts", host)
        portal.api("POST", "/teams", {"name": "shop"})
        portal.api("PUT", "/clusters/web/quotas/shop", {"memory_mib": 512})
        yield portal
    finally:
        process.terminate()
        process.wait(timeout=15)


class Browser:
    """A Chromium with a profile of its own, and the few gestures that the tests make."""

    def __init__(self, driver, base):
        self.driver = driver
        self.base = base

    def open(self, path):
        self.driver.get(self.base + path)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector="main"):
        # A page that keeps itself current may put another element in the place of the one that was found.
        wait = WebDriverWait(self.driver, 5, ignored_exceptions=[StaleElementReferenceException])
        text = wait.until(lambda _: [self.find(selector).text])[0]
        # Sizes are written with a space that does not break, and a multiplication sign.
        return text.replace("\u00a0", " ").replace("\u00d7", "x")

    def fill(self, **fields):
        for name, value in fields.items():
            field = self.find(f"[name={name}]:not([type=hidden])")
            field.clear()
            field.send_keys(value)

    def press(self, words):
        """Click the button or link with these words in the page's main part, and wait for the next page."""
        found = [it for it in self.driver.find_elements(By.CSS_SELECTOR, "main a, main button") if it.text == words]
        assert found, f"no {words!r} on {self.path}:\n{self.text()}"
        self.follow(found[0])

    def choose_language(self, tag):
        self.follow(self.find(f"footer a[lang={tag}]"))

    def follow(self, element):
        before = self.find("html")
        element.click()
        # A form's answer may begin to arrive only after the click has returned.
        # Asked just while the page goes, the driver may say that of the element as an error of its own.
        WebDriverWait(self.driver, 15, ignored_exceptions=[WebDriverException]).until(staleness_of(before))

    @property
    def path(self):
        return self.driver.current_url.removeprefix(self.base)

    def login(self, name):
        self.open("/login")
        self.fill(name=name, password=PASSWORD)
        self.press("Sign in")


@pytest.fixture
def browse(portal, tmp_path):
    """Opens browsers, with or without scripts, and closes them."""
    drivers = []

    def opened(scripts=True, width=1000):
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in FLAGS:
            options.add_argument(flag)
        options.add_argument(f"--user-data-dir={tmp_path}/profile-{len(drivers)}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER))
        drivers.append(driver)
        driver.implicitly_wait(5)
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        if not scripts:
            driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        return Browser(driver, portal.base)

    yield opened
    for driver in drivers:
        driver.quit()
