"""The mix of deliveries: every row is there, every conversion has an id of its own that the payload says."""

from collections import Counter
from datetime import UTC, datetime

import pytest

from conversion_relay.settings import Settings
from tools import traffic
from tools.in_memory import InMemoryLedger, InMemoryParking, KnownSecrets
from tools.sources import receiver_for
from tools.traffic import Traffic

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
SECRETS = dict.fromkeys(traffic.sources(), "a secret")
EXPECTED = {"new": "recorded", "twin": "duplicate", "again": "duplicate", "ignored": "ignored", "forged": "refused"}


def test_the_shares_add_up() -> None:
    assert sum(row.per_mille for row in traffic.rows()) == 1000
    assert all(row.why for row in traffic.rows())


@pytest.mark.parametrize("row", traffic.rows(), ids=lambda row: f"{row.sample} {row.kind}")
def test_each_row_comes_to_what_its_kind_says(row: traffic.Row) -> None:
    # Given what a twin or a repetition is of
    made = Traffic(SECRETS, seed=1)
    ledger = InMemoryLedger()
    settings = Settings.from_environment({"STOREFRONT_ORIGIN": "https://northwind-trail.example"})
    receiver = receiver_for(row.source, KnownSecrets(["a secret"]), ledger, InMemoryParking(), settings, lambda: NOW_MS)
    assert receiver is not None
    if row.kind in ("twin", "again"):
        receiver.receive(made.make(traffic.first(row.sample), NOW).delivery)

    # When it is delivered
    told = made.make(row, NOW)
    outcome = receiver.receive(told.delivery)

    # Then it comes to what the books expect, and its event has the id that they know
    assert outcome.kind == EXPECTED[row.kind]
    if row.kind == "new":
        assert outcome.event is not None
        assert (outcome.event.type, outcome.event.id) == told.conversion
        assert outcome.key == "#".join(told.conversion or ())


def test_the_mix_is_that_of_the_table_and_ids_differ() -> None:
    told = list(Traffic(SECRETS, seed=1).deliveries(2000, NOW))

    kinds = Counter(each.row.kind for each in told)
    new = [each.conversion for each in told if each.row.kind == "new"]
    assert kinds["new"] == pytest.approx(2000 * 0.58, rel=0.1)
    assert kinds["twin"] == pytest.approx(2000 * 0.30, rel=0.1)
    assert len(set(new)) == len(new)
    assert {each.conversion for each in told if each.row.kind in ("twin", "again")} <= set(new)
    assert all(each.conversion is None for each in told if each.row.kind in ("ignored", "forged"))
