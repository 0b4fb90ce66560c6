.PHONY: demo test lint type layers fmt bench lock clean
demo: .venv/.core ; .venv/bin/inferometer demo
test: .venv/.dev ; .venv/bin/python -m pytest -n 3 --dist worksteal
# Browser tests use Debian's Chromium and are skipped where there is none; as root it is installed here, with a Chinese font.
browser: ; command -v chromium >/dev/null || { test "$$(id -u)" = 0 && apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium fonts-noto-cjk >/dev/null; } || echo "no Chromium: browser tests will be skipped"
lint: .venv/.dev ; .venv/bin/ruff check . && .venv/bin/ruff format --check .
type: .venv/.dev ; .venv/bin/mypy
layers: .venv/.dev ; .venv/bin/lint-imports
fmt: .venv/.dev ; .venv/bin/ruff check --fix . && .venv/bin/ruff format .
bench: .venv/.dev ; .venv/bin/python bench/run.py
bench-soak: .venv/.dev ; .venv/bin/python bench/soak.py
bench-profile: .venv/.dev ; .venv/bin/python bench/breakdown.py
bench-peers: .venv/.dev ; cd bench && ../.venv/bin/python -m peers.run
bench-views: .venv/.dev ; cd bench && ../.venv/bin/python -m views.run
# vLLM on CPU, from INFEROMETER_VLLM=DIR (a virtual environment) or built as for bench-peers; ARGS for pytest.
test-engines: .venv/.dev ; program=$$(.venv/bin/python scripts/engine_environment.py) && INFEROMETER_VLLM_PROGRAM=$$program .venv/bin/python -m pytest tests/engines --timeout 900 $(ARGS)
bench-engines: .venv/.dev ; cd bench && ../.venv/bin/python -m engines.run
# The simulated engine against measured data: goals, figures, and the reasons of misses.
bench-sim: .venv/.dev ; cd bench && ../.venv/bin/python -m sim.table $(ARGS)
# The documents as a site: build/site/en/en/index.html and build/site/zh/zh/index.html; a warning is an error.
docs: .venv/.dev ; .venv/bin/python -m sphinx -q -W -b html docs build/site/en && .venv/bin/python -m sphinx -q -W -b html -t zh docs build/site/zh
.PHONY: docs browser bench-soak bench-profile bench-peers bench-views test-engines bench-engines bench-sim
lock: .venv/.dev ; scripts/lock.sh
.venv/.core: pyproject.toml requirements.lock ; python3 -m venv .venv && .venv/bin/python -m pip install -q --disable-pip-version-check -r requirements.lock && .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps -e . && touch $@
.venv/.dev: .venv/.core requirements-dev.lock ; .venv/bin/python -m pip install -q --disable-pip-version-check -r requirements-dev.lock && touch $@
