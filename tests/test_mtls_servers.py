"""A bound token is taken with its certificate, and with nothing else, by real servers: alone, and behind nginx."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import http.client
import ipaddress
import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from werkzeug.serving import make_server

from jwtgate import AccessToken, ApiSettings, Issuer
from jwtgate.asgi import JwtGateMiddleware
from jwtgate.core.mtls import thumbprint
from jwtgate.testing import Holder
from jwtgate.wsgi import JwtGateMiddleware as WsgiGate
from tests.making import API, ISSUER, KINDS, Issuing, signing_key
from tests.serving import ROOT, START_WITHIN, environment, started

HEADER: Final = "X-SSL-Client-Cert"
QUESTION: Final = b"GET / HTTP/1.1"
ISSUING: Final = Issuing()
NGINX: Final = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")

UVICORN: Final = "uvicorn --fd {fd} --no-proxy-headers --log-level warning tests.mtls_app:asgi"
GUNICORN: Final = "gunicorn --bind fd://{fd} --log-level warning tests.mtls_app:wsgi"

# --- certificates


@dataclass(frozen=True)
class Certified:
    """Files of a private key and of its certificate, in PEM; der: the certificate."""

    key: Path
    certificate: Path
    der: bytes

    @property
    def print(self) -> str:
        return thumbprint(self.der)

    @property
    def escaped(self) -> str:
        return quote(ssl.DER_cert_to_PEM_cert(self.der), safe="")


class Authority:
    """A small certificate authority whose files are in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        own = self._sign(self._name, self._key, True)
        self.file = folder / "clients-ca.pem"
        self.file.write_bytes(own.public_bytes(Encoding.PEM))

    def certify(self, name: str, *, by_itself: bool = False) -> Certified:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key, False, by_itself)
        files = Certified(
            self.folder / f"{name}.key", self.folder / f"{name}.pem", certificate.public_bytes(Encoding.DER)
        )
        files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        files.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
        return files

    def _sign(self, subject: x509.Name, key: Any, is_authority: bool, by_itself: bool = False) -> x509.Certificate:
        now, signer = datetime.now(UTC), key if by_itself else self._key
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if by_itself else self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            # Python's own contexts are strict since 3.13 (ssl.VERIFY_X509_STRICT), and then these must be there.
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(key_usage(is_authority), critical=True)
            .sign(signer, SHA256())
        )


def key_usage(is_authority: bool) -> x509.KeyUsage:
    uses = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(digital_signature=True, key_cert_sign=is_authority, crl_sign=is_authority, **uses)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Certified:
    return authority.certify("api")


@pytest.fixture(scope="module")
def alice(authority: Authority) -> Certified:
    return authority.certify("alice")


@pytest.fixture(scope="module")
def mallory(authority: Authority) -> Certified:
    return authority.certify("mallory")


# --- a client


def token_for(holder: Certified | None, **changes: Any) -> str:
    now = int(time.time())
    cnf = {} if holder is None else {"cnf": {"x5t#S256": holder.print}}
    return ISSUING.token(**{"iat": now - 60, "exp": now + 3_600, **cnf, **changes})


@dataclass(frozen=True)
class Answer:
    """told: the body; challenge: all of its lines, joined."""

    status: int
    told: dict[str, Any]
    challenge: str


@dataclass(frozen=True)
class Client:
    """Of the API at a port; authority: None speaks without TLS."""

    port: int
    authority: Authority | None

    def ask(
        self,
        token: str,
        certificate: Certified | None = None,
        *forged: tuple[str, str],
        scheme: str = "Bearer",
        times: int = 1,
    ) -> Answer:
        """The last answer of so many on one connection. forged: lines that the client adds of its own."""
        with contextlib.closing(self._line(certificate)) as line:
            for _ in range(times):
                line.putrequest("GET", "/messages")
                line.putheader("Authorization", f"{scheme} {token}")
                for name, value in forged:
                    line.putheader(name, value)
                line.endheaders()
                response = line.getresponse()
                body = response.read()
        return Answer(response.status, json.loads(body), ", ".join(response.headers.get_all("WWW-Authenticate", [])))

    def _line(self, certificate: Certified | None) -> http.client.HTTPConnection:
        if self.authority is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        context = ssl.create_default_context(cafile=self.authority.file)
        if certificate is not None:
            context.load_cert_chain(certificate.certificate, certificate.key)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=context)


