"""The platforms that send webhooks: one module each, with ``verify``, ``sign``, ``normalize`` and a table of topics."""
