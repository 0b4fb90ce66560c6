"""TLS over memory buffers, so that ciphertext is read with the kernel's receive time."""

from __future__ import annotations

import ssl

from inferometer.client.target import Target
from inferometer.errors import UsageError

_RECORD_BYTES = 16384  # the most plaintext that one record holds; more would only be allocated for nothing


def client_context(target: Target) -> ssl.SSLContext:
    """A verifying TLS context, with our own certificate if there is one; only ``insecure`` switches verifying off.

    Raises:
        UsageError: the file of the authority, our certificate or its key cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=target.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"--ca-file {target.ca_file!r} cannot be used: {error}", "give a PEM file of CA certificates"
        ) from None
    if target.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if target.client_cert is not None:
        _load_own(context, target.client_cert, target.client_key)
    return context


def _load_own(context: ssl.SSLContext, cert: str, key: str | None) -> None:
    """Load our certificate and key.

    Raises:
        UsageError: they cannot be used.
    """
    key_flag = (
        f"--client-cert {cert!r}, which has to hold the key too," if key is None else f"--client-key {key!r}"
    )

    def encrypted() -> str:
        raise UsageError(
            f"{key_flag} is encrypted, and nobody is asked for a password during a run",
            f"write the key without one: openssl pkey -in {key or cert} -out key.pem, and give --client-key key.pem",
        )

    try:
        context.load_cert_chain(cert, key, password=encrypted)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise UsageError(
                f"--client-cert {cert!r} and {key_flag} are not a pair: the key is another certificate's",
                "give the key that the certificate was made with",
            ) from None
        raise UsageError(
            f"--client-cert {cert!r} with {key_flag} cannot be used: {error.reason or 'no PEM file'}",
            "give PEM files: the certificate with its chain, and its private key (--client-key FILE)",
        ) from None
    except OSError as error:
        raise UsageError(
            f"--client-cert {cert!r} or {key_flag} cannot be read: {error.strerror or error}",
            "check path and permissions",
        ) from None


class TlsStream:
    """The TLS state of one connection; moves bytes between ciphertext and plaintext, owns no socket."""

    def __init__(self, context: ssl.SSLContext, server_name: str) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self.closed = False  # the peer ended TLS in order

    def handshake(self) -> bool:
        """Go on with the handshake; True when it is complete.

        Raises:
            ssl.SSLError: it failed, for example because the certificate was not accepted.
        """
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def receive(self, ciphertext: bytes | memoryview) -> None:
        """Take what the socket delivered."""
        self._incoming.write(ciphertext)

    def plaintext(self) -> bytes:
        """All plaintext that complete records hold.

        Raises:
            ssl.SSLError: the records are damaged.
        """
        data = self._record()
        if not self._incoming.pending:  # nearly always: one event, one record
            return data
        parts = [data]
        while self._incoming.pending and not self.closed and parts[-1]:
            parts.append(self._record())
        return b"".join(parts)

    def _record(self) -> bytes:
        """The plaintext of one record; empty when none is complete or the peer has ended TLS."""
        if self.closed:
            return b""
        try:
            data = self._tls.read(_RECORD_BYTES)
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLZeroReturnError:
            data = b""
        self.closed = not data
        return data

    def encrypt(self, data: bytes) -> None:
        """Put ``data`` into the outgoing ciphertext."""
        self._tls.write(data)

    def pending(self) -> bytes:
        """Ciphertext to write to the socket; empty when there is none."""
        return self._outgoing.read()
