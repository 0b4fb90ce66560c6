"""How fast requests with pictures are made, one core: request bodies a second, and how large they are.

    python bench/pictures.py [--width 1024] [--height 1024] [--requests 200]

The first requests of a run are shown apart, as the scenes are drawn with them. JPEG needs pillow.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from itertools import islice

from inferometer.client.dialects import DIALECTS
from inferometer.errors import UsageError
from inferometer.loadgen.messages import WireRequest
from inferometer.loadgen.plan import body_options, wire_requests
from inferometer.spec import Endpoint, Images, Load, RunSpec, Workload, load_points
from inferometer.workload import load_tokenizer, open_dataset

FIRST = 16
KINDS = [(content, kind) for kind in ("png", "jpeg") for content in ("shapes", "noise", "blank")]


def bodies(images: Images) -> Iterator[WireRequest]:
    spec = RunSpec(
        endpoint=Endpoint(url="http://127.0.0.1:8000"),
        load=Load(max_concurrency=(1,)),
        workload=Workload(input_len=(128,)),
        images=images,
    )
    (point,) = load_points(spec)
    tokenizer = load_tokenizer("builtin")
    requests = open_dataset(spec, point, tokenizer).requests(0, "bench")
    options = body_options(spec, point, "model")
    return wire_requests(requests, DIALECTS.get("openai-chat"), options, tokenizer, keep_text=False)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--height", type=int, default=1024)
    parser.add_argument("--requests", type=int, default=200)
    asked = parser.parse_args()
    print(f"{asked.width}x{asked.height} px  first {FIRST} s  then a second  MB a body")
    for content, kind in KINDS:
        images = Images(
            image_width=asked.width, image_height=asked.height, image_content=content, image_format=kind
        )
        start = time.process_time()
        try:
            drawn = bodies(images)
        except UsageError as error:
            print(f"{content} {kind}: {error}")
            continue
        list(islice(drawn, FIRST))
        first = time.process_time()
        size = sum(len(request.body) for request in islice(drawn, asked.requests))
        rate = asked.requests / (time.process_time() - first)
        print(f"{content:6} {kind:4} {first - start:10.2f} {rate:14.0f} {size / asked.requests / 1e6:10.3f}")


if __name__ == "__main__":
    main()
