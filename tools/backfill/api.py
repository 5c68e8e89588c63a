"""HTTP to a platform's API, for reading: patient with rate limits, and careful with the token.

Redirects are never followed: they would take the token to another host. Neither is an address that an answer names: of
the next page only the cursor is taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import requests
from requests.auth import AuthBase

from tools.dry_run import CannotRun

TIMEOUT_S: Final = (5.0, 60.0)
"""To connect, and to wait for each part of the answer: a page of 250 orders takes its time."""
ATTEMPTS: Final = 8
"""Tries of one request that is answered with 429 or 5xx, or not at all."""
LONGEST_WAIT_S: Final = 60.0


class _Token(AuthBase):
    """The headers that prove who asks. Given as auth, so that no .netrc of this person takes their place."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._headers)
        return request


class Api:
    """Reads JSON objects of one origin. ``headers`` hold the token; ``name`` is the platform's, for people."""

    def __init__(
        self, name: str, origin: str, headers: Mapping[str, str], *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._name = name
        self._origin = origin
        self._auth = _Token(headers)
        self._sleep = sleep
        self._session = requests.Session()
        self._session.trust_env = not origin.startswith("http://127.0.0.1")  # no proxy on the way to this machine

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._session.close()

    def get(self, path: str, query: Sequence[tuple[str, str]]) -> tuple[dict[str, Any], Mapping[str, Any]]:
        """The object at a path, and the links of the answer by their relation.

        Raises:
            CannotRun: the platform refuses the request, or does not answer for minutes.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = self._session.get(
                    f"{self._origin}{path}", params=query, auth=self._auth, timeout=TIMEOUT_S, allow_redirects=False
                )
            except requests.RequestException as error:
                why, wait_s = f"did not answer ({type(error).__name__})", _backoff_s(attempt)
            else:
                if answer.status_code == 200:
                    return self._object(answer), answer.links
                if answer.status_code != 429 and answer.status_code < 500:
                    raise CannotRun(self._refusal(answer.status_code, path))
                why = f"answered HTTP {answer.status_code}"
                wait_s = _retry_after_s(answer.headers.get("Retry-After")) or _backoff_s(attempt)
            if attempt < ATTEMPTS:
                self._sleep(min(wait_s, LONGEST_WAIT_S))
        raise CannotRun(f"{self._name} {why}, {ATTEMPTS} times. Nothing was recorded; run the command again later.")

    def _object(self, answer: requests.Response) -> dict[str, Any]:
        try:
            held = answer.json()
        except ValueError:
            held = None
        if not isinstance(held, dict):
            raise CannotRun(f"{self._name} answered something else than a JSON object: compare --api")
        return held

    def _refusal(self, status: int, path: str) -> str:
        if status in (401, 403):
            return (
                f"{self._name} refuses the token (HTTP {status}): it is wrong, revoked, of another account or mode, or "
                f"may not read {path}. The page of the source in docs/sources says what it must be allowed"
            )
        return f"{self._name} answered HTTP {status} to {path}: compare the options with the page in docs/sources"


def _retry_after_s(text: str | None) -> float:
    try:
        return max(0.0, float(text or 0))
    except ValueError:
        return 0.0


def _backoff_s(attempt: int) -> float:
    return float(2 ** (attempt - 1))
