"""Click references byte for byte, page addresses without what they must not carry, campaign names."""

import pytest

from conversion_relay import click

TOKEN = "op1.Zk3vQ%2BtR9%2Fh2a-_~x==.7d"


@pytest.mark.parametrize(
    "url",
    [
        f"/products/trail-shoe?utm_source=chatgpt&utm_medium=cpc&utm_campaign=fall_trail&oppref={TOKEN}",
        f"https://brightroof.example/roof-repair?oppref={TOKEN}",
        f"https://brightroof.example?oppref={TOKEN}#top",
        f"?tenant=brightroof&oppref={TOKEN}",
        f"/?oppref=&oppref={TOKEN}&oppref=later",
        f"  /?a=1&oppref={TOKEN}\n",
        f"/?&&=&x&oppref={TOKEN}",
        f"https://[broken/?oppref={TOKEN}",
    ],
)
def test_oppref_is_cut_from_the_url_as_it_stands(url: str) -> None:
    assert click.oppref_from_url(url) == TOKEN


@pytest.mark.parametrize("token", ["a+b", "%20", "a=b==", "a;b", "a?b", "a/b:c@d", "%ZZ", "gAAAA_-%3D%3D", "é雪"])
def test_nothing_in_a_reference_is_decoded(token: str) -> None:
    assert click.oppref_from_url(f"/?x=1&oppref={token}&y=2") == token
    assert click.obref_from_url(f"/?x=1&obref={token}&y=2") == token


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "/",
        "/products/x",
        "oppref=op1.x",
        "/?oppref",
        "/?oppref=",
        "/?Oppref=op1.x",
        "/?OPPREF=op1.x",
        "/?%6Fppref=op1.x",
        "/? oppref=op1.x",
        "/?oppref[]=op1.x",
        "/?xoppref=op1.x",
        "/?a=1;oppref=op1.x",
        "/?next=https%3A%2F%2Fx.example%2F%3Foppref%3Dop1.x",
        "/?next=https://x.example/?oppref=op1.x",
        "/#/route?oppref=op1.x",
        "/?a=1#&oppref=op1.x",
        "/?oppref=op1\x00.x",
        "/?oppref=op1\n.x",
        "/?oppref=\ud800",
        "/?oppref=" + "x" * 4_097,
    ],
)
def test_no_oppref_in_the_url(url: str | None) -> None:
    assert click.oppref_from_url(url) is None


def test_a_refused_reference_is_not_replaced_by_a_later_one() -> None:
    assert click.oppref_from_url("/?oppref=\x00&oppref=op1.x") is None


def test_the_decoded_reading_is_one_switch_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(click, "DECODE_REFERENCES_IN_URLS", True)
    assert click.oppref_from_url(f"/?oppref={TOKEN}") == "op1.Zk3vQ+tR9/h2a-_~x==.7d"
    assert click.oppref_from_url("/?oppref=a+b%2Bc") == "a+b+c"
    assert click.oppref_from_url("/?oppref=a%00") is None
    assert click.oppref_from_url("/") is None


@pytest.mark.parametrize("value", [TOKEN, "op1.q8w7+e6r5%20t4.9", "ob1.Qz%2F7+w=", " kept as it is ", "é", "x" * 4_096])
def test_a_handed_over_reference_is_unchanged(value: str) -> None:
    assert click.reference(value) == value


@pytest.mark.parametrize(
    "value", [None, "", " ", "\t\n", "a\x00", "a\nb", "\x85x", "\ud800", "x" * 4_097, 7, b"op1", ["op1"]]
)
def test_what_is_no_reference(value: object) -> None:
    assert click.reference(value) is None


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"_ga=1; __oppref={TOKEN}; __obref=ob1.Qz%2F7+w=", click.Click(TOKEN, "ob1.Qz%2F7+w=")),
        (f"__oppref={TOKEN}", click.Click(TOKEN, None)),
        ("__obref=b;__oppref=a", click.Click("a", "b")),
        ('__oppref="quoted"', click.Click('"quoted"', None)),
        ("__oppref=; __oppref=first; __oppref=second", click.Click("first", None)),
        ("__oppref; oppref=x; __OPPREF=x; x__oppref=x; a=__oppref=x", click.Click()),
        ("__oppref=a\x00b; __obref=ok", click.Click(None, "ok")),
        ("", click.Click()),
        (None, click.Click()),
    ],
)
def test_references_from_a_cookie_header(header: str | None, expected: click.Click) -> None:
    assert click.from_cookie_header(header) == expected


