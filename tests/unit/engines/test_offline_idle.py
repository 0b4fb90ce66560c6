"""What the vendors' programs say of a device, in their own words."""

from __future__ import annotations

import json
from collections.abc import Sequence

from inferometer.engines.offline.idle import ascend, cpu_share, look, nvidia, rocm

NVIDIA = """\
0, GPU-aa11, NVIDIA A100-SXM4-80GB, 0, 4
1, GPU-bb22, NVIDIA A100-SXM4-80GB, 97, 71234
2, GPU-cc33, NVIDIA GB10, [N/A], [N/A]
"""
NVIDIA_APPS = "GPU-bb22, 4711, /opt/conda/bin/python3\n"

NPU_SMI = """\
+------------------------------------------------------------------------------------------------+
| npu-smi 24.1.rc2                 Version: 24.1.rc2                                             |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 0     910B3               | OK            | 93.6        36                0    / 0             |
| 0                         | 0000:C1:00.0  | 0           0    / 0          3161 / 65536         |
+===========================+===============+====================================================+
| 1     910B3               | OK            | 171.2       45                0    / 0             |
| 0                         | 0000:01:00.0  | 62          0    / 0          61210/ 65536         |
+===========================+===============+====================================================+
+---------------------------+---------------+----------------------------------------------------+
| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |
+===========================+===============+====================================================+
| No running processes found in NPU 0                                                            |
+===========================+===============+====================================================+
| 1       0                 | 88123         | mindie_llm_back          | 58120                   |
+===========================+===============+====================================================+
"""


def test_nvidia() -> None:
    first, second, third = (state for _, state in nvidia(NVIDIA, NVIDIA_APPS))
    assert (first.busy_share, first.used_bytes, first.processes) == (0.0, 4 << 20, [])
    assert (second.busy_share, second.processes) == (0.97, ["python3 pid 4711"])
    assert (third.busy_share, third.used_bytes) == (None, None)


def test_ascend() -> None:
    (_, free), (number, busy) = ascend(NPU_SMI)
    assert (free.device, free.busy_share, free.used_bytes, free.processes) == ("910B3 0", 0.0, 3161 << 20, [])
    assert (number, busy.busy_share, busy.used_bytes) == ("1", 0.62, 61210 << 20)
    assert busy.processes == ["mindie_llm_back pid 88123"]


def test_amd_and_hygon() -> None:
    text = json.dumps(
        {"card0": {"GPU use (%)": "3"}, "card1": {"HCU use (%)": "88", "HCU memory use (%)": "91"}}
    )
    assert [(number, state.busy_share) for number, state in rocm(text, "hy-smi")] == [
        ("0", 0.03),
        ("1", 0.88),
    ]
    assert rocm("no devices", "rocm-smi") == []


def test_only_the_devices_that_will_be_used_are_looked_at() -> None:
    def ask(command: Sequence[str]) -> str | None:
        if command[0] != "nvidia-smi":
            return None
        return NVIDIA if "gpu=index" in command[1] else NVIDIA_APPS

    assert [state.device[-1] for state in look("auto", "0,1", ask)] == ["0", "1"]
    assert [state.device[-1] for state in look("cuda:1", None, ask)] == ["1"]
    assert look("cuda:7", None, ask) == []


def test_share_of_the_cores() -> None:
    before = "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2\n"
    after = "cpu  130 0 60 850 60 0 0 0 0 0\n"
    assert cpu_share(before, after) == 0.4
    assert cpu_share(before, before) is None
