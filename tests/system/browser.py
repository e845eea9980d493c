"""A real browser: Debian's Chromium, driven through chromium-driver (python3-selenium). One browser
for a test run; a fresh profile for each page set. What the page writes to its console, and what its
policy refuses, is an error of the test."""
import contextlib
import time

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from harness import ROOT, wait_for

__all__ = ["Browser", "Keys"]


class Browser:
    def __init__(self, folder):
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                     "--disable-background-networking", "--disable-extensions", "--lang=en-US", "--no-proxy-server",
                     f"--user-data-dir={folder}"):
            options.add_argument(word)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.d = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        self.size(1000, 900)

    def close(self):
        with contextlib.suppress(WebDriverException):
            self.d.quit()

    def cdp(self, name, /, **args):
        return self.d.execute_cdp_cmd(name, args)

    def size(self, width, height, mobile=False):
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def prefer(self, **features):
        """prefers-color-scheme="dark", forced-colors="active", ... ("_" for "-"); nothing: none."""
        self.cdp("Emulation.setEmulatedMedia",
                 features=[{"name": k.replace("_", "-"), "value": v} for k, v in features.items()])

    def offline(self, yes):
        self.cdp("Network.enable")
        self.cdp("Network.emulateNetworkConditions", offline=yes, latency=0, downloadThroughput=-1, uploadThroughput=-1)

    def fresh(self):
        """One window, nobody signed in, nothing kept, no emulation."""
        for extra in self.d.window_handles[1:]:
            self.d.switch_to.window(extra)
            self.d.close()
        self.d.switch_to.window(self.d.window_handles[0])
        self.offline(False)
        self.cdp("Network.clearBrowserCookies")
        self.cdp("Storage.clearDataForOrigin", origin="*", storageTypes="local_storage")
        self.prefer()
        self.size(1000, 900)
        self.d.get("about:blank")
        self.complaints()

    def go(self, url):
        self.d.get(url)

    def js(self, text, *args):
        return self.d.execute_script(text, *args)

    def find(self, css):
        return self.d.find_elements(By.CSS_SELECTOR, css)

    def one(self, css, timeout=15):
        return wait_for(f"{css} at {self.d.current_url}", lambda: (self.find(css) or [None])[0], timeout)

    def text(self, css="main"):
        for _ in range(20):
            try:
                return "\n".join(e.text for e in self.find(css))
            except StaleElementReferenceException:
                time.sleep(0.01)  # it was drawn anew between finding and reading
        return ""

    def counts(self, css, n, timeout=15):
        """Waits until there are so many; what is drawn anew meanwhile does not disturb."""
        return wait_for(f"{n} of {css}", lambda: (len(self.find(css)) == n) or None, timeout)

    def sees(self, text, css="main", timeout=20):
        """Waits until this text is there, in capitals or not."""
        return wait_for(f"{text!r} in {css}", lambda: text.lower() in self.text(css).lower(), timeout)

    def button(self, text, css="button, a"):
        def look():
            with contextlib.suppress(StaleElementReferenceException):  # it was drawn anew meanwhile
                return next((e for e in self.find(css) if e.text.strip() == text and e.is_displayed()), None)
        return wait_for(f"a button {text!r}", look, 20)

    def click(self, text):
        def click():
            with contextlib.suppress(StaleElementReferenceException):
                self.js("arguments[0].click()", self.button(text))
                return True
        wait_for(f"a click on {text!r}", click)

    def press(self, *keys):
        """To whatever has the focus."""
        self.d.switch_to.active_element.send_keys(*keys)

    def focused(self):
        return self.js("const e = document.activeElement; return `${e.tagName} ${e.id} ${e.textContent.slice(0, 60)}`")

    def focuses(self, what):
        """Waits until the focus is on an element whose name begins so."""
        return wait_for(f"the focus on {what}", lambda: self.focused().startswith(what), 10)

    def picture(self, path):
        self.d.save_screenshot(str(path))

    def complaints(self):
        """What the page said to the console, policy refusals too; a failed request is none of it."""
        return [e["message"] for e in self.d.get_log("browser")
                if e["level"] in ("SEVERE", "WARNING") and "Failed to load resource" not in e["message"]
                and "net::ERR_" not in e["message"]]

    def axe(self):
        """What axe-core finds wrong with the page as it is: each rule with the places. It comes from PyPI into
        build/venv, so the page's own policy does not count for it: it is evaluated by the driver."""
        files = list((ROOT / "build/venv").glob("lib/*/site-packages/axe_playwright_python/axe.min.js"))
        assert files, "no axe-core in build/venv: tests/run --stage packages fetches it"
        self.cdp("Runtime.evaluate", expression=files[0].read_text() + ";0")
        self.d.set_script_timeout(60)
        found = self.d.execute_async_script("const done = arguments[0]; axe.run(document, {resultTypes: ['violations']})"
                                            ".then(r => done([r.passes.length, r.violations]), e => done([0, String(e)]))")
        assert found[0] > 10, found  # it did look
        return [f"{v['id']}: {v['help']}: {[n['html'][:120] for n in v['nodes'][:3]]}" for v in found[1]]

    def first_paint(self):
        """Milliseconds from the start of the navigation: first paint, first content, all loaded."""
        return self.js("const p = Object.fromEntries(performance.getEntriesByType('paint').map(e => [e.name, e.startTime])); "
                       "const n = performance.getEntriesByType('navigation')[0]; "
                       "return [p['first-paint'], p['first-contentful-paint'], n.loadEventEnd]")

    def sideways(self):
        """Pixels that the page is wider than its window."""
        return self.js("return document.documentElement.scrollWidth - document.documentElement.clientWidth")

