"""Lets the tools themselves read what ``inferometer export`` writes in their formats.

    cd bench && python -m exchange.readers RUN [--environments DIR] [--keep DIR]

Each reader is the tool's own code, in the environment of that tool (see ``peers/environments.py``): the loader behind
its report, its plots or its workbook. It prints what it read, and the mean TTFT that it found is held against ours.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from inferometer.api.exporting import Asked, export
from inferometer.errors import UsageError
from inferometer.metrics.views.aiperf import aiperf_result
from inferometer.metrics.views.evalscope import SUMMARY, evalscope_result
from inferometer.metrics.views.genai_bench import AGGREGATED, genai_bench_result
from inferometer.metrics.views.guidellm import guidellm_result
from inferometer.metrics.views.vllm import vllm_result
from inferometer.record.store import read_run
from inferometer.record.tables import PointTable, RunRecord

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 300.0
_CLOSE = 1e-9


@dataclass(frozen=True)
class Reader:
    """A tool's own code that reads a format.

    Attributes:
        environment: whose it runs in.
        form: the format.
        what: the code, in words.
        code: a program that reads the folder ``sys.argv[1]``, and prints mean TTFTs in ms as a JSON list, sorted.
        ours: the same figure of a load point as we exported it.
    """

    environment: str
    form: str
    what: str
    code: str
    ours: Callable[[PointTable, RunRecord], float]


_VLLM = """
import io, json, sys, contextlib
from pathlib import Path
from vllm.benchmarks.sweep.plot_pareto import plot_pareto, _prepare_records
from vllm.benchmarks.sweep.plot import plot, PlotFilters, PlotBinners
folder = Path(sys.argv[1])
with contextlib.redirect_stdout(io.StringIO()):
    plot_pareto(folder, "max_concurrency", None, ["max_concurrency"], dry_run=True)
    plot(folder, folder / "figures", [], [], [], ["model_id"], var_x="max_concurrency", var_y="p99_ttft_ms",
         filter_by=PlotFilters.parse_str(""), bin_by=PlotBinners.parse_str(""), scale_x=None, scale_y=None,
         dry_run=True)
records, skipped = _prepare_records(
    json.loads((folder / "summary.json").read_text()), user_count_var="max_concurrency", gpu_count_var=None)
assert not skipped
print(json.dumps(sorted(record["mean_ttft_ms"] for record in records)))
"""
_EVALSCOPE = """
import json, sys
from pathlib import Path
from evalscope.perf.utils.report.perf_data import RunLoader
from evalscope.perf.utils.report.generate_report import gen_perf_html_report
import argparse
models = sorted({path.parents[1] for path in Path(sys.argv[1]).rglob("benchmark_summary.json")})
runs = [run for model in models for run in RunLoader.load_all(str(model))]
assert all(run.requests and run.percentiles.rows for run in runs)
for model in models:
    assert Path(gen_perf_html_report(str(model), {}, argparse.Namespace(api="openai", name=None))).stat().st_size
print(json.dumps(sorted(run.summary.avg_ttft for run in runs)))
"""
_GUIDELLM = """
import asyncio, contextlib, io, json, sys
from pathlib import Path
from guidellm.benchmark.entrypoints import reimport_benchmarks_report
from guidellm.benchmark.schemas.report import GenerativeBenchmarksReport
file = Path(sys.argv[1], "benchmarks.json")
with contextlib.redirect_stdout(io.StringIO()):
    asyncio.run(reimport_benchmarks_report(file, [
        {"kind": "console"}, {"kind": "html", "path": str(file.parent / "out.html")},
        {"kind": "csv", "path": str(file.parent / "out.csv")}]))
report = GenerativeBenchmarksReport.load_file(file)
assert all(b.requests.successful for b in report.benchmarks)
print(json.dumps(sorted(b.metrics.time_to_first_token_ms.successful.mean for b in report.benchmarks)))
"""
_AIPERF = """
import contextlib, io, json, sys
from pathlib import Path
from aiperf.plot.core.data_loader import DataLoader
folders = sorted({path.parent for path in Path(sys.argv[1]).rglob("profile_export.jsonl")})
runs = [DataLoader().load_run(folder) for folder in folders]
assert all(len(run.requests) for run in runs)
per_request = [float(run.requests["time_to_first_token"].mean()) for run in runs]
stated = [run.aggregated["time_to_first_token"]["avg"] for run in runs]
assert all(abs(a - b) < 1e-6 for a, b in zip(per_request, stated)), (per_request, stated)
print(json.dumps(sorted(stated)))
"""
_GENAI_BENCH = """
import contextlib, io, json, logging, sys
from pathlib import Path
from genai_bench.analysis.experiment_loader import load_one_experiment
from genai_bench.analysis.excel_report import create_workbook
folder = sys.argv[1]
with contextlib.redirect_stdout(io.StringIO()):
    metadata, data = load_one_experiment(folder)
    create_workbook(metadata, data, str(Path(folder, "book.xlsx")), "mean", "s")
