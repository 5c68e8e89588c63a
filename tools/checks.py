"""The checks of ``relay check``: each asks a deployed relay one thing, and says what is good, doubtful or wrong of it.

Nothing is changed. The one request to OpenAI is ``validate_only``: it is checked by OpenAI and counts nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal

import requests
from botocore.exceptions import ClientError

from conversion_relay import event, openai
from conversion_relay.openai import Accepted, Blocked, OpenAi, Rejected, Retry
from conversion_relay.secrets import MAX_SECRETS, SecretMissing, Secrets
from conversion_relay.settings import BadSetting, Settings
from tools import health, readings
from tools.deployment import RECEIVER_OF, Deployment
from tools.readings import Unreadable, reading
from tools.sources import PLATFORMS, secret_name
from tools.story import source as shown
from tools.story import whole
from tools.wording import count

Level = Literal["good", "doubtful", "wrong"]

MAX_SKEW_S: Final = 60
"""How far this machine's clock may be off: as much as the sender keeps away from OpenAI's limits."""
REQUIRED: Final = (
    "Ledger", "Queue", "DeadLetterQueue", "ParkingBucket", "Outbox", "OutboxRecorded", "OutboxFailures", "Sender",
    "SenderRun", "SenderLogs", "Privacy", "PrivacyRequested", "PrivacyFailures",
)  # fmt: skip
"""What every stack has, by its name in the template."""
VISIBILITY_S: Final = 610
RECEIVES: Final = 1000
"""Of the queue, as the template has them: 1,000 times 610 s are longer than the 7 days in which OpenAI takes events."""

_CALLS: Final = tuple(name for name, function in RECEIVER_OF.items() if function == "CallsReceiver")


@dataclass(frozen=True)
class Result:
    """What a check found: what it is about, how good it is, what was seen, and what to do."""

    name: str
    level: Level
    said: str
    do: str = ""


def good(name: str, said: str) -> Result:
    """Nothing to do."""
    return Result(name, "good", said)


def doubtful(name: str, said: str, do: str = "") -> Result:
    """It works, but a person should know."""
    return Result(name, "doubtful", said, do)


def wrong(name: str, said: str, do: str) -> Result:
    """It does not work, or not for long."""
    return Result(name, "wrong", said, do)


def results(relay: Deployment) -> Iterator[Result]:
    """Every check in turn; one that AWS does not let the reader make is a result of its own.

    Raises:
        NoDeployment: there is no such stack.
    """
    lacking = [name for name in REQUIRED if name not in relay.resources]
    if lacking:
        yield wrong("stack", f"{relay.stack} lacks {', '.join(lacking)}.", "Deploy the stack again.")
        return
    for name, check in CHECKS.items():
        try:
            yield from check(relay)
        except Unreadable as problem:
            do = (
                f"Have {problem.action} granted to the credentials that you use here (docs/asking.md), or have "
                "somebody check who has it."
                if problem.action
                else "Try again; if it stays so, look at the resource in the AWS console."
            )
            yield wrong(name, whole(str(problem)), do)


def stack(relay: Deployment) -> Iterator[Result]:
    """Did the last deployment succeed?"""
    state = _described(relay)["StackStatus"]
    if not state.endswith("_COMPLETE") or "ROLLBACK" in state or state.startswith("DELETE"):
        yield wrong(
            "stack", f"{relay.stack} is in the state {state}.", "Deploy it again: the last change did not succeed."
        )
    else:
        yield good("stack", f"{relay.stack} with {count(len(relay.resources), 'resource')}, {state}")


def _described(relay: Deployment) -> Mapping[str, Any]:
    with reading("the stack", "cloudformation:DescribeStacks"):
        (held,) = relay.client("cloudformation").describe_stacks(StackName=relay.stack)["Stacks"]
    return dict(held)


# OpenAI ---------------------------------------------------------------------------------------------------------------


def mode(relay: Deployment) -> Iterator[Result]:
    """Are conversions counted?"""
    match _settings(relay).delivery_mode:
        case "live":
            yield good("delivery mode", "live: events are sent and counted")
        case "validate":
            yield doubtful(
                "delivery mode",
                "validate: OpenAI checks every event and counts none.",
                "Deploy with DeliveryMode=live once the events are as you want them.",
            )
        case "shadow":
            yield doubtful(
                "delivery mode",
                "shadow: conversions are recorded, nothing is sent, and what is recorded now never will be.",
                "Deploy with DeliveryMode=validate or live to send.",
            )


def sample_event(now_ms: int) -> str:
    """An order of an invented shop, as the relay builds them, for a request that counts nothing."""
    return event.parse(
        {
            "id": f"relay-check:{now_ms}",
            "type": "order_created",
            "timestamp_ms": now_ms - 60_000,
            "action_source": "offline",
            "data": {"type": "contents", "amount": 100, "currency": "USD"},
        }
    ).to_json()


def conversions_api(relay: Deployment) -> Iterator[Result]:
    """Does OpenAI take an event with this key, pixel and endpoint, and answer as the contract says?"""
    settings = _settings(relay)
    key = _openai_key(relay, settings)
    if isinstance(key, Result):
        yield key
        return
    yield good("OpenAI key", f"present in {settings.openai_key_parameter}")
    seen: list[requests.Response] = []
    with requests.Session() as session:
        session.hooks["response"].append(lambda response, **_: seen.append(response))
        session.trust_env = relay.endpoint is None  # to a stand-in on this machine no proxy leads
        sender = OpenAi(session, settings.openai_endpoint, settings.pixel_id, key, validate_only=True)
        answer = sender.send([sample_event(time.time_ns() // 1_000_000)])
    yield from _accepted(answer, settings)
    yield _clock("clock and OpenAI", seen[0].headers.get("Date") if seen else None)


def _openai_key(relay: Deployment, settings: Settings) -> str | Result:
    name = settings.openai_key_parameter
    command = f"Run the command in the stack's output OpenAiKeyCommand; it stores the key in {name}."
    try:
        return _secrets(relay, name).active()[0]
    except SecretMissing:
        return wrong("OpenAI key", f"There is none in {name}, so every run of the sender fails.", command)


def _accepted(answer: openai.Answer, settings: Settings) -> Iterator[Result]:
    host = settings.openai_endpoint.split("?")[0]
    match answer:
        case Accepted(count=1):
            yield good("Conversions API", f"{host} takes events for pixel {settings.pixel_id} with this key")
            yield good("contract", "the answer to validate_only is as documented: 1 event accepted, none counted")
        case Accepted(count=number):
            yield good("Conversions API", f"{host} takes events for pixel {settings.pixel_id} with this key")
            said = "does not say how many events it took" if number is None else f"says {number} events of 1"
            yield doubtful(
                "contract",
                f"The answer {said}: OpenAI's API is not as this version of the relay knows it.",
                "Look for a newer version of the relay; compare OpenAI's own report with 'relay status'.",
            )
        case Blocked():
            yield wrong("Conversions API", f"HTTP {answer.status or '?'} of {host}.", answer.advice)
        case Rejected(explained=False):
            yield wrong(
                "Conversions API",
                f"HTTP {answer.status} of {host}, and not in the form of OpenAI's answers.",
                "Something between here and OpenAI answers in its place: look for a proxy, and compare OpenAiEndpoint.",
            )
        case Rejected():
            named = ", ".join(f"{each.param}: {each.code}" for each in answer.problems) or "no field is named"
            yield wrong(
                "contract",
                f"HTTP {answer.status}: OpenAI refuses a plain sample event ({named}).",
                "OpenAI's API is not as this version of the relay knows it: look for a newer version.",
            )
        case Retry():
            yield wrong(
                "Conversions API",
                f"{host} did not take the request: {answer.reason}.",
                "Try again in some minutes. If it stays so from here and the sender's log says the same, compare "
                "OpenAiEndpoint with the Conversions API documentation; the events wait meanwhile.",
            )


def _clock(name: str, date: str | None) -> Result:
    try:
        theirs = parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return doubtful(name, "No Date header in the answer: the clocks could not be compared.")
    skew = round(time.time() - theirs)
    if abs(skew) <= MAX_SKEW_S:
        return good(name, f"{abs(skew)} s apart")
    ahead = "ahead" if skew > 0 else "behind"
    return wrong(
        name,
        f"This machine is {abs(skew)} s {ahead}.",
        "Set this machine's clock (NTP): AWS refuses what is signed by a wrong one. The deployed functions go by AWS's "
        "own clock; if that is right, OpenAI's is not, and what lies over 10 minutes ahead of it is refused.",
    )


def aws_clock(relay: Deployment) -> Iterator[Result]:
    """Does this machine's clock agree with that of AWS?"""
    with reading("the parking bucket", "s3:ListBucket"):
        answer = relay.client("s3").list_objects_v2(Bucket=relay.resources["ParkingBucket"], MaxKeys=1)
    yield _clock("clock and AWS", answer["ResponseMetadata"]["HTTPHeaders"].get("date"))


