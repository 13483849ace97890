"""Tokens that are bound to a key or a certificate of who asked for them, and those that are not issued unbound."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest

from jwtgate import ApiSettings, Request, Verifier
from jwtgate.core.errors import AuthError
from jwtgate.tenant import (
    Api,
    Application,
    OpenPermissionsWarning,
    ProofOfPossession,
    Rule,
    Tenant,
    TenantError,
    TokenRefused,
    User,
)
from jwtgate.testing import Holder
from tests.tenant.conftest import ISSUER, NOW, Browser, Call

TOKEN_URL = f"{ISSUER}oauth/token"
USERINFO_URL = f"{ISSUER}userinfo"
CALLBACK = "https://app.example.test/callback"
CHALLENGE = {"code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "code_challenge_method": "S256"}
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # of this challenge: RFC 7636 appendix B
THUMBPRINT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"  # of some key: RFC 7638 section 3.1

REQUIRED = {"required": True, "required_for": "all_clients"}
ALLOWED = {"required": False}


class Clock:
    def wall(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture
def holder() -> Holder:
    return Holder(clock=lambda: NOW)


@pytest.fixture
def call(call: Call) -> Call:
    """As the tenant is called by its own name, which proofs are for."""

    def named(method: str, path: str, headers: dict[str, str] | None = None, **request: Any) -> httpx.Response:
        return call(method, path, headers={"Host": "tenant.example.test", **(headers or {})}, **request)

    return named


def create(tenant: Tenant, kind: Any, **settings: Any) -> Application:
    """An application; some APIs of the tenant that all tests share are without RBAC, which it warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OpenPermissionsWarning)
        return tenant.create_application(kind, kind=kind, **settings)


@pytest.fixture
def ann(somebody: Callable[..., User]) -> User:
    return somebody()


def machine(tenant: Tenant, api: Api, **settings: Any) -> Application:
    application = tenant.create_application("Machine", **settings)
    tenant.authorize(application, api)
    return application


def credentials(application: Application) -> dict[str, str]:
    secret = {} if application.is_public else {"client_secret": application.client_secret}
    return {"client_id": application.client_id, **secret}


def for_itself(application: Application, api: Api) -> dict[str, str]:
    return {"grant_type": "client_credentials", "audience": api.identifier, **credentials(application)}


def for_a_user(application: Application, user: User, **more: str) -> dict[str, str]:
    who = {"username": user.email, "password": user.password}
    return {"grant_type": "password", **who, **more, **credentials(application)}


def claims_of(answer: httpx.Response) -> dict[str, Any]:
    return jwt.decode(answer.json()["access_token"], options={"verify_signature": False})


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


# --- when a token is issued, and when it is bound -----------------------------------------------------------

# (the application requires it, a proof is sent) → with the API's policy none, allowed, required
MATRIX = {
    (False, False): ("unbound", "unbound", "not issued"),
    (False, True): ("unbound", "bound", "bound"),
    (True, False): ("not issued", "not issued", "not issued"),
    (True, True): ("not issued", "bound", "bound"),
}
# The same for a token that only /userinfo takes.
MATRIX_OF_USERINFO = {
    (False, False): "unbound",
    (False, True): "bound",
    (True, False): "not issued",
    (True, True): "bound",
}
POLICIES = (None, ALLOWED, REQUIRED)


def outcome(answer: httpx.Response) -> str:
    if refusal_of_the_matrix(answer):
        return "not issued"
    assert answer.status_code == 200
    return {"Bearer": "unbound", "DPoP": "bound"}[answer.json()["token_type"]]


def refusal_of_the_matrix(answer: httpx.Response) -> bool:
    return answer.status_code == 400 and answer.json()["error"] == "invalid_request"


