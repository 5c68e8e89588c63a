"""relay-click.js waits for consent, whoever asks for it, and obeys when it is refused or taken back."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser.pages import RAW, with_script
from tests.browser.sites import Clicks, Shop
from tests.browser.test_relay_click import LINK, key_of, looks, stored

FIELD = '<input type="hidden" name="relay_click">'
STOREFRONT = "<script>window.Shopify = {}</script>"


@dataclass(frozen=True)
class Source:
    """One that asks for consent: what it puts in front of the script, and what it does when the shopper answers."""

    before: str
    grant: str
    deny: str


# As Shopify's own script: it is there once loadFeatures was called, keeps the answer, and tells the page with an event.
SHOPIFY = """<script>
window.Shopify = {
  loadFeatures([{ name, version }], callback) {
    if (name !== "consent-tracking-api" || version !== "0.1") throw new Error("no such feature");
    if (window.loaded) throw new Error("asked for twice");
    window.loaded = true;
    setTimeout(() => {
      let consent = { marketing: "", analytics: "", preferences: "", sale_of_data: "" };
      Shopify.customerPrivacy = {
        marketingAllowed: () => consent.marketing === "yes",
        saleOfDataAllowed: () => consent.sale_of_data !== "no",
        currentVisitorConsent: () => consent,
        setTrackingConsent(given) {
          for (const type in given) consent[type] = given[type] ? "yes" : "no";
          document.dispatchEvent(new CustomEvent("visitorConsentCollected", { detail: given }));
        },
      };
      callback();
    }, 50);
  },
};
</script>"""

# As a consent platform: a list of listeners, each told the state at once and at every change.
TCF = """<script>
window.tcf = { listeners: [], data: { eventStatus: "cmpuishown", gdprApplies: true, purpose: { consents: {} } } };
window.__tcfapi = (command, version, callback) => {
  if (command !== "addEventListener" || version !== 2) throw new Error("no such command");
  tcf.listeners.push(callback);
  callback({ ...tcf.data, listenerId: tcf.listeners.length }, true);
};
tcf.answer = (...purposes) => {
  tcf.data = { eventStatus: "useractioncomplete", gdprApplies: true, purpose: { consents: {} } };
  purposes.forEach((purpose) => { tcf.data.purpose.consents[purpose] = true; });
  tcf.listeners.forEach((listener) => listener(tcf.data, true));
};
</script>"""

GOOGLE = """<script>
window.dataLayer = [{ "gtm.start": 1, event: "gtm.js" }];
function gtag() { dataLayer.push(arguments); }
gtag("consent", "default", { ad_storage: "denied", ad_user_data: "denied", analytics_storage: "granted" });
</script>"""
UPDATE = "gtag('consent', 'update', {{ad_storage: '{0}', ad_user_data: '{0}'}})"

SOURCES = {
    "shopify": Source(
        SHOPIFY,
        "Shopify.customerPrivacy.setTrackingConsent({marketing: true, sale_of_data: true})",
        "Shopify.customerPrivacy.setTrackingConsent({marketing: false, sale_of_data: false})",
    ),
    "tcf": Source(STOREFRONT + TCF, "tcf.answer(1, 2, 3, 4, 7)", "tcf.answer()"),
    "google": Source(STOREFRONT + GOOGLE, UPDATE.format("granted"), UPDATE.format("denied")),
    "manual": Source(STOREFRONT, "relayClick.consent(true)", "relayClick.consent(false)"),
}


@dataclass
class Visit:
    """A shopper who has landed and not been asked yet."""

    page: Page
    source: Source

    def grants(self) -> None:
        self._answers(self.source.grant)

    def denies(self) -> None:
        self._answers(self.source.deny)

    def _answers(self, script: str) -> None:
        self.page.evaluate(f"() => {{ {script} }}")
        looks(self.page, 2)

    def left(self) -> object:
        """What is in the browser: the memory, the link's query, the field."""
        return self.page.evaluate(
            "[localStorage.length, relayClick.key(), document.links[0].search.replace(/&$/, ''),"
            " document.querySelector('input').value]"
        )


NOTHING = [0, "", "?prefilled_email=a%2Bb%40example.com", ""]


@pytest.fixture(params=SOURCES)
def visit(request: pytest.FixtureRequest, page: Page, shop: Shop, clicks: Clicks) -> Visit:
    source = SOURCES[request.param]
    shop.pages["/"] = with_script(clicks, LINK + FIELD, consent=request.param, before=source.before)
    page.clock.install()
    page.goto(f"{shop.origin}/?oppref={RAW}")
    looks(page)
    return Visit(page, source)