SHOP = "https://northwind-trail.example"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"/products/trail-shoe?utm_source=chatgpt&oppref={TOKEN}", f"{SHOP}/products/trail-shoe"),
        ("/products/trail-shoe#reviews", f"{SHOP}/products/trail-shoe"),
        ("/", f"{SHOP}/"),
        ("/?oppref=x", f"{SHOP}/"),
        ("/wallets/checkouts.json?x=1", f"{SHOP}/wallets/checkouts.json"),
        ("/a//b/../c;v=1/@x:y%20z/ü", f"{SHOP}/a//b/../c;v=1/@x:y%20z/ü"),
        (" /trimmed \n", f"{SHOP}/trimmed"),
        (f"{SHOP}/checkouts/cn/abc?key=1#pay", f"{SHOP}/checkouts/cn/abc"),
        (SHOP, SHOP),
        (f"{SHOP}?a=1", SHOP),
        ("https://other.example/x?y", "https://other.example/x"),
        ("http://localhost:3000/x", "http://localhost:3000/x"),
        ("HTTPS://Shop.Example/Path", "https://Shop.Example/Path"),
        ("https://user:secret@shop.example/x", "https://shop.example/x"),
        ("https://a@b@shop.example/x", "https://shop.example/x"),
        ("https://bücher.example/ü", "https://bücher.example/ü"),
        ("https://shop.example./x", "https://shop.example./x"),
        ("https://192.0.2.7/x", "https://192.0.2.7/x"),
        ("https://[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443/x"),
    ],
)
def test_source_url_is_origin_and_path(url: str, expected: str) -> None:
    assert click.source_url(url, origin=SHOP) == expected


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "   ",
        "?utm_source=chatgpt",
        "#top",
        "products/x",
        "shop.example/x",
        "//evil.example/x",
        "///evil.example/x",
        "/\\evil.example",
        "\\\\evil.example",
        "https:/x",
        "https:x",
        "https://",
        "https:///x",
        "https://@/x",
        "https://:443/x",
        "https://./x",
        "https://a..b/x",
        "https://a%2fb/x",
        "https://shop.example:99999/x",
        "https://shop.example:/x",
        "https://shop.example:8o/x",
        "https://[::1/x",
        "https://[nonsense]/x",
        "https://a℀b/x",
        "https://shop.example\\@evil.example/x",
        "https://shop.example/a b",
        "https://shop.example/a\tb",
        "/a\nb",
        "/a\u2028b",
        "/a\x00b",
        "/\ud800",
        "javascript:alert(1)",
        "ftp://shop.example/x",
        "android-app://com.example/x",
        "data:text/html,x",
        "/" + "x" * 2_048,
        "https://shop.example/" + "x" * 2_048,
    ],
)
def test_an_unusable_page_gives_the_configured_origin_or_nothing(url: str | None) -> None:
    assert click.source_url(url, origin=SHOP) == SHOP
    assert click.source_url(url, origin=None) is None


@pytest.mark.parametrize(
    ("url", "origin", "expected"),
    [
        ("/x?y", None, None),
        ("/x?y", "", None),
        ("/x?y", "not an origin", None),
        (None, "ftp://shop.example", None),
        (None, "https://shop.example/", "https://shop.example/"),
        ("/x", "https://shop.example/", "https://shop.example/x"),
        ("/x", "https://shop.example/de", "https://shop.example/x"),
        ("/x", "https://shop.example:8443", "https://shop.example:8443/x"),
        (None, "https://me:pw@shop.example/de?a=1#b", "https://shop.example/de"),
        (None, "https://shop.example/" + "x" * 2_048, None),
        ("https://shop.example/x", None, "https://shop.example/x"),
    ],
)
def test_the_origin_is_checked_too(url: str | None, origin: str | None, expected: str | None) -> None:
    assert click.source_url(url, origin=origin) == expected


def test_campaign_names_are_decoded_once() -> None:
    url = (
        "/x?utm_source=chatgpt&utm_medium=cpc&utm_campaign=Fall%20Trail+2026&utm_content=%2541"
        "&utm_term=%E9%9B%AA&utm_id=7&UTM_SOURCE=no&oppref=op1.x#utm_source=no"
    )
    assert click.utm(url) == {
        "utm_source": "chatgpt",
        "utm_medium": "cpc",
        "utm_campaign": "Fall Trail 2026",
        "utm_content": "%41",
        "utm_term": "雪",
    }


def test_unusable_campaign_names_are_left_out() -> None:
    assert click.utm("/?utm_source=&utm_medium=+&utm_campaign=a%00b&utm_content=\ud800") == {}
    assert click.utm("/?utm_source=+&utm_source=first&utm_source=second") == {"utm_source": "first"}
    assert click.utm("/?utm_term=" + "x" * 300) == {"utm_term": "x" * 256}
    assert click.utm(None) == {}
