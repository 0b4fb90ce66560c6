"""Which variable names the devices that a process may use, by vendor of the device."""

from __future__ import annotations

from pathlib import Path

import msgspec

from inferometer.errors import UsageError


class Vendor(msgspec.Struct, frozen=True):
    """One maker of accelerators.

    Attributes:
        variable: environment variable that its runtime reads.
        mark: a file in /dev that its driver makes.
    """

    variable: str
    mark: str


VENDORS = {
    "ascend": Vendor("ASCEND_RT_VISIBLE_DEVICES", "davinci_manager"),
    "hygon": Vendor("HIP_VISIBLE_DEVICES", "mkfd"),
    "amd": Vendor("HIP_VISIBLE_DEVICES", "kfd"),
    "nvidia": Vendor("CUDA_VISIBLE_DEVICES", "nvidiactl"),
}
"""In the order in which the marks are looked for: Hygon's driver makes /dev/kfd, too.

Sources: CANN's environment variables (ASCEND_RT_VISIBLE_DEVICES), ROCm's GPU isolation (HIP_VISIBLE_DEVICES), CUDA's
programming guide (CUDA_VISIBLE_DEVICES).
"""


def visible(devices: str, dev: Path = Path("/dev")) -> dict[str, str]:
    """The variable that keeps a process on ``devices``: ``0,1``, or ``ascend:0,1`` for another machine than this one.

    Raises:
        UsageError: nothing is named, or an unknown vendor.
    """
    vendor, colon, numbers = devices.rpartition(":")
    numbers = numbers.replace(" ", "")
    if not numbers:
        raise UsageError(f"devices {devices!r} name none", "give their numbers: 0,1")
    if colon and vendor not in VENDORS:
        raise UsageError(f"unknown vendor {vendor!r} of devices", f"known: {', '.join(VENDORS)}")
    return {VENDORS[vendor or _here(dev)].variable: numbers}


def _here(dev: Path) -> str:
    return next((name for name, vendor in VENDORS.items() if (dev / vendor.mark).exists()), "nvidia")
