"""The FastAPI example's own documentation page, in a real browser: log in at the tenant, and try a route out."""

from __future__ import annotations

import datetime as dt
import functools
import http.server
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import flask_swagger_ui
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import number_of_windows_to_be
from selenium.webdriver.support.wait import WebDriverWait

from jwtgate.tenant import Application, Tenant, User

CHROMIUM, CHROMEDRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or CHROMEDRIVER is None,
    reason="needs the Debian packages chromium and chromium-driver",
)

ROOT = Path(__file__).parents[2]
IDENTIFIER = "https://messages.example/"
WITHIN = 30.0  # seconds
FOREIGN = ("API_", "AUTH0_", "DOCS_", "JWTGATE_", "UVICORN_")

# FastAPI's page takes Swagger UI from here. The test has its files from a package, and plays the host itself.
CDN = "cdn.jsdelivr.net"
SWAGGER_UI = Path(flask_swagger_ui.__file__).parent / "dist"

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,1600",
]


# --- what stands around the page


class Files(http.server.SimpleHTTPRequestHandler):
    """`/npm/swagger-ui-dist@5/FILE`, as that host has it."""

    def translate_path(self, path: str) -> str:
        return super().translate_path("/" + path.rpartition("/")[2])

    def log_message(self, *args: object) -> None:
        """Not into the test's own output."""


@pytest.fixture(scope="module")
def cdn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Its port."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate(tmp_path_factory.mktemp("cdn") / "pem"))
    files = functools.partial(Files, directory=SWAGGER_UI)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), files) as server:
        server.daemon_threads = True
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join(20)


