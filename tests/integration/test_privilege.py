"""Least privilege: each function does its work with its own role, and no role does what is another's.

On an AWS that evaluates every policy of template.yaml. ``MATRIX`` says who may do what; each line is tried with every
role, for real. A line that a role may do has to succeed, so the calls are right; all others have to be denied.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from conversion_relay.sources import shopify
from tests.integration.stack import (
    FUNCTION_OF,
    LOGICAL_ID,
    OPENAI_KEY,
    PIXEL_ID,
    SECRET,
    SECRETS,
    counted,
    empty,
    items,
    parked,
    post_order,
    queue_depth,
    settle_stream,
    statuses,
    until,
)
from tests.stripe_stand_in import KEY, StripeStandIn
from tools.local_aws import REGION, LocalAws, Stack
from tools.samples import ORIGIN, sample, samples
from tools.stand_in import StandIn

NAME = "guarded"
ACCOUNT = "000000000000"

SHOPIFY, STRIPE, CALLS, CUSTOM = "ShopifyReceiver", "StripeReceiver", "CallsReceiver", "CustomReceiver"
CLICK = "ClickMemory"
FETCH, OUTBOX, SENDER, PRIVACY, SCHEDULE = "Fetch", "Outbox", "Sender", "Privacy", "SenderSchedule"
RECEIVERS = {SHOPIFY, STRIPE, CALLS, CUSTOM}
ROLES = [*sorted(RECEIVERS), CLICK, FETCH, OUTBOX, SENDER, PRIVACY, SCHEDULE]
"""Each role by its logical id without ``Role``."""
NOBODY: set[str] = set()

MATRIX: list[tuple[str, str, set[str]]] = [
    # the ledger
    # The click memory may only where the key begins with memory#click#, a condition that this emulator does not know:
    # unit/test_template.py holds it as it is written.
    ("dynamodb:PutItem", "Ledger", {*RECEIVERS, CLICK, FETCH}),
    ("dynamodb:GetItem", "Ledger", {*RECEIVERS, CLICK, FETCH, SENDER}),
    ("dynamodb:UpdateItem", "Ledger", {STRIPE, FETCH, SENDER}),
    ("dynamodb:DeleteItem", "Ledger", {PRIVACY}),
    ("dynamodb:Scan", "Ledger", {PRIVACY}),
    ("dynamodb:Query", "Ledger", NOBODY),
    ("dynamodb:DescribeTable", "Ledger", NOBODY),
    # the queues
    ("sqs:SendMessage", "Queue", {OUTBOX}),
    ("sqs:ReceiveMessage", "Queue", {SENDER}),
    ("sqs:ChangeMessageVisibility", "Queue", {SENDER}),
    ("sqs:DeleteMessage", "Queue", {SENDER}),
    ("sqs:GetQueueAttributes", "Queue", NOBODY),
    ("sqs:PurgeQueue", "Queue", NOBODY),
    ("sqs:SendMessage", "DeadLetterQueue", {SENDER}),
    ("sqs:ReceiveMessage", "DeadLetterQueue", NOBODY),
    ("sqs:DeleteMessage", "DeadLetterQueue", NOBODY),
    ("sqs:SendMessage", "FetchQueue", {OUTBOX}),
    ("sqs:ReceiveMessage", "FetchQueue", {FETCH}),
    ("sqs:DeleteMessage", "FetchQueue", {FETCH}),
    ("sqs:GetQueueAttributes", "FetchQueue", {FETCH}),
    ("sqs:SendMessage", "FetchDeadLetterQueue", NOBODY),
    ("sqs:ReceiveMessage", "FetchDeadLetterQueue", NOBODY),
    ("sqs:SendMessage", "OutboxFailures", {OUTBOX}),
    ("sqs:ReceiveMessage", "OutboxFailures", NOBODY),
    ("sqs:SendMessage", "PrivacyFailures", {PRIVACY}),
    ("sqs:ReceiveMessage", "PrivacyFailures", NOBODY),
    # secrets: each function its own, and none of another stack
    ("ssm:GetParameter", "/guarded/signing-secrets/shopify", {SHOPIFY}),
    ("ssm:GetParameter", "/guarded/signing-secrets/stripe", {STRIPE}),
    ("ssm:GetParameter", "/guarded/signing-secrets/callrail", {CALLS}),
    ("ssm:GetParameter", "/guarded/signing-secrets/ctm", {CALLS}),
    ("ssm:GetParameter", "/guarded/signing-secrets/whatconverts", {CALLS}),
    ("ssm:GetParameter", "/guarded/signing-secrets/twilio", {CALLS}),
    ("ssm:GetParameter", "/guarded/signing-secrets/custom/backend", {CUSTOM}),
    ("ssm:GetParameter", "/guarded/openai-conversions-key", {SENDER}),
    ("ssm:GetParameter", "/guarded/stripe-api-key", {FETCH}),
    ("ssm:GetParameter", "/neighbour/signing-secrets/shopify", NOBODY),
    ("ssm:GetParameter", "/neighbour/openai-conversions-key", NOBODY),
    ("ssm:GetParametersByPath", "/guarded", NOBODY),
    ("ssm:PutParameter", "/guarded/signing-secrets/another", NOBODY),
    # the parking bucket
    ("s3:PutObject", "shopify/1", {SHOPIFY}),
    ("s3:PutObject", "stripe/1", {STRIPE, FETCH}),
    ("s3:PutObject", "callrail/1", {CALLS}),
    ("s3:PutObject", "ctm/1", {CALLS}),
    ("s3:PutObject", "whatconverts/1", {CALLS}),
    ("s3:PutObject", "twilio/1", {CALLS}),
    ("s3:PutObject", "custom/backend/1", {CUSTOM}),
    ("s3:PutObject", "privacy/1", {PRIVACY}),
    ("s3:PutObject", "aws/lambda/async/1", NOBODY),
    ("s3:GetObject", "shopify/parked", {PRIVACY}),
    ("s3:GetObject", "privacy/parked", {PRIVACY}),
    ("s3:DeleteObject", "shopify/parked", {PRIVACY}),
    ("s3:DeleteObject", "privacy/parked", {PRIVACY}),
    ("s3:ListBucket", "", {PRIVACY}),
    ("s3:GetBucketPolicy", "", NOBODY),
    # starting functions
    ("lambda:InvokeFunction", SENDER, {SCHEDULE}),
    *[("lambda:InvokeFunction", function, NOBODY) for function in (*sorted(RECEIVERS), CLICK, FETCH, OUTBOX, PRIVACY)],
    # reading what was logged
    ("logs:FilterLogEvents", "ShopifyReceiverLogs", NOBODY),
    # what would lead further
    ("iam:GetRole", "SenderRole", NOBODY),
    ("sts:AssumeRole", "PrivacyRole", NOBODY),
    ("cloudformation:DescribeStacks", "", NOBODY),
]
"""Action, on what, and the roles that may."""

NOT_TRIED = re.compile("^logs:|Stream|^dynamodb:Get(Records|ShardIterator)|Batch$")
"""The emulator asks for leave to log, and to read a stream, for another resource than AWS does, and for a batch of
messages by a name of its own. ``unit/test_template.py`` holds these grants as they are written.
"""


@dataclass(frozen=True)
class Guarded:
    """The stack, and the two that it calls."""

    stack: Stack
    openai: StandIn
    stripe: StripeStandIn


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    """A stack with every function, on an AWS that evaluates IAM and speaks TLS only."""
    with (
        StandIn(keys=[OPENAI_KEY], pixels=[PIXEL_ID]) as openai,
        StripeStandIn() as stripe,
        LocalAws.start(auth=True) as aws,
    ):
        parameters = {
            "PixelId": PIXEL_ID,
            "OpenAiEndpoint": f"{openai.url}/v1/events",
            "SendEvery": "rate(1 hour)",
            "PublicOrigin": ORIGIN,
            "EnableCustom": "yes",
            "SiteOrigin": "https://northwind-trail.example",
            "StripeFetchThinEvents": "yes",
            "StripeApiEndpoint": stripe.url,
        }
        aws.put_secrets("neighbour", SECRETS)
        aws.client("ssm").put_parameter(Name=f"/{NAME}/stripe-api-key", Type="SecureString", Value=KEY)
        yield Guarded(aws.deploy(NAME, parameters, SECRETS), openai, stripe)


# What each function may do ----------------------------------------------------------------------------------------


def test_the_roles_allow_the_whole_way_of_a_conversion(guarded: Guarded) -> None:
    # Given a stack whose roles are evaluated
    stack = guarded.stack
    # When an order is posted, forwarded and sent
    assert post_order(stack) == 200
    assert until(lambda: queue_depth(stack) == 1), stack.logs("Outbox")
    run = stack.invoke("Sender")
    # Then it is counted, its end is in the ledger, and nothing is left on the queue
    assert (run["sent"], run["stopped"], len(counted(guarded.openai))) == (1, None, 1)
    assert [item["status"]["S"] for item in items(stack).values()] == ["sent"]
    assert queue_depth(stack, hidden=True) == 0


@pytest.mark.parametrize(
    ("source", "receiver"), [(source, LOGICAL_ID[function]) for source, function in FUNCTION_OF.items()]
)
def test_the_roles_allow_whatever_the_receiver_does_with_a_delivery(
    guarded: Guarded, source: str, receiver: str
) -> None:
    # Given every sample: some are recorded together with a memory, some only remembered
    stack = guarded.stack
    answers = {}
    for each in samples(source):
        delivery = each.delivery(SECRETS[source][0], datetime.now(UTC), new=True)
        answers[each.name] = stack.send(source, delivery)
    # Then none of them fails for want of a permission
    assert {name: answer.json() for name, answer in answers.items() if answer.status != 200} == {}
    assert [line for line in stack.logs(receiver) if "AccessDenied" in line] == []


def test_the_roles_allow_keeping_a_click_and_recalling_it(guarded: Guarded) -> None:
    stack, origin = guarded.stack, "https://northwind-trail.example"
    told = {"Origin": origin, "Content-Type": "text/plain;charset=UTF-8"}
    key = stack.post("click", b'{"oppref":"guarded-click"}', told).json()["key"]
    completed = json.dumps({"obref": "guarded-browser", "key": key}).encode()
    assert stack.post("click", completed, told).json() == {"key": key}
    chosen = sample("callrail/post_call.no_click")
    delivery = replace(chosen, payload={**chosen.payload, "relay_click": key}).delivery(
        SECRETS["callrail"][0], datetime.now(UTC), new=True
    )
    assert stack.send("callrail", delivery).json()["outcome"] == "recorded"
    assert [line for line in (*stack.logs(CLICK), *stack.logs(CALLS)) if "AccessDenied" in line] == []


def test_the_roles_allow_parking(guarded: Guarded) -> None:
    stack = guarded.stack
    delivery = sample("shopify/orders/create").delivery(SECRET, datetime.now(UTC))
    headers = dict(delivery.headers) | {"x-shopify-hmac-sha256": shopify.sign(b"not JSON", SECRET)}
    assert stack.post("shopify", b"not JSON", headers).json()["outcome"] == "parked"
    # The report for a person who asked for data may be there by now.
    assert "shopify" in {key.split("/")[0] for key in parked(stack)}


@pytest.mark.parametrize("name", ["callrail/post_call", "ctm/end", "whatconverts/phone_call", "twilio/completed"])
def test_the_roles_allow_parking_of_calls(guarded: Guarded, name: str) -> None:
    stack = guarded.stack
    source = name.partition("/")[0]
    senseless = {"callrail": {"resource_id": ""}, "ctm": {"id": ""}, "whatconverts": {"lead_id": ""}}
    chosen = sample(name)
    payload = {**chosen.payload, "id": "", **senseless.get(source, {"CallDuration": "long"})}
    delivery = replace(chosen, payload=payload).delivery(SECRETS[source][0], datetime.now(UTC))
    assert stack.send(source, delivery).json()["outcome"] == "parked"
    assert source in {key.split("/")[0] for key in parked(stack)}


def test_the_roles_allow_parking_of_custom_platforms(guarded: Guarded) -> None:
    stack = guarded.stack
    chosen = sample("backend/order_created")
    timeless = replace(chosen, payload={**chosen.payload, "id": "till-0", "time": "noon"})
    delivery = timeless.delivery(SECRETS["backend"][0], datetime.now(UTC))
    told = stack.send("backend", delivery).json()
    assert (told["outcome"], told["reason"]) == ("parked", "time_missing")
    assert told["key"].startswith("custom/backend/")
    assert told["key"] in parked(stack)


def test_the_roles_allow_fetching_what_a_thin_event_names(guarded: Guarded) -> None:
    # Given a session at Stripe
    stack = guarded.stack
    thin = sample("stripe/v1.checkout.session.completed")
    session = sample("stripe/checkout.session.completed").payload["data"]["object"]
    guarded.stripe.objects = {thin.payload["related_object"]["url"]: session}
    # When the thin event that names it arrives
    assert stack.send("stripe", thin.delivery(SECRETS["stripe"][0], datetime.now(UTC))).status == 200
    # Then it is fetched and recorded
    fetched = f"fetch#stripe:{thin.payload['id']}"
    assert until(lambda: items(stack).get(fetched, {}).get("status") == {"S": "fetched"}), stack.logs("Fetch")
    assert f"order_created#stripe:{session['id']}" in statuses(stack)
    assert [line for line in stack.logs("Fetch") if "AccessDenied" in line] == []


def test_the_roles_allow_erasing_a_shop(guarded: Guarded) -> None:
    # Given conversions and memories of a shop
    stack = guarded.stack
    post_order(stack, 4711)
    # When the shop is to be erased
    of_the_shop = {"shop_id": 1, "shop_domain": "northwind-trail.myshopify.com"}
    delivery = replace(sample("shopify/shop/redact"), payload=of_the_shop).delivery(SECRET, datetime.now(UTC))
    assert stack.post("shopify", delivery.body, delivery.headers).json()["outcome"] == "compliance"
    # Then soon nothing of it is left
    assert until(
        lambda: [key for key in items(stack) if "#shopify:" in key and not key.startswith("privacy#")] == []
    ), stack.logs("Privacy")


def test_what_a_role_is_denied_is_denied(guarded: Guarded) -> None:
    # Given the sender without leave to receive (or the tests above would show nothing)
    stack = guarded.stack
    role, policy = stack.resources["SenderRole"], "NotThat"
    denied = '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"sqs:ReceiveMessage","Resource":"*"}]}'
    stack.client("iam").put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=denied)
    # When it runs, then it is refused
    try:
        assert "AccessDenied" in stack.invoke("Sender")["stopped"]
    finally:
        stack.client("iam").delete_role_policy(RoleName=role, PolicyName=policy)


# What no other may do ---------------------------------------------------------------------------------------------


SESSION = boto3.Session()
"""One for all: the description of a service is then read once."""


class As:
    """AWS as somebody: boto3 clients with the credentials of a role, or of the account itself."""

    def __init__(self, stack: Stack, credentials: Mapping[str, str] | None = None) -> None:
        self.stack = stack
        self._credentials = credentials or {"AccessKeyId": "test", "SecretAccessKey": "test"}
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """Retries nothing: an answer is an answer."""
        if service not in self._clients:
            make: Any = SESSION.client
            self._clients[service] = make(
                service,
                endpoint_url=self.stack.aws.endpoint,
                region_name=REGION,
                aws_access_key_id=self._credentials["AccessKeyId"],
                aws_secret_access_key=self._credentials["SecretAccessKey"],
                aws_session_token=self._credentials.get("SessionToken"),
                verify=str(self.stack.aws.certificate),
                config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, proxies={}),
            )
        return self._clients[service]


@pytest.fixture(scope="module")
def owner(guarded: Guarded) -> As:
    """The account's owner, who may do everything; nothing of the tests before is left, and nobody at the queues."""
    stack = guarded.stack
    settle_stream(stack)
    for each in stack.client("lambda").list_event_source_mappings(FunctionName=stack.resources["Fetch"])[
        "EventSourceMappings"
    ]:
        stack.client("lambda").update_event_source_mapping(UUID=each["UUID"], Enabled=False)
    empty(stack)
    return As(stack)


