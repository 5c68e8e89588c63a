"""AWS on this machine: starts an emulator (ministack) on loopback and deploys template.yaml to it.

    with LocalAws.start() as aws:
        stack = aws.deploy("relay", {"PixelId": "px_demo_0001"}, {"shopify": "secret", "openai": "key"})
        url, headers = stack.url("shopify")

It is the same template that goes to AWS, created through CloudFormation. Real credentials are never read: every client
has the emulator's address and made-up keys, and the emulator's own environment is built from nothing.

Where the emulator is not like AWS: a function's address has to be called by a path on 127.0.0.1 (``Stack.url``), a
handler that raises is started anew, metrics are not made from logs, a batch of the stream is retried for ever and does
not wait for company, saved queries are not made, and the query of a function's address is decoded and written anew
(``==`` becomes ``%3D%3D``), which breaks a signature over it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError, WaiterError

from conversion_relay.delivery import Delivery
from tools import package
from tools.sources import secret_name
from tools.template import ROOT, of_type

BUILD: Final = ROOT / "build"
ENVIRONMENTS: Final = BUILD / "envs"
ENVIRONMENT: Final = ENVIRONMENTS / "local-aws"
REGION: Final = "us-east-1"
START_TIMEOUT_S: Final = 30
DEPLOY_TIMEOUT_S: Final = 120
PACKAGE_BUCKET: Final = "packages"
IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - only directories of our own there, readable by nobody else
ROOM: Final = 4 << 30
"""Bytes that have to be free there, or the functions' code is laid on the disk: about 50 MB for each process."""

Say = Callable[[str], None]

_WAIT: Final[Any] = {"Delay": 0.2, "MaxAttempts": DEPLOY_TIMEOUT_S * 5}

# Runs in the emulator's interpreter. When the process that started it is gone, however it went, its end of the pipe on
# standard input closes: then the emulator ends its process group, which is itself and the functions it runs.
_LAUNCH: Final = """
import os, runpy, signal, sys, threading
def end_with_parent():
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=end_with_parent, daemon=True).start()
sys.argv = ["ministack"]
runpy.run_module("ministack", run_name="__main__")
"""


# The emulator asks for leave by the name of the operation, AWS only ever by the name without "Batch".
_BATCHES: Final = {
    f"sqs:{action}": f"sqs:{action}Batch" for action in ("ChangeMessageVisibility", "DeleteMessage", "SendMessage")
}

# It refuses a stack with these. Nothing of the relay reads them.
_NOT_THERE: Final = ("AWS::Logs::QueryDefinition",)

# boto3 reads the user's profile and AWS files even where everything is given; here it must not.
_NO_PROFILE: Final = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}


class LocalAwsFailed(RuntimeError):
    """The emulator could not be started, or the stack not deployed; the text says why and what to do."""


class FunctionFailed(RuntimeError):
    """A function that was invoked raised; the text is its error and the end of its log."""