# AWS ------------------------------------------------------------------------------------------------------------------


def queue(relay: Deployment) -> Iterator[Result]:
    """Is the queue such that good events sit an outage out, and is nothing put aside?"""
    with reading("the queue Queue", "sqs:GetQueueAttributes"):
        held = relay.client("sqs").get_queue_attributes(
            QueueUrl=relay.resources["Queue"], AttributeNames=["VisibilityTimeout", "RedrivePolicy"]
        )["Attributes"]
    redrive = json.loads(held.get("RedrivePolicy", "{}"))
    dead = relay.resources["DeadLetterQueue"].rstrip("/").rpartition("/")[2]
    seen = (int(held["VisibilityTimeout"]), int(redrive.get("maxReceiveCount", 0)))
    if seen != (VISIBILITY_S, RECEIVES) or not str(redrive.get("deadLetterTargetArn", "")).endswith(f":{dead}"):
        yield wrong(
            "queue",
            f"It hides messages for {seen[0]} s and gives them up after {seen[1]} receives; the template says "
            f"{VISIBILITY_S} s and {RECEIVES} into the dead letters.",
            "Deploy the stack again: somebody has changed the queue by hand, and events could be lost in an outage.",
        )
    else:
        yield good(
            "queue", f"hides messages for {VISIBILITY_S} s, gives up after {RECEIVES:,} receives: outlasts 7 days"
        )
    for name, what in health.QUEUES.items():
        depth = readings.depth(relay, name)
        if name not in ("Queue", "FetchQueue") and depth is not None:
            if depth.total:
                yield wrong(
                    what, f"{count(depth.total, 'message')} in {name}.", "'relay status' says what to do with them."
                )
            else:
                yield good(what, "none")


