"""relay-click.js as it is shipped, in a real browser: landings, the key, and where it goes."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser.pages import RAW, with_script
from tests.browser.sites import Clicks, Shop

KEY = re.compile(r"rc1_[\w-]{22}")
LINK = '<a id="buy" href="https://buy.stripe.com/test_1?prefilled_email=a%2Bb%40example.com">Buy</a>'


def key_of(page: Page) -> str:
    page.wait_for_function("relayClick.key()")
    key: str = page.evaluate("relayClick.key()")
    assert KEY.fullmatch(key)
    return key


def stored(page: Page) -> Any:
    return json.loads(page.evaluate("localStorage.getItem('relay_click')") or "null")


def looks(page: Page, times: int = 5) -> None:
    """The script looks once a second: so many times it has looked again since, without waiting for it."""
    page.clock.run_for(times * 1_000)


def test_a_landing_is_posted_raw_and_answered_with_a_key(page: Page, shop: Shop, clicks: Clicks) -> None:
    shop.pages["/products/shoe"] = with_script(clicks)
    # When
    page.goto(f"{shop.origin}/products/shoe?utm_source=chatgpt&oppref={RAW}&x=1#top")
    # Then
    key = key_of(page)
    assert clicks.posts == [{"oppref": RAW, "url": f"{shop.origin}/products/shoe"}]
    post = next(each for each in clicks.requests if each.method == "POST")
    assert post.headers["content-type"] == "text/plain;charset=UTF-8"
    assert "cookie" not in post.headers
    assert [each.method for each in clicks.requests] == ["GET", "POST"], "no preflight"
    memory = stored(page)
    assert (memory["key"], memory["oppref"], memory["url"]) == (key, RAW, f"{shop.origin}/products/shoe")
    assert shop.cart_writes == [], "this is no Shopify storefront"


@pytest.mark.parametrize("query", ["?xoppref=1&Oppref=2&oppref", "?oppref=&x=oppref", "?x#/y?oppref=z", ""])
def test_no_oppref_in_the_query_is_no_landing(query: str, page: Page, shop: Shop, clicks: Clicks) -> None:
    shop.pages["/"] = with_script(clicks)
    page.clock.install()
    page.goto(f"{shop.origin}/{query}")
    looks(page)
    assert clicks.posts == []
    assert page.evaluate("[relayClick.key(), localStorage.length, sessionStorage.length]") == ["", 0, 0]


def test_the_second_page_knows_the_key_without_a_post(page: Page, shop: Shop, clicks: Clicks) -> None:
    shop.pages = {"/": with_script(clicks), "/cart": with_script(clicks)}
    page.goto(f"{shop.origin}/?oppref={RAW}")
    key = key_of(page)
    # When
    page.clock.install()
    page.goto(f"{shop.origin}/cart")
    looks(page)
    # Then
    assert key_of(page) == key
    assert len(clicks.posts) == 1


def test_the_same_landing_again_is_no_second_post(page: Page, shop: Shop, clicks: Clicks) -> None:
    shop.pages["/"] = with_script(clicks)
    page.clock.install()
    page.goto(f"{shop.origin}/?oppref={RAW}")
    key = key_of(page)
    # When
    page.reload()
    looks(page)
    # Then
    assert key_of(page) == key
    assert len(clicks.posts) == 1


def test_a_redirect_within_the_shop_keeps_the_click(page: Page, shop: Shop, clicks: Clicks) -> None:
    shop.pages["/"] = with_script(clicks, "<script>location.replace('/home')</script>")
    shop.pages["/home"] = with_script(clicks)
    page.goto(f"{shop.origin}/?oppref={RAW}")
    page.wait_for_url(f"{shop.origin}/home")
    key_of(page)
    assert {post["oppref"] for post in clicks.posts} == {RAW}
    assert stored(page)["url"] == f"{shop.origin}/"


@pytest.mark.parametrize("how", ["pushState", "replaceState"])
def test_an_oppref_that_comes_by_single_page_navigation_is_a_landing(
    how: str, page: Page, shop: Shop, clicks: Clicks
) -> None:
    shop.pages["/"] = with_script(clicks)
    page.goto(f"{shop.origin}/?oppref=first")
    first = key_of(page)
    # When
    page.evaluate(f"history.{how}({{}}, '', '/a?oppref=second'); setTimeout(() => history.{how}({{}}, '', '/b'), 1500)")
    page.wait_for_function("key => ![key, ''].includes(relayClick.key())", arg=first)
    # Then
    assert clicks.posts == [
        {"oppref": "first", "url": f"{shop.origin}/"},
        {"oppref": "second", "url": f"{shop.origin}/a"},
    ]


def test_going_back_to_a_page_without_query_keeps_the_newer_click(page: Page, shop: Shop, clicks: Clicks) -> None:
    shop.pages["/"] = with_script(clicks)
    page.clock.install()
    page.goto(f"{shop.origin}/")
    page.evaluate("history.pushState({}, '', '/a?oppref=one')")
    looks(page)
    key = key_of(page)
    page.evaluate("history.back()")
    page.wait_for_url(f"{shop.origin}/")
    looks(page)
    assert key_of(page) == key
    assert len(clicks.posts) == 1


def test_a_second_tab_has_the_key_of_the_first(new_tab: Callable[[], Page], shop: Shop, clicks: Clicks) -> None:
    shop.pages["/"] = with_script(clicks)
    first, second = new_tab(), new_tab()
    first.goto(f"{shop.origin}/?oppref={RAW}")
    key = key_of(first)
    second.clock.install()
    second.goto(f"{shop.origin}/")
    looks(second)
    assert key_of(second) == key
    assert len(clicks.posts) == 1


def test_the_last_landing_of_two_tabs_counts_in_both(new_tab: Callable[[], Page], shop: Shop, clicks: Clicks) -> None:
    shop.pages["/"] = with_script(clicks)
    first, second = new_tab(), new_tab()
    first.clock.install()
    first.goto(f"{shop.origin}/?oppref=one")
    key_of(first)
    second.goto(f"{shop.origin}/?oppref=two")
    second.wait_for_function("JSON.parse(localStorage.relay_click).oppref === 'two' && relayClick.key()")
    looks(first)
    assert key_of(first) == key_of(second)
    assert [post["oppref"] for post in clicks.posts] == ["one", "two"]


def test_the_pixels_cookie_completes_the_memory(
    page: Page, context: BrowserContext, shop: Shop, clicks: Clicks
) -> None:
    shop.pages["/"] = with_script(clicks)
    page.goto(f"{shop.origin}/?oppref={RAW}")
    key = key_of(page)
    # When
    page.evaluate("document.cookie = '__obref=b%2B%3D%3D; path=/'")
    clicks.wait_for(lambda: len(clicks.posts) == 2)
    # Then
    assert clicks.posts[1] == {"key": key, "oppref": RAW, "obref": "b%2B%3D%3D", "url": f"{shop.origin}/"}
    assert key_of(page) == key


def test_where_the_address_was_lost_the_pixels_cookies_serve(
    page: Page, context: BrowserContext, shop: Shop, clicks: Clicks
) -> None:
    shop.pages["/"] = with_script(clicks)
    cookies = {"x__oppref": "wrong", "__oppref": RAW, "__obref": "b%3D=", "other": "a&__obref=no"}
    context.add_cookies([{"name": name, "value": value, "url": shop.origin} for name, value in cookies.items()])
    page.goto(f"{shop.origin}/")
    key_of(page)
    assert clicks.posts == [{"oppref": RAW, "obref": "b%3D=", "url": f"{shop.origin}/"}]


def test_the_address_counts_more_than_the_cookie(
    page: Page, context: BrowserContext, shop: Shop, clicks: Clicks
) -> None:
    shop.pages = {"/": with_script(clicks), "/next": with_script(clicks)}
    context.add_cookies([{"name": "__oppref", "value": "decoded+", "url": shop.origin}])
    page.clock.install()
    page.goto(f"{shop.origin}/?oppref={RAW}&obref=o%3D")
    key_of(page)
    page.goto(f"{shop.origin}/next")
    looks(page)
    assert clicks.posts == [{"oppref": RAW, "obref": "o%3D", "url": f"{shop.origin}/"}]


def test_a_blocked_openai_script_changes_nothing(
    page: Page, console: list[str], context: BrowserContext, shop: Shop, clicks: Clicks
) -> None:
    context.route("https://bzrcdn.openai.com/**", lambda route: route.abort("blockedbyclient"))
    pixel = '<script src="https://bzrcdn.openai.com/sdk/oaiq.min.js"></script>'
    shop.pages["/"] = with_script(clicks, before=pixel)
    page.goto(f"{shop.origin}/?oppref={RAW}")
    key_of(page)
    assert [post["oppref"] for post in clicks.posts] == [RAW]
    assert [text for text in console if "ERR_BLOCKED_BY_CLIENT" in text] == [console.pop()]


BLOCKED = {
    "refused": "['localStorage', 'sessionStorage'].forEach(name => Object.defineProperty(window, name,"
    " {get() { throw new DOMException('', 'SecurityError'); }}));",
    "absent": "['localStorage', 'sessionStorage'].forEach(name => Object.defineProperty(window, name, {value: null}));",
    "full": "Storage.prototype.setItem = () => { throw new DOMException('', 'QuotaExceededError'); };"
    " ['localStorage', 'sessionStorage'].forEach(name => Object.defineProperty(window, name, {value: new Proxy({},"
    " {set() { throw new DOMException('', 'QuotaExceededError'); }})}));",
}


@pytest.mark.parametrize("how", BLOCKED)
def test_without_storage_the_page_itself_remembers(how: str, page: Page, shop: Shop, clicks: Clicks) -> None:
    page.add_init_script(BLOCKED[how])
    shop.pages["/"] = with_script(clicks, LINK, before="<script>window.Shopify = {}</script>")
    page.clock.install()
    page.goto(f"{shop.origin}/?oppref={RAW}")
    key = key_of(page)
    looks(page)
    assert key_of(page) == key
    assert len(clicks.posts) == 1
    shop.wait_for(lambda: len(shop.cart_writes) == 1)


def test_a_post_that_failed_is_tried_once_more(page: Page, console: list[str], shop: Shop, clicks: Clicks) -> None:
    shop.pages["/"] = with_script(clicks, before="<script>window.Shopify = {}</script>")
    clicks.status = 503
    page.clock.install()
    page.goto(f"{shop.origin}/?oppref=one")
    clicks.wait_for(lambda: len(clicks.posts) == 1)
    # Then the cart has what there is
    looks(page)
    shop.wait_for(lambda: shop.cart == {"__oppref": "one"})
    assert len(clicks.posts) == 1
    # When the endpoint is there again
    clicks.status = 201
    looks(page, 15)
    key = key_of(page)
    # Then
    assert clicks.posts == [clicks.posts[0]] * 2
    shop.wait_for(lambda: shop.cart == {"relay_click": key, "__oppref": "one"})
    assert "503" in console.pop()


def test_an_endpoint_that_stays_away_is_left_alone_until_the_next_page(
    page: Page, console: list[str], shop: Shop, clicks: Clicks
) -> None:
    shop.pages = {"/": with_script(clicks), "/next": with_script(clicks)}
    clicks.status = 429
    page.clock.install()
    page.goto(f"{shop.origin}/?oppref=one")
    clicks.wait_for(lambda: len(clicks.posts) == 1)
    page.wait_for_timeout(200)
    looks(page, 20)
    clicks.wait_for(lambda: len(clicks.posts) == 2)
    page.wait_for_timeout(200)
    looks(page, 60)
    assert len(clicks.posts) == 2
    # When
    clicks.status = 201
    page.goto(f"{shop.origin}/next")
    key_of(page)
    # Then
    assert clicks.posts == [{"oppref": "one", "url": f"{shop.origin}/"}] * 3
    assert all("429" in text for text in console)
    console.clear()


@pytest.mark.parametrize("status", [400, 403, 413])
def test_a_refusal_is_not_asked_for_twice(
    status: int, page: Page, console: list[str], shop: Shop, clicks: Clicks
) -> None:
    shop.pages = {"/": with_script(clicks), "/next": with_script(clicks)}
    clicks.status = status
    page.clock.install()
    page.goto(f"{shop.origin}/?oppref=one")
    clicks.wait_for(lambda: len(clicks.posts) == 1)
    page.wait_for_function("'sent' in JSON.parse(localStorage.relay_click)")
    looks(page, 60)
    page.goto(f"{shop.origin}/next")
    looks(page, 60)
    assert len(clicks.posts) == 1
    assert str(status) in console.pop()


def test_a_memory_lives_for_30_days(page: Page, shop: Shop, clicks: Clicks) -> None:
    shop.pages["/"] = with_script(clicks)
    page.clock.install()
    page.goto(f"{shop.origin}/?oppref=one")
    key = key_of(page)
    page.goto(f"{shop.origin}/")
    page.clock.fast_forward(29 * 24 * 3_600_000)
    assert page.evaluate("relayClick.key()") == key
    page.clock.fast_forward(24 * 3_600_000 + 1_000)
    assert page.evaluate("relayClick.key()") == ""


def test_someone_elses_value_under_the_name_is_no_memory(page: Page, shop: Shop, clicks: Clicks) -> None:
    shop.pages["/"] = with_script(clicks)
    page.goto(f"{shop.origin}/")
    for value in ("{", "null", '"text"', "[]", '{"key": "x"}', "7"):
        page.evaluate("value => localStorage.setItem('relay_click', value)", value)
        page.goto(f"{shop.origin}/")
        assert page.evaluate("relayClick.key()") == ""
    page.goto(f"{shop.origin}/?oppref=one")
    key_of(page)


# ---- Shopify ----


def test_the_cart_is_told_once(page: Page, shop: Shop, clicks: Clicks) -> None:
    shop.pages = {path: with_script(clicks, before="<script>window.Shopify = {}</script>") for path in ("/", "/next")}
    page.clock.install()
    page.goto(f"{shop.origin}/?oppref={RAW}")
    key = key_of(page)
    shop.wait_for(lambda: len(shop.cart_writes) == 1)
    page.wait_for_function("sessionStorage.relay_click")
    # When
    looks(page)
    page.goto(f"{shop.origin}/next")
    looks(page)
    # Then
    assert shop.cart_writes == [{"relay_click": key, "__oppref": RAW, "__obref": "", "relay_consent": ""}]
    # When the pixel adds its reference
    page.evaluate("document.cookie = '__obref=b1; path=/'")
    looks(page)
    shop.wait_for(lambda: len(shop.cart_writes) == 2)
    # Then
    assert shop.cart == {"relay_click": key, "__oppref": RAW, "__obref": "b1"}


def test_a_new_cart_is_told_again(page: Page, shop: Shop, clicks: Clicks) -> None:
    shop.pages["/"] = with_script(clicks, before="<script>window.Shopify = {}</script>")
    page.goto(f"{shop.origin}/?oppref=one")
    key_of(page)
    page.wait_for_function("sessionStorage.relay_click")
    # When the shopper has bought
    shop.cart = {}
    page.evaluate("document.cookie = 'cart=another; path=/'")
    page.goto(f"{shop.origin}/")
    # Then
    shop.wait_for(lambda: len(shop.cart_writes) == 2)
    assert shop.cart["__oppref"] == "one"


def test_a_reference_too_long_for_an_attribute_stays_out_of_the_cart(page: Page, shop: Shop, clicks: Clicks) -> None:
    shop.pages["/"] = with_script(clicks, before="<script>window.Shopify = {}</script>")
    page.goto(f"{shop.origin}/?oppref={'x' * 255}")
    key = key_of(page)
    shop.wait_for(lambda: shop.cart == {"relay_click": key})
    assert clicks.posts[0]["oppref"] == "x" * 255


# ---- Stripe, and fields ----


def test_payment_links_get_the_key(page: Page, shop: Shop, clicks: Clicks) -> None:
    own = '<a id="own" href="https://buy.stripe.com/test_2?client_reference_id=mine">Own</a>'
    other = '<a id="other" href="https://example.com/?u=https://buy.stripe.com/test_1">Other</a>'
    shop.pages["/"] = with_script(clicks, LINK + own + other)
    page.goto(f"{shop.origin}/?oppref=one")
    key = key_of(page)
    # When
    page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<a id=late href=https://buy.stripe.com/test_3#x>L</a>')"
    )
    page.wait_for_function("document.querySelector('#late').search")
    # Then
    hrefs = page.evaluate("Object.fromEntries([...document.links].map(link => [link.id, link.getAttribute('href')]))")
    assert hrefs == {
        "buy": f"https://buy.stripe.com/test_1?prefilled_email=a%2Bb%40example.com&client_reference_id={key}",
        "own": "https://buy.stripe.com/test_2?client_reference_id=mine",
        "other": "https://example.com/?u=https://buy.stripe.com/test_1",
        "late": f"https://buy.stripe.com/test_3?client_reference_id={key}#x",
    }


def test_a_link_gets_the_key_of_the_newer_click(page: Page, shop: Shop, clicks: Clicks) -> None:
    shop.pages["/"] = with_script(clicks, LINK)
    page.goto(f"{shop.origin}/?oppref=one")
    first = key_of(page)
    page.evaluate("history.pushState({}, '', '/?oppref=two')")
    page.wait_for_function("key => ![key, ''].includes(relayClick.key())", arg=first)
    page.wait_for_function("document.links[0].search.endsWith('client_reference_id=' + relayClick.key())")
    assert first not in page.evaluate("document.links[0].href")


def test_the_page_can_decorate_links_itself(page: Page, shop: Shop, clicks: Clicks) -> None:
    shop.pages["/"] = with_script(clicks)
    page.goto(f"{shop.origin}/")
    assert page.evaluate("relayClick.decorate('https://pay.example/b')") == "https://pay.example/b"
    page.goto(f"{shop.origin}/?oppref=one")
    key = key_of(page)
    assert page.evaluate("relayClick.decorate('https://pay.example/b?c=%20#d')") == (
        f"https://pay.example/b?c=%20&client_reference_id={key}#d"
    )
    assert page.evaluate("relayClick.decorate('https://pay.example/?client_reference_id=me')").endswith("=me")


def test_fields_are_filled(page: Page, shop: Shop, clicks: Clicks) -> None:
    shop.pages["/"] = with_script(clicks, '<form><input type="hidden" name="relay_click"><input name="q" value="x">')
    page.goto(f"{shop.origin}/?oppref=one")
    key = key_of(page)
    page.evaluate("document.forms[0].insertAdjacentHTML('beforeend', '<input type=hidden name=relay_click>')")
    page.wait_for_function("[...document.forms[0].elements].every(field => field.value)")
    assert page.evaluate("[...document.forms[0].elements].map(field => field.value)") == [key, "x", key]


def test_ready_calls_back_with_the_key_whenever_it_is_asked(page: Page, shop: Shop, clicks: Clicks) -> None:
    shop.pages["/"] = with_script(clicks, "<script>relayClick.ready(key => { window.early = key; })</script>")
    page.goto(f"{shop.origin}/?oppref=one")
    key = key_of(page)
    page.evaluate("relayClick.ready(key => { window.late = key; })")
    page.wait_for_function("window.early && window.late")
    assert page.evaluate("[early, late]") == [key, key]


# ---- Nothing is there ----


@pytest.mark.parametrize("consent", ["none", "shopify", "tcf", "google", "manual", "toString", None])
def test_where_everything_is_missing_nothing_happens(
    consent: str | None, page: Page, shop: Shop, clicks: Clicks
) -> None:
    shop.pages["/"] = with_script(clicks, LINK, consent=consent)
    page.clock.install()
    page.goto(f"{shop.origin}/")
    looks(page)
    assert clicks.posts == []
    assert page.evaluate("[relayClick.key(), localStorage.length, sessionStorage.length, document.cookie]") == [
        "", 0, 0, "",
    ]  # fmt: skip
    assert page.get_attribute("#buy", "href") == "https://buy.stripe.com/test_1?prefilled_email=a%2Bb%40example.com"