@pytest.fixture(scope="module")
def everybody(owner: As) -> dict[str, As]:
    """Each role, taken by the owner of the account: for that its trust is widened, and nothing else of it."""
    iam, sts = owner.client("iam"), owner.client("sts")
    trusted = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    taken = {}
    for role in ROLES:
        name = owner.stack.resources[f"{role}Role"]
        document = json.dumps({"Version": "2012-10-17", "Statement": [trusted]})
        before = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=document)
        session = sts.assume_role(RoleArn=arn_of_role(name), RoleSessionName="least-privilege")
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(before))
        taken[role] = As(owner.stack, session["Credentials"])
    return taken


def arn_of_role(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def answer(call: Callable[[], Any]) -> str:
    """``allowed`` or ``denied``; whatever else AWS answers stays as it is and fails the test."""
    try:
        call()
    except ClientError as refused:
        code = refused.response["Error"]["Code"]
        status = refused.response["ResponseMetadata"]["HTTPStatusCode"]
        return "denied" if code in ("AccessDenied", "AccessDeniedException") else f"{status} {code}"
    return "allowed"


def tried(action: str, target: str, who: As, owner: As) -> str:
    """Try an action of ``MATRIX`` as somebody. What it needs to be done at all, the owner makes ready."""
    stack = owner.stack
    service, _, operation = action.partition(":")
    physical = stack.resources.get(target, target)
    key: Any = {"pk": {"S": "probe"}}
    match service:
        case "dynamodb":
            needs: dict[str, Any] = {
                "PutItem": {"Item": key | {"status": {"S": "probe"}}},
                "GetItem": {"Key": key},
                "UpdateItem": {
                    "Key": key,
                    "UpdateExpression": "SET a = :a",
                    "ExpressionAttributeValues": {":a": key["pk"]},
                },
                "DeleteItem": {"Key": key},
                "Query": {"KeyConditionExpression": "pk = :k", "ExpressionAttributeValues": {":k": key["pk"]}},
            }
            wanted = {"TableName": physical} | needs.get(operation, {})
        case "sqs":
            wanted = {"QueueUrl": physical} | _of_message(operation, physical, owner)
        case "ssm":
            needs = {
                "GetParametersByPath": {"Path": target},
                "PutParameter": {"Name": target, "Value": "a secret", "Type": "SecureString", "Overwrite": True},
            }
            wanted = needs.get(operation, {"Name": target, "WithDecryption": True})
        case "s3":
            bucket = stack.resources["ParkingBucket"]
            if target.endswith("/parked"):
                owner.client("s3").put_object(Bucket=bucket, Key=target, Body=b"parked")
            body = {"Body": b"parked"} if operation == "PutObject" else {}
            wanted = {"Bucket": bucket} | ({"Key": target} if target else {}) | body
            operation = "ListObjectsV2" if operation == "ListBucket" else operation
        case "lambda":
            operation, wanted = "Invoke", {"FunctionName": physical, "InvocationType": "DryRun"}
        case "logs":
            wanted = {"logGroupName": physical}
        case _:
            needs = {
                "GetRole": {"RoleName": physical},
                "AssumeRole": {"RoleArn": arn_of_role(physical), "RoleSessionName": "further"},
            }
            wanted = needs.get(operation, {})
    client = who.client(service)
    python_name = {each: name for name, each in client.meta.method_to_api_mapping.items()}[operation]
    return answer(lambda: getattr(client, python_name)(**wanted))


def _of_message(operation: str, queue: str, owner: As) -> dict[str, Any]:
    match operation:
        case "SendMessage":
            return {"MessageBody": "a message of nobody's"}
        case "DeleteMessage" | "ChangeMessageVisibility":
            sqs = owner.client("sqs")
            sqs.send_message(QueueUrl=queue, MessageBody="a message of nobody's")
            received = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=2)["Messages"][0]
            visibility = {"VisibilityTimeout": 0} if operation == "ChangeMessageVisibility" else {}
            return {"ReceiptHandle": received["ReceiptHandle"]} | visibility
        case "GetQueueAttributes":
            return {"AttributeNames": ["All"]}
        case _:
            return {}


