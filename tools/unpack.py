"""Prints the JSON of a packed event that is on standard input, as an item of the ledger has it.

aws dynamodb get-item … --query Item.event.B --output text | base64 -d | python -m tools.unpack
"""

import sys

from conversion_relay.packing import NotPacked, unpack


def main() -> int:
    """Print it; the exit status (1: it is no packed event)."""
    try:
        print(unpack(sys.stdin.buffer.read()))
    except NotPacked as problem:
        print(f"This is no packed event: {problem}. Is it the binary value of the attribute event?", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
