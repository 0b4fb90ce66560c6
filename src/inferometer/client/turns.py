"""What each turn of the receive loop cost: the raw counts behind the client-health strip."""

from __future__ import annotations

BUCKETS = 40  # bucket i holds turns of [2**(i-1), 2**i) ns; the last one is 9 minutes


class Turns:
    """Counts of one span of time; whoever reads it makes a new one for the next span.

    Attributes:
        count: turns of the loop.
        busy_ns: histogram of how long each turn kept the process from its sockets, in powers of two.
        busy_max_ns: the longest of them.
        lag_max_ns: longest time from a kernel receive time to our read.
        late_max_ns: longest time that a poll came back after its deadline, or after what woke it.
        send_lag_max_ns: longest time from when a request was due to its first byte, connecting left out.
    """

    __slots__ = ("busy_max_ns", "busy_ns", "count", "lag_max_ns", "late_max_ns", "send_lag_max_ns")

    def __init__(self) -> None:
        self.count = 0
        self.busy_ns = [0] * BUCKETS
        self.busy_max_ns = 0
        self.lag_max_ns = 0
        self.late_max_ns = 0
        self.send_lag_max_ns = 0

    def turn(self, busy_ns: int) -> None:
        """Count one turn that was busy for so long."""
        self.count += 1
        self.busy_ns[min(busy_ns.bit_length(), BUCKETS - 1)] += 1
        if busy_ns > self.busy_max_ns:
            self.busy_max_ns = busy_ns
