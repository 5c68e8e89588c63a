"""The rules one by one: ids, money, addresses, policies."""

import pytest

from tools.doctor.addresses import order_id_in, personal_data_in, shown
from tools.doctor.code import Unknown, read_script
from tools.doctor.events import id_fault, id_faults
from tools.doctor.findings import SDK
from tools.doctor.page import Page, Place, decode
from tools.doctor.policy import policies
from tools.doctor.rules import examine


@pytest.mark.parametrize(
    "given",
    [
        "shopify:6184203910411",
        "stripe:cs_live_a1B2c3D4e5",
        "stripe:sub_1SNPlanA2b3",
        "stripe:acct_1ABCDEF23:cs_live_a1B2c3D4e5",
        "backend:order-58213",
        "callrail:CAL019a",
        "pix_9f86d081884c7d659a2feaa0c55ad015",
        "3f0c4d9e-8a7b-4c6d-9e2f-1a2b3c4d5e6f",
    ],
)
def test_ids_that_may_be_the_relays(given: str) -> None:
    assert id_fault(given, "order_created") is None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("1001", "bare order number"),
        ("#1001", "bare order number"),
        ("order-1001", "bare order number"),
        ("6184203910411", "bare order number"),
        ("1795327200", "time"),
        ("1795327200000", "time"),
        ("order_1795327200000", "time"),
        ("2026-11-29T01:02:03Z", "time"),
        ("backend:1795327200000", "time"),
        ("shopify:1001", "no id in digits"),
        ("shopify:gid://shopify/Order/6184203910411", "no id in digits"),
        ("stripe:1001", "no cs_"),
        ("cs_live_a1B2c3D4e5", "lacks stripe:"),
        ("mira@example.org", "e-mail"),
        ("short", "neither"),
        (" ", "blank"),
        ("a" * 200, "longer"),
        (6184203910411, "no text"),
        (None, "no text"),
    ],
)
def test_ids_that_are_not(given: object, says: str) -> None:
    assert says in (id_fault(given, "order_created") or "")


def test_a_checkouts_token_is_an_id_of_a_checkout_only() -> None:
    assert id_fault("shopify:2f1c6b0a9d8e4f7a", "checkout_started") is None
    assert id_fault("shopify:2f1c6b0a9d8e4f7a", "order_created") is not None


def test_an_id_that_only_the_page_knows_is_let_pass() -> None:
    assert list(id_faults("order_created", {"event_id": Unknown("order.id")})) == []
    assert list(id_faults("order_created", Unknown("options"))) == []
    assert list(id_faults("order_created", {"...": Unknown("options")})) == []


@pytest.mark.parametrize(
    ("address", "finds"),
    [
        ("/x?q=mira@example.org", True),
        ("/x?q=mira%2540example.org", True),
        ("/mira@example.org/orders", True),
        ("/x?email={{ customer.email }}", True),
        ("/x?phone=0171 2345678", True),
        ("/x?who=%2B14155550132", True),
        ("mailto:help@shop.example", False),
        ("tel:+14155550132", False),
        ("https://wa.me/14155550132?text=hi", False),
        ("https://api.whatsapp.com/send?phone=14155550132", False),
        ("/x?phone=yes", False),
        ("/assets/logo@2x.png", False),
        ("https://[", False),
    ],
)
def test_personal_data_in_addresses(address: str, finds: bool) -> None:
    assert (personal_data_in(address) is not None) == finds


def test_order_ids_in_addresses() -> None:
    assert order_id_in("/thanks?order_id=1001") == "order_id"
    assert order_id_in("/thanks?order=%231001") == "order"
    assert order_id_in("/products?order=price") is None
    assert order_id_in("/products?page=1001") is None


