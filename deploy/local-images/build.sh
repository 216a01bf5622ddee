#!/bin/sh
# Makes the images that docker-compose.yml needs without a registry of images: from Debian packages and the pinned jars
# of Kafka. For machines that cannot pull; see docs/docker.md. Needs root, Docker and debootstrap.
set -eu
cd "$(dirname "$0")/../.."
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
suite=${DEBIAN_SUITE:-bookworm}
authorities=${CA_BUNDLE:-/etc/ssl/certs/ca-certificates.crt}

say() { echo "images: $*" >&2; }
fail() { say "error: $*"; exit 3; }

command -v docker >/dev/null || fail "docker is missing; on Debian: apt-get install docker.io"
docker info >/dev/null 2>&1 || fail "no Docker daemon answers; start one, for example: dockerd &"

if ! docker image inspect cdc-local/debian >/dev/null 2>&1; then
  command -v debootstrap >/dev/null || fail "debootstrap is missing; on Debian: apt-get install debootstrap"
  [ "$(id -u)" = 0 ] || fail "debootstrap needs root"
  root=$(mktemp -d)
  trap 'rm -rf "$root"' EXIT
  say "debian: $suite from $mirror (about a minute)"
  debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" "$mirror" >/dev/null
  # A network that reads its own traffic has an authority of its own.
  cp "$authorities" "$root/etc/ssl/certs/ca-certificates.crt"
  rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/usr/share/doc/* "$root"/usr/share/man/* \
    "$root"/usr/share/locale/*
  tar -C "$root" -c . | docker import --change 'CMD ["/bin/sh"]' - cdc-local/debian >/dev/null
fi

for name in python postgres prometheus; do
  say "$name"
  docker build -q -t "cdc-local/$name" "deploy/local-images/$name" >/dev/null
done

say "kafka: the jars of sandbox/kafka/jars.sha256"
[ -x .venv/bin/python ] || fail "make setup comes first: it fetches the jars"
context=$(mktemp -d)
cp deploy/local-images/kafka/* "$context"
mkdir "$context/jars"
.venv/bin/python -c 'from sandbox.kafka import distribution as d; print(d.class_path(d.cache_directory()))' \
  | tr ':' '\n' | while read -r jar; do cp "$jar" "$context/jars/"; done
docker build -q -t cdc-local/kafka "$context" >/dev/null
rm -rf "$context"
docker image ls 'cdc-local/*'