@pytest.mark.parametrize("mechanism", ["dpop", "mtls"])
@pytest.mark.parametrize(("requires", "shows"), MATRIX)
@pytest.mark.parametrize("policy", range(3), ids=["none", "allowed", "required"])
def test_a_token_for_an_api_is_issued_and_bound_as_the_matrix_says(
    tenant: Tenant,
    register: Callable[..., Api],
    call: Call,
    holder: Holder,
    mechanism: str,
    requires: bool,
    shows: bool,
    policy: int,
) -> None:
    setting = POLICIES[policy] and {"mechanism": mechanism, **POLICIES[policy]}
    api = register(proof_of_possession=setting)
    application = machine(tenant, api, require_proof_of_possession=requires)
    proof = {"dpop": {"DPoP": holder.proof("POST", TOKEN_URL)}, "mtls": {"Client-Cert": holder.client_cert}}
    answer = call("POST", "oauth/token", data=for_itself(application, api), headers=proof[mechanism] if shows else None)
    assert outcome(answer) == MATRIX[requires, shows][policy]
    if answer.status_code == 200:
        confirmed = {"dpop": {"jkt": holder.jkt}, "mtls": {"x5t#S256": holder.x5t}}[mechanism]
        assert claims_of(answer).get("cnf") == (confirmed if answer.json()["token_type"] == "DPoP" else None)


@pytest.mark.parametrize(("requires", "shows"), MATRIX_OF_USERINFO)
def test_a_token_for_userinfo_is_issued_and_bound_as_the_matrix_says(
    tenant: Tenant, call: Call, ann: User, holder: Holder, requires: bool, shows: bool
) -> None:
    application = tenant.create_application(
        "Web", kind="regular_web", grant_types=["password"], require_proof_of_possession=requires
    )
    headers = {"DPoP": holder.proof("POST", TOKEN_URL)} if shows else None
    answer = call("POST", "oauth/token", data=for_a_user(application, ann, scope="openid"), headers=headers)
    assert outcome(answer) == MATRIX_OF_USERINFO[requires, shows]


@pytest.mark.parametrize(
    ("mechanism", "shown", "other"),
    [("dpop", "certificate", "jkt"), ("mtls", "jkt", "x5t#S256")],
)
def test_what_is_shown_must_be_what_the_api_asks_for(
    tenant: Tenant, register: Callable[..., Api], holder: Holder, mechanism: str, shown: str, other: str
) -> None:
    api = register(proof_of_possession={"mechanism": mechanism, **REQUIRED})
    with pytest.raises(TokenRefused) as refused:
        tenant.client_credentials(api.test_application, api, **{shown: getattr(holder, shown)})
    assert (refused.value.status, refused.value.error) == (400, "invalid_request")
    both = tenant.claims(api.test_application, api, jkt=holder.jkt, certificate=holder.certificate)
    assert list(both["cnf"]) == [other]


@pytest.mark.parametrize(("kind", "issued"), [("single_page", False), ("regular_web", True)])
def test_it_may_be_required_of_public_applications_alone(
    tenant: Tenant, register: Callable[..., Api], ann: User, holder: Holder, kind: Any, issued: bool
) -> None:
    api = register(
        proof_of_possession={"mechanism": "dpop", "required": True, "required_for": "public_clients"}, rbac=True
    )
    application = create(tenant, kind)
    assert tenant.authorization_code(application, api, ann, jkt=holder.jkt).token_type == "DPoP"
    if issued:
        assert tenant.authorization_code(application, api, ann).token_type == "Bearer"
    else:
        with pytest.raises(TokenRefused):
            tenant.authorization_code(application, api, ann)


@pytest.mark.parametrize(("required", "token_type"), [(False, "Bearer"), (True, None)])
def test_mutual_tls_is_for_confidential_applications(
    tenant: Tenant,
    register: Callable[..., Api],
    ann: User,
    holder: Holder,
    required: bool,
    token_type: str | None,
) -> None:
    api = register(proof_of_possession={"mechanism": "mtls", "required": required}, rbac=True)
    application = create(tenant, "native")
    if token_type is None:
        with pytest.raises(TokenRefused):
            tenant.authorization_code(application, api, ann, certificate=holder.certificate)
    else:
        answer = tenant.authorization_code(application, api, ann, certificate=holder.certificate)
        assert answer.token_type == token_type


