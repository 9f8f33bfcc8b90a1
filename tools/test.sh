#!/bin/sh
# Runs the suite in the environment that setup.sh made. Arguments go to pytest.
set -eu
exec "$HARK_VENV/bin/python" -m pytest -p no:cacheprovider "$@"