def refused(answer: Answer, scheme: str = "Bearer") -> bool:
    """As RFC 6750 has it, on the scheme that was used."""
    return answer.status == 401 and f"{scheme} " in answer.challenge and 'error="invalid_token"' in answer.challenge


def check_binding(client: Client, alice: Certified, mallory: Certified, scheme: str) -> None:
    """The token of alice, by her connection and by those of others."""
    token = token_for(alice)
    right = client.ask(token, alice, scheme=scheme, times=2)
    assert (right.status, right.told) == (200, {"certificate": alice.print, "key": None})
    assert refused(client.ask(token, mallory, scheme=scheme), scheme)
    assert refused(client.ask(token, None, scheme=scheme), scheme)


def check_forgery(client: Client, alice: Certified, mallory: Certified) -> None:
    """Whatever mallory writes of alice's certificate, it is not hers."""
    token = token_for(alice)
    headers = [
        (HEADER, alice.escaped),
        (HEADER.lower(), alice.escaped),
        (HEADER.replace("-", "_"), alice.escaped),
        ("SSL_CLIENT_CERT", ssl.DER_cert_to_PEM_cert(alice.der).replace("\n", " ")),
        ("X-Forwarded-Client-Cert", f"Hash={hashlib.sha256(alice.der).hexdigest()}"),
        ("Client-Cert", f":{base64.b64encode(alice.der).decode()}:"),
    ]
    spoofed = [("X-Forwarded-For", "127.0.0.2"), ("Forwarded", "for=127.0.0.2"), ("X-Real-IP", "127.0.0.2")]
    for certificate in (None, mallory):
        for forged in headers:
            assert refused(client.ask(token, certificate, forged)), forged
            assert refused(client.ask(token, certificate, forged, forged)), forged
        assert refused(client.ask(token, certificate, *headers, *spoofed))
    # Nor does it harm alice to have a copy of her own.
    assert client.ask(token, alice, *headers[:2], *spoofed).told["certificate"] == alice.print


# --- servers


def settings_of(folder: Path, **settings: Any) -> dict[str, str]:
    keys = folder / "jwks.json"
    keys.write_text(json.dumps({"keys": [signing_key(kind).jwk() for kind in KINDS]}))
    return {"MTLS_APP_KEYS": str(keys), "MTLS_APP_SETTINGS": json.dumps(settings)}


def api_settings(**settings: Any) -> ApiSettings:
    keys = {"keys": [signing_key(kind).jwk() for kind in KINDS]}
    issuers = [Issuer(ISSUER, jwks=keys)]
    return ApiSettings(identifier=API, issuers=issuers, proof_of_possession=("dpop", "mtls"), **settings)


def told(token: AccessToken) -> bytes:
    return json.dumps({"certificate": token.certificate_thumbprint, "key": token.jkt}).encode()


# nginx speaks from an address of its own, so that nobody else on loopback is taken for it.
PROXY: Final = "127.0.0.2"
BEHIND_NGINX: Final = {"trusted_proxies": [PROXY], "certificate_header": HEADER}


