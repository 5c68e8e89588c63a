"""`relay cost` runs the functions themselves: what it counts is what they do, and its figures are the template's."""

import argparse
import json

import pytest

from tools import cost
from tools.cost import Cost
from tools.cost.bill import Billing
from tools.cost.measure import RECEIVERS


@pytest.fixture(scope="module")
def found() -> Cost:
    """A shop with 100,000 conversions a month."""
    return cost.cost(100_000)


def test_each_conversion_is_received_forwarded_sent_and_settled(found: Cost) -> None:
    measured = found.measured

    # One call to AWS before the answer, and one only
    shopify = next(each for each in measured.receive if each.function.folder == RECEIVERS["shopify"])
    assert [(each.service, each.operation) for each in shopify.calls] == [("dynamodb", "PutItem")]
    assert sum(each.times for each in measured.receive) == pytest.approx(1)
    # Sent in one request, each settled with one write
    assert measured.sent == 11
    assert sum(each.service == "openai" for each in measured.send.calls) == 1
    assert sum(each.operation == "UpdateItem" for each in measured.send.calls) == measured.sent
    # An idle run writes nothing and sends nothing
    assert not any(each.writes or each.out_bytes for each in measured.idle.calls)


def test_what_was_measured_is_plausible(found: Cost) -> None:
    measured = found.measured

    assert all(0.1 < each.cpu_ms < 1_000 for each in measured.receive)
    assert all(50 < cpu_ms < 60_000 for cpu_ms in measured.init.values())
    assert all(20 < held < 500 for held in measured.memory_mb.values())
    assert 200 < measured.item < 3_000
    assert 200 < measured.event < 3_000
    assert all(each.log for each in measured.receive)
    assert any(name == "OldestUnsentSeconds" for _, name in measured.metrics)
    assert measured.secrets["ShopifyReceiver"] == 1


def test_the_bill_has_every_service_and_no_negative_line(found: Cost) -> None:
    bill = found.billing.bill()

    assert all(line.quantity >= 0 for line in bill.lines)
    prices = {line.price for line in bill.lines if line.part == "variable"}
    assert {"dynamodb_write", "lambda_requests", "lambda_arm64", "sqs_requests", "logs_ingested"} <= prices
    assert 1 < bill.usd_per_million("variable") < 10


def test_the_numbers_of_conversions_and_parameters_change_the_bill(found: Cost) -> None:
    half = Billing(found.choices, found.measured, 50_000).bill()
    whole = found.billing.bill()

    assert half.usd("kept") == pytest.approx(whole.usd("kept") / 2, rel=0.01)
    assert half.usd("fixed") < whole.usd("fixed")  # recovery of a smaller ledger


def test_as_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    cost.add_arguments(parser)

    # Given parameters of the template, when the bill is asked for as JSON
    status = cost.run(parser.parse_args(["--json", "--conversions", "20,000", "--parameter", "EnableCustom=yes"]))

    # Then it has everything, and the custom platforms too
    told = json.loads(capsys.readouterr().out)
    assert status == 0
    assert told["conversions_a_month"] == 20_000
    assert sum(line["usd_per_million"] for line in told["lines"] if line["part"] == "variable") == pytest.approx(
        told["usd_per_million"]["variable"]
    )
    assert set(told["further_deliveries_usd_per_million"]) == {"twin", "again", "ignored", "forged", "parked"}
    assert "CustomReceiver" in {each["function"] for each in told["measured"]["functions"]}
    assert len(told["designs"]) > 10


def test_a_parameter_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    cost.add_arguments(parser)

    assert cost.run(parser.parse_args(["--parameter", "SendEvry=rate(1 hour)"])) == 2
    assert "SendEvry" in capsys.readouterr().err
