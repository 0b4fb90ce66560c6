import numpy as np

from inferometer.metrics.audit import Bin, input_drift


class Data:
    """Columns of successful requests; a metric asks for nothing else."""

    def __init__(self, **columns):
        rows = len(next(iter(columns.values())))
        self._columns = {"turn": [0] * rows, "images": [0] * rows, **columns}

    def column(self, name):
        return np.array([np.nan if v is None else v for v in self._columns[name]], dtype=float)


def counts(asked, client, server, **more):
    return Data(input_tokens_target=asked, input_tokens_client=client, input_tokens_server=server, **more)


def test_counts_that_agree_are_no_drift():
    assert input_drift(counts([9, 9], [9, 9], [9, 9])) == []
    assert input_drift(counts([9, 9], [9, 9], [None, None])) == []


def test_a_template_of_the_server_is_a_constant_drift():
    (drift,) = input_drift(counts([9, 20, 30], [9, 20, 30], [19, 30, None]))
    assert (drift.side, drift.against, drift.requests, drift.differ, drift.mean) == (
        "server",
        "asked",
        2,
        2,
        10.0,
    )
    assert drift.bins == [Bin(10, 10, 2)]


def test_the_client_may_drift_too():
    drifts = input_drift(counts([9, 9], [10, 9], [11, 11]))
    assert [(drift.side, drift.against, drift.mean) for drift in drifts] == [
        ("client", "asked", 0.5),
        ("server", "asked", 2.0),
        ("server", "client", 1.5),
    ]


def test_wide_drifts_fall_into_a_few_bins():
    server = list(range(100, 160))
    (drift,) = input_drift(counts([100] * 60, [100] * 60, server))
    assert [part.requests for part in drift.bins] == [10] * 6
    assert (drift.bins[0], drift.bins[-1]) == (Bin(0, 9, 10), Bin(50, 59, 10))


def test_later_turns_of_sessions_are_left_out():
    assert input_drift(counts([9, 9], [9, 9], [9, 500], turn=[0, 1])) == []
