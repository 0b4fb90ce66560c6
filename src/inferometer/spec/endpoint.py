"""The part of the spec that says what is put under load."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from pydantic import model_validator

from inferometer.spec.fields import as_texts, option
from inferometer.spec.kinds import ApiKey, Headers, Part, PositiveInt, ProxyAddress, Seconds, Texts
from inferometer.spec.url import KNOWN_PATHS, SplitUrl, dialect_of_path, speakers_of_path, split_url

NO_METRICS = "off"


class Endpoint(Part):
    """What is put under load.

    A pasted URL is taken apart: after validation ``url`` is the base that the dialect's path is appended to
    (no trailing slash, no ``/v1``), ``endpoint`` is set only when the path is unusual, and ``backend`` follows
    the path when nothing else was asked for.
    """

    url: str = option(
        "", "address of the server, with or without a path such as /v1/chat/completions", metavar="URL"
    )
    backend: str = option(
        "openai-chat",
        "API dialect; a path in --url decides between those of OpenAI (all: inferometer config backends)",
        metavar="NAME",
    )
    endpoint: str | None = option(
        None, "path of the API when it is not the dialect's usual one", metavar="PATH"
    )
    model: str | None = option(None, "model name; found from /v1/models when absent", metavar="NAME")
    served_model_name: str | None = option(
        None, "name sent on the wire when it differs from --model", metavar="NAME", advanced=True
    )
    api_key: ApiKey | None = option(None, "bearer token; else environment OPENAI_API_KEY", metavar="KEY")
    api_key_file: str | None = option(None, "file that holds the bearer token", metavar="FILE", advanced=True)
    app_code: ApiKey | None = option(
        None,
        "Huawei Cloud APP code, sent as X-Apig-AppCode; else environment INFEROMETER_APP_CODE",
        metavar="CODE",
        advanced=True,
    )
    more_url: Texts = option(
        (), "further servers of the same kind, taken in turn with --url", metavar="URL", advanced=True
    )
    metrics_url: Texts = option(
        (),
        "where the engine's counters are, when that is not /metrics of each server (off = they are not asked for)",
        metavar="URL",
        advanced=True,
    )
    num_speculative_tokens: PositiveInt | None = option(
        None,
        "tokens that the server drafts per step, to reckon acceptance where its counters do not tell them",
        metavar="N",
        advanced=True,
    )
    num_scheduler_steps: PositiveInt = option(
        1, "steps of the engine in one chunk of a stream, for the same", metavar="N", advanced=True
    )
    template: str | None = option(
        None,
        "YAML file of --backend template; config backends template shows one",
        metavar="FILE",
        advanced=True,
    )
    proxy: ProxyAddress | None = option(
        None,
        "HTTP proxy, http://[USER:PASSWORD@]HOST:PORT; env = as HTTPS_PROXY, HTTP_PROXY and NO_PROXY say",
        metavar="URL",
        advanced=True,
    )
    client_cert: str | None = option(
        None, "PEM file of our certificate, where the server asks for one", metavar="FILE", advanced=True
    )
    client_key: str | None = option(None, "PEM file of its key", metavar="FILE", advanced=True)
    header: Headers = option((), "extra request headers, 'Name: value'", metavar="HEADER")
    ca_file: str | None = option(
        None, "PEM file of the authority that signed the server's certificate", metavar="FILE", advanced=True
    )
    insecure: bool = option(False, "do not verify the server's certificate")
    connect_timeout_s: Seconds = option(
        10.0, "longest time to connect", flag="--connect-timeout", metavar="TIME", advanced=True
    )
    read_timeout_s: Seconds = option(
        600.0,
        "longest silence of the server during a request",
        flag="--read-timeout",
        metavar="TIME",
        advanced=True,
    )
    total_timeout_s: Seconds = option(
        21600.0, "longest time for a whole request", flag="--timeout", metavar="TIME"
    )

    @model_validator(mode="before")
    @classmethod
    def _take_url_apart(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("url"), str):
            return data
        found = split_url(data["url"])
        data = {**data, "url": found.base}
        if found.endpoint and data.get("endpoint") is None:
            data["endpoint"] = found.endpoint
        path = data.get("endpoint")
        data = _with_more(data, found)
        speakers = found.speakers or (speakers_of_path(path) if isinstance(path, str) else ())
        if not speakers:
            return data
        backend = found.backend or (dialect_of_path(path) if isinstance(path, str) else None)
        return {**data, "backend": _backend(data.get("backend"), backend, speakers)}


def _backend(asked: Any, meant: str | None, speakers: tuple[str, ...]) -> Any:
    """The dialect of a path that some dialects go to: the one that is asked for, else the one that is meant.

    Raises:
        ValueError: the asked one goes elsewhere, or none is asked for and several may be meant.
    """
    if asked is None and meant is None:
        names = f"{', '.join(speakers[:-1])} or {speakers[-1]}" if speakers[1:] else speakers[0]
        raise ValueError(
            f"the path in --url or --endpoint is that of several APIs; say which: --backend {names}"
        )
    own = f"{asked}-generate"
    if own in speakers:  # vLLM and LMDeploy have an API of their own beside OpenAI's
        return own
    if asked in KNOWN_PATHS and asked not in speakers:
        which = meant or " or ".join(speakers)
        raise ValueError(
            f"--backend {asked} does not speak the path in --url or --endpoint, which is {which}"
        )
    return asked or meant


def _with_more(data: dict[str, Any], first: SplitUrl) -> dict[str, Any]:
    """Further servers as their bases; their path, if one was pasted, has to be that of the first."""
    more = as_texts(data.get("more_url"))
    if not isinstance(more, (list, tuple)) or not all(isinstance(url, str) for url in more):
        return data  # left to the field's own check
    bases = []
    for url in more:
        found = split_url(url)
        if (found.endpoint or found.backend) and found[1:] != first[1:]:
            raise ValueError(
                f"the path of --more-url {urlsplit(url).hostname} is not that of --url: servers that take turns are "
                "sent the same; write the address without a path, and the path with --endpoint PATH"
            )
        bases.append(found.base)
    return {**data, "more_url": bases}
