"""The container of a node: what each vendor's devices need, as data. Pure.

Sources: LMDeploy's DeepSeek-V3 benchmark (NVIDIA), a DCU load test (Hygon), the installation page of vLLM Ascend.
"""

from __future__ import annotations

import msgspec

from inferometer.engines.nodes.plan import EngineName, NodePlan, Vendor

HUB = "/root/.cache/huggingface"  # where the images look for the hub's files


class Devices(msgspec.Struct, frozen=True):
    """What ``docker run`` needs for a vendor's devices.

    Attributes:
        flags: for all devices, and for what the nodes say to each other.
        each: for the device of a number, ``{n}``; empty where ``flags`` bring them all.
        mounts: files of the driver, the same inside as outside.
    """

    flags: tuple[str, ...]
    each: str = ""
    mounts: tuple[str, ...] = ()


# --privileged is what RDMA needs, as LMDeploy's document says.
VENDORS: dict[Vendor, Devices] = {
    "nvidia": Devices(("--gpus", "all", "--network", "host", "--ipc", "host", "--privileged")),
    "hygon": Devices(
        (
            "--device=/dev/kfd", "--device=/dev/mkfd", "--device=/dev/dri",
            "--security-opt", "seccomp=unconfined", "--cap-add=SYS_PTRACE",
            "--ipc=host", "--network=host", "--shm-size=16G", "--group-add", "video",
        ),
        mounts=("/opt/hyhal",),
    ),
    "ascend": Devices(
        (
            "--network=host", "--ipc=host", "--shm-size=16G",
            "--device=/dev/davinci_manager", "--device=/dev/devmm_svm", "--device=/dev/hisi_hdc",
        ),
        each="--device=/dev/davinci{n}",
        mounts=(
            "/usr/local/dcmi", "/usr/local/bin/npu-smi", "/usr/local/Ascend/driver/tools/hccn_tool",
            "/usr/local/Ascend/driver/lib64", "/usr/local/Ascend/driver/version.info",
            "/etc/ascend_install.info", "/etc/hccn.conf",
        ),
    ),
}  # fmt: skip

IMAGES: dict[tuple[EngineName, Vendor], str] = {
    ("lmdeploy", "nvidia"): "openmmlab/lmdeploy:latest-cu12",
    ("vllm", "nvidia"): "vllm/vllm-openai:latest",
    ("sglang", "nvidia"): "lmsysorg/sglang:latest",
    ("vllm", "hygon"): "image.sourcefind.cn:5000/dcu/admin/base/pytorch:2.3.0-ubuntu22.04-dtk24.04.3-py3.10",
}


def image_of(plan: NodePlan) -> str | None:
    """The asked image, or the one that the engine documents for these devices; None = there is none."""
    return plan.image or (IMAGES.get((plan.engine, plan.container)) if plan.container else None)


def docker_flags(plan: NodePlan, model_folder: str | None) -> tuple[str, ...]:
    """The words between ``docker run -it`` and the mounts that only the host knows.

    Args:
        plan: has a ``container``.
        model_folder: an absolute directory of the model, which is then mounted at the same place.
    """
    if plan.container is None:
        return ()
    devices = VENDORS[plan.container]
    each = [devices.each.format(n=n) for n in range(plan.devices_per_node) if devices.each]
    mounts = [f"{path}:{path}" for path in devices.mounts]
    if model_folder is not None:
        mounts.append(f"{model_folder}:{model_folder}:ro")
    mounts += plan.mount
    name = ("--name", plan.container_name or plan.engine)
    return (*devices.flags, *each, *name, *(word for mount in mounts for word in ("-v", mount)))
