"""Real faults: deliveries while processes are killed and AWS and OpenAI fail; then every conversion is accounted for.

``make faults`` deploys template.yaml to the local AWS, puts a proxy between the functions and it, and posts signed
deliveries as the platforms do. All the while functions are killed (SIGKILL), DynamoDB, SQS, S3 and SSM throttle, fail,
stall and lose replies, and the stand-in for OpenAI drops connections, answers 4xx and 5xx, late, or with wrong counts.
Then the faults end, what waits is sent, and the books are balanced::

    plan        from a seed: what is delivered, which faults when
    clients     the platforms: post, and retry as each of them does
    proxy       microburst between the functions and the local AWS
    injection   carries the plan's faults out
    accounting  what was promised against what OpenAI, ledger, queues and bucket hold: lost 0, counted twice 0
    trial       all of it together
    report      for people

    python -m tools.faults --deliveries 10000 --seed 7
"""