def certificate(path: Path) -> Path:
    """For that host, signed by nobody but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, CDN)])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(CDN)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(pem + signed.public_bytes(serialization.Encoding.PEM))
    return path


@dataclass(frozen=True)
class Running:
    """The example, and who there is at its tenant: a user who may read messages, and a machine that may too."""

    url: str
    user: User
    machine: Application


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    tenant = Tenant()
    log = tmp_path_factory.mktemp("uvicorn") / "log"
    with tenant.serve() as served, socket.create_server(("127.0.0.1", 0)) as listening, log.open("wb") as output:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        api = tenant.register_api(
            IDENTIFIER, name="Messages", rbac=True, permissions={"read:messages": "Read messages"}
        )
        page = tenant.create_application("Documentation", kind="single_page", callbacks=[f"{url}/docs/oauth2-redirect"])
        machine = tenant.create_application("Machine", token_endpoint_auth="client_secret_basic")
        tenant.authorize(machine, api, ["read:messages"])
        user = tenant.assign_permissions(tenant.create_user("ann@example.com", name="Ann"), api, ["read:messages"])
        settings = {
            "AUTH0_DOMAIN": served.url.removesuffix("/"),
            "AUTH0_AUDIENCE": IDENTIFIER,
            "DOCS_CLIENT_ID": page.client_id,
        }
        child = subprocess.Popen(
            # The port is taken already, and is handed over: nobody can come between.
            [sys.executable, "-m", "uvicorn", "examples.fastapi_api:app", "--fd", str(listening.fileno())],
            cwd=ROOT,
            env=environment() | settings,
            pass_fds=[listening.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_for(url, child, log)
            yield Running(url, user, machine)
        finally:
            child.terminate()
            child.wait(10)


def environment() -> dict[str, str]:
    """Settings of whoever runs this test are not for the example."""
    return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}


def wait_for(url: str, child: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + WITHIN
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while child.poll() is None and time.monotonic() < deadline:
        try:
            direct.open(f"{url}/api/public", timeout=5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"the example must answer within {WITHIN:g} s; it said:\n{log.read_text()}")


@pytest.fixture
def browser(cdn: int, tmp_path: Path) -> Iterator[Chrome]:
    """Knows this machine and the files of Swagger UI; there is no other host."""
    options = ChromeOptions()
    options.binary_location = CHROMIUM or ""
    options.accept_insecure_certs = True
    hosts = f"MAP {CDN}:443 127.0.0.1:{cdn}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    for flag in (
        *FLAGS,
        "--no-proxy-server",
        f"--host-resolver-rules={hosts}",
        f"--user-data-dir={tmp_path / 'profile'}",
    ):
        options.add_argument(flag)
    service = ChromeService(CHROMEDRIVER, log_output=str(tmp_path / "chromedriver.log"))
    driver = Chrome(options, service)
    try:
        yield driver
    finally:
        driver.quit()


# --- the page, as a user finds things on it


@dataclass(frozen=True)
class Page:
    """The documentation of a running example, open in a browser."""

    browser: Chrome

    def find(self, css: str, within: WebElement | None = None, saying: str = "") -> WebElement:
        """The first that is shown and holds this text, as soon as there is one."""

        def look(_: object) -> WebElement | None:
            found = (within or self.browser).find_elements(By.CSS_SELECTOR, css)
            return next((one for one in found if one.is_displayed() and saying in one.text), None)

        # The page is drawn anew while it is looked at: what was found may be gone a moment later.
        patient = WebDriverWait(self.browser, WITHIN, ignored_exceptions=[StaleElementReferenceException])
        return patient.until(look, f"nothing to be seen of {css} {saying!r}")

    def click(self, css: str, within: WebElement | None = None) -> None:
        self.find(css, within).click()

    def try_out(self, route: str) -> tuple[str, str]:
        """Status and body that the page shows for an answer of this route."""
        operation = self.find(f"[id='operations-default-{route}']")
        self.click(".opblock-summary-control", operation)
        self.click(".try-out__btn", operation)
        self.click(".execute", operation)
        answer = self.find(".live-responses-table .response", operation)
        return self.find(".response-col_status", answer).text, self.find(".response-col_description", answer).text

    def authorize(self, flow: str, **fields: str) -> None:
        """Open the dialog, fill it in for this OAuth flow, choose the permission, and ask for a token."""
        self.click(".auth-wrapper .authorize")
        self.find(".auth-container")
        (chosen,) = [
            one
            for one in self.browser.find_elements(By.CSS_SELECTOR, ".auth-container")
            if one.find_element(By.CSS_SELECTOR, ".flow code").text.startswith(flow)
        ]
        for name, value in fields.items():
            field = self.find(f"#{name}_{flow}", chosen)
            field.clear()
            field.send_keys(value)
        self.click(f"label[for^='read:messages-{flow}']", chosen)
        self.click(".authorize", chosen)

    def log_in(self, button: str) -> str:
        """Press this button of the tenant's page, which has opened in a window of its own; gives the page's text."""
        page = self.browser.current_window_handle
        WebDriverWait(self.browser, WITHIN).until(number_of_windows_to_be(2))
        (other,) = set(self.browser.window_handles) - {page}
        self.browser.switch_to.window(other)
        text = self.find("form").text
        self.click(f"button[value={button}]")
        WebDriverWait(self.browser, WITHIN).until(number_of_windows_to_be(1))
        self.browser.switch_to.window(page)
        return text

    def close_dialog(self) -> None:
        self.click(".close-modal")
        WebDriverWait(self.browser, WITHIN).until(
            lambda browser: not browser.find_elements(By.CSS_SELECTOR, ".modal-ux")
        )


@pytest.fixture
def page(browser: Chrome, example: Running) -> Page:
    browser.get(f"{example.url}/docs")
    return Page(browser)


SCOPED = "private_scoped_api_private_scoped_get"


def test_without_a_token_the_page_shows_the_refusal(page: Page) -> None:
    status, answer = page.try_out(SCOPED)
    assert (status, 'www-authenticate: Bearer realm="api"' in answer) == ("401", True)


def test_whoever_logs_in_at_the_tenant_can_try_it_out(page: Page, example: Running, tmp_path: Path) -> None:
    page.authorize("authorizationCode")
    asked = page.log_in("accept")
    assert all(shown in asked for shown in ("Ann", "read:messages – Read messages"))
    page.find(".auth-container button", saying="Logout")
    page.close_dialog()
    status, answer = page.try_out(SCOPED)
    assert (status, f'"caller": "{example.user.user_id}"' in answer) == ("200", True)
    page.browser.save_screenshot(str(tmp_path / "tried-out.png"))


def test_client_credentials_get_no_token_here_since_the_page_cannot_name_the_audience(
    page: Page, example: Running
) -> None:
    page.authorize(
        "clientCredentials", client_id=example.machine.client_id, client_secret=example.machine.client_secret
    )
    page.find(".auth-container .errors", saying="access_denied")
    page.close_dialog()
    assert page.try_out(SCOPED)[0] == "401"


def test_whoever_declines_gets_no_token(page: Page) -> None:
    page.authorize("authorizationCode")
    page.log_in("deny")
    page.find(".errors", saying="access_denied")
    page.close_dialog()
    assert page.try_out(SCOPED)[0] == "401"
