from types import SimpleNamespace

from inferometer.metrics.audit import Bin, Drift
from inferometer.report.audit import drift_notes


def point(*drifts, mean=500):
    return SimpleNamespace(
        input_drift=list(drifts),
        tokens=SimpleNamespace(input_client=mean * 10, input_target=mean * 10),
        counts=SimpleNamespace(ok=10),
    )


def drift(mean, *bins, side="server", against="asked"):
    requests = sum(part.requests for part in bins)
    return Drift(side=side, against=against, requests=requests, differ=requests, mean=mean, bins=list(bins))


def test_no_drift_and_that_of_a_chat_template_are_not_told():
    assert drift_notes([point(), point(drift(4.0, Bin(4, 4, 10)))]) == []


def test_the_worst_point_is_told_with_its_histogram():
    small, large = drift(40.0, Bin(40, 40, 10)), drift(57.5, Bin(-3, 20, 4), Bin(45, 68, 6))
    assert drift_notes([point(small), point(large)]) == [
        "prompt tokens counted by the server, less those asked for: mean +57.5; -3 to +20 in 4, +45 to +68 in 6 "
        "requests"
    ]


def test_any_drift_of_our_own_count_is_told():
    assert drift_notes([point(drift(0.1, Bin(0, 1, 10), side="client"))]) == [
        "prompt tokens counted by the client, less those asked for: mean +0.1; +0 to +1 in 10 requests"
    ]
