"""HTTP to Stripe's API: one object by its path, with a restricted key that may only read.

What comes back, by what happens next::

    an object          200
    KeyRefused         401, 403, 404: a person has to act; the message stays
    NotAnswered        429, 5xx, timeouts and whatever else: the message comes again

Stripe answers 404 to a key of the other mode or of another account. Nothing that is fetched for a conversion is ever
deleted so that it is not found, so a 404 is no reason to let a sale go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import requests

TIMEOUT_S: Final = (3.0, 10.0)
"""To connect, and to wait for each part of the answer."""


class KeyRefused(Exception):
    """Stripe refuses the key. The text says what to correct."""


class NotAnswered(Exception):
    """No object this time. SQS hands the message out again."""


class StripeApi:
    """Reads objects. Redirects are never followed: they would take the key to another host."""

    def __init__(self, session: requests.Session, endpoint: str, key: str) -> None:
        self._session = session
        self._endpoint = endpoint
        self._key = key

    def get(self, path: str, account: str | None) -> dict[str, Any]:
        """The object at ``path``, of the connected account if one is named.

        Raises:
            KeyRefused: 401 or 403, and 404: the key cannot see it.
            NotAnswered: any other answer, or none.
        """
        import requests

        headers: dict[str, str | bytes] = {"Authorization": f"Bearer {self._key}".encode()}
        if account is not None:
            headers["Stripe-Account"] = account
        try:
            response = self._session.get(
                f"{self._endpoint}{path}", headers=headers, timeout=TIMEOUT_S, allow_redirects=False
            )
        except requests.RequestException as error:
            raise NotAnswered(f"Stripe did not answer ({type(error).__name__})") from error
        if response.status_code in (401, 403):
            raise KeyRefused(
                f"Stripe refuses the restricted key (HTTP {response.status_code}): it needs leave to read {path}, "
                "in the mode and account of the event. Put a better one (output StripeApiKeyCommand)"
            )
        if response.status_code == 404:
            raise KeyRefused(
                f"Stripe has no {path} for the restricted key (HTTP 404): the key is of the other mode or of another "
                "account than the event. Put the right one (output StripeApiKeyCommand)"
            )
        try:
            body = response.json() if response.status_code == 200 else None
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise NotAnswered(f"Stripe answered HTTP {response.status_code} without an object")
        return body
