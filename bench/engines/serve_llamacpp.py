"""llama.cpp's own HTTP server from the xllamacpp wheel: serve_llamacpp.py PORT GGUF SLOTS THREADS."""

from __future__ import annotations

import signal
import sys
import threading

import xllamacpp

CONTEXT_TOKENS = 4096  # of each slot


def main(port: int, model: str, slots: int, threads: int) -> None:
    """Serve until SIGTERM."""
    asked = xllamacpp.CommonParams()
    asked.model.path = model
    asked.port = port
    asked.n_parallel = slots
    asked.n_ctx = slots * CONTEXT_TOKENS
    asked.model_alias = {"tiny"}
    asked.endpoint_metrics = asked.cont_batching = asked.offline = True
    asked.ui = False
    asked.cache_ram_mib = 0
    asked.cpuparams.n_threads = asked.cpuparams_batch.n_threads = threads
    server = xllamacpp.Server(asked)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    while not ended.wait(0.5):
        pass
    del server


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
