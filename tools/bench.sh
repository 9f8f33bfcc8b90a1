#!/bin/sh
# Runs the benchmarks in the environment that setup.sh made. Arguments: --quick for a short run.
set -eu
exec "$HARK_VENV/bin/python" bench/run.py "$@"
