"""Records for tests: one by hand, and strategies for any that is allowed."""

import string

from hypothesis import strategies as st

from eastwest_discovery._record import VERSION_MAX, Record

SMALL = string.ascii_lowercase + string.digits
dns_labels = st.text(SMALL, min_size=1, max_size=8)
services = st.lists(dns_labels, min_size=1, max_size=3).map(".".join)
instances = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=32)
printable = st.text(st.characters(exclude_categories=("C", "Z")), max_size=20)
addresses = st.dictionaries(
    st.sampled_from(["shm", "dpdk", "tcp", "quic"]),
    st.lists(st.text(string.ascii_letters + ".:[]", min_size=1, max_size=20), max_size=3).map(
        tuple
    ),
)
records = st.builds(
    Record,
    namespace=dns_labels,
    service=services,
    instance=instances,
    version=st.integers(0, VERSION_MAX),
    protocol=st.sampled_from(["", "orders/2"]),
    addresses=addresses,
    zone=st.just("") | services,
    weight=st.integers(0, 65535),
    labels=st.dictionaries(dns_labels, printable, max_size=5),
    ttl=st.integers(1, 3600),
    host=printable,
)


def make(
    instance: str = "a",
    version: int = 1,
    *,
    namespace: str = "default",
    service: str = "pricing",
    ttl: int = 15,
    labels: dict[str, str] | None = None,
) -> Record:
    """Return a record with what a test cares about."""
    return Record(
        namespace=namespace,
        service=service,
        instance=instance,
        version=version,
        protocol="orders/2",
        addresses={"tcp": ("10.0.0.1:7400", "[fd00::1]:7400"), "shm": ("here",)},
        zone="eu.a",
        labels=labels or {},
        ttl=ttl,
        host="h1",
    )