def test_an_address_is_shown_without_what_it_carries() -> None:
    assert shown("https://user:secret@shop.example/a/mira@example.org?email=x&b=1#top") == (
        "https://shop.example/a/…?email=…&b=…"
    )


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("script-src https://bzrcdn.openai.com", True),
        ("script-src bzrcdn.openai.com", True),
        ("script-src https://*.openai.com", True),
        ("script-src https://bzrcdn.openai.com/sdk/", True),
        ("script-src https://bzrcdn.openai.com/sdk/oaiq.min.js", True),
        ("script-src https:", True),
        ("script-src *", True),
        ("img-src 'none'", True),
        ("script-src-elem https://bzrcdn.openai.com; script-src 'none'", True),
        ("script-src https://bzrcdn.openai.com; script-src 'none'", True),
        ("script-src 'none'", False),
        ("script-src", False),
        ("default-src 'self'", False),
        ("script-src https://openai.com", False),
        ("script-src http://bzrcdn.openai.com:8080", False),
        ("script-src https://bzrcdn.openai.com/other/", False),
        ("script-src https://bzrcdn.openai.com; script-src-elem 'self'", False),
        ("script-src https://bzrcdn.openai.com, script-src 'self'", False),
    ],
)
def test_a_policy_and_the_pixels_script(text: str, allowed: bool) -> None:
    page = Page("https://shop.example/", "", {"content-security-policy": text})

    assert all(each.allows("script-src-elem", SDK, page.url) for each in policies(page)) == allowed


def test_an_inline_script_may_run_by_its_hash() -> None:
    # Given the digest that Chromium names for this script when it blocks it
    text = "<html><head><script>oaiq()</script></head></html>"
    digest = "sha256-U0JKRgYb7jIPNgT9pkVwHOgBSrpLUbDfLcQJHAvJsBY="

    (script,) = Page("", text).scripts
    (right,) = policies(Page("", text, {"content-security-policy": f"script-src '{_digest(b'oaiq()')}'"}))
    (wrong,) = policies(Page("", text, {"content-security-policy": f"script-src '{digest}' 'unsafe-inline'"}))

    assert right.allows_inline(script)
    assert not wrong.allows_inline(script)  # a hash takes 'unsafe-inline' away


def _digest(content: bytes) -> str:
    import base64
    import hashlib

    return "sha256-" + base64.b64encode(hashlib.sha256(content).digest()).decode()


def test_what_a_function_around_a_call_means() -> None:
    text = """
    oaiq("a"); (function () { oaiq("b"); })(); !function () { oaiq("c"); }(); (() => { oaiq("d"); })();
    (function () { oaiq("e"); }).call(this); function later() { oaiq("f"); } button.onclick = () => oaiq("g");
    """

    calls = read_script(text, Place(1, 1), deferred=False).calls

    assert [(each.command, each.deferred) for each in calls] == [
        ("a", False), ("b", False), ("c", False), ("d", False), ("e", False), ("f", True), ("g", True),
    ]  # fmt: skip


def test_liquid_in_a_script_is_no_syntax_error_and_no_id() -> None:
    text = """<html><head><script src="https://bzrcdn.openai.com/sdk/oaiq.min.js"></script><script>
    oaiq("init", {pixelId: "{{ settings.pixel }}"});
    oaiq("measure", "order_created", {type: "contents", amount: {{ checkout.total_price }}, currency: "USD"},
      {event_id: "shopify:{{ checkout.order_id }}"});
    </script></head></html>"""

    assert examine(Page("", text), relay_click=False).findings == []


def test_a_commented_pixel_is_none() -> None:
    text = f'<html><head><!-- <script src="{SDK}"></script> --><script>// oaiq("init", "x")\n</script></head></html>'

    assert [each.code for each in examine(Page("", text), relay_click=False).findings] == ["pixel_missing"]


def test_a_page_is_read_in_its_charset() -> None:
    assert decode("é".encode("latin-1"), "text/html; charset=iso-8859-1") == "é"
    assert decode('<meta charset="windows-1252">ß'.encode("cp1252")).endswith("ß")
    assert decode(b"\xff", "text/html; charset=rot13") == "�"
    assert decode(b"\xef\xbb\xbfx") == "x"


def test_a_thousand_wrong_links_are_twenty_findings() -> None:
    links = '<a href="/?utm_source=ChatGPT&utm_medium=cpc">x</a>\n' * 1000

    found = examine(Page("", f"<html><body>{links}</body></html>"), relay_click=False).findings

    assert sum(each.code == "utm_source" for each in found) == 20


def test_liquid_in_the_head_is_no_text_of_the_page() -> None:
    text = f"""<html><head>{{% comment %}} OpenAI's pixel {{% endcomment %}}{{% if settings.pixel %}}
    <script src="{SDK}"></script><script>oaiq("init", {{pixelId: "Qm7TzV4kRw2LpX9sNdB3Yh"}});</script>{{% endif %}}
    </head><body></body></html>"""

    assert examine(Page("", text), relay_click=False).findings == []