def test_the_implicit_flow_has_nothing_to_show(
    tenant: Tenant, register: Callable[..., Api], browser: Browser, ann: User
) -> None:
    application = create(tenant, "single_page", grant_types=["implicit"], callbacks=[CALLBACK])
    asked = {"client_id": application.client_id, "redirect_uri": CALLBACK, "response_type": "token"}
    tokens = {}
    for setting in (ALLOWED, REQUIRED):
        api = register(proof_of_possession={"mechanism": "dpop", **setting}, rbac=True)
        tokens[setting["required"]] = browser.log_in(ann.user_id, **asked, audience=api.identifier)
        browser.client.cookies.clear()
    assert tokens[False]["token_type"] == "Bearer"
    assert tokens[True]["error"] == "invalid_request"


def test_a_bound_token_holds_up_before_the_verifier_of_the_api(
    tenant: Tenant, register: Callable[..., Api], holder: Holder
) -> None:
    api = register(proof_of_possession={"mechanism": "dpop", **REQUIRED})
    token = tenant.client_credentials(api.test_application, api, jkt=holder.jkt).access_token
    settings = ApiSettings.from_resource_server(api.resource_server(), "tenant.example.test")
    url = "https://api.example.test/messages"
    with httpx.Client(transport=tenant.transport()) as http:
        verifier = Verifier(settings, http=http, clock=Clock())
        sent = list(holder.headers("GET", url, token).items())
        assert verifier.verify_request(Request("GET", url, sent)).jkt == holder.jkt
        with pytest.raises(AuthError):
            verifier.verify_request(Request("GET", url, [("Authorization", f"Bearer {token}")]))


# --- proofs at the token endpoint ---------------------------------------------------------------------------

BAD_PROOFS: dict[str, Callable[[Holder], str]] = {
    "no JWT": lambda _: "undefined",
    "two": lambda holder: f"{holder.proof('POST', TOKEN_URL)}, {holder.proof('POST', TOKEN_URL)}",
    "another URL": lambda holder: holder.proof("POST", USERINFO_URL),
    "another host": lambda holder: holder.proof("POST", "https://elsewhere.example.test/oauth/token"),
    "another method": lambda holder: holder.proof("GET", TOKEN_URL),
    "too old": lambda holder: holder.proof("POST", TOKEN_URL, iat=NOW - 91),
    "from the future": lambda holder: holder.proof("POST", TOKEN_URL, iat=NOW + 31),
    "no jti": lambda holder: holder.proof("POST", TOKEN_URL, jti=None),
    "another type": lambda holder: holder.proof("POST", TOKEN_URL, header={"typ": "JWT"}),
    "another algorithm": lambda _: Holder("ES384", clock=lambda: NOW).proof("POST", TOKEN_URL),
}


@pytest.mark.parametrize("make", BAD_PROOFS.values(), ids=BAD_PROOFS)
@pytest.mark.parametrize("policy", [None, {"mechanism": "dpop", **ALLOWED}])
def test_a_proof_that_does_not_hold_is_refused_whether_it_was_needed_or_not(
    tenant: Tenant,
    register: Callable[..., Api],
    call: Call,
    holder: Holder,
    make: Callable[[Holder], str],
    policy: dict[str, Any] | None,
) -> None:
    api = register(proof_of_possession=policy)
    request = for_itself(api.test_application, api)
    answer = call("POST", "oauth/token", data=request, headers={"DPoP": make(holder)})
    assert refusal(answer) == (400, "invalid_dpop_proof")
    assert "DPoP-Nonce" not in answer.headers
    assert call("POST", "oauth/token", data=request, headers={"DPoP": holder.proof("POST", TOKEN_URL)}).is_success


def test_a_proof_may_have_an_ath_that_nobody_looks_at(
    tenant: Tenant, register: Callable[..., Api], call: Call, holder: Holder
) -> None:
    api = register(proof_of_possession={"mechanism": "dpop", **REQUIRED})
    proof = holder.proof("POST", TOKEN_URL, "the.old.token")
    answer = call("POST", "oauth/token", data=for_itself(api.test_application, api), headers={"DPoP": proof})
    assert claims_of(answer)["cnf"] == {"jkt": holder.jkt}