def ledger(relay: Deployment) -> Iterator[Result]:
    """Does the table forget in time, and does its stream reach the outbox?"""
    client, table = relay.client("dynamodb"), relay.resources["Ledger"]
    with reading("the ledger's description", "dynamodb:DescribeTable"):
        held = client.describe_table(TableName=table)["Table"]
    with reading("the ledger's time to live", "dynamodb:DescribeTimeToLive"):
        ttl = client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    stream = held.get("StreamSpecification", {})
    again = "Deploy the stack again: somebody has changed the table by hand."
    if not stream.get("StreamEnabled") or stream.get("StreamViewType") != "NEW_IMAGE":
        yield wrong("ledger's stream", "It is off, or lacks the new image: nothing reaches the queue.", again)
    else:
        yield good("ledger's stream", "on, with the new image")
    if ttl.get("TimeToLiveStatus") in ("ENABLED", "ENABLING") and ttl.get("AttributeName") == "expires_at":
        yield good("ledger's time to live", "on expires_at")
    elif relay.endpoint:
        yield doubtful(
            "ledger's time to live", "The local AWS does not take it from the template: nothing is forgotten."
        )
    else:
        yield wrong("ledger's time to live", "It is not on expires_at: nothing is ever forgotten.", again)


def outbox(relay: Deployment) -> Iterator[Result]:
    """Do recorded conversions reach the queue, and privacy requests their function?"""
    for name, what in {"OutboxRecorded": "outbox", "PrivacyRequested": "privacy requests"}.items():
        with reading(f"the event source mapping {name}", "lambda:GetEventSourceMapping"):
            held = relay.client("lambda").get_event_source_mapping(UUID=relay.resources[name])
        if held["State"] not in ("Enabled", "Enabling", "Updating"):
            yield wrong(
                what,
                f"Its event source mapping is {held['State']}: nothing of the ledger's stream reaches it.",
                f"aws lambda update-event-source-mapping --enabled --uuid {relay.resources[name]}; a stream keeps 24 "
                "hours.",
            )
        else:
            yield good(what, f"its event source mapping is {held['State'].lower()}")