def test_before_an_answer_nothing_is_kept_or_sent(visit: Visit, shop: Shop, clicks: Clicks) -> None:
    assert visit.left() == NOTHING
    assert clicks.posts == []
    assert shop.cart_writes == []
    assert visit.page.evaluate("sessionStorage.length") == 0


def test_a_grant_is_told_to_the_endpoint_and_the_cart(visit: Visit, shop: Shop, clicks: Clicks) -> None:
    visit.grants()
    key = key_of(visit.page)
    assert clicks.posts == [{"oppref": RAW, "url": f"{shop.origin}/", "consent": "granted"}]
    shop.wait_for(lambda: shop.cart == {"relay_click": key, "__oppref": RAW, "relay_consent": "granted"})


def test_a_refusal_is_told_to_the_cart_and_nothing_else(visit: Visit, shop: Shop, clicks: Clicks) -> None:
    visit.denies()
    shop.wait_for(lambda: shop.cart == {"relay_consent": "denied"})
    looks(visit.page)
    assert visit.left() == NOTHING
    assert clicks.posts == []
    assert len(shop.cart_writes) == 1


def test_withdrawn_consent_removes_what_was_kept(visit: Visit, shop: Shop, clicks: Clicks) -> None:
    visit.grants()
    key = key_of(visit.page)
    shop.wait_for(lambda: len(shop.cart_writes) == 1)
    assert visit.left() != NOTHING
    # When
    visit.denies()
    # Then
    shop.wait_for(lambda: shop.cart == {"relay_consent": "denied"})
    assert shop.cart_writes[-1] == {"relay_click": "", "__oppref": "", "__obref": "", "relay_consent": "denied"}
    clicks.wait_for(lambda: clicks.posts[1:] == [{"key": key, "consent": "denied"}])
    looks(visit.page)
    assert visit.left() == NOTHING
    assert len(clicks.posts) == 2


def test_consent_given_after_a_refusal_counts(visit: Visit, shop: Shop, clicks: Clicks) -> None:
    visit.denies()
    visit.grants()
    key = key_of(visit.page)
    shop.wait_for(lambda: shop.cart == {"relay_click": key, "__oppref": RAW, "relay_consent": "granted"})
    assert [post["oppref"] for post in clicks.posts] == [RAW]


def test_consent_on_the_second_page_still_finds_the_click(page: Page, shop: Shop, clicks: Clicks) -> None:
    # Given a banner that the shopper leaves alone on the landing page
    shop.pages = {
        "/": with_script(clicks, '<a href="/next">Next</a>', consent="manual"),
        "/next": with_script(clicks, consent="manual"),
    }
    page.goto(f"{shop.origin}/?oppref={RAW}")
    page.click("text=Next")
    page.wait_for_url(f"{shop.origin}/next")
    assert clicks.posts == []
    # When
    page.evaluate("relayClick.consent(true)")
    key_of(page)
    # Then
    assert clicks.posts == [{"oppref": RAW, "url": f"{shop.origin}/", "consent": "granted"}]


def test_a_refusal_on_a_later_visit_removes_what_was_kept(page: Page, shop: Shop, clicks: Clicks) -> None:
    shop.pages["/"] = with_script(clicks, consent="manual")
    page.goto(f"{shop.origin}/?oppref={RAW}")
    page.evaluate("relayClick.consent(true)")
    key = key_of(page)
    page.goto(f"{shop.origin}/")
    assert page.evaluate("relayClick.key()") == "", "not asked yet on this page"
    page.evaluate("relayClick.consent(false)")
    clicks.wait_for(lambda: clicks.posts[1:] == [{"key": key, "consent": "denied"}])
    assert page.evaluate("localStorage.length") == 0


def test_what_another_tab_removed_is_not_made_anew(
    new_tab: Callable[[], Page], context: BrowserContext, shop: Shop, clicks: Clicks
) -> None:
    shop.pages["/"] = with_script(clicks, consent="manual")
    context.add_cookies([{"name": "__obref", "value": "b1", "url": shop.origin}])
    first, second = new_tab(), new_tab()
    first.clock.install()
    first.goto(f"{shop.origin}/?oppref={RAW}")
    first.evaluate("relayClick.consent(true)")
    key_of(first)
    second.goto(f"{shop.origin}/")
    # When
    second.evaluate("relayClick.consent(false)")
    looks(first)
    # Then
    assert stored(first) is None
    assert first.evaluate("relayClick.key()") == ""
    assert len([post for post in clicks.posts if "oppref" in post]) == 1