def test_the_proof_is_for_the_address_where_the_application_has_asked(
    tenant: Tenant, register: Callable[..., Api], holder: Holder
) -> None:
    api = register(proof_of_possession={"mechanism": "dpop", **REQUIRED})
    request = for_itself(api.test_application, api)
    with tenant.serve() as server, httpx.Client(trust_env=False) as client:
        here = f"{server.url}oauth/token"
        for target, status in ((here, 200), (here.replace("127.0.0.1", "localhost"), 400), (TOKEN_URL, 400)):
            answer = client.post(here, data=request, headers={"DPoP": holder.proof("POST", target)})
            assert answer.status_code == status
        through_a_proxy = {"DPoP": holder.proof("POST", TOKEN_URL), "Host": "tenant.example.test"}
        assert client.post(here, data=request, headers=through_a_proxy).is_success


def test_confidential_applications_are_never_asked_for_a_nonce(
    tenant: Tenant, register: Callable[..., Api], call: Call, holder: Holder
) -> None:
    api = register(proof_of_possession={"mechanism": "dpop", **REQUIRED})
    headers = {"DPoP": holder.proof("POST", TOKEN_URL, nonce="of somebody else")}
    answer = call("POST", "oauth/token", data=for_itself(api.test_application, api), headers=headers)
    assert (answer.status_code, "DPoP-Nonce" in answer.headers) == (200, False)


# --- public applications: nonces, codes and refresh tokens --------------------------------------------------


class Spa:
    """A single-page application, its API, a user who logs in at it, and the key that it keeps in the browser."""

    def __init__(self, tenant: Tenant, api: Api, call: Call, ann: User, holder: Holder) -> None:
        self.tenant, self.api, self.call, self.ann, self.holder = tenant, api, call, ann, holder
        self.application = create(tenant, "single_page", callbacks=[CALLBACK])
        self.nonce: str | None = None

    def code(self, **query: str) -> str:
        asked = {
            "client_id": self.application.client_id,
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid offline_access",
            "audience": self.api.identifier,
            **CHALLENGE,
            **query,
        }
        with httpx.Client(transport=self.tenant.transport(), base_url=ISSUER) as client:
            return Browser(client).log_in(self.ann.user_id, **asked)["code"]

    def send(self, proof: str | None, **parameters: str) -> httpx.Response:
        return self.call(
            "POST",
            "oauth/token",
            data={"client_id": self.application.client_id, **parameters},
            headers=None if proof is None else {"DPoP": proof},
        )

    def ask(self, *, by: Holder | None = None, **parameters: str) -> httpx.Response:
        """With a proof and, as every client must, once more with the nonce that it is told."""
        holder = by or self.holder
        answer = self.send(holder.proof("POST", TOKEN_URL, nonce=self.nonce), **parameters)
        if answer.json().get("error") == "use_dpop_nonce":
            self.nonce = answer.headers["DPoP-Nonce"]
            answer = self.send(holder.proof("POST", TOKEN_URL, nonce=self.nonce), **parameters)
        return answer

    def redeem(self, code: str, **more: Any) -> httpx.Response:
        parameters = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        return self.ask(**parameters, code=code, **more)

    def refresh(self, token: str, **more: Any) -> httpx.Response:
        return self.ask(grant_type="refresh_token", refresh_token=token, **more)


