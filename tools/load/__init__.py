"""Deliveries at rising rates against the whole relay on this machine, and the books afterwards (``make load``)."""
