"""``genai-bench benchmark``."""

from __future__ import annotations

import re

from inferometer.exchange.compat.aliases import Needless, Refused, Rename
from inferometer.exchange.compat.tool import HANDLED, Call, Tool, rows, words
from inferometer.exchange.compat.tools.habits import as_json

_PEER = "genai-bench"
_NAMES = words(
    """
    --api-backend --api-base --api-key --api-model-name --model-tokenizer --additional-request-params
    --server-engine --server-version --server-gpu-type --server-gpu-count --num-concurrency
    --max-requests-per-run
    """
)
_CLOUD = Refused(
    "a cloud's own login is not spoken", "--api-key, --header 'Name: value', --client-cert FILE", _PEER
)
_STORE = Refused("results stay on this machine", "copy the run folder", _PEER)
_OWN = rows(
    (
        "--task --traffic-scenario --max-time-per-run --model --warmup-ratio --cooldown-ratio --prefix-ratio",
        HANDLED,
    ),
    (
        "--prefix-len --dataset-path --dataset-prompt-column --batch-size --model-api-key --model-auth-type",
        HANDLED,
    ),
    (
        "--gcp-credentials-path --gcp-location --gcp-project-id --azure-ad-token "
        "--azure-api-version --azure-deployment "
        "--azure-endpoint --aws-region --aws-profile --aws-session-token --aws-secret-access-key --aws-access-key-id "
        "--region --security-token --profile --config-file --auth",
        _CLOUD,
    ),
    ("--metrics-time-unit --metrics-refresh-interval", Needless("units are in the names", _PEER)),
    ("--iteration-type", Needless("the load is what is in flight", _PEER)),
    ("--log-dir", Needless("what workers say is in the run folder", _PEER)),
    ("--experiment-base-dir", Rename("--out", _PEER)),
    ("--experiment-folder-name", Rename("--label", _PEER)),
    ("--dataset-image-column", Refused("pictures of rows are not read", "--image-path DIR", _PEER)),
    (
        "--dataset-config",
        Refused("its file has other names", "--dataset NAME --dataset-path FILE --column X=NAME", _PEER),
    ),
    ("--spawn-rate", Refused("users come all at once here", "--ramp linear --ramp-time TIME", _PEER)),
    ("--num-workers", Needless("workers are as many as are needed; --workers N", _PEER)),
    ("--master-port", Needless("workers talk over pipes", _PEER)),
    (
        "--upload-results --namespace --github-repo --github-owner --github-token --storage-gcp-credentials-path "
        "--storage-gcp-project-id --storage-azure-sas-token --storage-azure-connection-string "
        "--storage-azure-account-key --storage-azure-account-name --storage-aws-profile --storage-aws-region "
        "--storage-aws-session-token --storage-aws-secret-access-key --storage-aws-access-key-id --storage-auth-type "
        "--storage-prefix --storage-bucket --storage-provider",
        _STORE,
    ),
)
_LEVELS = ("1", "2", "4", "8", "16", "32", "64", "128", "256")
_SCENARIO = "N(480,240)/(300,150)"
_OTHERS = "D(100,100) D(100,1000) D(2000,200) D(7800,200)"
_DETERMINISTIC = re.compile(r"D\((\d+),\s*(\d+)\)")
_DOCUMENT = re.compile(r"E\((\d+)\)")
_PICTURE = re.compile(r"I\((\d+),\s*(\d+)(?:,\s*(\d+))?\)")


def _settle(call: Call) -> None:
    task = call.taken("--task") or "text-to-text"
    key = call.taken("--model-api-key")
    if key:
        call.put("--api-key", key)
    call.drop("the key is sent as a bearer token", "--model-auth-type")
    model = call.taken("--model")
    if model and "--api-model-name" not in call:
        call.put("--model", model)
    _task(call, task)
    call.default("--max-concurrency", *_LEVELS, unless=("--num-concurrency",))
    minutes = call.taken("--max-time-per-run")
    if minutes:
        call.put("--duration", f"{minutes}m")
        call.differs("it counts minutes there", "--max-time-per-run")
    if call.take("--warmup-ratio", "--cooldown-ratio") is not None:
        call.refuse(
            "--warmup-ratio",
            "a share is cut off at both ends there",
            "the steady window is found by itself; --warmup N",
        )
    call.default("--warmup", "0")
    _data(call, task)
    call.differs("it opens a new connection for each request, and TTFT holds that; here connections are kept")


def _task(call: Call, task: str) -> None:
    if task == "text-to-embeddings":
        call.take("--api-backend")
        call.put("--backend", "openai-embeddings")
    elif task not in ("text-to-text", "image-text-to-text"):
        call.refuse(
            "--task",
            f"{task} is not measured in this version",
            "text-to-text, image-text-to-text or text-to-embeddings",
        )
    call.drop("one text is sent in a request", "--batch-size")


def _data(call: Call, task: str) -> None:
    path, column = call.taken("--dataset-path"), call.taken("--dataset-prompt-column")
    scenarios = call.take("--traffic-scenario") or []
    if path and path != "default":
        call.put("--dataset", "custom")
        call.put("--dataset-path", path)
        if column:
            call.put("--column", f"prompt={column}")
        call.differs(
            "its texts are cut to the lengths of the scenario there; here each row is sent whole",
            "--dataset-path",
        )
    else:
        call.default("--dataset", "random")
        call.differs(
            "it cuts lines of a poem to length; here prompts are drawn, so that none shares its beginning"
        )
        _scenarios(call, scenarios, task)
    sampling = as_json(call.value("--additional-request-params"))
    if "temperature" not in sampling and task != "text-to-embeddings":
        call.default("--temperature", "0")
    if sampling.get("ignore_eos") is None and call.value("--api-backend") in (None, "openai") and not path:
        call.default("--no-ignore-eos")
    length, ratio = call.taken("--prefix-len"), call.taken("--prefix-ratio")
    if length:
        call.put("--prefix-len", length)
    elif ratio:
        call.refuse("--prefix-ratio", "a share of the length", "--prefix-len N")


def _scenarios(call: Call, given: list[str], task: str) -> None:
    fixed = [match.groups() for each in given if (match := _DETERMINISTIC.fullmatch(each))]
    documents = [match[1] for each in given if (match := _DOCUMENT.fullmatch(each))]
    pictures = [match for each in given if (match := _PICTURE.fullmatch(each))]
    if given and len(fixed) == len(given):
        call.put("--input-len", *(each[0] for each in fixed))
        call.put("--output-len", *(each[1] for each in fixed))
        if len(fixed) > 1:
            call.put("--pair", "matrix")
    elif documents:
        call.put("--input-len", *documents)
    elif pictures:
        call.put("--image-width", pictures[0][1])
        call.put("--image-height", pictures[0][2])
        if len(pictures) > 1:
            call.refuse(
                "--traffic-scenario", "pictures of several sizes are several runs", "run it once for each"
            )
    elif given:
        call.put("--lengths", given[0])
        if len(given) > 1:
            call.refuse(
                "--traffic-scenario",
                f"{' '.join(given[1:])}: a run has one distribution of lengths",
                "run it once for each",
            )
    elif task == "text-to-text":
        call.default("--lengths", _SCENARIO)
        call.differs(
            f"its default scenarios are this one and {_OTHERS}: run it once for each", "--traffic-scenario"
        )


TOOL = Tool(
    "genai-bench benchmark",
    ("genai-bench benchmark", "genai-bench"),
    _NAMES,
    _OWN,
    _settle,
    "genai-bench 0.0.5, genai-bench benchmark --help",
    short=False,
)
