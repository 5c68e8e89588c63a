"""Signing secrets: one a line, two at most, refreshed when a signature fits none, and never fewer than one."""

from collections.abc import Callable

import pytest

from conversion_relay.secrets import REFRESH_AT_MOST_EVERY_MS, SecretMissing, Secrets, SecretsUnavailable

NOW_MS = 1795327200000


class Parameter:
    """A parameter of the store: ``value`` behind a cache that is only passed when asked to; None: it is not there."""

    def __init__(self, value: str | None) -> None:
        self.value = value
        self.cached: str | None = None
        self.down = False
        self.fresh_reads = 0

    def __call__(self, fresh: bool) -> str:
        if self.down:
            raise SecretsUnavailable("the Parameter Store did not give /relay/test")
        if self.value is None:
            raise SecretMissing("there is no parameter /relay/test")
        self.fresh_reads += fresh
        if fresh or self.cached is None:
            self.cached = self.value
        return self.cached


@pytest.mark.parametrize(
    ("value", "secrets"),
    [
        ("one", ("one",)),
        (" one \n", ("one",)),
        ("new\nold", ("new", "old")),
        ("new\r\nold\r\n", ("new", "old")),
        ("\n\nnew\n \nold\n", ("new", "old")),
        ("new\nold\nolder", ("new", "old")),
        ("with blanks inside", ("with blanks inside",)),
    ],
)
def test_one_secret_a_line_and_two_at_most(value: str, secrets: tuple[str, ...]) -> None:
    assert Secrets(Parameter(value)).active() == secrets


def test_who_names_no_tenant_gets_the_secret_of_all_others_only() -> None:
    assert Secrets(Parameter("[shop-a] one")).active() == ()
    assert Secrets(Parameter("[shop-a] one\ntwo")).active() == ("two",)


@pytest.mark.parametrize("value", [None, "", " ", "\n \r\n"])
def test_no_secret_is_said_never_an_empty_one(value: str | None) -> None:
    secrets = Secrets(Parameter(value))

    with pytest.raises(SecretMissing):
        secrets.active()
    with pytest.raises(SecretMissing):
        secrets.refreshed(NOW_MS)


def test_unavailable_before_anything_was_read() -> None:
    parameter = Parameter("one")
    parameter.down = True

    with pytest.raises(SecretsUnavailable):
        Secrets(parameter).active()


@pytest.mark.parametrize("read", [Secrets.active, lambda secrets: secrets.active()], ids=["method", "call"])
def test_known_secrets_serve_while_the_store_is_down(read: Callable[[Secrets], tuple[str, ...]]) -> None:
    parameter = Parameter("one")
    secrets = Secrets(parameter)
    secrets.active()

    parameter.down = True

    assert read(secrets) == ("one",)
    assert secrets.refreshed(NOW_MS) is None


def test_a_parameter_that_was_emptied_refuses_although_a_secret_is_known() -> None:
    parameter = Parameter("one")
    secrets = Secrets(parameter)
    secrets.active()

    parameter.value = parameter.cached = ""

    with pytest.raises(SecretMissing):
        secrets.active()


def test_refreshed_reads_past_the_cache() -> None:
    # Given a parameter that has changed behind the cache
    parameter = Parameter("old")
    secrets = Secrets(parameter)
    assert secrets.active() == ("old",)
    parameter.value = "new\nold"

    # When a signature fits none of the known secrets
    found = secrets.refreshed(NOW_MS)

    # Then both are known from now on
    assert found == ("new", "old") == secrets.active()


def test_refreshed_says_when_there_is_nothing_new() -> None:
    secrets = Secrets(Parameter("one"))
    secrets.active()

    assert secrets.refreshed(NOW_MS) is None


@pytest.mark.parametrize(
    ("later_ms", "reads"),
    [(0, 1), (REFRESH_AT_MOST_EVERY_MS - 1, 1), (REFRESH_AT_MOST_EVERY_MS, 2), (-5_000, 1)],
)
def test_refreshed_at_most_every_thirty_seconds(later_ms: int, reads: int) -> None:
    parameter = Parameter("one")
    secrets = Secrets(parameter)
    secrets.active()
    secrets.refreshed(NOW_MS)
    parameter.value = "two"

    found = secrets.refreshed(NOW_MS + later_ms)

    assert parameter.fresh_reads == reads
    assert found == (("two",) if reads == 2 else None)


def test_a_failed_refresh_counts_as_one() -> None:
    # Given a store that is down, and forged deliveries
    parameter = Parameter("one")
    secrets = Secrets(parameter)
    secrets.active()
    parameter.down = True
    secrets.refreshed(NOW_MS)

    # When it is back within the 30 s
    parameter.down = False

    # Then it is left alone until they are over
    assert secrets.refreshed(NOW_MS + 1) is None
    assert parameter.fresh_reads == 0


def of(value: str, tenant: str | None) -> tuple[str, ...]:
    return tuple(Secrets(Parameter(value)).active(lambda: tenant))


def test_a_tenant_s_secrets_are_its_own() -> None:
    value = "[COM-a] a-new\n[com-A]  a-old\n[COM-a] a-older\n[COM-b] b\nfor all others"

    assert of(value, "COM-a") == of(value, "com-a") == ("a-new", "a-old")
    assert of(value, "COM-b") == ("b",)
    assert of(value, "COM-c") == of(value, None) == ("for all others",)


def test_without_a_secret_for_all_others_there_is_none_for_them() -> None:
    assert of("[COM-a] a\n[COM-b] b", "COM-c") == of("[COM-a] a", None) == ()


def test_nobody_is_asked_whose_delivery_it_is_where_no_secret_is_labelled() -> None:
    def tenant() -> str:
        raise AssertionError("reading the body of what is not verified yet")

    assert Secrets(Parameter("one\ntwo")).active(tenant) == ("one", "two")


@pytest.mark.parametrize("line", ["[unclosed secret", "[] secret", "[a]secret", "[a] "])
def test_what_is_no_label_is_a_secret(line: str) -> None:
    assert of(line, None) == (line.strip(),)


def test_a_rotation_of_one_tenant_s_secret_is_in_use_at_once() -> None:
    parameter = Parameter("[a] old\n[b] other")
    secrets = Secrets(parameter)
    assert secrets.active(lambda: "a") == ("old",)

    parameter.value = "[a] new\n[a] old\n[b] other"

    assert secrets.refreshed(NOW_MS, lambda: "a") == ("new", "old")
    assert secrets.refreshed(NOW_MS + REFRESH_AT_MOST_EVERY_MS, lambda: "a") is None
