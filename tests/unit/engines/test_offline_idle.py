"""What the vendors' programs say of a device, in their own words."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from inferometer.engines.offline.idle import Known, ascend, cpu_share, look, nvidia, rocm, rocm_table

NVIDIA = """\
0, GPU-aa11, NVIDIA A100-SXM4-80GB, 0, 4, 81920
1, GPU-bb22, NVIDIA A100-SXM4-80GB, 97, 71680, 81920
2, GPU-cc33, NVIDIA GB10, [N/A], [N/A], [N/A]
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
| 0                         | 0000:01:00.0  | 62          0    / 0          61440/ 65536         |
+===========================+===============+====================================================+
+---------------------------+---------------+----------------------------------------------------+
| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |
+===========================+===============+====================================================+
| No running processes found in NPU 0                                                            |
+===========================+===============+====================================================+
| 1       0                 | 88123         | mindie_llm_back          | 58120                   |
+===========================+===============+====================================================+
"""

# Two chips a module, each a device of its own: its number is the Phy-ID.
NPU_SMI_PAIRS = """\
| npu-smi 25.2.0                   Version: 25.2.0                                               |
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip  Phy-ID              | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 4     Ascend910           | OK            | 170.7       49                0    / 0             |
| 0     8                   | 0000:8D:00.0  | 0           0    / 0          3103 / 65536         |
+------------------------------------------------------------------------------------------------+
| 4     Ascend910           | OK            | -           51                0    / 0             |
| 1     9                   | 0000:8F:00.0  | 7           0    / 0          49152/ 65536         |
+===========================+===============+====================================================+
| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |
| 4       1                 | 101           | worker-1                 | 45000                   |
"""

HY_SMI = """\
============================ System Management Interface =============================
======================================================================================
DCU     Temp     AvgPwr     Perf     PwrCap     VRAM%      DCU%      Mode
0       67.0C    8.0W       manual   600.0W     87%        74%       Normal
1       68.0C    8.0W       manual   600.0W     0%         0%        Normal
======================================================================================
=================================== End of SMI Log ===================================
"""


def seen(known: list[Known]) -> list[tuple[str, float | None, float | None]]:
    """Number, share of time and share of memory of each device."""
    return [(each.number, each.state.busy_share, each.state.memory_share) for each in known]


def test_nvidia() -> None:
    found = nvidia(NVIDIA, NVIDIA_APPS)
    assert seen(found) == [("0", 0.0, 4 / 81920), ("1", 0.97, 0.875), ("2", None, None)]
    assert [each.state.processes for each in found] == [[], ["python3 pid 4711"], []]


def test_ascend() -> None:
    free, busy = ascend(NPU_SMI)
    assert seen([free, busy]) == [("0", 0.0, 3161 / 65536), ("1", 0.62, 0.9375)]
    assert (free.state.device, free.state.processes) == ("910B3 0", [])
    assert busy.state.processes == ["mindie_llm_back pid 88123"]


def test_ascend_with_two_chips_in_a_module() -> None:
    found = ascend(NPU_SMI_PAIRS)
    assert seen(found) == [("8", 0.0, 3103 / 65536), ("9", 0.07, 0.75)]
    assert [each.state.processes for each in found] == [[], ["worker-1 pid 101"]]


def test_amd_and_hygon() -> None:
    cards = {
        "card2": {"HCU use (%)": "88.5", "HCU memory use (%)": "91"},
        "card1": {"GPU use (%)": "3", "GPU Memory Allocated (VRAM%)": 40},
    }
    text = f"WARNING: low power\n{json.dumps(cards)}\nEnd"
    assert seen(rocm(text, "hy-smi")) == [("0", 0.03, 0.4), ("1", 0.885, 0.91)]
    assert rocm("no devices", "rocm-smi") == rocm("{no} devices", "rocm-smi") == []


def test_the_table_of_hy_smi() -> None:
    assert seen(rocm_table(HY_SMI, "hy-smi")) == [("0", 0.74, 0.87), ("1", 0.0, 0.0)]
    (one,) = look("cuda:1", None, lambda command: HY_SMI if command == ("hy-smi",) else None, environ={})
    assert one.device == "hy-smi 1"


def nvidia_smi(command: Sequence[str]) -> str | None:
    if command[0] != "nvidia-smi":
        return None
    return NVIDIA if "gpu=index" in command[1] else NVIDIA_APPS


@pytest.mark.parametrize(
    ("device", "visible", "environ", "numbers"),
    [
        ("auto", None, {}, "012"),
        ("auto", "0,1", {}, "01"),
        ("auto", "1", {"CUDA_VISIBLE_DEVICES": "0"}, "1"),
        ("auto", None, {"CUDA_VISIBLE_DEVICES": "2,0"}, "20"),
        ("auto", None, {"CUDA_VISIBLE_DEVICES": "GPU-bb"}, "1"),
        ("cuda:1", None, {}, "1"),
        ("cuda:1", "0,2", {}, "2"),
        ("cuda:7", None, {}, ""),
        ("npu:0", None, {}, ""),
        ("cuda", None, {"CUDA_VISIBLE_DEVICES": ""}, ""),
    ],
)
def test_only_the_devices_that_will_be_used_are_looked_at(
    device: str, visible: str | None, environ: dict[str, str], numbers: str
) -> None:
    found = look(device, visible, nvidia_smi, environ=environ)
    assert "".join(state.device.rsplit(" ", 1)[1] for state in found) == numbers


def test_an_engine_that_takes_one_device_takes_the_first_that_it_may_see() -> None:
    (one,) = look("auto", "1,0", nvidia_smi, environ={}, first=True)
    assert one.device.endswith(" 1")


def test_share_of_the_cores() -> None:
    before = "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2\n"
    after = "cpu  130 0 60 850 60 0 0 0 0 0\n"
    assert cpu_share(before, after) == 0.4
    assert cpu_share(before, before) is None
