"""TLS over memory buffers, so that ciphertext is read with the kernel's receive time."""

from __future__ import annotations

import ssl

from inferometer.client.target import Target
from inferometer.errors import UsageError

_PLAIN_BYTES = 262144


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

    def receive(self, ciphertext: bytes) -> None:
        """Take what the socket delivered."""
        self._incoming.write(ciphertext)

    def plaintext(self) -> bytes:
        """All plaintext that complete records hold."""
        parts: list[bytes] = []
        while not self.closed:
            try:
                part = self._tls.read(_PLAIN_BYTES)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                part = b""
            if not part:
                self.closed = True
                break
            parts.append(part)
        return b"".join(parts)

    def encrypt(self, data: bytes) -> None:
        """Put ``data`` into the outgoing ciphertext."""
        self._tls.write(data)

    def pending(self) -> bytes:
        """Ciphertext to write to the socket; empty when there is none."""
        return self._outgoing.read()
