"""One request inside an instance."""

from __future__ import annotations

from inferometer.simulator.instance.limits import Job


class Sequence:
    """A request and how far it has come. Only the instance that has it writes to it.

    Attributes:
        arrival_ns: no step that begins before touches it.
        number: of the instance's requests, in the order in which they were added.
        computed: tokens whose KV entries exist.
        generated: output tokens made.
        made: of them, in the latest step that made any.
        blocks: KV blocks it holds, shared ones included.
        named: of these, those that the prefix cache knows, by their numbers in the pool.
        filled: full blocks that were offered to the prefix cache.
        ready: tokens whose KV entries come with it; 0 once it has lost them.
        cached: prompt tokens that the prefix cache had when it was first admitted.
        waiting: whether it is in the queue.
        running: whether it is in the running set.
        preemptions: how often it lost its KV entries.
        scheduled_ns: when the first step that computed any of it began; None = not yet. So with the next two.
        first_token_ns: end of the step that made its first token.
        last_token_ns: end of the step that made its latest token.
    """

    __slots__ = (
        "arrival_ns",
        "blocks",
        "cached",
        "computed",
        "filled",
        "first_token_ns",
        "generated",
        "job",
        "last_token_ns",
        "made",
        "named",
        "number",
        "output_tokens",
        "preemptions",
        "prompt_tokens",
        "ready",
        "running",
        "scheduled_ns",
        "waiting",
    )

    def __init__(self, job: Job, number: int, arrival_ns: float) -> None:
        self.job = job
        self.number = number
        self.prompt_tokens = job.prompt_tokens
        self.output_tokens = job.output_tokens
        self.arrival_ns = arrival_ns
        self.computed = 0
        self.generated = 0
        self.made = 0
        self.blocks = 0
        self.named: list[int] = []
        self.filled = 0
        self.ready = job.ready_tokens
        self.cached = 0
        self.waiting = False
        self.running = False
        self.preemptions = 0
        self.scheduled_ns: float | None = None
        self.first_token_ns: float | None = None
        self.last_token_ns: float | None = None

    @property
    def tokens(self) -> int:
        """Tokens known of it: prompt and answer so far."""
        return self.prompt_tokens + self.generated

    @property
    def left(self) -> int:
        """Tokens whose KV entries are missing; 1 when it decodes."""
        return self.prompt_tokens + self.generated - self.computed

    @property
    def decodes(self) -> bool:
        """Whether its next step computes its latest output token, or that of the instance before, and nothing else."""
        if self.computed + 1 != self.prompt_tokens + self.generated:
            return False
        return self.generated > 0 or self.job.ready_tokens > 0

    @property
    def finished(self) -> bool:
        """Whether its last token has been made."""
        return self.generated == self.output_tokens