@pytest.fixture(params=[{"mechanism": "dpop", **REQUIRED}, {"mechanism": "dpop", **ALLOWED}, None])
def policy(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def spa(tenant: Tenant, register: Callable[..., Api], call: Call, ann: User, holder: Holder, policy: Any) -> Spa:
    api = register(proof_of_possession=policy, rbac=True, offline_access=True)
    return Spa(tenant, api, call, ann, holder)


def test_a_public_application_is_told_a_nonce_and_does_not_lose_its_code(spa: Spa, policy: Any) -> None:
    code = spa.code()
    parameters = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    first = spa.send(spa.holder.proof("POST", TOKEN_URL), code=code, **parameters)
    assert (first.status_code, first.json()) == (
        400,
        {
            "error": "use_dpop_nonce",
            "error_description": "Authorization server requires nonce in DPoP proof",
        },
    )
    assert first.headers["Cache-Control"] == "no-store"
    assert "DPoP-Nonce" in first.headers["Access-Control-Expose-Headers"]
    second = spa.redeem(code)
    assert second.status_code == 200
    # For its next proof; RFC 9449 section 8.2.
    assert second.headers["DPoP-Nonce"] == first.headers["DPoP-Nonce"]
    assert second.json()["token_type"] == ("Bearer" if policy is None else "DPoP")


@pytest.mark.parametrize("nonce", ["", "x", "of-another-server", 7])
@pytest.mark.parametrize("policy", [None])
def test_a_nonce_that_is_not_from_here_is_none(spa: Spa, nonce: Any) -> None:
    answer = spa.send(
        spa.holder.proof("POST", TOKEN_URL, nonce=nonce), grant_type="refresh_token", refresh_token="v1.x"
    )
    assert refusal(answer) == (400, "use_dpop_nonce")


@pytest.mark.parametrize("policy", [None])
def test_another_fault_is_told_before_a_nonce_is_asked_for(spa: Spa) -> None:
    answer = spa.send(spa.holder.proof("GET", TOKEN_URL), grant_type="refresh_token", refresh_token="v1.x")
    assert refusal(answer) == (400, "invalid_dpop_proof")


@pytest.mark.parametrize(
    ("later", "status"), [(299, 200), (300, 200), (599, 200), (900, 400)], ids=lambda value: str(value)
)
def test_a_nonce_serves_for_its_time_and_a_little_longer(holder: Holder, later: int, status: int) -> None:
    time = [NOW // 300 * 300]
    tenant = Tenant(ISSUER, clock=lambda: time[0])
    user = tenant.create_user("ann@example.test")
    spa = tenant.create_application("Spa", kind="native", grant_types=["password"])
    holder = Holder(clock=lambda: time[0])
    with httpx.Client(transport=tenant.transport(), base_url=ISSUER) as client:

        def ask(nonce: str | None) -> httpx.Response:
            proof = holder.proof("POST", TOKEN_URL, nonce=nonce)
            return client.post("oauth/token", data=for_a_user(spa, user), headers={"DPoP": proof})

        nonce = ask(None).headers["DPoP-Nonce"]
        time[0] += later
        assert ask(nonce).status_code == status


def test_the_refresh_tokens_of_a_public_application_are_for_the_same_key_alone(spa: Spa, policy: Any) -> None:
    first = spa.redeem(spa.code()).json()
    other = Holder(clock=lambda: NOW)
    for stolen in (
        spa.refresh(first["refresh_token"], by=other),
        spa.send(None, grant_type="refresh_token", refresh_token=first["refresh_token"]),
    ):
        assert refusal(stolen) == (403, "invalid_grant")
    second = spa.refresh(first["refresh_token"])
    assert second.status_code == 200
    assert second.json()["token_type"] == ("Bearer" if policy is None else "DPoP")
    # And so on, with the one that came of it.
    assert refusal(spa.refresh(second.json()["refresh_token"], by=other)) == (403, "invalid_grant")
    assert spa.refresh(second.json()["refresh_token"]).is_success


@pytest.mark.parametrize("policy", [{"mechanism": "dpop", **ALLOWED}])
def test_a_refresh_token_that_is_rotated_with_a_proof_is_bound_from_then_on(spa: Spa) -> None:
    parameters = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    first = spa.send(None, code=spa.code(), **parameters).json()
    assert first["token_type"] == "Bearer"
    second = spa.refresh(first["refresh_token"]).json()
    assert second["token_type"] == "DPoP"
    unproved = spa.send(None, grant_type="refresh_token", refresh_token=second["refresh_token"])
    assert refusal(unproved) == (403, "invalid_grant")


def test_the_refresh_tokens_of_a_confidential_application_are_bound_by_its_secret(
    tenant: Tenant, register: Callable[..., Api], ann: User, holder: Holder
) -> None:
    api = register(proof_of_possession={"mechanism": "dpop", **REQUIRED}, rbac=True, offline_access=True)
    web = tenant.create_application("Web", kind="regular_web")
    first = tenant.authorization_code(web, api, ann, "offline_access", jkt=holder.jkt)
    assert first.refresh_token is not None
    second = tenant.refresh(web, first.refresh_token, jkt=THUMBPRINT)
    assert jwt.decode(second.access_token, options={"verify_signature": False})["cnf"] == {"jkt": THUMBPRINT}
    with pytest.raises(TokenRefused) as refused:
        tenant.refresh(web, first.refresh_token)
    assert refused.value.error == "invalid_request"


@pytest.mark.parametrize("policy", [{"mechanism": "dpop", **REQUIRED}])
def test_what_is_refused_for_want_of_a_proof_leaves_the_refresh_token_good(spa: Spa) -> None:
    bound = spa.redeem(spa.code()).json()["refresh_token"]
    assert refusal(spa.send(None, grant_type="refresh_token", refresh_token=bound)) == (403, "invalid_grant")
    assert spa.refresh(bound).is_success


def test_a_code_may_be_for_one_key(spa: Spa) -> None:
    bound = spa.code(dpop_jkt=spa.holder.jkt)
    assert spa.redeem(bound).is_success
    assert refusal(spa.redeem(spa.code(dpop_jkt=THUMBPRINT))) == (403, "invalid_grant")
    parameters = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    without_a_proof = spa.send(None, code=spa.code(dpop_jkt=spa.holder.jkt), **parameters)
    assert refusal(without_a_proof) == (403, "invalid_grant")


@pytest.mark.parametrize("jkt", ["x", THUMBPRINT + "=", THUMBPRINT[:-1], f"{THUMBPRINT[:-1]}+"])
def test_what_can_be_no_thumbprint_is_refused(tenant: Tenant, browser: Browser, ann: User, jkt: str) -> None:
    with pytest.raises(TenantError) as refused:
        tenant.client_credentials(tenant.applications[0], "x", jkt=jkt)
    assert refused.value.rule is Rule.THUMBPRINT
    spa = create(tenant, "single_page", callbacks=[CALLBACK])
    asked = {"client_id": spa.client_id, "redirect_uri": CALLBACK, "response_type": "code", **CHALLENGE}
    answer = browser.visit(**asked, dpop_jkt=jkt)
    assert answer.status_code == 302
    assert "error=invalid_request" in answer.headers["Location"]


# --- certificates -------------------------------------------------------------------------------------------


@pytest.fixture
def bound_by_certificate(register: Callable[..., Api]) -> Api:
    return register(proof_of_possession={"mechanism": "mtls", **REQUIRED})


def test_a_transport_may_have_a_certificate(tenant: Tenant, bound_by_certificate: Api, holder: Holder) -> None:
    request = for_itself(bound_by_certificate.test_application, bound_by_certificate)
    with httpx.Client(transport=tenant.transport(client_certificate=holder.certificate), base_url=ISSUER) as client:
        answer = client.post("oauth/token", data=request, headers={"Client-Cert": "what a client says of itself"})
    assert claims_of(answer)["cnf"] == {"x5t#S256": holder.x5t}
    assert answer.json()["token_type"] == "DPoP"


@pytest.mark.parametrize("value", ["x", "::", ":x:", "{0}, {0}", "-----BEGIN CERTIFICATE-----"])
def test_a_certificate_that_cannot_be_read_is_refused(
    tenant: Tenant, bound_by_certificate: Api, call: Call, holder: Holder, value: str
) -> None:
    request = for_itself(bound_by_certificate.test_application, bound_by_certificate)
    headers = {"Client-Cert": value.format(holder.client_cert)}
    assert refusal(call("POST", "oauth/token", data=request, headers=headers)) == (400, "invalid_request")


def test_garbage_in_place_of_a_certificate_is_refused(tenant: Tenant, bound_by_certificate: Api) -> None:
    request = for_itself(bound_by_certificate.test_application, bound_by_certificate)
    with httpx.Client(transport=tenant.transport(client_certificate=b"garbage"), base_url=ISSUER) as client:
        assert refusal(client.post("oauth/token", data=request)) == (400, "invalid_request")
    with pytest.raises(TenantError) as refused:
        tenant.client_credentials(bound_by_certificate.test_application, bound_by_certificate, certificate=b"garbage")
    assert refused.value.rule is Rule.CERTIFICATE


def test_the_header_of_another_machine_counts_for_nothing(
    tenant: Tenant, bound_by_certificate: Api, holder: Holder
) -> None:
    from werkzeug.test import Client

    from jwtgate.tenant.endpoints import Endpoints

    request = for_itself(bound_by_certificate.test_application, bound_by_certificate)
    client = Client(Endpoints(tenant))

    def ask(address: str) -> Any:
        environ = {"REMOTE_ADDR": address}
        headers = {"Client-Cert": holder.client_cert}
        return client.post("/oauth/token", base_url=ISSUER, data=request, headers=headers, environ_overrides=environ)

    assert [ask(address).status_code for address in ("127.0.0.1", "::1", "192.0.2.1", "")] == [200, 200, 400, 400]


# --- at /userinfo -------------------------------------------------------------------------------------------


@pytest.fixture
def web(tenant: Tenant) -> Application:
    return tenant.create_application("Web", kind="regular_web", grant_types=["authorization_code"])


@pytest.fixture(params=["opaque", "for an API too"])
def audience(request: pytest.FixtureRequest, register: Callable[..., Api]) -> Api | None:
    return None if request.param == "opaque" else register(proof_of_possession={"mechanism": "dpop", **ALLOWED})


def test_a_bound_token_needs_its_proof_at_userinfo(
    tenant: Tenant, call: Call, ann: User, web: Application, holder: Holder, audience: Api | None
) -> None:
    token = tenant.authorization_code(web, audience, ann, "openid", jkt=holder.jkt).access_token
    answer = call("GET", "userinfo", headers=holder.headers("GET", USERINFO_URL, token))
    assert answer.json() == {"sub": ann.user_id}
    bare = call("GET", "userinfo", headers={"Authorization": f"Bearer {token}"})
    assert (bare.status_code, bare.headers["WWW-Authenticate"]) == (401, 'Bearer error="invalid_token"')
    for name in ("missing", "another_token", "another_url", "another_method", "stale"):
        refused = call("GET", "userinfo", headers=holder.broken(name, "GET", USERINFO_URL, token))
        challenge = 'DPoP error="invalid_dpop_proof", algs="ES256"'
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, challenge)
    strange = call("GET", "userinfo", headers=Holder(clock=lambda: NOW).headers("GET", USERINFO_URL, token))
    challenge = 'DPoP error="invalid_token", algs="ES256"'
    assert (strange.status_code, strange.headers["WWW-Authenticate"]) == (401, challenge)
    with pytest.raises(TokenRefused):
        tenant.userinfo(token)


def test_a_token_that_is_bound_to_nobody_is_none_for_dpop(
    tenant: Tenant, call: Call, ann: User, web: Application, holder: Holder, audience: Api | None
) -> None:
    token = tenant.authorization_code(web, audience, ann, "openid").access_token
    assert call("GET", "userinfo", headers={"Authorization": f"Bearer {token}"}).is_success
    answer = call("GET", "userinfo", headers=holder.headers("GET", USERINFO_URL, token))
    assert refusal(answer) == (401, "invalid_token")


@pytest.mark.parametrize("scheme", ["Bearer", "DPoP", "dpop"])
def test_a_token_that_is_bound_to_a_certificate_comes_under_either_scheme(
    tenant: Tenant, register: Callable[..., Api], call: Call, ann: User, web: Application, holder: Holder, scheme: str
) -> None:
    api = register(proof_of_possession={"mechanism": "mtls", **REQUIRED})
    token = tenant.authorization_code(web, api, ann, "openid", certificate=holder.certificate).access_token
    headers = {"Authorization": f"{scheme} {token}"}
    assert call("GET", "userinfo", headers={**headers, "Client-Cert": holder.client_cert}).is_success
    for wrong in ({}, {"Client-Cert": Holder().client_cert}):
        assert refusal(call("GET", "userinfo", headers={**headers, **wrong})) == (401, "invalid_token")


@pytest.mark.parametrize("confirmation", [{}, {"jku": "x"}, "x", 7, {"jkt": 7}, {"x5t#S256": None, "jkt": None}])
def test_a_binding_that_nobody_understands_is_no_binding_that_holds(
    tenant: Tenant, register: Callable[..., Api], call: Call, ann: User, web: Application, confirmation: Any
) -> None:
    api = register()
    claims = tenant.claims(web, api, "openid", user=ann)
    token = tenant.sign({**claims, "cnf": confirmation}, api=api)
    answer = call("GET", "userinfo", headers={"Authorization": f"DPoP {token}"})
    expected = 200 if confirmation == {} else 401
    assert answer.status_code == expected


# --- the settings -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "rule", "value"),
    [
        ({"mechanism": "magic", "required": True}, Rule.POSSESSION_MECHANISM, "magic"),
        ({"mechanism": ["dpop"], "required": True}, Rule.POSSESSION_MECHANISM, ["dpop"]),
        ({"mechanism": "none", "required": False}, Rule.POSSESSION_MECHANISM, "none"),
        ({"mechanism": "dpop", "required": "true"}, Rule.POSSESSION_REQUIRED, "true"),
        ({"mechanism": "dpop", "required": None}, Rule.POSSESSION_REQUIRED, None),
        (
            {"mechanism": "dpop", "required": True, "required_for": "some"},
            Rule.POSSESSION_REQUIRED_FOR,
            "some",
        ),
        (
            {"mechanism": "mtls", "required": True, "required_for": "public_clients"},
            Rule.POSSESSION_REQUIRED_FOR,
            "public_clients",
        ),
        ({"mechanism": "dpop", "required": True, "for": "all"}, Rule.MEMBERS, "for"),
        ({"mechanism": "dpop"}, Rule.MEMBER_MISSING, None),
        ({"required": True}, Rule.MEMBER_MISSING, None),
        ({}, Rule.MEMBER_MISSING, None),
        ("dpop", Rule.MEMBERS, "str"),
        (True, Rule.MEMBERS, "bool"),
    ],
)
def test_a_setting_that_breaks_its_rule_is_refused(setting: Any, rule: Rule, value: object) -> None:
    tenant = Tenant()
    with pytest.raises(TenantError) as refused:
        tenant.register_api("https://api.example.test/", proof_of_possession=setting)
    assert (refused.value.rule, refused.value.value) == (rule, value)
    assert str(refused.value)
    api = tenant.register_api("https://api.example.test/")
    with pytest.raises(TenantError):
        tenant.update_api(api, proof_of_possession=setting)


