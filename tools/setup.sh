# Sourced by the Makefile with `what` set to demo, test or bench. Sets up all that it needs, quietly when it is there:
# system packages (as root, where apt is), an ordinary user for root to run hark as, a virtual environment with hark.
# Leaves: HARK_VENV, HARK_AS (the command prefix that runs something as an ordinary user; empty for one).
set -eu

repo=$(pwd)
export PYTHONDONTWRITEBYTECODE=1

say() { printf '%s\n' "setup: $*" >&2; }

. tools/packages.sh
if [ -n "$missing" ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update >/dev/null 2>&1 || true
    # shellcheck disable=SC2086
    apt-get install -y --no-install-recommends $missing >/tmp/hark-setup.log 2>&1 || { tail -5 /tmp/hark-setup.log >&2; exit 1; }
  else
    say "please install:$missing"
    exit 1
  fi
fi

HARK_AS=
if [ "$(id -u)" = 0 ]; then
  id harktest >/dev/null 2>&1 || useradd --create-home --shell /bin/sh harktest
  # A second group, as most people have: its files are to be the program's as they are without hark.
  id -nG harktest | grep -qw harkgroup || { groupadd -f harkgroup && usermod -a -G harkgroup harktest; }
  [ -e /dev/net/tun ] || { mkdir -p /dev/net; mknod /dev/net/tun c 10 200; }
  chmod 0666 /dev/net/tun # as udev leaves it on any distribution
  HARK_AS="setpriv --reuid harktest --regid harktest --init-groups env HOME=/home/harktest"
fi

# An interpreter that the ordinary user can run: not one under root's home.
python=
for candidate in "${PYTHON:-}" python3 /usr/bin/python3 python3.13 python3.12 python3.11; do
  [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 || continue
  real=$("$candidate" -c 'import sys; print(sys.executable if sys.version_info >= (3, 11) else "")' 2>/dev/null) || continue
  [ -n "$real" ] && (cd / && $HARK_AS "$real" -c 'import ensurepip') 2>/dev/null && { python=$real; break; }
done
[ -n "$python" ] || { say "no Python 3.11 or later with venv that an ordinary user can run"; exit 1; }

# Outside the checkout, which the ordinary user may not be able to read.
# The bench has one of its own: mitmproxy wants other versions of what the tests' clients want.
HARK_VENV=${HARK_VENV:-/var/tmp/hark-venv-$(id -u)-$(printf %s "$repo" | cksum | cut -d' ' -f1)}
[ "$what" != bench ] || HARK_VENV=$HARK_VENV-bench
[ -x "$HARK_VENV/bin/python" ] || { say "making $HARK_VENV"; "$python" -m venv "$HARK_VENV"; }
extra="[$what]"
stamp=$(cat tools/setup.sh tools/packages.sh pyproject.toml setup.py $(find src -name '*.py' -o -name '*.in' -o -name '*.[ch]' -o -name '*.cjs' -o -name '*.html' | sort) | cksum | cut -d' ' -f1)
if [ "$(cat "$HARK_VENV/stamp-$what" 2>/dev/null)" != "$stamp" ]; then
  say "installing hark$extra"
  rm -rf build
  "$HARK_VENV/bin/python" -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps "$repo"
  "$HARK_VENV/bin/python" -m pip install --quiet --disable-pip-version-check "hark$extra @ file://$repo"
  rm -rf build
  printf %s "$stamp" >"$HARK_VENV/stamp-$what"
fi
if [ "$what" = test ]; then # the Go program that the tests talk to and with
  programs=$HARK_VENV/programs
  stamp=$(cat tests/programs/go/* | cksum | cut -d' ' -f1)
  if [ "$(cat "$programs/stamp" 2>/dev/null)" != "$stamp" ]; then
    say "building the tests' Go program"
    rm -rf "$programs"
    cp -r tests/programs/go "$programs"
    (cd "$programs" && PATH=$PATH:/usr/local/go/bin && go mod tidy >go.log 2>&1 && go build -o talk . >>go.log 2>&1) || { tail -5 "$programs/go.log" >&2; exit 1; }
    printf %s "$stamp" >"$programs/stamp"
  fi
fi
chmod -R a+rX "$HARK_VENV"
export HARK_VENV HARK_AS
PATH=$HARK_VENV/bin:$PATH
