"""A loop over every step of every instance, to compare the event loop of a cluster with: slow, and plain to see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from inferometer.schedule import Schedule
from inferometer.simulator.cluster.routers import Router, make_router
from inferometer.simulator.cluster.service import Ask, Service
from inferometer.simulator.instance.instance import Instance, Step
from inferometer.simulator.instance.limits import EngineLimits, Job
from inferometer.simulator.instance.sequence import Sequence
from inferometer.simulator.instance.shape import StepModel, StepShape
from inferometer.spec import derive_seed


@dataclass(eq=False)
class Sent:
    """A request on its way."""

    ask: Ask
    number: int
    turn: int
    sent_ns: int
    prompt_tokens: int
    output_tokens: int
    names: tuple[int, ...] | None = None
    times_ns: list[int] = field(default_factory=list)
    instance: int = 0
    prefilled: bool = False

    @property
    def key(self) -> tuple[int, int]:
        return self.number, self.turn


class Side:
    """Instances of one kind, stepped, each with the step that is under way."""

    def __init__(
        self, limits: EngineLimits, model: StepModel, count: int, router: Router, seeds: list[int]
    ) -> None:
        self.router = router
        self.instances = [Instance(limits, model, seed=seed) for seed in seeds[:count]]
        self.steps: list[Step | None] = [None] * count
        self.of: dict[Sequence, Sent] = {}
        self.busy_ns: list[float] = [0] * count

    def add(self, sent: Sent, job: Job, at_ns: int) -> None:
        self.of[self.instances[sent.instance].add(job, at_ns)] = sent

    def ended(self, now_ns: int) -> list[Sent]:
        """Tokens of the steps that end now go to their requests; gives those that got their last one."""
        done = []
        for place, step in enumerate(self.steps):
            if step is not None and step.end_ns == now_ns:
                self.steps[place] = None
                for sequence in step.emitted:
                    self.of[sequence].times_ns += [now_ns] * sequence.made
                done += [self.of[sequence] for sequence in step.finished]
        for sent in done:
            self.router.ended(sent.instance)
        return done

    def begin_together(self, now_ns: int, idle_ns: int) -> None:
        """All begin a step if any has something to do and none is under way; it ends when the longest does."""
        due_ns = [due for one in self.instances if (due := one.next_ns()) is not None]
        if any(self.steps) or not due_ns or min(due_ns) > now_ns:
            return
        steps = [one.step(now_ns) for one in self.instances]
        if not any(steps):
            return
        end_ns = max(now_ns + idle_ns if step is None else step.end_ns for step in steps)
        for place, (one, step) in enumerate(zip(self.instances, steps, strict=True)):
            if step is None:
                one.hold(end_ns)
                continue
            self.steps[place] = one.prolong(step, end_ns)
            self.busy_ns[place] += end_ns - now_ns

    def begin(self, now_ns: int) -> None:
        """Whoever is free and has something to do begins a step."""
        for place, one in enumerate(self.instances):
            due_ns = one.next_ns()
            if self.steps[place] is None and due_ns is not None and due_ns <= now_ns:
                self.steps[place] = step = one.step(now_ns)
                assert 0 <= one.kv_blocks_used <= one.kv_blocks_peak <= one.limits.kv_blocks
                self.busy_ns[place] += 0 if step is None else step.end_ns - step.begin_ns

    def times_ns(self) -> Iterator[float]:
        """When something happens next."""
        for one, step in zip(self.instances, self.steps, strict=True):
            due_ns = one.next_ns() if step is None else step.end_ns
            if due_ns is not None:
                yield due_ns


class Reference:
    """What ``serve_point`` does, without limits of time; times are whole ns."""

    def __init__(self, service: Service, asks: list[Ask], schedule: Schedule) -> None:
        self.service, self.schedule = service, schedule
        self.asks = iter(asks)
        limits, model = service.limits, service.model
        one_token = StepShape(1, 1, 0, 0.0, 0, 1)
        self.idle_ns = round(model.step_s(one_token) * 1e9)  # of a rank with nothing to do, in lockstep
        self.decode = self._side("instance", limits, model, service.instances)
        self.prefill: Side | None = None
        if service.prefill:
            first_limits, first_model = service.prefill_limits or limits, service.prefill_model or model
            self.prefill = self._side("prefill", first_limits, first_model, service.prefill)
        self.link_ns = [0.0] * service.prefill
        self.future: list[tuple[int, str, tuple[int, int], Sent]] = []
        self.sent: list[Sent] = []
        self.left = len(asks)

    def _side(self, name: str, limits: EngineLimits, model: StepModel, count: int) -> Side:
        seeds = [derive_seed(self.service.seed, f"{name}-{place}") for place in range(count)]
        known = self.service.router
        if self.service.prefill and name == "instance" and known == "prefix-affinity":
            known = "least-loaded"
        router = make_router(known, count, limits.kv_blocks)
        return Side(limits, model, count, router, seeds)

    def run(self) -> list[Sent]:
        """All requests, in the order of their numbers and turns."""
        now_ns = 0
        while True:
            self._at(now_ns)
            times = [at for side in self.sides() for at in side.times_ns()]
            times += [at for at, *_ in self.future]
            wake_ns = self.schedule.wake_ns() if self.left else None
            times += [] if wake_ns is None else [wake_ns]
            times = [at for at in times if at > now_ns]
            if not times:
                return sorted(self.sent, key=lambda sent: sent.key)
            now_ns = int(min(times))

    def sides(self) -> list[Side]:
        """Those for prefill first."""
        return [side for side in (self.prefill, self.decode) if side is not None]

    def _at(self, now_ns: int) -> None:
        for side in self.sides():
            for sent in side.ended(now_ns):
                if side is self.prefill and sent.output_tokens > 1:
                    self.future.append((now_ns, "1 over", sent.key, sent))
                else:
                    reply_ns = round(self.service.overheads.reply_s * 1e9)
                    sent.times_ns = [at + reply_ns for at in sent.times_ns]
                    self.future.append((now_ns + reply_ns, "2 replied", sent.key, sent))
        for what, handle in (
            ("1 over", self._over),
            ("2 replied", self._replied),
            ("3 sent", self._send),
            ("4 arrived", self._arrived),
        ):
            if what == "3 sent":
                while self.left and (wake_ns := self.schedule.wake_ns()) is not None and wake_ns <= now_ns:
                    self._take(wake_ns)
            due = [entry for entry in self.future if entry[0] <= now_ns and entry[1] == what]
            for entry in sorted(due, key=lambda entry: entry[:3]):
                self.future.remove(entry)
                handle(entry[0], entry[3])
        if self.prefill is not None:
            self.prefill.begin(now_ns)
        if self.service.lockstep:
            self.decode.begin_together(now_ns, self.idle_ns)
        else:
            self.decode.begin(now_ns)

    def _take(self, at_ns: int) -> None:
        ask = next(self.asks)
        self.left -= 1
        number = self.schedule.take().request
        sent = Sent(ask, number, 0, at_ns, ask.prompt_tokens, ask.output_tokens, ask.names)
        self._send(at_ns, sent)

    def _send(self, at_ns: int, sent: Sent) -> None:
        self.sent.append(sent)
        if sent.ask.later:
            size = self.service.limits.block_tokens
            shared = (sent.ask.names or ())[: sent.ask.prompt_tokens // size]
            own = range(len(shared), (sent.prompt_tokens + sent.output_tokens) // size)
            sent.names = (*shared, *(-1 - sent.number * 1000 - place for place in own))
        lag_ns = round(self.service.overheads.arrival_s * 1e9)
        self.future.append((sent.sent_ns + lag_ns, "4 arrived", sent.key, sent))

    def _replied(self, at_ns: int, sent: Sent) -> None:
        if sent.turn == len(sent.ask.later):
            self.schedule.release(at_ns)
            return
        later = sent.ask.later[sent.turn]
        due_ns = at_ns + round(later.think_s * 1e9)
        prompt = sent.prompt_tokens + sent.output_tokens + later.new_tokens
        turn = Sent(sent.ask, sent.number, sent.turn + 1, due_ns, prompt, later.output_tokens)
        self.future.append((due_ns, "3 sent", turn.key, turn))

    def _over(self, at_ns: int, sent: Sent) -> None:
        transfer: Any = self.service.transfer
        took_ns = sent.prompt_tokens * transfer.bytes_per_token / transfer.bytes_per_s * 1e9
        self.link_ns[sent.instance] = max(self.link_ns[sent.instance], at_ns) + took_ns
        there_ns = self.link_ns[sent.instance] + transfer.latency_s * 1e9
        sent.prefilled = True
        sent.instance = self.decode.router.choose(())
        self.future.append((int(there_ns), "4 arrived", sent.key, sent))

    def _arrived(self, at_ns: int, sent: Sent) -> None:
        prompt, output = sent.prompt_tokens, sent.output_tokens
        if sent.prefilled:
            job = Job(
                prompt_tokens=prompt + 1, output_tokens=output - 1, ready_tokens=prompt, names=sent.names
            )
            self.decode.add(sent, job, at_ns)
            return
        side = self.prefill or self.decode
        size = side.instances[0].limits.block_tokens
        sent.instance = side.router.choose((sent.names or ())[: prompt // size])
        alone = 1 if self.prefill is not None else output
        side.add(sent, Job(prompt_tokens=prompt, output_tokens=alone, names=sent.names), at_ns)
