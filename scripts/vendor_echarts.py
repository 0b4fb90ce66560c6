"""Renews report/page/vendor from the npm package of Apache ECharts: `python scripts/vendor_echarts.py [VERSION]`.

The hash that it prints belongs into tests/unit/report/test_page_vendor.py: what the page runs is what was looked at.
"""

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VENDOR = Path(__file__).parents[1] / "src/inferometer/report/page/vendor"
VERSION = "6.1.0"
FILES = {
    "package/dist/echarts.min.js": "echarts.min.js",
    "package/LICENSE": "echarts.LICENSE",
    "package/NOTICE": "echarts.NOTICE",
    "package/licenses/LICENSE-d3": "d3.LICENSE",
}


def packed(version: str) -> bytes:
    """The package as the registry gives it; npm checks its integrity."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", f"echarts@{version}", "--silent"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        (archive,) = Path(folder).glob("*.tgz")
        return archive.read_bytes()


with tarfile.open(fileobj=io.BytesIO(packed(sys.argv[1] if len(sys.argv) > 1 else VERSION))) as package:
    for name, target in FILES.items():
        member = package.extractfile(name)
        assert member is not None, name
        content = member.read()
        (VENDOR / target).write_bytes(content)
        sys.stdout.write(f"{target}  sha256 {hashlib.sha256(content).hexdigest()}\n")
