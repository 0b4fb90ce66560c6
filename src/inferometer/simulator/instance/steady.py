"""The stepped instance, quick where one step of decoding follows another and nothing else happens."""

from __future__ import annotations

from inferometer.simulator.instance.instance import Instance, Step
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.instance.schedulers import Floor
from inferometer.simulator.instance.sequence import Sequence
from inferometer.simulator.instance.shape import StepModel, StepShape

_WORTH_STEPS = 4  # a stretch that is shorter costs more to prepare than it saves


class SteadyInstance(Instance):
    """Gives the steps of ``Instance``, those within a stretch of decoding at a fraction of their cost.

    A stretch lasts while all running sequences decode, nobody finishes, is cancelled or can be admitted, and there are
    blocks for all. Only scheduler ``chunked`` without drafts has them. The arguments are those of ``Instance``.
    """

    def __init__(self, limits: EngineLimits, model: StepModel, *, seed: int = 0, exact: bool = False) -> None:
        super().__init__(limits, model, seed=seed, exact=exact)
        self._quick = limits.scheduler == "chunked" and not limits.draft_tokens
        self._stretch: _Stretch | None = None

    def cancel(self, sequence: Sequence) -> bool:
        """See ``Instance``."""
        self._stretch = None
        return super().cancel(sequence)

    def step(self, now_ns: float) -> Step | None:
        """See ``Instance``."""
        if self._stretch is not None:
            begin_ns = max(now_ns, self._free_ns)
            shape = self._stretch.next_shape(begin_ns)
            if shape is not None:
                return self._repeat(self._stretch.members, shape, begin_ns)
        step = super().step(now_ns)
        self._stretch = _stretch(self._floor, step) if self._quick and step is not None else None
        return step

    def _repeat(self, members: list[Sequence], shape: StepShape, begin_ns: float) -> Step:
        """One token more for each of ``members``, who have their blocks."""
        step_s = self.model.step_s(shape)
        self._free_ns = end_ns = self._end_ns(begin_ns, step_s)
        held = self._pool.used
        self._peak_blocks = max(self._peak_blocks, held)
        parts = [(sequence, 1, sequence.computed) for sequence in members]
        for sequence in members:
            sequence.computed += 1
            sequence.generated += 1
            sequence.last_token_ns = end_ns
        return Step(begin_ns, end_ns, step_s, shape, members, [], [], [], [], parts, held, held)


def _stretch(floor: Floor, step: Step) -> _Stretch | None:
    """The stretch that follows ``step``, if it is worth while."""
    members = floor.running
    if not members or len(step.emitted) - len(step.finished) != len(members):  # a prompt is not computed yet
        return None
    steps = min(one.output_tokens - one.generated for one in members) - 1
    if steps < _WORTH_STEPS or any(one.filled < len(one.job.names or ()) for one in members):
        return None  # the prefix cache wants to be told of blocks that fill up
    return _Stretch(floor, steps)


class _Stretch:
    """Steps in which all running sequences decode.

    Args:
        floor: of the instance.
        steps: before the one in which somebody finishes.

    Attributes:
        members: in order of admission; never changed, as steps keep it.
    """

    def __init__(self, floor: Floor, steps: int) -> None:
        self.members = list(floor.running)
        self._floor = floor
        self._steps = steps
        self._done = 0
        self._kv_tokens = sum(one.computed for one in self.members)
        count, limits = len(self.members), floor.limits
        self._room = limits.max_num_batched_tokens > count and limits.max_num_seqs > count
        self._due: dict[int, list[Sequence]] = {}  # by number of the step, who needs another block in it
        for one in self.members:
            self._due.setdefault(one.blocks * floor.pool.block_tokens - one.computed, []).append(one)

    def next_shape(self, begin_ns: float) -> StepShape | None:
        """Give out the blocks of the next step, and say what it computes; None when the stretch is over."""
        number, pool = self._done, self._floor.pool
        if number == self._steps or (self._room and self._floor.queue.peek(begin_ns) is not None):
            return None
        due = self._due.get(number, [])
        if pool.free < len(due):
            return None
        for one in due:
            pool.take(one, 1)
        self._due.setdefault(number + pool.block_tokens, []).extend(self._due.pop(number, ()))
        self._done += 1
        count = len(self.members)
        shape = StepShape(count, count, self._kv_tokens, 0.0, 0, count)
        self._kv_tokens += count
        return shape