def test_a_refusal_while_the_post_is_under_way_keeps_no_key(page: Page, shop: Shop, clicks: Clicks) -> None:
    shop.pages["/"] = with_script(clicks, LINK + FIELD, consent="manual", before=STOREFRONT)
    page.goto(f"{shop.origin}/?oppref={RAW}")
    page.evaluate("relayClick.consent(true); relayClick.consent(false)")
    shop.wait_for(lambda: shop.cart == {"relay_consent": "denied"})
    assert Visit(page, SOURCES["manual"]).left() == NOTHING


def test_shopify_where_no_answer_is_needed(page: Page, shop: Shop, clicks: Clicks) -> None:
    # Given a region in which marketing is allowed without an answer
    allowed = SHOPIFY.replace('consent.marketing === "yes"', 'consent.marketing !== "no"')
    shop.pages["/"] = with_script(clicks, consent="shopify", before=allowed)
    page.goto(f"{shop.origin}/?oppref={RAW}")
    key_of(page)


def test_shopify_data_that_may_not_be_sold_is_refused(page: Page, shop: Shop, clicks: Clicks) -> None:
    shop.pages["/"] = with_script(clicks, consent="shopify", before=SHOPIFY)
    page.goto(f"{shop.origin}/?oppref={RAW}")
    page.wait_for_function("Shopify.customerPrivacy")
    page.evaluate("Shopify.customerPrivacy.setTrackingConsent({marketing: true, sale_of_data: false})")
    shop.wait_for(lambda: shop.cart == {"relay_consent": "denied"})
    assert clicks.posts == []


@pytest.mark.parametrize("purposes", ["1", "7", "2, 3, 4, 7", "1, 2, 3, 4"])
def test_tcf_needs_storage_and_measurement(purposes: str, page: Page, shop: Shop, clicks: Clicks) -> None:
    shop.pages["/"] = with_script(clicks, consent="tcf", before=STOREFRONT + TCF)
    page.goto(f"{shop.origin}/?oppref={RAW}")
    page.evaluate(f"tcf.answer({purposes})")
    shop.wait_for(lambda: shop.cart == {"relay_consent": "denied"})
    assert clicks.posts == []


def test_tcf_where_the_gdpr_does_not_apply(page: Page, shop: Shop, clicks: Clicks) -> None:
    elsewhere = TCF.replace('"cmpuishown", gdprApplies: true', '"tcloaded", gdprApplies: false')
    shop.pages["/"] = with_script(clicks, consent="tcf", before=elsewhere)
    page.goto(f"{shop.origin}/?oppref={RAW}")
    key_of(page)


def test_tcf_that_appears_later_is_asked_once(page: Page, shop: Shop, clicks: Clicks) -> None:
    shop.pages["/"] = with_script(clicks, TCF, consent="tcf")
    page.clock.install()
    page.goto(f"{shop.origin}/?oppref={RAW}")
    looks(page)
    page.evaluate("tcf.answer(1, 7)")
    looks(page)
    key_of(page)
    assert page.evaluate("tcf.listeners.length") == 1


GRANTED = "gtag('consent', 'default', {ad_storage: 'granted', ad_user_data: 'granted'});"
DENIED = "gtag('consent', 'default', {ad_storage: 'denied', ad_user_data: 'denied', region: ['DE']});"


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        (GRANTED, "granted"),
        (GRANTED + DENIED, None),
        (DENIED + GRANTED, None),
        (DENIED + "gtag('consent', 'update', {analytics_storage: 'granted'});", None),
        (DENIED + "gtag('consent', 'update', {ad_storage: 'granted', ad_user_data: 'denied'});", "denied"),
        (GRANTED + "gtag('consent', 'update', {ad_storage: 'denied', ad_user_data: 'granted'});", "denied"),
        (DENIED + UPDATE.format("denied") + ";" + UPDATE.format("granted"), "granted"),
        (DENIED + UPDATE.format("granted") + ";" + UPDATE.format("denied"), "denied"),
        ("dataLayer.push({event: 'x', consent: 'granted'}, ['js', new Date()]);", None),
    ],
)
def test_google_consent_commands(commands: str, expected: str | None, page: Page, shop: Shop, clicks: Clicks) -> None:
    start = "window.dataLayer = []; function gtag() { dataLayer.push(arguments); }"
    before = f"{STOREFRONT}<script>{start}{commands}</script>"
    shop.pages["/"] = with_script(clicks, consent="google", before=before)
    page.clock.install()
    page.goto(f"{shop.origin}/?oppref={RAW}")
    looks(page)
    if expected is not None:
        shop.wait_for(lambda: shop.cart.get("relay_consent") == expected)
    assert bool(clicks.posts) == (expected == "granted")
    assert len(shop.cart_writes) == (expected is not None)