@pytest.mark.parametrize(
    ("action", "target", "allowed"), MATRIX, ids=[f"{action} {target}".strip() for action, target, _ in MATRIX]
)
def test_only_these_roles_may(owner: As, everybody: dict[str, As], action: str, target: str, allowed: set[str]) -> None:
    # Given a call that works for the owner of the account
    assert tried(action, target, owner, owner) == "allowed"
    # When every role tries it, then those that need it may, and nobody else
    answers = {role: tried(action, target, who, owner) for role, who in everybody.items()}
    assert answers == {role: "allowed" if role in allowed else "denied" for role in ROLES}


def test_every_permission_of_the_template_is_in_the_matrix(owner: As) -> None:
    # Given what each deployed role is granted, by action and resource
    iam, stack = owner.client("iam"), owner.stack
    granted = {
        (role, action, resource)
        for role in ROLES
        for name in iam.list_role_policies(RoleName=stack.resources[f"{role}Role"])["PolicyNames"]
        for statement in _statements(iam, stack.resources[f"{role}Role"], name)
        for action in _list(statement["Action"])
        for resource in _list(statement["Resource"])
    }
    # Then each grant has its line, so that one that is added here has to be added there
    tested = {(role, action, _arn(stack, action, target)) for action, target, may in MATRIX for role in may}
    missing = {
        (role, action, resource)
        for role, action, resource in granted
        if not [
            1
            for each_role, each_action, arn in tested
            if (each_role, each_action) == (role, action) and fnmatchcase(arn, resource)
        ]
    }
    assert {each for each in missing if not NOT_TRIED.search(each[1])} == set()


def _statements(iam: Any, role: str, policy: str) -> list[dict[str, Any]]:
    document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    statements: list[dict[str, Any]] = document["Statement"]
    return statements


def _list(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def _arn(stack: Stack, action: str, target: str) -> str:
    physical = stack.resources.get(target, target)
    table = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{stack.resources['Ledger']}"
    match action.partition(":")[0]:
        case "dynamodb":
            return table
        case "sqs":
            return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{physical.rpartition('/')[2]}"
        case "ssm":
            return f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{target}"
        case "s3":
            bucket = f"arn:aws:s3:::{stack.resources['ParkingBucket']}"
            return f"{bucket}/{target}" if target else bucket
        case "lambda":
            return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{physical}"
        case _:
            return ""