@dataclass(frozen=True)
class Answer:
    """What a function's address answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class LocalAws:
    """A running emulator. Made by ``start``; ends with ``stop``, with the ``with`` block, or with this process."""

    def __init__(
        self, process: subprocess.Popen[bytes], port: int, directory: Path, scratch: Path, *, tls: bool, say: Say
    ) -> None:
        self.port = port
        self.endpoint = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        self.log = directory / "ministack.log"
        self.certificate = scratch / "ministack-tls" / "server.crt" if tls else None
        self._process = process
        self._scratch = scratch
        self._say = say
        self._clients: dict[str, Any] = {}
        self._session = boto3.Session(botocore_session=botocore.session.Session(session_vars=_NO_PROFILE))

    @classmethod
    def start(cls, port: int = 0, *, auth: bool = False, concurrency: int = 10, say: Say = print) -> Self:
        """Start the emulator on 127.0.0.1 and wait until it answers; makes its environment first if there is none.

        Args:
            port: 0 takes a free one.
            auth: evaluate every policy of the template, the roles' and those of queues and bucket, for every call.
                The latter let nothing in without TLS, so this emulator speaks https with a ``certificate`` of its own.
            concurrency: the most functions at work at once, as an AWS account has a limit; above it, 429.
            say: is told in a few words what goes on.

        Raises:
            LocalAwsFailed: when it does not come up.
        """
        make_environment(say)
        with _only_one_at_a_time("start"):  # or two might find the same port free
            port = port or free_port()
            if not _is_free(port):
                raise LocalAwsFailed(f"Port {port} is taken. Stop what listens there, or choose another port.")
            directory, scratch = _run_directories()
            with (directory / "ministack.log").open("wb") as log:
                process = subprocess.Popen(
                    [_python(), "-c", _LAUNCH],
                    env=_settings(port, scratch, auth=auth, concurrency=concurrency),
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            aws = cls(process, port, directory, scratch, tls=auth, say=say)
            try:
                aws._wait_until_ready()
            except BaseException:
                aws.stop()
                raise
        return aws

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the emulator and the functions it runs, at once: it keeps nothing. Its log stays until the next start."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process_group, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()
        for each in self._clients.values():
            each.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    @property
    def process_group(self) -> int:
        """The id of the process group of the emulator and of every function it runs."""
        return self._process.pid

    def client(self, service: str) -> Any:
        """A boto3 client of the emulator. Clients are made once for each service; they may be shared by threads."""
        if service not in self._clients:
            make: Any = self._session.client  # boto3's stubs know services by literal names only
            self._clients[service] = make(
                service,
                endpoint_url=self.endpoint,
                region_name=REGION,
                aws_access_key_id="test",
                aws_secret_access_key="test",
                verify=str(self.certificate) if self.certificate else None,
                config=Config(
                    read_timeout=960,  # s: longer than any function may take
                    retries={"total_max_attempts": 1},
                    max_pool_connections=64,
                    s3={"addressing_style": "path"},
                    proxies={},
                ),
            )
        return self._clients[service]

    def open(self, request: urllib.request.Request | str, timeout: float) -> Any:
        """``urllib.request.urlopen`` without a proxy, trusting the emulator's certificate."""
        return self._opener.open(request, timeout=timeout)

    @cached_property
    def _opener(self) -> urllib.request.OpenerDirector:
        """Made once: to read the system's certificates takes longer than a request."""
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if self.certificate:
            handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=self.certificate)))
        return urllib.request.build_opener(*handlers)

    def deploy(
        self,
        stack_name: str = "relay",
        parameters: Mapping[str, str] | None = None,
        secrets: Mapping[str, str | Sequence[str]] | None = None,
        tree: Path = ROOT,
    ) -> Stack:
        """Build and deploy template.yaml through CloudFormation; a stack of that name is updated.

        Args:
            stack_name: stacks of different names stand side by side.
            parameters: of the template, by name. An update takes only these: one left out has its default again.
            secrets: ``openai`` is the Conversions API key; any other is a source with its signing secret, or two.
            tree: the sources to build and deploy, such as those of another version.

        Raises:
            LocalAwsFailed: when a resource cannot be made, or a parameter is refused; the text says which and why. An
                update that fails is rolled back by then, as on AWS.
            package.BuildFailed: when a layer or function cannot be built.
        """
        built = self._build(tree)
        if unknown := set(parameters or {}) - set(built.template["Parameters"]):
            raise LocalAwsFailed(f"template.yaml has no parameter {', '.join(sorted(unknown))}.")
        self._say(f"Deploying template.yaml as stack {stack_name!r} …")
        self.put_secrets(stack_name, secrets or {})
        template = built.template_in(self._upload(built))
        for kind in _NOT_THERE:
            for name in of_type(template, kind):
                del template["Resources"][name]
        self._create_or_update(stack_name, self._upload_template(stack_name, template), parameters or {})
        stack = Stack(self, stack_name)
        if self.certificate:
            self._allow_batches(stack)
        return stack

    def delete(self, stack_name: str) -> None:
        """Delete a stack, and wait until it is gone. What its template retains stays.

        Raises:
            LocalAwsFailed: when a resource cannot be deleted; the text says which and why.
        """
        cloudformation = self.client("cloudformation")
        cloudformation.delete_stack(StackName=stack_name)
        try:
            cloudformation.get_waiter("stack_delete_complete").wait(StackName=stack_name, WaiterConfig=_WAIT)
        except WaiterError:
            raise LocalAwsFailed(f"Stack {stack_name!r} was not deleted. {self._first_failure(stack_name)}") from None

    def put_secrets(self, stack_name: str, secrets: Mapping[str, str | Sequence[str]]) -> None:
        """Store secrets of a stack in the Parameter Store, over what is there: as ``deploy`` takes them, one a line."""
        for name, secret in secrets.items():
            leaf = "openai-conversions-key" if name == "openai" else f"signing-secrets/{secret_name(name)}"
            self.client("ssm").put_parameter(
                Name=f"/{stack_name}/{leaf}",
                Type="SecureString",
                Value=secret if isinstance(secret, str) else "\n".join(secret),
                Overwrite=True,
            )

    def _build(self, tree: Path) -> package.Package:
        interpreter = package.Interpreter.at(_python())
        if interpreter.version != "3.13":
            self._say(f"Using Python {interpreter.version}: there is no 3.13, the version on AWS, on this machine.")
        with _only_one_at_a_time("packages"):
            return package.build(interpreter, tree)

    def _upload(self, built: package.Package) -> str:
        s3 = self.client("s3")
        s3.create_bucket(Bucket=PACKAGE_BUCKET)
        for path in built.zips.values():
            s3.put_object(Bucket=PACKAGE_BUCKET, Key=path.name, Body=path.read_bytes())
        return PACKAGE_BUCKET

    def _upload_template(self, stack_name: str, template: Mapping[str, Any]) -> str:
        """The address of the template in S3: CloudFormation takes 51,200 bytes in a request, and 1 MB from there."""
        key = f"{stack_name}.template.json"
        self.client("s3").put_object(Bucket=PACKAGE_BUCKET, Key=key, Body=json.dumps(template).encode())
        return f"https://s3.{REGION}.amazonaws.com/{PACKAGE_BUCKET}/{key}"

    def _create_or_update(self, stack_name: str, template_url: str, parameters: Mapping[str, str]) -> None:
        cloudformation = self.client("cloudformation")
        wanted = {
            "StackName": stack_name,
            "TemplateURL": template_url,
            "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        }
        try:
            if self._exists(stack_name):
                cloudformation.update_stack(**wanted)
                waiter = cloudformation.get_waiter("stack_update_complete")
            else:
                cloudformation.create_stack(**wanted)
                waiter = cloudformation.get_waiter("stack_create_complete")
            waiter.wait(StackName=stack_name, WaiterConfig=_WAIT)
        except ClientError as refused:
            message = refused.response["Error"]["Message"]
            if "No updates are to be performed" not in message:
                raise LocalAwsFailed(f"Stack {stack_name!r} was refused: {message}") from None
        except WaiterError:
            raise LocalAwsFailed(f"Stack {stack_name!r} was not deployed. {self._first_failure(stack_name)}") from None

    def _allow_batches(self, stack: Stack) -> None:
        iam = self.client("iam")
        for role in (physical for logical, physical in stack.resources.items() if logical.endswith("Role")):
            for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
                statements = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]["Statement"]
                batches = [
                    {"Effect": "Allow", "Action": actions, "Resource": each["Resource"]}
                    for each in statements
                    if (actions := [_BATCHES[action] for action in _list(each["Action"]) if action in _BATCHES])
                ]
                if batches and name != "Batches":
                    document = json.dumps({"Version": "2012-10-17", "Statement": batches})
                    iam.put_role_policy(RoleName=role, PolicyName="Batches", PolicyDocument=document)

    def _exists(self, stack_name: str) -> bool:
        try:
            stacks = self.client("cloudformation").describe_stacks(StackName=stack_name)["Stacks"]
        except ClientError:
            return False
        return any(each["StackStatus"] != "DELETE_COMPLETE" for each in stacks)

    def _first_failure(self, stack_name: str) -> str:
        events = self.client("cloudformation").describe_stack_events(StackName=stack_name)["StackEvents"]
        for event in reversed(events):
            if event["ResourceStatus"].endswith("_FAILED") and event["LogicalResourceId"] != stack_name:
                reason = event.get("ResourceStatusReason", "without a reason")
                return f"{event['LogicalResourceId']} ({event['ResourceType']}) failed: {reason}"
        return f"No resource failed within {DEPLOY_TIMEOUT_S} s; the emulator's log is {self.log}."

    def _wait_until_ready(self) -> None:
        give_up = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < give_up:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError):  # not listening yet, or its certificate is not written yet
                self.open(f"{self.endpoint}/_ministack/ready", timeout=1).close()
                return
            time.sleep(0.05)
        tail = self.log.read_text(errors="replace").strip().splitlines()[-5:]
        raise LocalAwsFailed("\n".join([f"The local AWS did not start on {self.endpoint}. Its last words:", *tail]))


