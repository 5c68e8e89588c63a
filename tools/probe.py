"""Tries the addresses of a deployed stack: ``make probe ENV=prod``. Each must answer, and refuse what is not signed.

One request without a signature goes to each Function URL. Nothing is recorded by it: a refused delivery writes one
line into the log and nothing else. Exit status: 0 all refuse, 1 one does not answer so, 2 there is no such stack.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Final

import boto3
import requests
from botocore.exceptions import BotoCoreError, ClientError

from tools.deployment import Deployment, NoDeployment
from tools.samconfig import UnknownEnvironment, environment

REFUSED: Final = (400, 401, 403, 404, 405)
"""By source: Stripe's 400, Twilio's 403; 404 without a platform's name in the path, 405 for a method of another one."""
NO_SECRET: Final = 503
TIMEOUT_S: Final = 30


def tried(addresses: Mapping[str, str], session: requests.Session) -> list[tuple[str, bool, str]]:
    """For each output that is an address: whether it refuses a stranger, and what to read about it."""
    found = []
    for name, url in sorted(addresses.items()):
        try:
            answer = session.post(url, data=b"{}", timeout=TIMEOUT_S, allow_redirects=False)
        except requests.RequestException as error:
            found.append(
                (name, False, f"does not answer ({type(error).__name__}): is the stack's deployment complete?")
            )
            continue
        if answer.status_code in REFUSED:
            found.append((name, True, f"refuses what is not signed (HTTP {answer.status_code})"))
        elif answer.status_code == NO_SECRET:
            found.append((name, True, "answers, and refuses everything until its signing secret is stored (HTTP 503)"))
        else:
            said = f"answered HTTP {answer.status_code} to a request without a signature: read the receiver's log"
            found.append((name, False, said))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Try them all; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.probe", description=__doc__)
    parser.add_argument("env", help="a section of samconfig.toml: dev or prod")
    options = parser.parse_args(arguments)
    try:
        chosen = environment(options.env)
        session = boto3.Session(profile_name=chosen.profile, region_name=chosen.region)
        relay = Deployment(session, chosen.stack)
        addresses = {name: url for name, url in relay.outputs.items() if name.endswith("WebhookUrl")}
    except (UnknownEnvironment, NoDeployment, ClientError, BotoCoreError) as problem:
        print(f"The addresses could not be found: {problem}", file=sys.stderr)
        return 2
    found = tried(addresses, requests.Session())
    for name, good, said in found:
        print(f"{'✓' if good else '✗'}  {name:24} {said}")
    return 0 if all(good for _, good, _ in found) else 1


if __name__ == "__main__":
    sys.exit(main())
