"""Reading an object from Stripe: every answer, over real HTTP."""

from collections.abc import Iterator

import pytest
import requests

from conversion_relay.stripe_api import KeyRefused, NotAnswered, StripeApi
from tests.stripe_stand_in import KEY, StripeStandIn

PATH = "/v1/invoices/in_1"


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture
def stripe() -> Iterator[StripeStandIn]:
    with StripeStandIn({PATH: {"id": "in_1"}, "/v1/list": []}) as stand_in:
        yield stand_in


@pytest.mark.parametrize("account", [None, "acct_1A"])
def test_an_object_of_the_account(session: requests.Session, stripe: StripeStandIn, account: str | None) -> None:
    assert StripeApi(session, stripe.url, KEY).get(PATH, account) == {"id": "in_1"}
    assert stripe.requests == [(PATH, account)]


def test_a_key_of_another_mode_or_account_sees_no_object(session: requests.Session, stripe: StripeStandIn) -> None:
    with pytest.raises(KeyRefused, match=r"/v1/invoices/in_2.*HTTP 404.*other mode.*StripeApiKeyCommand"):
        StripeApi(session, stripe.url, KEY).get("/v1/invoices/in_2", None)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_says_what_to_do(session: requests.Session, stripe: StripeStandIn, status: int) -> None:
    stripe.answers = [status]
    with pytest.raises(KeyRefused, match=f"HTTP {status}.*/v1/invoices/in_1.*StripeApiKeyCommand"):
        StripeApi(session, stripe.url, KEY).get(PATH, None)


def test_a_key_with_a_stray_character_is_refused_by_stripe_and_in_no_message(
    session: requests.Session, stripe: StripeStandIn
) -> None:
    with pytest.raises(KeyRefused) as refused:
        StripeApi(session, stripe.url, "rk_ë").get(PATH, None)
    assert "rk_" not in str(refused.value)


@pytest.mark.parametrize("status", [200, 201, 302, 400, 402, 409, 429, 500, 503])
def test_any_other_answer_is_tried_again(session: requests.Session, stripe: StripeStandIn, status: int) -> None:
    stripe.answers = [status]
    with pytest.raises(NotAnswered, match=f"HTTP {status}"):
        StripeApi(session, stripe.url, KEY).get(PATH, None)
    assert len(stripe.requests) == 1  # a redirect is not followed: it would take the key elsewhere


def test_what_is_no_object_is_tried_again(session: requests.Session, stripe: StripeStandIn) -> None:
    with pytest.raises(NotAnswered):
        StripeApi(session, stripe.url, KEY).get("/v1/list", None)


def test_no_answer_is_tried_again(session: requests.Session) -> None:
    with StripeStandIn() as stripe:
        url = stripe.url
    with pytest.raises(NotAnswered, match="did not answer"):
        StripeApi(session, url, KEY).get(PATH, None)
