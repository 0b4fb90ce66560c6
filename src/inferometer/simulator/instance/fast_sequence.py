"""One request inside an instance that jumps."""

from __future__ import annotations

from inferometer.simulator.instance.limits import Job
from inferometer.simulator.instance.stretch import Piece


class FastSequence:
    """A request in a ``FastInstance``. Times are nanoseconds, not rounded; None where there is none yet.

    Attributes:
        job: what was added.
        number: counts up with each addition.
        arrival_ns: from when on a step can take it.
        scheduled_ns: begin of the first step that computed any of it.
        first_token_ns: end of the step that gave its first token.
        last_token_ns: end of the step that gave its last token.
        preemptions: how often it lost its blocks.
        generated: tokens given; while it decodes, those before it joined.
        cached: prompt tokens that the prefix cache had when it was first admitted.
        finished: whether its last token has been given.
        cancelled: whether it was withdrawn.
    """

    __slots__ = (
        "arrival_ns", "blocks", "cached", "cancelled", "computed", "context", "filled", "finish",
        "finished", "first_token_ns", "generated", "job", "joined", "last_token_ns", "named", "number",
        "pieces", "preemptions", "ready", "scheduled_ns", "turn",
    )  # fmt: skip

    def __init__(self, job: Job, number: int, arrival_ns: float) -> None:
        self.job = job
        self.number = number
        self.arrival_ns = arrival_ns
        self.scheduled_ns: float | None = None
        self.first_token_ns: float | None = None
        self.last_token_ns: float | None = None
        self.preemptions = 0
        self.generated = 0
        self.finished = False
        self.cancelled = False
        self.ready = job.ready_tokens  # computed elsewhere and not lost
        self.computed = 0  # tokens of its prompt, or of what it repeats, in the pool
        self.blocks = 0  # held while it prefills
        self.cached = 0
        self.named: list[int] = []  # of the blocks, as ``CachingPool`` has it
        self.filled = 0
        self.joined = -1  # count of decode steps when it began to decode; -1 = it does not decode
        self.context = 0  # tokens in the pool when it joined
        self.finish = 0  # count of decode steps at its end
        self.turn = 0  # which entry of the heap of finishes is its own
        self.pieces: list[Piece] = []

    @property
    def target(self) -> int:
        """Tokens to be computed before the next one is given."""
        return self.job.prompt_tokens + self.generated

    tokens = target
