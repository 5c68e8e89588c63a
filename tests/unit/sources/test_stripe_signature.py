"""Stripe's signature: what is accepted, what is refused with 400, and that the official library agrees."""

import hmac
import time

import pytest
import stripe as official

from conversion_relay.delivery import Delivery, Refused
from conversion_relay.sources import stripe
from tests.unit.sources.stripe_deliveries import NOW_MS, NOW_S, SECRET, a_delivery, a_payload

BODY = b'{\n  "id": "evt_1",\n  "object": "event"\n}'
SECRETS = ("whsec_new", "whsec_old")


def delivery(header: str | None, body: bytes = BODY) -> Delivery:
    return Delivery("POST", "/", "", {} if header is None else {"stripe-signature": header}, body)


def v1(secret: str = SECRETS[0], at_s: int = NOW_S, body: bytes = BODY) -> str:
    return stripe.sign(body, secret, at_s).partition(",")[2]


def refusal(header: str | None, *, now_ms: int = NOW_MS, body: bytes = BODY) -> tuple[str, int]:
    with pytest.raises(Refused) as refused:
        stripe.verify(delivery(header, body), SECRETS, now_ms)
    return refused.value.reason, refused.value.status


@pytest.mark.parametrize("secret", SECRETS)
def test_every_active_secret_verifies(secret: str) -> None:
    stripe.verify(delivery(stripe.sign(BODY, secret, NOW_S)), SECRETS, NOW_MS)


@pytest.mark.parametrize(
    "header",
    [
        f"t={NOW_S},v1={'0' * 64},{v1()}",
        f"t={NOW_S},{v1()},v1={'0' * 64}",
        f"t={NOW_S},{v1(SECRETS[1])},{v1()}",
        f"{v1()},t={NOW_S}",
        f" t={NOW_S} , {v1()} ",
        f"t={NOW_S},{v1()},v0={'0' * 64},v2=x,novalue",
    ],
    ids=["wrong and right", "right and wrong", "rolled", "time last", "blanks", "other schemes"],
)
def test_any_v1_will_do(header: str) -> None:
    stripe.verify(delivery(header), SECRETS, NOW_MS)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "signature_missing"),
        ("", "signature_missing"),
        ("x", "signature_malformed"),
        (v1(), "signature_malformed"),
        (f"t=,{v1()}", "signature_malformed"),
        (f"t=abc,{v1()}", "signature_malformed"),
        (f"t=-1,{v1()}", "signature_malformed"),
        (f"t={'9' * 13},{v1()}", "signature_malformed"),
        (f"t=١٢٣,{v1()}", "signature_malformed"),
        (f"t={NOW_S}", "signature_malformed"),
        (f"t={NOW_S},v1=", "signature_malformed"),
        (f"t={NOW_S},{v1().replace('v1', 'v0')}", "signature_malformed"),
        (f"t={NOW_S},v1={'0' * 64}", "signature_wrong"),
        (f"t={NOW_S},v1=é\ud800", "signature_wrong"),
        (f"t={NOW_S},{v1().upper().replace('V1', 'v1')}", "signature_wrong"),
        (f"t={NOW_S},{v1('whsec_other')}", "signature_wrong"),
        (f"t={NOW_S + 1},{v1()}", "signature_wrong"),
    ],
)
def test_refused_with_400(header: str | None, reason: str) -> None:
    assert refusal(header) == (reason, 400)


def test_altered_body_is_refused() -> None:
    assert refusal(stripe.sign(BODY, SECRETS[0], NOW_S), body=BODY + b" ") == ("signature_wrong", 400)


def test_no_secret_verifies_nothing() -> None:
    with pytest.raises(Refused, match="signing secret"):
        stripe.verify(delivery(stripe.sign(BODY, "", NOW_S)), (), NOW_MS)


@pytest.mark.parametrize("off_s", [-300, -299, 0, 299, 300])
@pytest.mark.parametrize("rest_ms", [0, 999])
def test_within_five_minutes_on_either_side(off_s: int, rest_ms: int) -> None:
    stripe.verify(delivery(stripe.sign(BODY, SECRETS[0], NOW_S + off_s)), SECRETS, NOW_MS + rest_ms)


