"""The loop in real time gives every token at the time that it has in virtual time, however late it is called."""

from __future__ import annotations

import pytest
from instance_world import MODEL, jobs, small
from sim_world import ManualAlarm

from inferometer.clock import VirtualClock
from inferometer.simulator.instance.instance import Instance, Step
from inferometer.simulator.instance.limits import EngineLimits, Job
from inferometer.simulator.instance.simulate import Overheads, simulate
from inferometer.simulator.server.pacing import Delivery, StepLoop


class Served:
    """An instance on a clock that tests move."""

    def __init__(self, limits: EngineLimits, *, arrival_ns: int = 0, reply_ns: int = 0) -> None:
        self.clock, self.alarm = VirtualClock(), ManualAlarm()
        self.instance = Instance(limits, MODEL)
        self.tokens: dict[int, list[int]] = {}
        self.idles = 0
        self._arrival_ns = arrival_ns
        self.loop = StepLoop(
            self.instance, self.clock, self.alarm, self._deliver, reply_ns=reply_ns, witness=self
        )

    def began(self, step: Step) -> None:
        assert step.begin_ns <= self.clock.now_ns()

    def idle(self) -> None:
        self.idles += 1

    def _deliver(self, delivery: Delivery) -> None:
        assert delivery.due_ns <= self.clock.now_ns()
        for sequence, made in zip(delivery.step.emitted, delivery.made, strict=True):
            self.tokens.setdefault(sequence.number, []).extend([delivery.due_ns] * made)

    def serve(self, asked: list[Job], late_ns: int = 0) -> None:
        """Let all arrive at their times; each call of the alarm comes ``late_ns`` late."""
        coming = sorted(asked, key=lambda job: job.arrival_ns)
        while coming or self.alarm.due is not None:
            due_ns = None if self.alarm.due is None else self.alarm.due[0] + late_ns
            if coming and (due_ns is None or coming[0].arrival_ns <= due_ns):
                job = coming.pop(0)
                self._go_to(job.arrival_ns)
                self.instance.add(job, job.arrival_ns + self._arrival_ns)
                self.loop.wake()
                continue
            _, callback = self.alarm.due
            self.alarm.due = None
            self._go_to(due_ns)
            callback()

    def _go_to(self, at_ns: int) -> None:
        self.clock.advance_ns(max(0, at_ns - self.clock.now_ns()))


SPREAD = [
    job
    for at_ms, lengths in (
        (1, (5, 8)),
        (1, (20, 3)),
        (9, (40, 12)),
        (30, (7, 24)),
        (500, (3, 1)),
        (500, (16, 5)),
    )
    for job in jobs(lengths, arrival_ns=at_ms * 1_000_000)
]
LIMITS = {
    "chunked": small(),
    "a full prompt at a time": small(scheduler="prefill-first", prefill_delay_s=0.02, max_prefill_seqs=2),
    "static": small(scheduler="static"),
}


@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
@pytest.mark.parametrize("late_ns", [0, 700_000])
def test_tokens_come_at_their_virtual_times(limits: EngineLimits, late_ns: int) -> None:
    here = Served(limits, arrival_ns=2_000_000, reply_ns=1_000_000)
    here.serve(SPREAD, late_ns)
    there = simulate(SPREAD, limits, MODEL, overheads=Overheads(arrival_s=2e-3, reply_s=1e-3))
    order = range(len(SPREAD))  # the ends of steps are whole ns here: half a ns a step
    assert [len(here.tokens[number]) for number in order] == there.output_tokens.tolist()
    assert [here.tokens[number][0] for number in order] == pytest.approx(there.first_token_s * 1e9, abs=50)
    assert [here.tokens[number][-1] for number in order] == pytest.approx(there.last_token_s * 1e9, abs=50)
    assert here.idles > 0


def test_a_backlog_is_caught_up_step_by_step() -> None:
    here = Served(small())
    here.serve(jobs((4, 20)), late_ns=50_000_000)
    on_time = simulate(jobs((4, 20)), small(), MODEL)
    assert here.tokens[0][-1] == pytest.approx(on_time.last_token_s[0] * 1e9, abs=50)
    assert here.clock.now_ns() < here.tokens[0][-1] + 2 * 50_000_000 + 20 * 50_000_000


def test_tokens_on_their_way_do_not_keep_the_next_step_waiting() -> None:
    slow, quick = Served(small(), reply_ns=40_000_000), Served(small())
    for here in (slow, quick):
        here.serve(jobs((4, 20), (4, 6)))
    for number in (0, 1):
        assert [at_ns - 40_000_000 for at_ns in slow.tokens[number]] == quick.tokens[number]
