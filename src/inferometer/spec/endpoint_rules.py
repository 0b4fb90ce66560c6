"""Rules of the endpoint: credentials given in one way only, files that exist, options that have something to act on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from inferometer.spec.endpoint import NO_METRICS, Endpoint
from inferometer.spec.model import RunSpec
from inferometer.spec.problems import Problem
from inferometer.spec.url import shown_url

FRAMING_HEADERS = ("content-length", "transfer-encoding")  # they follow from the body
SERVER_TOKENIZER = "server"  # --tokenizer: the server's own, asked over HTTP


def server_problems(spec: RunSpec) -> Iterator[Problem]:
    """What cannot be asked of a server before a load."""
    endless = spec.load.num_prompts is None and spec.load.duration_s is not None
    if spec.workload.tokenizer == SERVER_TOKENIZER and endless:
        yield Problem(
            "--tokenizer server counts all prompts before the load, and --duration alone does not say how many",
            "give --num-prompts N too, or the model's own file: --tokenizer PATH/tokenizer.json",
        )


def endpoint_problems(endpoint: Endpoint) -> Iterator[Problem]:
    """What contradicts itself in credentials, servers and TLS."""
    yield from _credentials(endpoint)
    yield from _servers(endpoint)
    yield from _tls(endpoint)
    yield from _own_certificate(endpoint)
    yield from _template(endpoint)
    for flag, name in (
        ("--api-key-file", endpoint.api_key_file),
        ("--ca-file", endpoint.ca_file),
        ("--client-cert", endpoint.client_cert),
        ("--client-key", endpoint.client_key),
    ):
        path = None if name is None else Path(name).expanduser()
        # A key may come out of another program: --api-key-file <(pass show key)
        if path is not None and not (path.is_file() or (flag == "--api-key-file" and path.is_fifo())):
            yield Problem(f"{flag} {name!r} is not a file", _MEANT[flag])


_MEANT = {
    "--api-key-file": "give the file whose first line is the key",
    "--ca-file": "give the PEM file of the authority",
    "--client-cert": "give the PEM file of our certificate",
    "--client-key": "give the PEM file of its private key",
}


def _credentials(endpoint: Endpoint) -> Iterator[Problem]:
    """A credential that is said twice: a server would take either, and nobody would know which."""
    headers = {text.partition(":")[0].strip().lower() for text in endpoint.header}
    for name in headers & set(FRAMING_HEADERS):
        yield Problem(f"--header '{name}: ...' follows from each body", "leave it out")
    said = {
        "--api-key": endpoint.api_key is not None,
        "--api-key-file": endpoint.api_key_file is not None,
        "--header 'Authorization: ...'": "authorization" in headers,
    }
    twice = [flag for flag, given in said.items() if given]
    if len(twice) > 1:
        yield Problem(f"{' and '.join(twice)} both give the key", "keep one of them")
    if endpoint.app_code is not None and "x-apig-appcode" in headers:
        yield Problem(
            "--app-code and --header 'X-Apig-AppCode: ...' both give the APP code", "keep one of them"
        )
    if endpoint.proxy is not None and "proxy-authorization" in headers:
        yield Problem(
            "--header 'Proxy-Authorization: ...' would go to the server, too",
            "give the user in --proxy http://USER:PASSWORD@HOST:PORT",
        )


def _servers(endpoint: Endpoint) -> Iterator[Problem]:
    counted = Counter((endpoint.url, *endpoint.more_url))
    for url in (url for url, count in counted.items() if count > 1):
        yield Problem(f"{url} is given {counted[url]} times in --url and --more-url", "name each server once")
    if NO_METRICS in endpoint.metrics_url and len(endpoint.metrics_url) > 1:
        yield Problem(f"--metrics-url has {NO_METRICS} beside addresses", f"give {NO_METRICS} alone, or none")
    for url in endpoint.metrics_url:
        if "?" in url:
            yield Problem(
                f"--metrics-url {shown_url(url)!r} has a query, which would not be sent",
                "write http://HOST:PORT/PATH",
            )


def _tls(endpoint: Endpoint) -> Iterator[Problem]:
    urls = [url for url in (endpoint.url, *endpoint.more_url) if url]
    # A launched server has no address yet.
    plain = bool(urls) and not any(url.startswith("https://") for url in urls)
    if endpoint.insecure and plain:
        yield Problem("--insecure is for https, but --url is http", "drop --insecure, or write https://")
    if endpoint.ca_file is not None and endpoint.insecure:
        yield Problem(
            "--ca-file and --insecure exclude each other", "drop --insecure to verify with the file"
        )
    for flag, name in (("--ca-file", endpoint.ca_file), ("--client-cert", endpoint.client_cert)):
        if name is not None and plain:
            yield Problem(f"{flag} is for https, but --url is http", f"drop {flag}, or write https://")


def _own_certificate(endpoint: Endpoint) -> Iterator[Problem]:
    if endpoint.client_key is not None and endpoint.client_cert is None:
        yield Problem("--client-key is given without its certificate", "give --client-cert FILE, too")


def _template(endpoint: Endpoint) -> Iterator[Problem]:
    """``--backend template`` and its file; what is in the file is checked by the room that reads it."""
    wanted, file = endpoint.backend == "template", endpoint.template
    if wanted and file is None:
        yield Problem("--backend template needs a file that describes the API", "give --template FILE.yaml")
    elif file is not None and not wanted:
        given = "backend" in endpoint.model_fields_set
        yield Problem(
            f"--template {file!r} describes an API, but --backend is {endpoint.backend}",
            "drop one of them" if given else "give --backend template, too",
        )
    elif file is not None and not Path(file).expanduser().is_file():
        yield Problem(f"--template {file!r} is not a file", f"check the path; it is read from {Path.cwd()}")