class Stack:
    """A deployed stack: its outputs, addresses, functions and logs."""

    def __init__(self, aws: LocalAws, name: str) -> None:
        self.aws = aws
        self.name = name
        cloudformation = aws.client("cloudformation")
        outputs = cloudformation.describe_stacks(StackName=name)["Stacks"][0].get("Outputs", [])
        self.outputs: dict[str, str] = {each["OutputKey"]: each["OutputValue"] for each in outputs}
        resources = cloudformation.describe_stack_resources(StackName=name)["StackResources"]
        self.resources: dict[str, str] = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in resources}

    def client(self, service: str) -> Any:
        """A boto3 client of the emulator."""
        return self.aws.client(service)

    def url(self, source: str) -> tuple[str, dict[str, str]]:
        """An address for a source's webhooks that works on this machine, and the headers to send with it.

        The output ``…WebhookUrl`` is an address as on AWS, which means nothing here.
        """
        own = (self.outputs.get(f"{source.capitalize()}{kind}") for kind in ("WebhookUrl", "Url"))
        output = next(filter(None, own), None) or self.outputs["CustomWebhookUrl"] + source
        address = urlsplit(output)
        identifier = (address.hostname or "").split(".")[0]
        return f"{self.aws.endpoint}/_aws/lambda-url/{identifier}{address.path or '/'}", {}

    def send(self, source: str, delivery: Delivery) -> Answer:
        """Send a delivery to a source's address, with its method and query. Any HTTP status is an answer."""
        query = f"?{delivery.query}" if delivery.query else ""
        return self.post(source, delivery.body, delivery.headers, query, delivery.method)

    def post(
        self,
        source: str,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        path: str = "",
        method: str = "POST",
    ) -> Answer:
        """POST ``body`` to a source's address. Any HTTP status is an answer, not an error.

        ``path``: what follows the address, such as ``?a=b``.
        """
        url, needed = self.url(source)
        sent = {"Content-Type": "application/json", **(headers or {}), **needed}
        request = urllib.request.Request(url + path, body or None, sent, method=method)
        try:
            with self.aws.open(request, timeout=60) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())

    def invoke(self, function: str, event: Mapping[str, Any] | None = None) -> Any:
        """Run a function, named by its logical id in the template, and wait for what it returns.

        Raises:
            FunctionFailed: when it raises.
        """
        answer = self.client("lambda").invoke(
            FunctionName=self.resources[function], Payload=json.dumps(event or {}).encode()
        )
        payload = json.loads(answer["Payload"].read() or b"null")
        if "FunctionError" in answer:
            last_lines = "\n".join(self.logs(function)[-20:])
            raise FunctionFailed(f"{function} raised {payload.get('errorMessage', payload)}\n{last_lines}")
        return payload

    def logs(self, function: str) -> list[str]:
        """Every line that a function has logged, oldest first, by its logical id in the template."""
        logs = self.client("logs")
        group = self.resources[f"{function}Logs"]
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        return [event["message"].rstrip("\n") for page in pages for event in page["events"]]

    def kill(self, function: str) -> int:
        """Kill the processes that run a function (SIGKILL), as a crash would; says how many there were."""
        running = self._processes(function)
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        while any(_is_at_work(process) for process in running):
            time.sleep(0.02)
        return len(running)

    def redirect(self, function: str, endpoint: str) -> None:
        """Have a function call AWS at another address, such as that of a proxy in front of this emulator's."""
        client = self.client("lambda")
        name = self.resources[function]
        held = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        client.update_function_configuration(
            FunctionName=name, Environment={"Variables": {**held, "AWS_ENDPOINT_URL": endpoint}}
        )

    def _processes(self, function: str) -> list[int]:
        mark = f"ministack-lambda-{self.resources[function]}-"
        listed = subprocess.run(
            ["ps", "-A", "-ww", "-o", "pid=,pgid=,args="], check=True, capture_output=True, text=True
        )
        lines = (line.split(None, 2) for line in listed.stdout.splitlines())
        return [int(line[0]) for line in lines if int(line[1]) == self.aws.process_group and mark in line[-1]]


