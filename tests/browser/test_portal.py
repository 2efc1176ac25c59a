"""What a person does with the portal, in a real browser."""

import time


def test_a_cache_from_wish_to_release_without_scripts(portal, browse):
    browser = browse(scripts=False)
    browser.login("lin")
    assert browser.path == "/caches"
    assert "has no caches yet" in browser.text()

    browser.press("Create a cache")
    browser.fill(name="sessions", memory_mib="400", instances="2")
    browser.press("Preview")
    assert "may use 512 MiB" in browser.text()
    browser.press("Use 256 MiB instead")
    assert "0 MiB → 512 MiB of 512 MiB" in browser.text()
    browser.press("Change something")
    browser.fill(memory_mib="64")
    browser.press("Preview")
    assert "2 x 64 MiB = 128 MiB" in browser.text()
    browser.press("Create the cache")

    assert browser.path == "/caches/shop/sessions?done=created"
    # Of equal hosts the one whose number comes first, scattered.
    assert "127.0.1.2:11210\n127.0.1.1:11210" in browser.text()
    assert "to ask what to run" in browser.text()
    assert portal.api("GET", "/caches/shop/sessions")["memory_mib"] == 64

    browser.press("Resize")
    browser.fill(memory_mib="96")
    browser.press("Resize")
    assert browser.path == "/caches/shop/sessions?done=resized"
    assert portal.api("GET", "/caches/shop/sessions")["memory_mib"] == 96

    browser.press("Release")
    browser.fill(confirm="nonsense")
    browser.press("Release the cache")
    assert "Type exactly sessions" in browser.text()
    browser.fill(confirm="sessions")
    browser.press("Release the cache")
    assert "Releasing" in browser.text("h1")

    # The evidence that it stopped cannot be had here, so an operator states it.
    operator = browse(scripts=False)
    operator.login("ada")
    for _ in range(2):
        operator.open("/caches/shop/sessions")
        operator.press("Confirm that it has stopped")
        operator.fill(reason="seen on the host")
        operator.press("It has stopped")
    browser.open("/caches/shop/sessions")
    assert "There is nothing here" in browser.text()
    assert portal.api("GET", "/caches")["items"] == []


def test_the_language_is_chosen(browse):
    browser = browse()
    browser.open("/login")
    assert browser.find("html").get_attribute("lang") == "en"
    browser.choose_language("zh-Hans")
    assert browser.path == "/login"
    assert browser.find("html").get_attribute("lang") == "zh-Hans"
    assert "登录" in browser.text()
    browser.fill(name="lin", password="correct horse battery")
    browser.press("登录")
    assert browser.text("h1") == "我的缓存"
    browser.choose_language("en")
    assert browser.text("h1") == "My caches"


def test_pages_fit_a_telephone_and_break_no_policy(portal, browse):
    browser = browse(width=360)
    browser.login("ada")
    long = "a-host-with-a-very-long-name." * 6 + "example.com"
    portal.api("POST", "/hosts", {"name": long, "cluster": "web", "address": "127.0.1.9", "memory_mib": 64})
    for path in (
        "/caches",
        "/caches/new",
        "/caches/preview?team=shop&cluster=web&name=wide&memory_mib=900&instances=3&max_per_rack=1",
        "/account",
        "/admin/clusters",
        "/admin/clusters/web",
        "/admin/hosts",
        "/admin/hosts/m1",
        f"/admin/hosts/{long}",
        "/admin/teams/shop",
        "/admin/users",
        "/admin/audit",
    ):
        browser.open(path)
        width = browser.driver.execute_script("return document.documentElement.scrollWidth")
        assert width <= 360, f"{path} is {width} px wide"
    # The refusal among them is answered with 409, which Chromium notes as an error too.
    errors = [line for line in browser.driver.get_log("browser") if line["level"] == "SEVERE"]
    errors = [line for line in errors if "409 (Conflict)" not in line["message"]]
    assert errors == []


def test_a_refusal_offers_another_cluster(portal, browse):
    portal.api("POST", "/clusters", {"name": "large", "first_port": 11210, "last_port": 11299})
    host = {"name": "l1", "cluster": "large", "address": "127.0.1.20", "memory_mib": 4096}
    portal.api("POST", "/hosts", host)
    portal.api("PUT", "/clusters/large/quotas/shop", {"memory_mib": 4096})
    browser = browse(scripts=False)
    browser.login("lin")
    browser.open("/caches/new?team=shop&cluster=web&name=wide&memory_mib=2000&instances=1")
    browser.press("Preview")
    assert "2,000 MiB more is too much" in browser.text()
    browser.press("Use cluster large instead")
    browser.press("Preview")
    assert "0 MiB \u2192 2,000 MiB of 4,096 MiB" in browser.text()
    portal.api("DELETE", "/hosts/l1")
    portal.api("DELETE", "/clusters/large")


def test_a_waiting_page_stays_current(portal, browse):
    browser = browse()
    browser.login("lin")
    wish = {"team": "shop", "name": "live", "cluster": "web", "memory_mib": 8, "instances": 1}
    portal.api("POST", "/caches", wish)
    browser.open("/caches/shop/live")
    assert "1 x 8 MiB" in browser.text()
    portal.api("PATCH", "/caches/shop/live", {"memory_mib": 16})
    deadline = time.monotonic() + 20
    while "1 x 16 MiB" not in browser.text():
        assert time.monotonic() < deadline, "the page did not follow"
        time.sleep(0.2)
    portal.api("DELETE", "/caches/shop/live")
