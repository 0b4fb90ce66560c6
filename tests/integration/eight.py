"""An answer of eight tokens, as the short requests of these tests ask for."""

from inferometer.testing.streams import delta, sse, stream, usage

_TOKENS = [(0.002 * number, sse(delta(" word"))) for number in range(7)]
EIGHT = stream(
    [
        *_TOKENS,
        (0.014, sse(delta(" end", finish="length"))),
        (0.014, sse(usage(8, 8)) + sse("[DONE]")),
    ]
)
