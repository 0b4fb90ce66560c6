"""MindIE: a daemon that reads one file, of which a copy is rewritten; the installed file is never touched.

Sources: MindIE 1.0 to 2.3, Configuration Parameters (hiascend.com, mindie_service0285) and Prefix Cache; the daemon's
main.cpp and common_util.cpp (``MIES_CONFIG_JSON_PATH``, at most mode 640, owner); scripts of its cluster deployment;
the serving tuning guide of the Ascend community (start line, MINDIE_LOG_TO_STDOUT, NPU_MEMORY_FRACTION).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from inferometer.engines.adapters.flagged import check
from inferometer.engines.adapters.mindie_config import changed, described
from inferometer.engines.adapters.mindie_troubles import PATTERNS
from inferometer.engines.engine import CommandLine, Facts, Readiness, Said, Settings, Trouble
from inferometer.engines.findings import Finding, first_model, gathered, in_log, in_page, told
from inferometer.engines.flags import Flag, read, started
from inferometer.engines.troubles import COMMON, explain
from inferometer.errors import UsageError

_INSTALLED = "/usr/local/Ascend/mindie/latest/mindie-service"
_FILE, _HOME = "MIES_CONFIG_JSON_PATH", "MIES_INSTALL_PATH"
_WEIGHTS = "MindIE reads it from config.json of the weights"
_LACKS = {
    "pipeline_parallel": "spread the model with tensor_parallel; worldSize is dp x tp",
    "dtype": f"{_WEIGHTS}: torch_dtype (bfloat16 is not on Atlas 300I)",
    "quantization": f"{_WEIGHTS}: quantize; convert them with msModelSlim",
    "kv_cache_dtype": f"{_WEIGHTS}: kv_quant_type; convert them with msModelSlim",
}


class MindIE:
    """``mindieservice_daemon``, or ``mindie_llm_server`` as newer versions call it.

    Raw flags are parameters of its file, as ``maxPrefillBatchSize=50`` or, where a name is used twice,
    ``ScheduleConfig.maxPrefillBatchSize=50``.
    """

    name = "mindie"
    readiness = Readiness(paths=("/v1/models", "/v2/health/ready"), log_line=r"Daemon start success!")
    pages: tuple[str, ...] = ("/v1/models", "/info")
    dialect = "openai-chat"

    def command(self, settings: Settings) -> CommandLine:
        """The daemon, with the copy of its file as ``files``; it listens without TLS unless httpsEnabled=true is raw.

        Raises:
            UsageError: no file to copy, a setting that MindIE does not have, or an unknown parameter.
        """
        source = _source(settings.env)
        config = _loaded(source)
        settings = described(settings, config)
        check(settings, self.name, _LACKS)
        copy = str(_cache() / "inferometer" / "mindie" / str(settings.port) / "config.json")
        home = str(_home(settings.env))
        text = json.dumps(changed(config, settings), indent=4, ensure_ascii=False) + "\n"
        env = {"MINDIE_LOG_TO_STDOUT": "1", _HOME: home, "MIES_CONTAINER_IP": settings.host}
        if settings.memory_share is not None:
            env["NPU_MEMORY_FRACTION"] = repr(settings.memory_share)
        return CommandLine(
            argv=settings.program or (f"{home}/bin/mindieservice_daemon",),
            env={**env, **settings.env, _FILE: copy},
            files={copy: text},
            cwd=home,
        )

    def settings(self, argv: tuple[str, ...]) -> Settings | None:
        """What the file of a started daemon says is read when its command is made: the variable may name another."""
        found = started(argv, (("mindieservice_daemon",), ("mindie_llm_server",)))
        if found is None:
            return None
        typed = read(found.rest, [Flag(field="file", names=("--config-file",))])
        env = dict(found.env)
        if "file" in typed.fields:
            env[_FILE] = typed.fields["file"]
        try:
            config = _loaded(_source(env))
        except UsageError:
            config = {}
        server = config.get("ServerConfig")
        port = server.get("port") if isinstance(server, dict) else None
        return Settings(
            model="",
            port=port if isinstance(port, int) else 1025,
            env=env,
            program=(*found.program, *typed.extra),
            extra=tuple(word for word in typed.words if "=" in word),
        )

    def facts(self, said: Said) -> Facts:
        """What log and pages tell."""
        return gathered(self.name, self._findings(said))

    def trouble(self, log: str) -> Trouble | None:
        """Why it failed."""
        return explain(log, (*PATTERNS, *COMMON))

    def _findings(self, said: Said) -> Iterator[Finding]:
        info = in_page(said, "/info")
        yield Finding("version", info.get("version"), "/info")
        yield Finding("version", in_log(said.log, r"/mindie/(\d+\.\d[\w.]*)/"), "log")
        yield Finding("model", first_model(said).get("id"), "/v1/models")
        yield Finding("max_model_len", first_model(said).get("max_model_len"), "/v1/models")
        yield Finding("max_model_len", info.get("max_total_tokens"), "/info")
        yield Finding("kv_blocks", in_log(said.log, r"npuBlockNum\W+(\d+)"), "log")
        yield Finding("kv_block_tokens", in_log(said.log, r"cacheBlockSize\W+(\d+)"), "log")
        yield Finding("max_num_seqs", in_log(said.log, r"maxBatchSize\W+(\d+)"), "log")
        yield Finding("flags", told(info), "/info")


def _home(env: Mapping[str, str]) -> Path:
    return Path(env.get(_HOME) or os.environ.get(_HOME) or _INSTALLED)


def _source(env: Mapping[str, str]) -> Path:
    """The file that the daemon itself would read: the variable's, else the installed one."""
    named = env.get(_FILE) or os.environ.get(_FILE)
    return Path(named) if named else _home(env) / "conf" / "config.json"


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _loaded(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise UsageError(
            f"MindIE's configuration {path} cannot be read: {error.strerror}",
            f"set {_HOME} to the folder of mindie-service, or {_FILE} to a file of yours",
        ) from None
    except msgspec.MsgspecError as error:
        raise UsageError(
            f"MindIE's configuration {path} is no JSON object: {error}", "repair the file"
        ) from None
