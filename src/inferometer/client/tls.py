"""TLS over memory buffers, so that ciphertext is read with the kernel's receive time."""

from __future__ import annotations

import ssl

from inferometer.client.target import Target
from inferometer.errors import UsageError

_RECORD_BYTES = 16384  # the most plaintext that one record holds; more would only be allocated for nothing


def client_context(target: Target) -> ssl.SSLContext:
    """A verifying TLS context; verification is off only with ``insecure``.

    Raises:
        UsageError: the CA file cannot be used.
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
    return context


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
