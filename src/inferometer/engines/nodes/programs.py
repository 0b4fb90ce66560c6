"""Texts of the programs that are rendered for a plan; ``@NAME@`` is filled in by ``scripts``."""

from __future__ import annotations

# Each process is in a group of its own (set -m), so that Ctrl-C reaches the script alone, and a stop reaches
# everything that a process has started in its turn.
LAUNCHER = """# Starts processes and stops them: the part that the scripts of all nodes share. bash 4.4 or newer.
set -u -m
mkdir -p "$logs" || exit 1
pids=() names=() i=0 code=0

start() { # NAME COMMAND...
  local name=$1
  shift
  "$@" >"$logs/$name.log" 2>&1 </dev/null &
  pids+=($!) names+=("$name")
  echo "started  $name  pid $!  log $logs/$name.log"
}

step() { # NAME COMMAND...: as start, and goes on when it has ended well
  start "$@"
  until ended; do nap; done
  ((code == 0 && i == ${#pids[@]} - 1)) || give_up
  unset 'pids[i]' 'names[i]'
}

ended() { # whether one has: i is its place, code its status
  for i in "${!pids[@]}"; do
    kill -0 "${pids[i]}" 2>/dev/null && continue
    code=0
    wait "${pids[i]}" || code=$?
    return 0
  done
  return 1
}

nap() { # that a signal ends
  sleep 0.3 &
  wait $!
}

give_up() { # one that ends takes the others along: a service that lacks a part is none
  echo "${names[i]} ended with status $code; see $logs/${names[i]}.log" >&2
  stop
  exit $((code ? code : 1))
}

left() { # whether anything of the groups is
  local pid
  for pid in "${pids[@]}"; do kill -0 -- "-$pid" 2>/dev/null && return 0; done
  return 1
}

stop() { # asks each process, after 10 s what it has started, too, and after 10 s more kills what is left
  trap '' INT TERM HUP
  local pid how tries
  for how in "TERM " "TERM -" "KILL -"; do
    left || break
    for pid in "${pids[@]}"; do kill -s "${how% *}" -- "${how#* }$pid" 2>/dev/null; done
    for ((tries = 0; tries < 100; tries++)); do
      left || break
      sleep 0.1
    done
  done
  echo "stopped  $node"
}

trap 'stop; exit 130' INT
trap 'stop; exit 143' TERM HUP

watch() { # until one ends; then they all do
  until ended; do nap; done
  give_up
}
"""

NODE_SCRIPT = """#!/usr/bin/env bash
# @TITLE@
# Ctrl-C, or SIGTERM to this script, stops what it has started, and nothing else.
here=$(cd "$(dirname "$0")" && pwd) node=node-@NODE@
logs=${LOGS:-$here/logs}/$node
. "$here"/launcher.sh || exit 1

@START@
watch
"""

# Started by torchrun once for each rank, as LMDeploy's dpep_torchrun_serve.py is; takes the place of its process.
TORCHRUN_PROGRAM = '''"""Becomes the server of its rank. torchrun says which rank that is."""

import argparse
import json
import os

# One line for each rank: the command, and its environment.
RANKS = json.loads(r"""[
@RANKS@
]""")

parser = argparse.ArgumentParser()
parser.add_argument("--proxy_url", default=None, help="another address of the proxy than that of the plan")
given = parser.parse_args()
rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
if world != len(RANKS):
    raise SystemExit(f"torchrun starts {world} ranks, and the plan has {len(RANKS)}")
argv = RANKS[rank]["argv"]
if given.proxy_url is not None and "--proxy-url" in argv:
    argv[argv.index("--proxy-url") + 1] = given.proxy_url
os.environ.update(RANKS[rank]["env"])
print(f"rank {rank} of {world}: {argv[0]}", flush=True)
os.execvp(argv[0], argv)
'''

# Ray's own state, not the text of `ray status`, which is for people.
RAY_PROGRAM = '''"""Waits until a Ray cluster is complete: ADDRESS NODES RESOURCE DEVICES SECONDS."""

import sys
import time

import ray

address, nodes, resource, devices, limit_s = sys.argv[1:]
end = time.monotonic() + float(limit_s)
state = said = ""


def look():
    """How much of the cluster is there."""
    if not ray.is_initialized():
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    alive = sum(node["Alive"] for node in ray.nodes())
    found = ray.cluster_resources().get(resource, 0)
    text = f"{alive} of {nodes} nodes, {found:g} of {devices} {resource}"
    return alive >= int(nodes) and found >= int(devices), text


complete = False
while not complete:
    try:
        complete, state = look()
    except (ConnectionError, RuntimeError, ValueError) as error:  # the head is not up yet
        state = f"no answer from {address}: {error}"
    if state != said:
        print(state, flush=True)
        said = state
    if not complete and time.monotonic() > end:
        raise SystemExit(f"after {limit_s} s: {state}; run the scripts of the other nodes, and see their ray.log")
    time.sleep(0 if complete else 1)
'''