def schedule(relay: Deployment) -> Iterator[Result]:
    """Does the sender run?"""
    found = readings.schedule(relay, time.time_ns() // 1_000_000)
    if found.enabled:
        yield good("schedule", f"the sender runs {found.words}")
    else:
        yield wrong(
            "schedule",
            "It is disabled: nothing is sent.",
            "Enable it in the console (EventBridge Scheduler), or deploy the stack again.",
        )


def parking(relay: Deployment) -> Iterator[Result]:
    """Is the one place that holds raw bodies encrypted, and closed to the public?"""
    client, bucket = relay.client("s3"), relay.resources["ParkingBucket"]
    again = "Deploy the stack again: somebody has changed the bucket by hand, and it holds personal data."
    with reading("the parking bucket's encryption", "s3:GetEncryptionConfiguration"):
        rules = client.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    kinds = [each.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm") for each in rules]
    if any(kinds):
        yield good("parking bucket", f"encrypted ({', '.join(filter(None, kinds))})")
    else:
        yield wrong("parking bucket", "It is not encrypted.", again)
    try:
        with reading("the parking bucket's block of public access", "s3:GetBucketPublicAccessBlock"):
            blocked = client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    except Unreadable as problem:
        if not _is_about(problem, "NoSuchPublicAccessBlockConfiguration"):
            raise
        blocked = {}
    kinds_blocked = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    if all(blocked.get(each) for each in kinds_blocked):
        yield good("parking bucket", "closed to the public")
    else:
        yield wrong("parking bucket", "It could be opened to the public.", again)


def _is_about(problem: Unreadable, code: str) -> bool:
    cause = problem.__cause__
    return isinstance(cause, ClientError) and cause.response.get("Error", {}).get("Code") == code


def alarms(relay: Deployment) -> Iterator[Result]:
    """Does anybody hear the alarms, and is any going off?"""
    parameters = _described(relay).get("Parameters", [])
    given = {each["ParameterKey"]: each.get("ParameterValue", "") for each in parameters}
    if given.get("AlarmTopicArn"):
        yield good("alarms", "are sent to the topic in AlarmTopicArn")
    else:
        yield doubtful(
            "alarms",
            "They show only in the CloudWatch console: nobody is told.",
            "Deploy with AlarmTopicArn, an SNS topic that reaches you.",
        )
    if going_off := health.alarms(relay):
        names = ", ".join(each.name for each in going_off)
        yield doubtful("alarms", f"Going off: {names}.", "'relay status' says what each of them asks for.")


# Secrets --------------------------------------------------------------------------------------------------------------


def signing_secrets(relay: Deployment) -> Iterator[Result]:
    """Has every source that is switched on a signing secret? Only how many, never which."""
    for name, function in {"Shopify": "ShopifyReceiver", "Stripe": "StripeReceiver"}.items():
        if function in relay.resources:
            yield _signing_secret(relay, name.lower(), function) or _missing(relay, name.lower(), name)
    if "CallsReceiver" in relay.resources:
        yield from _several(relay, _CALLS, "CallsReceiver", "EnableCalls")
    if "CustomReceiver" in relay.resources:
        yield from _several(relay, tuple(PLATFORMS), "CustomReceiver", "EnableCustom")
    if "Fetch" in relay.resources:
        with reading("the settings of Fetch", "lambda:GetFunctionConfiguration"):
            parameter = relay.environment("Fetch")["STRIPE_API_KEY_PARAMETER"]
        try:
            _secrets(relay, parameter).active()
        except SecretMissing:
            yield wrong(
                "Stripe's API key",
                f"There is none in {parameter}, so no thin event is fetched.",
                "Run the command in the stack's output StripeApiKeyCommand.",
            )
        else:
            yield good("Stripe's API key", f"present in {parameter}")


def _missing(relay: Deployment, source: str, name: str) -> Result:
    return wrong(
        f"secret of {shown(source)}",
        f"There is none in {_secret_parameter(relay, source)}: every delivery is refused.",
        f"Run the command in the stack's output {name}SecretCommand, or deploy with Enable{name}=no.",
    )


def _several(relay: Deployment, sources: Sequence[str], function: str, switch: str) -> Iterator[Result]:
    """Of platforms that one function takes, those with a secret are those in use."""
    found = {source: _signing_secret(relay, source, function) for source in sources}
    yield from (result for result in found.values() if result is not None)
    silent = [shown(source) for source, result in found.items() if result is None]
    name = "call platforms" if switch == "EnableCalls" else "custom platforms"
    if len(silent) == len(found):
        yield doubtful(
            name,
            f"No secret for {', '.join(silent)}: their deliveries are refused.",
            f"Fine if you use none of them ({switch}=no takes the address away); else run the commands in the stack's "
            "outputs.",
        )
    elif silent:
        yield good(name, f"no secret for {', '.join(silent)}: fine unless you use them, their deliveries are refused")


def _signing_secret(relay: Deployment, source: str, function: str) -> Result | None:
    parameter = _secret_parameter(relay, source, function)
    try:
        value = _value(relay, parameter)
        held = Secrets(lambda _: value)
        held.active()
    except SecretMissing:
        return None
    counts = _by_tenant(value)
    name = f"secret of {shown(source)}"
    total = sum(counts.values())
    whose = f" for {count(len(counts), 'tenant')}" if len(counts) > 1 else ""
    if any(number > MAX_SECRETS for number in counts.values()):
        return doubtful(
            name,
            f"{count(total, 'secret')}{whose}; of each tenant only the first {MAX_SECRETS} count.",
            "Remove the old lines; more accounts with secrets of their own take labels (docs/sources/calls.md).",
        )
    return good(name, f"{count(total, 'secret')}{whose}")


def _by_tenant(value: str) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for line in filter(None, map(str.strip, value.splitlines())):
        label = line[: line.index("]")] if line.startswith("[") and "]" in line else ""
        counts[label] = counts.get(label, 0) + 1
    return counts


def _secret_parameter(relay: Deployment, source: str, function: str | None = None) -> str:
    function = function or RECEIVER_OF[source]
    with reading(f"the settings of {function}", "lambda:GetFunctionConfiguration"):
        path = relay.environment(function)["SIGNING_SECRETS_PATH"]
    return f"{path.removesuffix('/custom')}/{secret_name(source)}"


def _secrets(relay: Deployment, parameter: str) -> Secrets:
    return Secrets(lambda _: _value(relay, parameter))


def _value(relay: Deployment, parameter: str) -> str:
    """What a SecureString holds.

    Raises:
        SecretMissing: there is no such parameter.
        Unreadable: the reader may not read or decrypt it.
    """
    try:
        with reading(f"the parameter {parameter}", "ssm:GetParameter"):
            held = relay.client("ssm").get_parameter(Name=parameter, WithDecryption=True)
    except Unreadable as problem:
        if _is_about(problem, "ParameterNotFound"):
            raise SecretMissing(parameter) from problem
        raise
    return str(held["Parameter"]["Value"])


def _settings(relay: Deployment) -> Settings:
    with reading("the sender's settings", "lambda:GetFunctionConfiguration"):
        try:
            return relay.settings("Sender")
        except BadSetting as problem:
            raise Unreadable("the sender's settings", str(problem)) from problem


CHECKS: Final[Mapping[str, Callable[[Deployment], Iterator[Result]]]] = {
    "stack": stack,
    "delivery mode": mode,
    "Conversions API": conversions_api,
    "clock and AWS": aws_clock,
    "signing secrets": signing_secrets,
    "ledger": ledger,
    "outbox": outbox,
    "queue": queue,
    "schedule": schedule,
    "parking bucket": parking,
    "alarms": alarms,
}
"""In the order in which they are shown; the name is that of a line where AWS does not let the reader look."""
