"""The counting AWS, asked by boto3: it answers as the relay's clients need it, and counts as AWS charges."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tools.cost.service import CountingService


@pytest.fixture
def service() -> Iterator[CountingService]:
    with CountingService({"/relay/signing-secrets/shopify": "secret"}) as running:
        yield running


def client(service: CountingService, name: str) -> Any:
    make: Any = boto3.client
    return make(
        name, endpoint_url=service.url, region_name="us-east-1", aws_access_key_id="test",
        aws_secret_access_key="test", config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )  # fmt: skip


def test_a_write_counts_the_larger_of_before_and_after_and_a_refused_one_what_is_there(
    service: CountingService,
) -> None:
    dynamodb = client(service, "dynamodb")
    new = {"TableName": "t", "ConditionExpression": "attribute_not_exists(pk)"}
    large = {"pk": {"S": "a"}, "status": {"S": "recorded"}, "event": {"B": b"x" * 1500}}

    dynamodb.put_item(Item=large, **new)
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException):
        dynamodb.put_item(Item={"pk": {"S": "a"}}, **new)
    dynamodb.update_item(
        TableName="t", Key={"pk": {"S": "a"}}, UpdateExpression="SET #s = :s",
        ExpressionAttributeNames={"#s": "status"}, ExpressionAttributeValues={":s": {"S": "sent"}},
    )  # fmt: skip
    found = dynamodb.get_item(TableName="t", Key={"pk": {"S": "a"}}, ConsistentRead=True)["Item"]
    dynamodb.close()

    assert found["event"]["B"] == b"x" * 1500
    assert [each.writes for each in service.taken()] == [2, 2, 2, 0]
    assert [each["pk"]["S"] for each in service.inserted] == ["a"]
    assert service.taken() == []


def test_a_transaction_counts_twice_and_says_which_write_was_refused(service: CountingService) -> None:
    dynamodb = client(service, "dynamodb")
    writes = [
        {"Put": {"TableName": "t", "Item": {"pk": {"S": key}}, "ConditionExpression": "attribute_not_exists(pk)"}}
        for key in "ab"
    ]

    dynamodb.transact_write_items(TransactItems=writes)
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as refused:
        dynamodb.transact_write_items(TransactItems=writes)
    dynamodb.close()

    assert [each["Code"] for each in refused.value.response["CancellationReasons"]] == ["ConditionalCheckFailed"] * 2
    assert [each.writes for each in service.taken()] == [4, 4]


def test_messages_count_by_action_and_64_kb(service: CountingService) -> None:
    sqs = client(service, "sqs")
    url = "https://sqs.us-east-1.amazonaws.com/123456789012/Queue"
    attributes = {"key": {"DataType": "String", "StringValue": "k"}}
    entries = [{"Id": str(n), "MessageBody": "x" * 30_000, "MessageAttributes": attributes} for n in range(3)]

    sqs.send_message_batch(QueueUrl=url, Entries=entries)
    given = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["key"])["Messages"]
    sqs.delete_message_batch(
        QueueUrl=url, Entries=[{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(given)]
    )
    nothing = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)
    sqs.close()

    assert [each["MessageAttributes"]["key"]["StringValue"] for each in given] == ["k"] * 3
    assert "Messages" not in nothing
    calls = service.taken()
    assert [each.requests for each in calls] == [2, 2, 1, 1]
    assert [each.waits_s for each in calls] == [0, 0, 0, 1]


def test_secrets_are_given_by_name(service: CountingService) -> None:
    ssm = client(service, "ssm")

    value = ssm.get_parameter(Name="/relay/signing-secrets/shopify", WithDecryption=True)["Parameter"]["Value"]
    ssm.close()

    assert value == "secret"
    assert [(each.service, each.requests) for each in service.taken()] == [("ssm", 1)]


def test_what_is_not_counted_yet_fails(service: CountingService, capsys: pytest.CaptureFixture[str]) -> None:
    sqs = client(service, "sqs")

    with pytest.raises((ClientError, Exception)):  # the connection is closed
        sqs.purge_queue(QueueUrl="https://sqs.us-east-1.amazonaws.com/123456789012/Queue")
    sqs.close()

    assert "NotImplementedError" in capsys.readouterr().err