assert Path(folder, "book.xlsx").stat().st_size
print(json.dumps(sorted(
    level["aggregated_metrics"].stats.ttft.mean * 1e3 for loads in data.values() for level in loads.values())))
"""
_OPENMETRICS = """
import json, sys
from pathlib import Path
from prometheus_client.openmetrics.parser import text_string_to_metric_families
text = Path(sys.argv[1], "metrics.txt").read_text()
sums, counts = {}, {}
for family in text_string_to_metric_families(text):
    for sample in family.samples:
        if sample.name == "inferometer_time_to_first_token_seconds_sum":
            sums[sample.labels["point"]] = sample.value
        if sample.name == "inferometer_time_to_first_token_seconds_count":
            counts[sample.labels["point"]] = sample.value
print(json.dumps(sorted(1e3 * sums[point] / counts[point] for point in sums)))
"""


def _guidellm(table: PointTable, run: RunRecord) -> float:
    metrics = guidellm_result(table, run.meta)["metrics"]
    return float(metrics["time_to_first_token_ms"]["successful"]["mean"] or 0.0)  # as its file has it


def _planned(table: PointTable, run: RunRecord) -> float:
    from inferometer.metrics.latency import PointData

    del run
    values = PointData(table).ttft_ms
    return float(values[values == values].mean())


READERS = (
    Reader("vllm", "vllm", "bench sweep plot and plot_pareto (dry run)", _VLLM,
           lambda table, run: vllm_result(table, run.meta)["mean_ttft_ms"]),
    Reader("evalscope", "evalscope", "RunLoader, behind its report and web page", _EVALSCOPE,
           lambda table, run: evalscope_result(table, run.meta)[SUMMARY]["Avg TTFT (ms)"]),
    Reader("guidellm", "guidellm", "guidellm export to console, HTML and CSV", _GUIDELLM, _guidellm),
    Reader("aiperf", "aiperf", "DataLoader of aiperf plot", _AIPERF,
           lambda table, run: aiperf_result(table, run.meta)["time_to_first_token"]["avg"]),
    Reader("genai-bench", "genai-bench", "genai-bench excel", _GENAI_BENCH,
           lambda table, run: 1e3 * genai_bench_result(table)[AGGREGATED]["stats"]["ttft"]["mean"]),
    Reader("vllm", "openmetrics", "prometheus_client's OpenMetrics parser", _OPENMETRICS, _planned),
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="a run folder of a streamed run")
    parser.add_argument("--environments", type=Path, default=ROOT / "build" / "peers")
    parser.add_argument("--keep", type=Path, help="export into this folder and leave it there")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        place = options.keep or Path(folder)
        results = [_read(reader, options.run, options.environments, place) for reader in READERS]
    return 0 if all(results) else 1


def _read(reader: Reader, path: Path, environments: Path, place: Path) -> bool:
    target = place / reader.form
    try:
        export(path, reader.form, f"{target}/", asked=Asked(detailed=True), overwrite=True)
    except UsageError as error:
        print(f"left out {reader.form:<14}{error.message}")
        return True
    done = subprocess.run(
        [environments / reader.environment / "bin" / "python", "-c", reader.code, str(target)],
        capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    if done.returncode:
        print(f"REFUSED  {reader.form:<14}{reader.what}\n{done.stderr.strip()[-1500:]}")
        return False
    found = json.loads(done.stdout.strip().splitlines()[-1])
    run = read_run(path)
    ours = sorted(reader.ours(table, run) for table in run.measured)
    same = len(found) == len(ours) and all(
        a == b or (None not in (a, b) and abs(a - b) <= _CLOSE * max(abs(a), 1.0))
        for a, b in zip(found, ours, strict=True)
    )
    print(f"{'read' if same else 'DIFFERS'}     {reader.form:<14}{reader.what}: mean TTFT ms {found}")
    return same


if __name__ == "__main__":
    sys.exit(main())
