"""How the call platforms prove who they are: what is accepted, what is refused, and whose key speaks for whom."""

import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest

from conversion_relay.delivery import Delivery, Refused
from conversion_relay.receive import Receiver
from conversion_relay.secrets import Secrets
from conversion_relay.settings import Settings
from conversion_relay.sources import callrail, calltrackingmetrics, twilio, whatconverts
from tests.fakes import BrokenLedger, BrokenParking
from tests.unit.sources.call_deliveries import CALL, NOW_MS, SECRET, delivery
from tools.in_memory import InMemoryLedger, InMemoryParking, KnownSecrets
from tools.sources import SOURCES

STATUS = {"callrail": 401, "ctm": 401, "whatconverts": 401, "twilio": 403}
HEADER = {
    "callrail": "signature",
    "ctm": "x-ctm-signature",
    "whatconverts": "authorization",
    "twilio": "x-twilio-signature",
}
every_platform = pytest.mark.parametrize("source", CALL)
whoever_signs = pytest.mark.parametrize("source", [each for each in CALL if each != "whatconverts"])


def with_headers(given: Delivery, **headers: str | None) -> Delivery:
    changed = {**given.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return replace(given, headers={name: value for name, value in changed.items() if value is not None})


def refusal(source: str, given: Delivery, *secrets: str) -> tuple[str, int]:
    with pytest.raises(Refused) as refused:
        SOURCES[source].verify(given, secrets or (SECRET,), NOW_MS)
    return refused.value.reason, refused.value.status


@every_platform
@pytest.mark.parametrize("secret", ["new", "old", "ключ ключа", "é"])
def test_every_active_secret_verifies(source: str, secret: str) -> None:
    SOURCES[source].verify(delivery(CALL[source], secret), ("new", "old", "ключ ключа", "é"), NOW_MS)


@every_platform
@pytest.mark.parametrize("value", [None, ""])
def test_without_a_signature_it_is_refused(source: str, value: str | None) -> None:
    given = with_headers(delivery(CALL[source]), **{HEADER[source]: value})

    assert refusal(source, given) == ("signature_missing", STATUS[source])


@every_platform
@pytest.mark.parametrize(
    "value", ["x", "é", "\ud800", "Bearer \udfff", "Bearer x", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "ı" * 9_000]
)
def test_wrong_signature_is_refused_whatever_text_it_is(source: str, value: str) -> None:
    reason, status = refusal(source, with_headers(delivery(CALL[source]), **{HEADER[source]: value}))

    assert reason in ("signature_wrong", "signature_missing")
    assert status == STATUS[source]


@whoever_signs
def test_good_signature_in_other_letters_or_cut_is_refused(source: str) -> None:
    good = delivery(CALL[source]).headers[HEADER[source]]

    for other in (good.lower(), good[:-1], good + "=", good + " x"):
        given = with_headers(delivery(CALL[source]), **{HEADER[source]: other})
        assert refusal(source, given) == ("signature_wrong", STATUS[source])


@whoever_signs
def test_altered_body_is_refused(source: str) -> None:
    given = delivery(CALL[source])

    assert refusal(source, replace(given, body=given.body + b" ")) == ("signature_wrong", STATUS[source])


@every_platform
def test_signed_with_another_secret_or_with_none_configured_it_is_refused(source: str) -> None:
    given = delivery(CALL[source], "another secret")

    assert refusal(source, given) == ("signature_wrong", STATUS[source])
    with pytest.raises(Refused):
        SOURCES[source].verify(given, (), NOW_MS)


@every_platform
def test_every_secret_is_compared_also_after_a_match(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []
    monkeypatch.setattr(hmac, "compare_digest", lambda ours, given: not compared.append(ours) and ours == given)

    SOURCES[source].verify(delivery(CALL[source]), (SECRET, "second", "third"), NOW_MS)

    assert len(compared) == (6 if source == "twilio" else 3)  # Twilio's with and without the port


# Whose key speaks for whom --------------------------------------------------------------------------------------------

TENANT = {"callrail": "COM2b7e4f19", "ctm": "612044", "whatconverts": "60044", "twilio": "harbour"}
OTHER: dict[str, dict[str, Any]] = {
    "callrail": {"company_resource_id": "COMother"},
    "ctm": {"account_id": 999},
    "whatconverts": {"profile_id": 999},
    "twilio": {"?": "tenant=other"},
}


def receiver(source: str, secrets: str, ledger: InMemoryLedger | None = None) -> Receiver:
    return Receiver(
        SOURCES[source],
        Secrets(lambda _: secrets),
        InMemoryLedger() if ledger is None else ledger,
        InMemoryParking(),
        Settings(),
        lambda: NOW_MS,
    )


@every_platform
def test_one_company_s_key_signs_nothing_of_another(source: str) -> None:
    ledger = InMemoryLedger()
    of_both = receiver(
        source, f"[{TENANT[source]}] key of the one\n[other] key of another\n[COMother] x\n[999] y", ledger
    )

    own = of_both.receive(delivery(CALL[source], "key of the one"))
    crossed = of_both.receive(delivery(CALL[source], "key of another"))
    stranger = of_both.receive(delivery(CALL[source], "key of the one", **OTHER[source]))

    assert own.kind == "recorded"
    assert [(each.kind, each.http, each.reason) for each in (crossed, stranger)] == [
        ("refused", STATUS[source], "signature_wrong")
    ] * 2
    assert len(ledger.conversions) == 1


@every_platform
def test_tenant_and_id_are_read_of_what_is_not_verified_without_a_crash(source: str) -> None:
    given = delivery(CALL[source])
    assert SOURCES[source].tenant(given) == TENANT[source]
    assert SOURCES[source].delivery_id(given)
    json_header = {"content-type": "application/json"}
    form_header = {"content-type": "application/x-www-form-urlencoded"}
    for body in (
        b"", b"\xff\xfe", b"[]", b"null", b"{", b'{"a":' * 9_000, b"&" * 5_000, b"=&=&%", b" " * 1_000_001,
        b'{"company_resource_id": "jane@example.com", "account_id": 1.5, "lead_id": [1], "AccountSid": {}}',
        b"AccountSid=jane%40example.com&CallSid=%00",
        b'{"id": "\\ud800", "resource_id": true, "AccountSid": "\\ud800"}',
    ):  # fmt: skip
        for headers in (json_header, form_header, {}):
            strange = Delivery("POST", f"/{source}", "", headers, body, "https://hooks.example.com")
            assert SOURCES[source].tenant(strange) is None
            assert SOURCES[source].delivery_id(strange) is None


@pytest.mark.parametrize(
    ("source", "fields", "tenant"),
    [
        ("callrail", {"company_resource_id": None}, "480220017"),
        ("whatconverts", {"profile_id": None}, "31007"),
        ("twilio", {"?": ""}, "AC0000000000000000000000000000beef"),
        ("twilio", {"?": "tenant="}, "AC0000000000000000000000000000beef"),
        ("twilio", {"?": "tenant=a%20b"}, None),
    ],
)
def test_tenant_that_is_not_where_it_usually_is(source: str, fields: dict[str, Any], tenant: str | None) -> None:
    assert SOURCES[source].tenant(delivery(CALL[source], **fields)) == tenant


# Nobody sends it again ------------------------------------------------------------------------------------------------


@every_platform
def test_with_dynamodb_down_the_delivery_is_parked_and_with_s3_down_too_the_answer_is_5xx(source: str) -> None:
    parking = InMemoryParking()
    given = delivery(CALL[source])
    without_ledger = Receiver(
        SOURCES[source], KnownSecrets([SECRET]), BrokenLedger(), parking, Settings(), lambda: NOW_MS
    )

    kept = without_ledger.receive(given)
    lost = replace(without_ledger, parking=BrokenParking()).receive(given)

    assert (kept.kind, kept.http, kept.reason) == ("parked", 500, "ledger_unavailable")
    assert list(parking.parked.values()) == [given]
    assert (lost.kind, lost.http, lost.reason) == ("failed", 500, "ledger_unavailable")
    assert "have the source send the delivery again" in lost.detail


# CallRail -------------------------------------------------------------------------------------------------------------


def test_callrail_signs_with_hmac_sha1_in_base64() -> None:
    # RFC 2202, test case 2
    assert callrail.sign(b"what do ya want for nothing?", "Jefe") == "7/zfauXrL6LSdBbV8YTfnCWafHk="


# CallTrackingMetrics --------------------------------------------------------------------------------------------------


def ctm(time: str | None, **headers: str | None) -> Delivery:
    given = delivery("ctm/end")
    signature = calltrackingmetrics.sign(given.body, SECRET, time or "")
    return with_headers(given, **{"x-ctm-time": time, "x-ctm-signature": signature, **headers})


@pytest.mark.parametrize("off_s", [-300, -299, 0, 299, 300])
@pytest.mark.parametrize("rest_ms", [0, 999])
def test_ctm_s_time_within_five_minutes_on_either_side(off_s: int, rest_ms: int) -> None:
    calltrackingmetrics.verify(ctm(str(NOW_MS // 1000 + off_s)), [SECRET], NOW_MS + rest_ms)


@pytest.mark.parametrize(
    ("time", "reason"),
    [
        (str(NOW_MS // 1000 - 301), "timestamp_off"),
        (str(NOW_MS // 1000 + 301), "timestamp_off"),
        ("0", "timestamp_off"),
        ("9" * 13, "signature_malformed"),
        ("999999999999", "signature_malformed"),
        ("soon", "signature_malformed"),
        ("١٧٩٥١٨٦٨٠٠", "signature_malformed"),
        ("\ud800", "signature_malformed"),
        (None, "signature_missing"),
        ("", "signature_missing"),
    ],
)
def test_ctm_s_time_that_is_off_or_none(time: str | None, reason: str) -> None:
    assert refusal("ctm", ctm(time)) == (reason, 401)


@pytest.mark.parametrize("time", ["2026-11-20T15:00:00Z", "Fri, 20 Nov 2026 15:00:00 +0000", f" {NOW_MS // 1000} "])
def test_ctm_s_time_may_be_written_otherwise(time: str) -> None:
    calltrackingmetrics.verify(ctm(time), [SECRET], NOW_MS)


def test_ctm_s_time_is_part_of_what_is_signed() -> None:
    assert refusal("ctm", with_headers(ctm(str(NOW_MS // 1000)), x_ctm_time=str(NOW_MS // 1000 + 1))) == (
        "signature_wrong", 401,
    )  # fmt: skip


# WhatConverts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("authorization", "query"),
    [
        (f"Bearer {SECRET}", ""), (f"bearer  {SECRET} ", ""), ("", f"token={SECRET}"), (None, f"a=b&token={SECRET}"),
        (None, "token=a%20secret%20of%20the%20tests"), ("Bearer wrong", f"token={SECRET}"),
        (f"Bearer {SECRET}", "token=wrong"), ("Basic eDp5", f"token={SECRET}"),
    ],
)  # fmt: skip
def test_whatconverts_secret_in_the_header_or_in_the_address(authorization: str | None, query: str) -> None:
    given = with_headers(delivery("whatconverts/phone_call"), authorization=authorization)

    whatconverts.verify(replace(given, query=query), ["other", SECRET], NOW_MS)


@pytest.mark.parametrize(
    ("authorization", "query", "reason"),
    [
        (None, "", "signature_missing"), (SECRET, "", "signature_missing"), ("Bearer ", "token=", "signature_missing"),
        (None, "TOKEN=x", "signature_missing"), (None, "token=x", "signature_wrong"),
        ("Bearer x", "token=%FF", "signature_wrong"), (None, f"token={SECRET}x", "signature_wrong"),
        (f"Basic {SECRET}", "", "signature_missing"),
    ],
)  # fmt: skip
def test_whatconverts_without_the_secret(authorization: str | None, query: str, reason: str) -> None:
    given = with_headers(delivery("whatconverts/phone_call"), authorization=authorization)

    assert refusal("whatconverts", replace(given, query=query)) == (reason, 401)


# Twilio ---------------------------------------------------------------------------------------------------------------

URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
FIELDS = {
    "CallSid": "CA1234567890ABCDE", "Caller": "+14158675309", "Digits": "1234", "From": "+14158675309",
    "To": "+18005551212",
}  # fmt: skip


def test_twilio_s_published_vector() -> None:
    assert twilio.sign(URL, FIELDS.items(), "12345") == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


def twilio_json(body: bytes, hashed: str | None = None, **headers: str) -> Delivery:
    query = f"tenant=harbour&bodySHA256={hashed or hashlib.sha256(body).hexdigest()}"
    signature = twilio.sign(f"https://hooks.example.com/twilio?{query}", (), SECRET)
    given = {"content-type": "application/json", "x-twilio-signature": signature, **headers}
    return Delivery("POST", "/twilio", query, given, body, "https://hooks.example.com")


def test_twilio_binds_a_json_body_by_its_hash_in_the_address() -> None:
    body = json.dumps({"CallSid": "CA1", "AccountSid": "AC1"}).encode()

    twilio.verify(twilio_json(body), [SECRET], NOW_MS)
    assert refusal("twilio", replace(twilio_json(body), body=body + b" ")) == ("body_hash_wrong", 403)
    assert refusal("twilio", twilio_json(body, "0" * 64)) == ("body_hash_wrong", 403)
    assert refusal("twilio", replace(twilio_json(body), query="tenant=harbour")) == ("body_hash_wrong", 403)
    other = twilio_json(b"{}").query
    assert refusal("twilio", replace(twilio_json(body), query=other, body=b"{}")) == ("signature_wrong", 403)
    assert SOURCES["twilio"].delivery_id(twilio_json(body)) == "CA1"
    assert SOURCES["twilio"].tenant(replace(twilio_json(body), query="")) == "AC1"


def test_twilio_s_signed_get_has_no_body() -> None:
    url = "https://hooks.example.com/twilio?CallSid=CA1"
    given = Delivery(
        "GET", "/twilio", "CallSid=CA1", {"x-twilio-signature": twilio.sign(url, (), SECRET)}, b"",
        "https://hooks.example.com",
    )  # fmt: skip

    twilio.verify(given, [SECRET], NOW_MS)


@pytest.mark.parametrize(
    ("settings", "algorithm"),
    [
        ("key=k,algorithm=HMAC_SHA256", "HMAC_SHA256"), (" algorithm = hmac_sha256 ", "HMAC_SHA256"),
        ("key=k", "HMAC_SHA1"), ("algorithm=", "HMAC_SHA1"), ("", "HMAC_SHA1"),
        ("key=k,algorithm=HMAC_SHA1", "HMAC_SHA1"),
    ],
)  # fmt: skip
def test_twilio_s_shared_key_names_its_algorithm(settings: str, algorithm: str) -> None:
    url = "https://hooks.example.com/twilio"
    given = delivery("twilio/completed", **{"?": ""})
    fields = dict(twilio._fields(given.body))
    signature = twilio.sign(url, fields.items(), SECRET, algorithm)

    twilio.verify(
        with_headers(given, x_twilio_signature=signature, x_twilio_webhooks_signature_settings=settings),
        [SECRET],
        NOW_MS,
    )


@pytest.mark.parametrize("settings", ["algorithm=MD5", "algorithm=HMAC_SHA512", "algorithm=\ud800"])
def test_twilio_s_unknown_algorithm_is_refused(settings: str) -> None:
    given = with_headers(delivery("twilio/completed"), x_twilio_webhooks_signature_settings=settings)

    assert refusal("twilio", given) == ("signature_malformed", 403)


def test_twilio_s_flood_of_fields_is_refused_unread() -> None:
    given = replace(delivery("twilio/completed"), body=b"a=1&" * 1_000)

    assert refusal("twilio", given) == ("too_many_fields", 403)


@pytest.mark.parametrize("origin", ["https://hooks.example.com:99999", "https://[::1", ""])
def test_twilio_s_address_that_is_none_fits_nothing(origin: str) -> None:
    assert refusal("twilio", replace(delivery("twilio/completed"), origin=origin)) == ("signature_wrong", 403)


@pytest.mark.parametrize(
    ("signed", "origin"),
    [
        ("https://h.example/twilio", "https://h.example"), ("https://h.example:443/twilio", "https://h.example"),
        ("https://h.example/twilio", "https://h.example:443"), ("https://h.example:8443/twilio", "https://h.example:8443"),
        ("https://h.example/twilio", "https://h.example:8443"), ("http://h.example:80/twilio", "http://h.example"),
    ],
)  # fmt: skip
def test_twilio_signs_with_the_port_or_without(signed: str, origin: str) -> None:
    given = delivery("twilio/completed", **{"?": ""})
    signature = twilio.sign(signed, twilio._fields(given.body), SECRET)

    twilio.verify(with_headers(replace(given, origin=origin), x_twilio_signature=signature), [SECRET], NOW_MS)


def test_each_source_exports_what_signs_and_what_verifies() -> None:
    modules = {"callrail": callrail, "ctm": calltrackingmetrics, "whatconverts": whatconverts, "twilio": twilio}
    for name, module in modules.items():
        assert (module.NAME, module.SOURCE.name) == (name, name)
        assert module.SOURCE.verify is module.verify
        assert module.SOURCE.normalize is module.normalize
        assert module.SOURCE.retries is False
