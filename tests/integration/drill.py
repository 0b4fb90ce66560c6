"""What the fault drills share: a run against a faulty server, and what must hold however the server behaves."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import trustme

from inferometer import api
from inferometer.loadgen.progress import Observer
from inferometer.record.tables import PointTable, RunRecord
from inferometer.spec import Endpoint, Load, Output, RunSpec, Workload
from inferometer.testing.fault_server import Script
from inferometer.testing.streams import delta, models, sse, stream, usage

TOKENS = 4
ANSWER = stream(
    [
        (
            0.0,
            b"".join(sse(delta(f" w{i}")) for i in range(TOKENS))
            + sse(delta(finish="length"))
            + sse(usage(8, TOKENS))
            + sse("[DONE]"),
        )
    ]
)


class Drilled(NamedTuple):
    """A run that has ended."""

    result: api.RunResult
    record: RunRecord
    table: PointTable

    @property
    def statuses(self) -> list[str]:
        return [str(status) for status in self.table.text("status")]

    @property
    def errors(self) -> set[str]:
        return {str(error) for error in self.table.text("error") if error is not None}


def asked(url: str, out: Path, load: dict[str, Any], **endpoint: Any) -> RunSpec:
    return RunSpec(
        endpoint=Endpoint(url=url, **endpoint),
        load=Load(**{"warmup": 0, **load}),
        workload=Workload(input_len=(8,), output_len=(TOKENS,)),
        output=Output(out=str(out)),
    )


def drill(spec: RunSpec, observer: Observer | None = None, state: str = "complete") -> Drilled:
    """Carry out a run; nothing that its first load point has sent may be missing from the tables."""
    result = api.run(spec, observer)
    record = api.recover(result.path)
    assert [log.read_text() for log in result.path.glob("*.log")] == []  # no traceback
    table = record.measured[0]
    index = table.number("index")
    assert len(np.unique(index)) == len(index) == table.point.dispatched
    assert (table.number("point") == table.point.index).all()
    assert not np.isnan(table.number("end_ns")).any()
    assert [health.worker for health in table.point.health] == list(range(table.point.workers))
    assert record.meta.state == state
    assert not (result.path / "journal").exists()
    return Drilled(result, record, table)


def check_invalid(done: Drilled) -> None:
    """Failed requests make a run that says so."""
    assert done.result.exit_code == 5
    assert done.result.summary.verdict.word == "INVALID"
    counts = done.result.summary.points[0].counts
    assert counts.failed == len(done.statuses) - counts.ok > 0
    assert "errors" in {c.name for c in done.result.summary.points[0].verdict.failed}


def cut_into(script: Script, *offsets: int, gap_s: float = 0.001) -> Script:
    """The same bytes in several writes, cut at these offsets."""
    whole = b"".join(send.data for send in script.sends)
    starts = [0, *offsets]
    ends = [*offsets, len(whole)]
    sends = [
        script.sends[0]._replace(at_s=place * gap_s, data=whole[start:end])
        for place, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]
    return script._replace(sends=sends)


def server_tls(home: Path) -> tuple[ssl.SSLContext, str]:
    """A server's context, and the file of the authority that signed its certificate."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    ca_file = home / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    return context, str(ca_file)


Gone = Literal["refuse", "ignore", "full"]


@contextlib.contextmanager
def gone_after_the_probe(then: Gone, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that names its model and is gone from that moment on.

    Args:
        then: ``refuse``: nobody listens. ``ignore``: the kernel completes TCP connections, and nobody reads them.
            ``full``: nor does the kernel, for too many wait to be accepted.
        tls: a context, to speak TLS with the probe.
    """
    scheme = "https" if tls else "http"
    with contextlib.ExitStack() as stack:
        backlog = 0 if then == "full" else 1024
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=backlog))
        pool = stack.enter_context(ThreadPoolExecutor())
        answered = pool.submit(_answer_the_probe, listener, then, tls, stack)
        yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        answered.result()


def _answer_the_probe(
    listener: socket.socket, then: Gone, tls: ssl.SSLContext | None, stack: contextlib.ExitStack
) -> None:
    connection, _ = listener.accept()
    if tls is not None:
        connection = tls.wrap_socket(connection, server_side=True)
    with connection:
        while not connection.recv(65536).endswith(b"\r\n\r\n"):
            continue
        if then == "refuse":
            listener.close()
        elif then == "full":
            for _ in range(4):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
        connection.sendall(models("test").sends[0].data)
