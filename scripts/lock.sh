#!/usr/bin/env bash
# Rewrites both lock files from pyproject.toml; run after changing a dependency.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/python -m pip install -q uv
compile() { .venv/bin/python -m uv pip compile -q --universal --python-version 3.10 --no-annotate --no-header "$@"; }
compile pyproject.toml -o requirements.lock
compile pyproject.toml --group dev -o requirements-dev.lock
