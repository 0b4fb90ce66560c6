"""A server that asks for our certificate."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest
import trustme
from commands import Done, check_message, check_succeeded, run
from eight import EIGHT

from inferometer.testing.fault_server import FaultServer
from inferometer.testing.streams import answering


@pytest.fixture
def pems(tmp_path: Path) -> Path:
    """A directory with ca.pem, cert.pem, key.pem, both.pem, other-key.pem and locked.pem (an encrypted key)."""
    ca = trustme.CA()
    ours, other = ca.issue_cert("meter@example.org"), ca.issue_cert("other@example.org")
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    ours.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    ours.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    ours.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    other.private_key_pem.write_to_path(str(tmp_path / "other-key.pem"))
    subprocess.run(
        ["openssl", "pkey", "-aes256", "-passout", "pass:planted", "-in", tmp_path / "key.pem", "-out",
         tmp_path / "locked.pem"], check=True, capture_output=True,
    )  # fmt: skip
    (tmp_path / "text.pem").write_text("no certificate\n")
    server = ca.issue_cert("127.0.0.1")
    server.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    return tmp_path


def demanding(pems: Path, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(pems / "server.pem")
    context.load_verify_locations(pems / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def measured(pems: Path, *flags: str, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> Done:
    given = [str(pems / word) if word.endswith(".pem") else word for word in flags]
    with FaultServer(answering(EIGHT), tls=demanding(pems, version)) as server:
        return run(server.url, pems / "runs", "--ca-file", str(pems / "ca.pem"), *given)


@pytest.mark.parametrize(
    "flags", [("--client-cert", "cert.pem", "--client-key", "key.pem"), ("--client-cert", "both.pem")]
)
def test_a_server_that_demands_a_certificate_is_measured_with_one(flags: tuple[str, ...], pems: Path) -> None:
    check_succeeded(measured(pems, *flags), pems / "runs")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_without_one_the_flags_are_named(version: ssl.TLSVersion, pems: Path) -> None:
    check_message(measured(pems, version=version), 6, "--client-cert FILE --client-key FILE")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--client-cert", "cert.pem", "--client-key", "other-key.pem"), ("not a pair",)),
        (("--client-cert", "cert.pem", "--client-key", "locked.pem"), ("is encrypted", "openssl pkey -in")),
        (("--client-cert", "cert.pem"), ("which has to hold the key too", "--client-key FILE")),
        (("--client-cert", "text.pem", "--client-key", "key.pem"), ("cannot be used", "PEM")),
        (("--client-cert", "cert.pem", "--client-key", "gone.pem"), ("is not a file",)),
    ],
)
def test_what_cannot_be_used_is_said_before_the_load(
    flags: tuple[str, ...], words: tuple[str, ...], pems: Path
) -> None:
    check_message(measured(pems, *flags), 2, *words)
