"""HOW to send: sockets, TLS, kernel receive times, HTTP/1.1 and SSE framing, dialects."""