def make_environment(say: Say, name: str = ENVIRONMENT.name) -> Path:
    """Make the virtual environment of a dependency group if there is none, or if pyproject.toml changed since.

    Returns:
        Its interpreter.

    Raises:
        LocalAwsFailed: when it cannot be made.
    """
    environment = ENVIRONMENTS / name
    target = environment.relative_to(ROOT) / ".made"
    with _only_one_at_a_time(name):
        command = ["make", "--no-print-directory", str(target)]
        current = subprocess.run([*command, "--question"], cwd=ROOT, capture_output=True, check=False)
        if current.returncode:
            say(f"Installing {name} into {environment.relative_to(ROOT)} (once, about 20 s) …")
            made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            if made.returncode:
                raise LocalAwsFailed(f"{name} could not be installed:\n{made.stderr.strip()}")
    return environment / "bin" / "python"


def _settings(port: int, scratch: Path, *, auth: bool, concurrency: int) -> dict[str, str]:
    """The emulator's whole environment. The functions inherit it, so nothing of this process's may be in it."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "LANG": "C.UTF-8",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "DOCKER_HOST": f"unix://{scratch}/no-docker.sock",  # where Docker runs, it would clean up there
        "AUTH": "true" if auth else "false",
        "USE_SSL": "1" if auth else "0",
        "LAMBDA_ACCOUNT_CONCURRENCY": str(concurrency),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        # as on Lambda
        "TZ": ":UTC",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
    }


def _list(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def _python() -> Path:
    return ENVIRONMENT / "bin" / "python"


def _run_directories() -> tuple[Path, Path]:
    """Where this process's emulator logs, and where it and its functions keep files: in memory, if there is room.

    Each process of a function gets its own copy of the code, which takes a slow disk seconds to write and to remove.
    What is left of emulators whose process is gone is removed.
    """
    runs = BUILD / "local-aws"
    runs.mkdir(parents=True, exist_ok=True)
    scratches = IN_MEMORY if _is_roomy(IN_MEMORY) else runs
    prefix = "conversion-relay-"
    for each in [*runs.iterdir(), *IN_MEMORY.glob(f"{prefix}*")]:
        owner = each.name.removeprefix(prefix).split("-")[0]
        if owner.isdigit() and not _is_alive(int(owner)):
            shutil.rmtree(each, ignore_errors=True)
    for count in range(1000):
        name = f"{os.getpid()}-{count}"
        with contextlib.suppress(FileExistsError):
            (runs / name).mkdir()
            scratch = Path(tempfile.mkdtemp(prefix=f"{prefix}{name}-", dir=scratches))
            return runs / name, scratch
    raise LocalAwsFailed(f"{runs} is full of directories of this process.")


def _is_roomy(directory: Path) -> bool:
    """Whether there is room, and libraries may be loaded from there."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return False
    may_execute = not found.f_flag & os.ST_NOEXEC
    return may_execute and os.access(directory, os.W_OK) and found.f_bavail * found.f_frsize >= ROOM


def _is_at_work(pid: int) -> bool:
    """Whether a process is there and not just waiting for its parent to notice its end."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@contextlib.contextmanager
def _only_one_at_a_time(name: str) -> Iterator[None]:
    """Two demos or test runs at once must not build the same thing twice into the same place."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