@pytest.mark.parametrize(
    ("off_s", "reason"), [(-301, "timestamp_too_old"), (301, "timestamp_ahead"), (3600, "timestamp_ahead")]
)
def test_beyond_five_minutes_on_either_side(off_s: int, reason: str) -> None:
    assert refusal(stripe.sign(BODY, SECRETS[0], NOW_S + off_s)) == (reason, 400)


def test_signature_is_compared_in_constant_time_with_every_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []
    monkeypatch.setattr(hmac, "compare_digest", lambda ours, given: not compared.append(ours) and ours == given)

    stripe.verify(delivery(f"t={NOW_S},{v1()},v1={'0' * 64}"), SECRETS, NOW_MS)

    assert len(compared) == 4


# The official library -------------------------------------------------------------------------------------------------


def official_takes(header: str, body: bytes, secret: str) -> bool:
    try:
        return bool(official.WebhookSignature.verify_header(body.decode(), header, secret, tolerance=300))
    except official.SignatureVerificationError:
        return False


def ours_takes(header: str, body: bytes, secret: str, now_ms: int) -> bool:
    try:
        stripe.verify(delivery(header, body), [secret], now_ms)
    except Refused:
        return False
    return True


@pytest.mark.parametrize("text", ["{}", '{"é": "👟 \\u0026"}', BODY.decode(), "", "x" * 100_000])
def test_the_official_library_takes_what_is_signed_here(text: str) -> None:
    assert official_takes(stripe.sign(text.encode(), SECRET, int(time.time())), text.encode(), SECRET)


def test_the_official_library_signs_what_is_taken_here() -> None:
    body = BODY.decode()
    made = official.WebhookSignature._compute_signature(f"{NOW_S}.{body}", SECRET)

    stripe.verify(delivery(f"t={NOW_S},v1={made}"), [SECRET], NOW_MS)


def test_both_refuse_and_take_the_same_but_for_a_time_ahead() -> None:
    now_s = int(time.time())
    for off_s in (-400, -200, 0, 200):
        good = stripe.sign(BODY, SECRET, now_s + off_s)
        signature = good.partition("v1=")[2]
        for header in (
            good, good.replace("v1", "v0"), f"{good},v0={signature}", f"{good},v1={'0' * 64}", good[:-1], good + "0",
            f"t={now_s + off_s}", f"v1={signature}", f"t=x,v1={signature}", "x",
            f"t={now_s + off_s},v1={signature.upper()}",
        ):  # fmt: skip
            for body, secret in ((BODY, SECRET), (BODY + b" ", SECRET), (BODY, "other")):
                assert ours_takes(header, body, secret, now_s * 1000) == official_takes(header, body, secret), header
    ahead = stripe.sign(BODY, SECRET, now_s + 3600)
    assert (ours_takes(ahead, BODY, SECRET, now_s * 1000), official_takes(ahead, BODY, SECRET)) == (False, True)


# Who and which --------------------------------------------------------------------------------------------------------


def test_delivery_is_named_by_its_event() -> None:
    assert stripe.SOURCE.delivery_id(a_delivery(a_payload("01"))) == "evt_1SNTest0001Qz8LkdIwHu7i"


@pytest.mark.parametrize(
    ("body", "tenant"),
    [
        (b'{"id": "evt_1", "account": "acct_1A"}', "acct_1A"),
        (b'{"id": "evt_1", "context": "acct_1A"}', "acct_1A"),
        (b'{"id": "evt_1", "context": "org_1/acct_1A"}', "acct_1A"),
        (b'{"id": "evt_1", "data": {"object": {"account": "acct_1A"}}}', None),
        (b'{"id": "evt_1", "account": "jane@example.com"}', None),
        (b'{"id": "evt_1", "account": null}', None),
        (b"[]", None),
        (b"\xff", None),
        (b'{"account": "acct_1A", "x": "' + b"x" * 1_000_000 + b'"}', None),
    ],
)
def test_tenant_is_a_connected_account_or_nothing(body: bytes, tenant: str | None) -> None:
    assert stripe.SOURCE.tenant(delivery(None, body)) == tenant


@pytest.mark.parametrize(
    "body", [b"", b"\xff\x00", b'{"id": "cus_1"}', b'{"id": "evt_jane@example.com"}', b" " * 9_000]
)
def test_what_has_no_event_id_has_no_name(body: bytes) -> None:
    assert stripe.SOURCE.delivery_id(delivery(None, body)) is None
