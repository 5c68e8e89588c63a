"""Who sent it: every kind of proof, against values made by other means than the relay's own."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from conversion_relay.delivery import Delivery, Refused
from conversion_relay.sources import custom
from conversion_relay.sources.custom.verification import sign, verify
from tests.unit.sources.platforms import NOW_MS, definition, platform, posted

NOW_S = NOW_MS // 1000
BODY = '{"id":"é","b":"{time}"}'.encode()


def refused(delivery: Delivery, secrets: list[str], now_ms: int = NOW_MS, **keys: Any) -> str:
    with pytest.raises(Refused) as problem:
        verify(platform(**keys), delivery, secrets, now_ms)
    assert problem.value.status == 401
    # A short one may be a word of the sentence.
    assert not [secret for secret in secrets if len(secret) > 6 and secret in problem.value.detail]
    return problem.value.reason


def with_headers(**headers: str) -> Delivery:
    return posted(BODY, headers={name.replace("_", "-"): value for name, value in headers.items()})


# HMAC -----------------------------------------------------------------------------------------------------------------


def test_github_s_published_example() -> None:
    # docs.github.com, "Validating webhook deliveries": secret, payload and signature for testing
    verify(
        platform(verify={"kind": "hmac", "header": "X-Hub-Signature-256", "prefix": "sha256="}),
        posted(
            b"Hello, World!",
            headers={"x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
        ),
        ["It's a Secret to Everybody"],
        NOW_MS,
    )


# RFC 4231, test case 2, and RFC 2202 for SHA-1: key "Jefe", data "what do ya want for nothing?"
RFC = {
    "sha1": "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
    "sha256": "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    "sha512": "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6f"
    "dcaeab1a34d4a6b4b636e070a38bce737",
}


@pytest.mark.parametrize("encoding", ["hex", "base64"])
@pytest.mark.parametrize("algorithm", RFC)
def test_published_hmac_vectors(algorithm: str, encoding: str) -> None:
    given = RFC[algorithm] if encoding == "hex" else base64.b64encode(bytes.fromhex(RFC[algorithm])).decode()
    how = {"kind": "hmac", "header": "X-S", "algorithm": algorithm, "encoding": encoding}
    delivery = posted(b"what do ya want for nothing?", headers={"x-s": given})

    verify(platform(verify=how), delivery, ["other", "Jefe"], NOW_MS)
    assert refused(delivery, ["Jefe2"], verify=how) == "signature_wrong"
    assert refused(replace(delivery, body=b"what do ya want for nothing!"), ["Jefe"], verify=how) == "signature_wrong"


HUBSPOT = {
    "kind": "hmac", "header": "X-HubSpot-Signature-v3", "encoding": "base64", "content": "{method}{url}{body}{time}",
    "time": {"header": "X-HubSpot-Request-Timestamp", "unit": "ms"},
}  # fmt: skip


def hubspot(url: str = "https://hooks.example.com/hubspot?a=b", time_ms: int = NOW_MS, body: bytes = BODY) -> Delivery:
    made = hmac.new(b"secret", b"POST" + url.encode() + body + str(time_ms).encode(), hashlib.sha256).digest()
    return Delivery(
        "POST",
        "/hubspot",
        "a=b",
        {"x-hubspot-signature-v3": base64.b64encode(made).decode(), "x-hubspot-request-timestamp": str(time_ms)},
        BODY,
        "https://hooks.example.com",
    )


def test_method_address_body_and_time_are_signed_as_hubspot_signs() -> None:
    verify(platform(verify=HUBSPOT), hubspot(), ["secret"], NOW_MS)

    assert (
        refused(hubspot("https://elsewhere.example.com/hubspot?a=b"), ["secret"], verify=HUBSPOT) == "signature_wrong"
    )
    assert refused(hubspot(time_ms=NOW_MS - 300_001), ["secret"], verify=HUBSPOT) == "timestamp_too_old"
    assert refused(hubspot(time_ms=NOW_MS + 300_001), ["secret"], verify=HUBSPOT) == "timestamp_ahead"
    headers = {**hubspot().headers, "x-hubspot-request-timestamp": "soon"}
    assert refused(replace(hubspot(), headers=headers), ["secret"], verify=HUBSPOT) == "signature_malformed"


CALENDLY = {
    "kind": "hmac", "header": "Calendly-Webhook-Signature", "content": "{time}.{body}", "tolerance_seconds": 180,
    "fields": {"time": "t", "signature": "v1"},
}  # fmt: skip


def calendly(time: str = str(NOW_S), *more: str) -> str:
    made = hmac.new(b"secret", f"{time}.".encode() + BODY, hashlib.sha256).hexdigest()
    return ",".join([f"t={time}", *more, f"v1={made}"])


def test_time_and_signatures_in_one_header() -> None:
    def delivery(header: str) -> Delivery:
        return posted(BODY, headers={"calendly-webhook-signature": header})

    for header in (calendly(), calendly(str(NOW_S), "v1=00", "v0=11").replace(",", ", "), calendly(str(NOW_S - 180))):
        verify(platform(verify=CALENDLY), delivery(header), ["secret", "old"], NOW_MS)
    assert {
        header: refused(delivery(header), ["secret"], verify=CALENDLY)
        for header in ("", "t=1", "v1=00", calendly().replace("v1", "v0"), calendly(str(NOW_S - 181)), calendly() + "0")
    } == {
        "": "signature_missing",
        "t=1": "signature_malformed",
        "v1=00": "signature_malformed",
        calendly().replace("v1", "v0"): "signature_malformed",
        calendly(str(NOW_S - 181)): "timestamp_too_old",
        calendly() + "0": "signature_wrong",
    }


def test_a_prefix_belongs_to_the_signature() -> None:
    how = {"kind": "hmac", "header": "X-S", "prefix": "sha256="}
    right = sign(platform(verify=how), posted(BODY), "s", NOW_MS).headers["x-s"]

    for wrong in (right.removeprefix("sha256="), right.upper(), "sha256="):
        assert refused(with_headers(x_s=wrong), ["s"], verify=how) == "signature_malformed"
    assert refused(with_headers(x_s="sha256=é\udc80"), ["s"], verify=how) == "signature_wrong"


# Standard Webhooks ----------------------------------------------------------------------------------------------------

STANDARD = {"kind": "standard_webhooks"}
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_standard_webhooks_published_example() -> None:
    # The vector of the specification's own libraries
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }

    verify(platform(verify=STANDARD), posted(b'{"test": 2432232314}', headers=headers), [WHSEC], 1_614_265_330_000)


@pytest.mark.parametrize("family", ["webhook", "svix"])
def test_what_the_relay_signs_the_official_library_takes_and_the_other_way_round(family: str) -> None:
    how = {**STANDARD, "headers": family}
    now = datetime.now(UTC)
    now_ms = int(now.timestamp() * 1000)

    signed = sign(platform(verify=how), posted(BODY), WHSEC, now_ms, "msg_2")

    Webhook(WHSEC).verify(BODY, {k.replace("svix", "webhook"): v for k, v in signed.headers.items()}, json_parse=False)
    headers = {
        f"{family}-id": "msg_3",
        f"{family}-timestamp": str(int(now.timestamp())),
        f"{family}-signature": "v1a,xx " + Webhook(WHSEC).sign("msg_3", now, BODY.decode()),
    }
    verify(platform(verify=how), posted(BODY, headers=headers), ["no base64 at all", WHSEC], now_ms)
    with pytest.raises(WebhookVerificationError):
        Webhook(WHSEC).verify(BODY + b" ", headers | {"webhook-id": "msg_3"}, json_parse=False)


def test_a_wrong_standard_webhook_is_refused() -> None:
    right = sign(platform(verify=STANDARD), posted(BODY), WHSEC, NOW_MS)

    def changed(**headers: str) -> Delivery:
        return replace(right, headers={**right.headers, **{f"webhook-{k}": v for k, v in headers.items()}})

    assert refused(posted(BODY), [WHSEC], verify=STANDARD) == "signature_missing"
    assert refused(changed(id="msg_9"), [WHSEC], verify=STANDARD) == "signature_wrong"
    assert refused(changed(signature="v1"), [WHSEC], verify=STANDARD) == "signature_wrong"
    assert refused(changed(timestamp="now"), [WHSEC], verify=STANDARD) == "signature_malformed"
    assert refused(changed(timestamp="9" * 14), [WHSEC], verify=STANDARD) == "signature_wrong"
    assert refused(replace(right, body=b"\xff"), [WHSEC], verify=STANDARD) == "signature_wrong"
    assert refused(right, ["whsec_x"], verify=STANDARD) == "signature_wrong"
    assert refused(right, ["whsec_"], verify=STANDARD) == "signature_wrong"
    assert refused(right, [WHSEC], NOW_MS + 301_000, verify=STANDARD) == "timestamp_too_old"
    assert refused(right, [WHSEC], NOW_MS - 301_000, verify=STANDARD) == "timestamp_ahead"


# Tokens ---------------------------------------------------------------------------------------------------------------

TOKENS: Mapping[str, tuple[dict[str, Any], Delivery]] = {
    "header": ({"verify": {"kind": "header", "header": "X-Token"}}, with_headers(x_token="user:s3cret")),
    "bearer": (
        {"verify": {"kind": "header", "header": "Authorization", "prefix": "Bearer "}},
        with_headers(authorization="Bearer user:s3cret"),
    ),
    "basic": (
        {"verify": {"kind": "basic"}},
        with_headers(authorization="basic " + base64.b64encode(b"user:s3cret").decode()),
    ),
    "url": (
        {"verify": {"kind": "url_token", "parameter": "token"}},
        posted(BODY, query="a=b&token=user%3As3cret&token=x"),
    ),
    "body": (
        {"verify": {"kind": "body_token", "field": "auth.token"}},
        posted({"auth": {"token": "user:s3cret"}}),
    ),
    "form": (
        {"verify": {"kind": "body_token", "field": "token"}, "body": "form"},
        posted(b"a=b&token=user%3As3cret"),
    ),
}


@pytest.mark.parametrize("kind", TOKENS)
def test_a_token_is_one_of_the_secrets_or_nothing(kind: str) -> None:
    keys, delivery = TOKENS[kind]

    verify(platform(**keys), delivery, ["user:s3cret"], NOW_MS)
    verify(platform(**keys), delivery, ["new", "user:s3cret"], NOW_MS)
    assert refused(delivery, ["user:s3cre"], **keys) == "token_wrong"
    assert refused(posted(b"", headers={"x-other": "user:s3cret"}), ["user:s3cret"], **keys) == "token_missing"


@pytest.mark.parametrize(
    ("kind", "delivery"),
    [
        ("bearer", with_headers(authorization="user:s3cret")),
        ("bearer", with_headers(authorization="Bearer ")),
        ("basic", with_headers(authorization="Bearer dXNlcjpzM2NyZXQ=")),
        ("basic", with_headers(authorization="Basic ?")),
        ("basic", with_headers(authorization="Basic /w==")),
        ("url", posted(BODY, query="token=")),
        ("url", posted(BODY, query="token&token=user:s3cret")),
        ("body", posted({"auth": {"token": 5}})),
        ("body", posted({"auth": "token"})),
        ("body", posted([{"auth": {"token": "user:s3cret"}}] * 2)),
        ("body", posted([])),
        ("body", posted(b'{"auth": {"token": "user:s3cret"}, "x": "' + b"x" * 1_000_000 + b'"}')),
        ("body", posted(b"[" * 100_000)),
        ("form", posted(b"token=%FF")),
    ],
)
def test_a_token_that_cannot_be_read_is_missing(kind: str, delivery: Delivery) -> None:
    assert refused(delivery, ["user:s3cret"], **TOKENS[kind][0]) == "token_missing"


@pytest.mark.parametrize("beside", ["city=M%FCnchen", "a=b&" * 1001])
def test_a_token_is_found_in_a_query_that_is_odd_elsewhere(beside: str) -> None:
    verify(platform(**TOKENS["url"][0]), posted(BODY, query=f"{beside}&token=user%3As3cret"), ["user:s3cret"], NOW_MS)


def test_an_empty_secret_opens_nothing() -> None:
    assert refused(with_headers(x_token=""), [""], verify={"kind": "header", "header": "X-Token"}) == "token_missing"


def test_a_method_that_the_platform_does_not_use_is_refused() -> None:
    verify(platform(), with_headers(x_token="s"), ["s"], NOW_MS)

    with pytest.raises(Refused) as problem:
        verify(platform(), replace(with_headers(x_token="s"), method="GET"), ["s"], NOW_MS)
    assert (problem.value.status, problem.value.reason) == (405, "method_not_allowed")


ALL = {
    **{kind: keys for kind, (keys, _) in TOKENS.items()},
    "hmac": {"verify": {"kind": "hmac", "header": "X-S", "encoding": "base64", "prefix": "v1="}},
    "hubspot": {"verify": HUBSPOT},
    "seconds": {"verify": {**HUBSPOT, "time": {"header": "X-Time"}}},
    "calendly": {"verify": CALENDLY},
    "standard": {"verify": STANDARD},
    "svix": {"verify": {**STANDARD, "headers": "svix"}},
}


@pytest.mark.parametrize("kind", ALL)
def test_what_is_signed_here_is_verified_here_through_the_source(kind: str) -> None:
    body = b"a=b" if kind == "form" else b'{"id":1}'
    signed = sign(platform(**ALL[kind]), posted(body), WHSEC, NOW_MS)

    custom.source("acme", definition(**ALL[kind])).verify(signed, ["other", WHSEC], NOW_MS)
    assert refused(signed, ["other"], **ALL[kind]) in ("signature_wrong", "token_wrong")


# The handshake --------------------------------------------------------------------------------------------------------


def answered(delivery: Delivery, **keys: Any) -> Any:
    return custom.source("acme", definition(**keys)).handshake(delivery)


HEADER = {"handshake": {"kind": "header", "request": "Validation-Token", "response": "Validation-Token"}}
QUERY = {"handshake": {"kind": "query", "parameter": "hub.challenge"}, "methods": ["GET", "POST"]}
IN_BODY = {"handshake": {"kind": "body", "field": "challenge", "when": "type == 'url_verification'"}}
CHALLENGE = {"type": "url_verification", "challenge": "3eZbrw1aB"}


def test_a_header_is_sent_back() -> None:
    answer = answered(posted(b"", headers={"validation-token": "0f1e-2d3c"}), **HEADER)

    assert (answer.headers, answer.text) == ({"Validation-Token": "0f1e-2d3c"}, "")


def test_a_query_parameter_is_sent_back() -> None:
    answer = answered(posted(b"", method="GET", query="hub.mode=x&hub.challenge=115%3D8"), **QUERY)

    assert (answer.headers, answer.text) == ({}, "115=8")


def test_a_field_of_the_body_is_sent_back() -> None:
    answer = answered(posted(CHALLENGE), **IN_BODY)

    assert (answer.headers, answer.text) == ({}, "3eZbrw1aB")


@pytest.mark.parametrize(
    ("delivery", "keys"),
    [
        (posted(b"", headers={}), HEADER),
        (posted(b"{}", headers={"validation-token": "a"}), HEADER),  # a delivery is never swallowed
        (posted(b"", query="id=1", headers={"validation-token": "a"}), {**HEADER, "body": "query"}),
        (posted(b"", method="PUT", headers={"validation-token": "a"}), HEADER),
        (posted(b"", headers={"validation-token": "x" * 513}), HEADER),
        (posted(b"", headers={"validation-token": "a\r\nset-cookie: b"}), HEADER),
        (posted(b"", headers={"validation-token": "<script>"}), HEADER),
        (posted(b"", query="hub.challenge=1"), QUERY),
        (posted(b"", method="GET", query="hub.challenge=%3Cscript%3E"), QUERY),
        (posted(b"", method="GET"), QUERY),
        (posted({**CHALLENGE, "type": "event"}), IN_BODY),
        (posted({**CHALLENGE, "challenge": "a b"}), IN_BODY),
        (posted({**CHALLENGE, "more": "x" * 4000}), IN_BODY),
        (posted(b"not JSON"), IN_BODY),
        (posted(b"", headers={"validation-token": "a"}), {}),
    ],
)
def test_nothing_else_is_sent_back(delivery: Delivery, keys: dict[str, Any]) -> None:
    assert answered(delivery, **keys) is None