@pytest.mark.parametrize(
    "setting",
    [
        {"mechanism": "dpop", "required": True, "required_for": "public_clients"},
        {"mechanism": "dpop", "required": False, "required_for": "all_clients"},
        {"mechanism": "mtls", "required": True, "required_for": "all_clients"},
    ],
)
def test_the_setting_is_told_as_the_management_api_tells_it(setting: dict[str, Any]) -> None:
    tenant = Tenant()
    api = tenant.register_api("https://api.example.test/", proof_of_possession=setting)
    assert api.resource_server()["proof_of_possession"] == setting
    assert api.proof_of_possession == ProofOfPossession(**setting)
    same = tenant.register_api("https://other.example.test/", proof_of_possession=api.proof_of_possession)
    assert same.proof_of_possession == api.proof_of_possession


def test_it_can_be_switched_on_and_off_and_stays_when_nothing_is_said() -> None:
    tenant = Tenant()
    api = tenant.register_api("https://api.example.test/", proof_of_possession=None)
    assert "proof_of_possession" not in api.resource_server()
    on = tenant.update_api(api, proof_of_possession={"mechanism": "dpop", "required": True})
    assert on.resource_server()["proof_of_possession"]["required_for"] == "all_clients"
    assert tenant.update_api(api, token_lifetime=60).proof_of_possession == on.proof_of_possession
    assert tenant.update_api(api, proof_of_possession=False).proof_of_possession is None


def test_the_management_api_may_bind_its_tokens() -> None:
    tenant = Tenant()
    changed = tenant.update_api(tenant.management_api, proof_of_possession={"mechanism": "dpop", "required": True})
    assert changed.proof_of_possession == ProofOfPossession(mechanism="dpop", required=True)


def test_an_application_can_be_told_to_show_its_key(tenant: Tenant, register: Callable[..., Api]) -> None:
    api = register(proof_of_possession={"mechanism": "dpop", **ALLOWED})
    application = machine(tenant, api)
    assert tenant.client_credentials(application, api).token_type == "Bearer"
    told = tenant.update_application(application, require_proof_of_possession=True)
    assert told.require_proof_of_possession
    with pytest.raises(TokenRefused) as refused:
        tenant.client_credentials(application, api)
    assert refused.value.status == 400