def block_of(page: str, title: str) -> str:
    """A block of a how-to page, by its title."""
    text = (ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8")
    found = re.search(rf'^```text title="{re.escape(title)}"\n(.*?)^```$', text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@contextlib.contextmanager
def nginx(folder: Path, site: str, upstream: str, **replaced: str) -> Iterator[int]:
    """The port at which nginx serves a site: the very text of the page, but for the ports. folder: has its files."""
    if NGINX is None:
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    replaced = {"127.0.0.1:8443": f"127.0.0.1:{port}", "http://127.0.0.1:8000": upstream, **replaced}
    for old, new in replaced.items():
        assert site.count(old) == 1
        site = site.replace(old, new)
    own = folder / f"nginx-{port}"
    own.mkdir()
    temporary = "".join(
        f"{kind}_temp_path {own}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / f"{port}.conf").write_text(
        f"daemon off; master_process off; pid {own}/pid; error_log {own}/log;"
        f"events {{}} http {{ access_log off; proxy_bind {PROXY}; {temporary}\n{site} }}"
    )
    child = subprocess.Popen([NGINX, "-p", folder, "-c", f"{folder}/{port}.conf", "-e", f"{own}/log"])
    try:
        wait_for(port, child, own / "log")
        yield port
    finally:
        child.terminate()
        child.wait(10)


def wait_for(port: int, child: subprocess.Popen[bytes], log: Path) -> None:
    """Until something listens. Raises RuntimeError."""
    deadline = time.monotonic() + START_WITHIN
    while child.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"nginx must listen within {START_WITHIN:g} s; it said:\n{log.read_text()}")


@pytest.fixture(scope="module", params=["uvicorn", "gunicorn"])
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of the app behind nginx, without TLS."""
    home = tmp_path_factory.mktemp(request.param)
    command = {"uvicorn": UVICORN, "gunicorn": GUNICORN}[request.param]
    with started(command, home, settings_of(home, **BEHIND_NGINX), QUESTION) as port:
        yield port


@pytest.fixture(scope="module")
def proxied(backend: int, authority: Authority, server: Certified) -> Iterator[Client]:
    """A client of nginx as the page has it."""
    with nginx(authority.folder, block_of("mutual-tls.md", "api.conf"), f"http://127.0.0.1:{backend}") as port:
        yield Client(port, authority)


# --- behind nginx


@pytest.mark.parametrize("scheme", ["Bearer", "DPoP"])
def test_behind_nginx_the_certificate_counts(
    proxied: Client, alice: Certified, mallory: Certified, scheme: str
) -> None:
    check_binding(proxied, alice, mallory, scheme)


def test_behind_nginx_a_clients_own_header_does_not(proxied: Client, alice: Certified, mallory: Certified) -> None:
    check_forgery(proxied, alice, mallory)


def test_behind_nginx_a_token_that_is_bound_to_nothing_needs_no_certificate(proxied: Client) -> None:
    assert proxied.ask(token_for(None)).told == {"certificate": None, "key": None}


def test_past_nginx_the_header_does_not_count(
    backend: int, proxied: Client, alice: Certified, mallory: Certified
) -> None:
    """A stranger who reaches the app itself: also M12, a bound token without TLS."""
    direct = Client(backend, None)
    assert refused(direct.ask(token_for(alice)))
    assert refused(direct.ask(token_for(alice), None, (HEADER, alice.escaped)))
    assert refused(direct.ask(token_for(alice), None, (HEADER, alice.escaped), ("X-Forwarded-For", PROXY)))


def test_nginx_may_leave_it_to_the_token_whose_certificate_is_good(
    backend: int, authority: Authority, server: Certified
) -> None:
    signed_by_itself = authority.certify("bob", by_itself=True)
    other = authority.certify("eve", by_itself=True)
    site = block_of("mutual-tls.md", "api.conf")
    changes = {"client       optional;": "client optional_no_ca;", "ssl_client_certificate  clients-ca.pem;": ""}
    with nginx(authority.folder, site, f"http://127.0.0.1:{backend}", **changes) as port:
        client = Client(port, authority)
        check_binding(client, signed_by_itself, other, "Bearer")
        check_forgery(client, signed_by_itself, other)


def test_behind_nginx_on_a_unix_socket(
    authority: Authority,
    server: Certified,
    alice: Certified,
    mallory: Certified,
    tmp_path: Path,
) -> None:
    at = tmp_path / "s"
    command = GUNICORN.replace("fd://{fd}", f"unix:{at} --bind 127.0.0.1:{{port}}")
    settings = settings_of(tmp_path, trusted_proxies=["unix"], certificate_header=HEADER)
    site = block_of("mutual-tls.md", "api.conf")
    with (
        started(command, tmp_path, settings, QUESTION) as direct,
        nginx(
            authority.folder,
            site,
            f"http://unix:{at}:",
            **{"proxy_set_header Host": "proxy_bind off; proxy_set_header Host"},
        ) as port,
    ):
        check_binding(Client(port, authority), alice, mallory, "Bearer")
        check_forgery(Client(port, authority), alice, mallory)
        # By its other way in, from an address, nobody is trusted.
        assert refused(Client(direct, None).ask(token_for(alice), None, (HEADER, alice.escaped)))


def test_behind_nginx_a_proof_names_the_url_that_the_client_used(
    authority: Authority, server: Certified, tmp_path: Path
) -> None:
    told = {"trusted_proxies": [PROXY], "proxy_headers": ["X-Forwarded-Proto", "X-Forwarded-Host"]}
    holder = Holder()
    token = token_for(None, cnf={"jkt": holder.jkt})
    with started(UVICORN, tmp_path, settings_of(tmp_path, **told), QUESTION) as backend:
        site = block_of("behind-a-proxy.md", "forwarding.conf")
        with nginx(authority.folder, site, f"http://127.0.0.1:{backend}") as port:
            client = Client(port, authority)

            def ask(url: str, *forged: tuple[str, str]) -> int:
                return client.ask(token, None, ("DPoP", holder.proof("GET", url, token)), *forged, scheme="DPoP").status

            evil = [("X-Forwarded-Host", "evil.test"), ("X-Forwarded-Proto", "http"), ("Forwarded", "host=evil.test")]
            assert ask(f"https://127.0.0.1:{port}/messages") == 200
            assert ask(f"https://127.0.0.1:{port}/messages", *evil) == 200
            assert ask("https://evil.test/messages", *evil) == 401
            assert ask(f"http://127.0.0.1:{port}/messages") == 401
            assert ask(f"http://127.0.0.1:{backend}/messages") == 401


# --- gunicorn ends the TLS connection


@pytest.fixture(scope="module", params=["sync", "gthread"])
def gunicorn(
    request: pytest.FixtureRequest, authority: Authority, server: Certified, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    home = tmp_path_factory.mktemp(request.param)
    tls = f"--certfile {server.certificate} --keyfile {server.key} --ca-certs {authority.file} --cert-reqs 1"
    command = GUNICORN.replace("gunicorn", f"gunicorn -k {request.param} {tls}", 1)
    with tls_server(command, home, settings_of(home)) as port:
        yield Client(port, authority)


@contextlib.contextmanager
def tls_server(command: str, home: Path, settings: dict[str, str]) -> Iterator[int]:
    """As `started`, for a server that speaks TLS alone: it is ready when a handshake succeeds."""
    with socket.create_server(("127.0.0.1", 0)) as listening, (home / "log").open("wb") as output:
        port: int = listening.getsockname()[1]
        child = subprocess.Popen(
            ["bash", "-c", "exec " + command.format(fd=listening.fileno())],
            cwd=ROOT,
            env=environment() | settings | {"HOME": str(home)},
            pass_fds=[listening.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            # It listens already: the handshake waits in the queue until the server takes it.
            with socket.create_connection(("127.0.0.1", port), timeout=START_WITHIN) as line:
                ssl._create_unverified_context().wrap_socket(line).close()
            yield port
        finally:
            child.terminate()
            child.wait(10)


@pytest.mark.parametrize("scheme", ["Bearer", "DPoP"])
def test_gunicorn_knows_the_certificate_of_its_own_connection(
    gunicorn: Client, alice: Certified, mallory: Certified, scheme: str
) -> None:
    check_binding(gunicorn, alice, mallory, scheme)


def test_gunicorn_takes_no_header_for_a_certificate(gunicorn: Client, alice: Certified, mallory: Certified) -> None:
    check_forgery(gunicorn, alice, mallory)


# --- a server that names the certificate in the WSGI environment


def test_werkzeugs_server_names_the_certificate_of_its_connection(
    authority: Authority, server: Certified, alice: Certified, mallory: Certified
) -> None:
    def respond(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "application/json")])
        return [told(environ["jwtgate.token"])]

    app = WsgiGate(respond, api_settings())
    serving = make_server("127.0.0.1", 0, app, threaded=True, ssl_context=tls_context(authority, server))
    thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        check_binding(Client(serving.server_port, authority), alice, mallory, "Bearer")
        check_forgery(Client(serving.server_port, authority), alice, mallory)
    finally:
        serving.shutdown()
        thread.join(20)
        serving.server_close()


# --- an ASGI server with the TLS extension


class TlsServer:
    """As much of an HTTP/1.1 server as these clients need, with the ASGI TLS extension: one request a connection."""

    def __init__(self, app: Any, context: ssl.SSLContext, *, error: str | None = None) -> None:
        self._app = app
        self._context = context
        self._error = error
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> TlsServer:
        self._thread.start()
        self._ready.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(20)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._ended = asyncio.Event()
        serving = await asyncio.start_server(self._answer, "127.0.0.1", 0, ssl=self._context)
        self.port = serving.sockets[0].getsockname()[1]
        self._ready.set()
        async with serving:
            await self._ended.wait()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            await self._app(self._scope(head, writer), reader.read, self._sending(writer))
            await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    def _scope(self, head: bytes, writer: asyncio.StreamWriter) -> dict[str, Any]:
        start, *lines = head.split(b"\r\n")[:-2]
        der = writer.get_extra_info("ssl_object").getpeercert(True)
        tls = {
            "server_cert": None,
            "client_cert_chain": iter([] if der is None else [ssl.DER_cert_to_PEM_cert(der)]),
            "client_cert_error": self._error,
            "tls_version": 0x0304,
            "cipher_suite": None,
        }
        return {
            "type": "http",
            "method": start.split()[0].decode(),
            "scheme": "https",
            "path": start.split()[1].decode(),
            "query_string": b"",
            "headers": [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)],
            "server": ("127.0.0.1", self.port),
            "client": writer.get_extra_info("peername")[:2],
            "extensions": {"tls": tls},
        }

    @staticmethod
    def _sending(writer: asyncio.StreamWriter) -> Callable[[Any], Any]:
        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                lines = [b"%s: %s" % line for line in message["headers"]]
                writer.write(
                    b"\r\n".join([b"HTTP/1.1 %d -" % message["status"], *lines, b"connection: close", b"", b""])
                )
            else:
                writer.write(message["body"])

        return send


def tls_context(authority: Authority, server: Certified) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.file)
    context.load_cert_chain(server.certificate, server.key)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def gate(**settings: Any) -> JwtGateMiddleware:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": told(scope["jwtgate.token"])})

    return JwtGateMiddleware(app, api_settings(**settings))


@pytest.mark.parametrize("scheme", ["Bearer", "DPoP"])
@pytest.mark.parametrize("settings", [{}, BEHIND_NGINX], ids=["nobody is trusted", "a proxy is trusted"])
def test_an_asgi_server_tells_the_certificate_of_its_own_connection(
    authority: Authority,
    server: Certified,
    alice: Certified,
    mallory: Certified,
    settings: dict[str, Any],
    scheme: str,
) -> None:
    with TlsServer(gate(**settings), tls_context(authority, server)) as serving:
        client = Client(serving.port, authority)
        check_binding(client, alice, mallory, scheme)
        check_forgery(client, alice, mallory)


def test_a_certificate_in_which_the_server_found_a_fault_is_none(
    authority: Authority, server: Certified, alice: Certified
) -> None:
    with TlsServer(gate(), tls_context(authority, server), error="expired") as serving:
        assert refused(Client(serving.port, authority).ask(token_for(alice), alice))
