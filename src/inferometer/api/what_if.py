"""Questions that several simulated services answer: which is best, how many instances are needed, which ratio.

All services get the same requests at the same times (common random numbers), and each member of the ensemble is
simulated with all of them, so that a difference between two is judged by the members' own differences, pair by pair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from inferometer.api.measuring import RunResult
from inferometer.api.simulated import Variant, most_instances, service_of, variants
from inferometer.api.simulating import simulate
from inferometer.errors import UsageError
from inferometer.loadgen.progress import NullObserver, Observer
from inferometer.loadgen.stop import StopSignal
from inferometer.metrics.slo import parse_slos
from inferometer.record.prediction import Prediction, read_prediction
from inferometer.report.what_if import Comparison, Fewest, Simulation, compared, failing, meets, surely_meets
from inferometer.spec import RunSpec

Tell = Callable[[str], None]
Runs = Callable[[Variant], Simulation]


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked, answered.

    Attributes:
        comparison: of all services that were simulated.
        runs: folder and summary of each, in the same order.
        complete: whether nobody stopped it before it was answered.
    """

    comparison: Comparison
    runs: list[RunResult]
    complete: bool

    @property
    def exit_code(self) -> int:
        """0; 3 where limits are given and nothing meets them; 130 when it was stopped."""
        if not self.complete:
            return 130
        met = self.comparison.any_meets
        return 3 if met is False else 0


def what_if(
    spec: RunSpec,
    observer: Observer | None = None,
    stop: StopSignal | None = None,
    tell: Tell = lambda text: None,
) -> Answers:
    """Simulate each variant of a spec, and compare them; with ``--instances auto``, as many as the answer needs.

    Args:
        spec: what is simulated, and what is compared.
        observer: told how far each is.
        stop: asked for, it ends the variant under way and all after it.
        tell: told of each variant before it is simulated.

    Raises:
        UsageError: a variant that is none, before any is simulated; a search for instances without limits.
    """
    stop = stop or StopSignal()
    asked = variants(spec)
    most = most_instances(spec)
    for variant in asked:  # what cannot be simulated is refused before hours are spent on the others
        service_of(spec, variant)
    if most is not None:
        _check_limits(spec)
    made: dict[Variant, tuple[RunResult, Simulation]] = {}

    def run(variant: Variant) -> Simulation:
        if variant not in made:
            tell(variant.label or "as it is")
            result = simulate(spec, observer or NullObserver(), stop, variant)
            made[variant] = (result, _simulation(variant, result))
        return made[variant][1]

    found: list[Fewest] = []
    for variant in asked:
        if stop.level:
            break
        if most is None:
            run(variant)
        else:
            found.append(fewest(variant, most, run, lambda: stop.level > 0))
    runs = sorted(made, key=lambda variant: _place(asked, variant)) if most is not None else list(made)
    rows = [made[variant][1] for variant in runs]
    return Answers(
        comparison=compared(rows, limits=list(spec.measure.slo), fewest=found),
        runs=[made[variant][0] for variant in runs],
        complete=stop.level == 0,
    )


def fewest(variant: Variant, most: int, run: Runs, stopped: Callable[[], bool] = lambda: False) -> Fewest:
    """The smallest number of instances that meets all limits, and the smallest that does with 90 % certainty.

    Doubles until one meets them, then halves the gap: more instances are taken never to be worse. The number below the
    answer has been simulated, and fails.

    Args:
        variant: what each instance is.
        most: instances to try at most.
        run: simulates a variant; asked again for the same one, it gives the same back.
        stopped: whether somebody asked to stop; then the answer is what is known.
    """

    def at(count: int) -> Simulation:
        label = ", ".join(filter(None, [variant.label, f"{count} instance{'s' if count > 1 else ''}"]))
        return run(variant._replace(instances=count, label=label))

    enough = _smallest(1, most, lambda count: meets(at(count)) is True, stopped)
    sure = None
    if enough is not None and at(enough).certain:
        sure = _smallest(enough, most, lambda count: surely_meets(at(count)), stopped)
    unknown = ""
    if enough is None and not stopped() and meets(last := at(most)) is None:
        unknown = ", ".join(text for point in last.points for text in failing(point))
    return Fewest(label=variant.label, enough=enough, sure=sure, most=most, unknown=unknown)


def _smallest(first: int, most: int, good: Callable[[int], bool], stopped: Callable[[], bool]) -> int | None:
    """The smallest number from ``first`` to ``most`` that is good, if all above a good one are; None if none is."""
    bad, count = first - 1, first
    while not good(count):
        bad = count
        if count >= most or stopped():
            return None
        count = min(most, 2 * count)
    while count - bad > 1 and not stopped():
        middle = (bad + count) // 2
        bad, count = (bad, middle) if good(middle) else (middle, count)
    return count


def _check_limits(spec: RunSpec) -> None:
    each, whole = parse_slos(spec.measure.slo)
    if not each and not whole:
        raise UsageError(
            "--instances auto looks for the fewest that meet limits, and there are none",
            'give them: --slo "p99_ttft<=500ms" "p99_tpot<=50ms"',
        )
    if each and not any(limit.metric == "attainment" for limit in whole):
        raise UsageError(
            f"--instances auto: {each[0].text} is a limit for each request, and nothing says how many have to meet it",
            'add a share: --slo "attainment>=95%"',
        )


def _simulation(variant: Variant, result: RunResult) -> Simulation:
    prediction = read_prediction(Path(result.path)) or Prediction(what="")
    return Simulation(
        label=variant.label or prediction.what,
        what=prediction.what,
        run=str(result.path),
        instances=int(prediction.service.get("instances", 1)) + int(prediction.service.get("prefill", 0)),
        verdict=result.summary.verdict.word,
        points=result.summary.points,
        predicted=prediction.points,
        no_interval=prediction.no_interval,
        notes=prediction.notes,
    )


def _place(asked: Sequence[Variant], variant: Variant) -> tuple[int, int]:
    """Variants of one set of flags together, by their number of instances."""
    of_flags = next(place for place, one in enumerate(asked) if one.engine_args == variant.engine_args)
    return of_flags, variant.instances or 0
