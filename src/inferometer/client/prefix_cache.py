"""Emptying a server's prefix cache with the hook that its engine has for it."""

from __future__ import annotations

import msgspec

from inferometer.client.dialects.capabilities import CAPABILITIES
from inferometer.client.dialects.reading import UNREADABLE
from inferometer.client.probe import Caller, Reply, address
from inferometer.errors import EndpointError

ENABLE_VLLM = "start vLLM with VLLM_SERVER_DEV_MODE=1 in its environment, which has /reset_prefix_cache"
_BUSY = 400  # SGLang, while requests run
_BUSY_TRIES, _BUSY_WAIT_S = 20, 0.25
_FLUSH_S = 60.0


# Of every engine in the table: the dialect in use does not say which engine speaks it. vLLM has its hook in development
# mode only, SGLang always.
HOOKS = tuple(dict.fromkeys(one.flush_cache for one in CAPABILITIES.values() if one.flush_cache))
_NOT_THERE = (404, 405)


def flush_cache(caller: Caller) -> str:
    """Empty the prefix cache of one server; returns what was done, as ``POST /flush_cache: 200``.

    Raises:
        EndpointError: it has none of the known hooks, or its hook fails.
    """
    refusals = []
    for hook in HOOKS:
        reply = caller.call("POST", hook, limit_s=_FLUSH_S)
        if reply.head.status not in _NOT_THERE:
            break
        refusals.append(f"POST {hook}: {reply.head.status}")
    else:
        raise EndpointError(
            f"{address(caller.target)} has no way to empty its prefix cache: {', '.join(refusals)}",
            f"{ENABLE_VLLM}; or leave out --flush-cache (prompts of different load points share nothing unless asked)",
        )
    for _ in range(_BUSY_TRIES):
        if not _is_busy(reply):
            break
        caller.pause(_BUSY_WAIT_S)
        reply = caller.call("POST", hook, limit_s=_FLUSH_S)
    if reply.head.status != 200 or _is_busy(reply):
        raise EndpointError(
            f"{address(caller.target)}{hook} does not empty the prefix cache, it answers {caller.said(reply)}",
            "see the server's log, or leave out --flush-cache",
        )
    return f"POST {hook}: {reply.head.status}"


class _Said(msgspec.Struct):
    success: bool = True


def _is_busy(reply: Reply) -> bool:
    """Whether the cache was left as it is, as with requests in it that a load point gave up a moment ago.

    Newer versions of vLLM answer 200 with ``{"success": false}``; older ones do not say.
    """
    if reply.head.status != 200:
        return reply.head.status == _BUSY
    try:
        return not msgspec.json.decode(reply.body, type=_Said).success
    except UNREADABLE:
        return False
