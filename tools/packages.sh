# Sourced by setup.sh with `what` set to demo, test or bench. Leaves: missing, the Debian packages that are not installed.
# What stands in /usr/sbin is looked for too: an ordinary user's PATH is without it on Debian.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

missing=
need() { # need COMMAND PACKAGE...
  command=$1; shift
  command -v "$command" >/dev/null 2>&1 || missing="$missing $*"
}
need curl curl
need openssl openssl
need cc gcc libc6-dev
need setpriv util-linux
[ -e /usr/lib/python3/dist-packages/ensurepip ] || /usr/bin/python3 -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
if [ "$what" != demo ]; then
  need nginx nginx-light
  need ip iproute2
  need wrk wrk
fi
if [ "$what" = test ]; then
  need tshark tshark
  need wget wget
  need git git
  need node nodejs
  need perl perl
  need ruby ruby
  need php php-cli
  need redis-server redis-server
  need redis-cli redis-tools
  need dnsmasq dnsmasq-base
  need musl-gcc musl-tools
  [ -x /usr/local/go/bin/go ] || need go golang-go
  need script bsdutils
  [ -e /usr/include/openssl/ssl.h ] || missing="$missing libssl-dev"
  need ping iputils-ping
  need gnutls-cli gnutls-bin
  need zstd zstd
  need apache2 apache2-bin
  need haproxy haproxy
  need kdig knot-dnsutils
  need javac default-jdk-headless
  need chromium chromium
  need tmux tmux
  need Xvfb xvfb
  need newuidmap uidmap
  need ssh openssh-client
  need keyctl keyutils
  need fakeroot fakeroot
  need faketime faketime
  need bwrap bubblewrap
  need podman podman
  need zsh zsh
  need fish fish
  need mandoc mandoc
  ls /usr/lib/*/libjemalloc.so.2 >/dev/null 2>&1 || missing="$missing libjemalloc2"
  [ "$(uname -m)" != x86_64 ] || [ -e /usr/lib32/crt1.o ] || [ -e /usr/lib/i386-linux-gnu/crt1.o ] || missing="$missing gcc-multilib"
  perl -MLWP::UserAgent -MIO::Socket::SSL -e1 2>/dev/null || missing="$missing libwww-perl libio-socket-ssl-perl"
fi
if [ "$what" = bench ]; then
  need pasta passt
  need slirp4netns slirp4netns
  need tshark tshark
fi
