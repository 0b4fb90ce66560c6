"""What ``inferometer simulate`` puts in place of a server."""

from __future__ import annotations

from typing import Literal

from inferometer.spec.fields import option
from inferometer.spec.kinds import Instances, Part, PositiveNumber, Seconds, Shares, Texts

Router = Literal["round-robin", "least-loaded", "prefix-affinity"]


class Simulation(Part):
    """The simulated service: a calibrated profile, or a device and a model; and the questions asked of it."""

    profile: str | None = option(
        None, "file of a calibrated engine (inferometer simulate calibrate)", metavar="FILE"
    )
    device: str | None = option(
        None, "kind of device, where there is no profile (all: inferometer simulate devices)", metavar="NAME"
    )
    model_config_file: str | None = option(
        None,
        "config.json of the model, a directory that has it, or a published model's name, where there is no profile",
        flag="--model-config",
        metavar="PATH",
    )
    engine: str | None = option(
        None, "whose flags --engine-args are (default: the profile's, or vllm)", metavar="NAME"
    )
    engine_args: Texts = option(
        (),
        'flags in the engine\'s own words, or parameters of MindIE: "--max-num-seqs 256"; several are compared',
        metavar="FLAGS",
    )
    engine_config: str | None = option(None, "MindIE's config.json", metavar="FILE")
    draft_acceptance: Shares = option(
        (),
        "shares of drafts that are right, by position, where --engine-args ask for speculative decoding",
        metavar="SHARE",
    )
    instances: Instances = option(
        (1,),
        "instances behind one address; several numbers are compared; auto = the fewest that meet --slo (auto:8: of 8)",
        metavar="N|auto",
    )
    router: Router = option("round-robin", "which instance a request goes to")
    prefill_decode: Texts = option(
        (),
        "instances that prefill and that decode: 1:3; several are compared; auto:4 = all splits of 4",
        metavar="P:D",
    )
    transfer_gb_s: PositiveNumber = option(
        25.0, "GB/s from a prefill instance to a decoding one", flag="--kv-transfer-gb-s", metavar="X"
    )
    transfer_latency_s: Seconds = option(
        0.002, "time of each such transfer beside that", flag="--kv-transfer-latency", metavar="TIME"
    )
    intervals: bool = option(True, "simulate with the profile's ensemble, too, for 90 % prediction intervals")

    @property
    def wanted(self) -> bool:
        """Whether a simulated service stands in place of a server."""
        return self.profile is not None or self.device is not None
