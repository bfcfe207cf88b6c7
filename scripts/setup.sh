#!/usr/bin/env bash
# Installs what is missing to build and to run: a C compiler, libclang, PostgreSQL with its headers, cargo-pgrx.
# Does nothing, and asks for no password, when all is there.
source "$(dirname "$0")/lib/toolchain.sh"

# bindgen needs the library and the compiler's own headers (stddef.h), which the runtime package lacks.
has_libclang() {
  [[ -z ${LIBCLANG_PATH:-} ]] || return 0
  any_of '/usr/lib/llvm-*/lib/libclang[.-][0-9s]*' '/usr/lib/*/libclang[.-][0-9s]*' '/usr/lib64/libclang[.-][0-9s]*' &&
    any_of '/usr/lib/llvm-*/lib/clang/*/include/stddef.h' '/usr/lib/clang/*/include/stddef.h' '/usr/lib64/clang/*/include/stddef.h'
}
any_of() {
  local pattern
  for pattern in "$@"; do compgen -G "$pattern" >/dev/null && return 0; done
  return 1
}

# The version the distribution's own package stands for.
distribution_major() {
  apt-cache depends postgresql 2>/dev/null | sed -n 's/^ *Depends: postgresql-\([0-9][0-9]*\)$/\1/p' | head -n 1
}

missing_packages() {
  have cc && have make || echo build-essential
  have pkg-config || echo pkg-config
  has_libclang || echo libclang-dev
  have flock || echo util-linux
  # Tests with a real client; without apt they are skipped.
  ! have apt-get || has_psycopg2 || echo python3-psycopg2
}
# As tests/integration/46_cdc_clients.sh looks for it.
has_psycopg2() { python3 -c 'import psycopg2' 2>/dev/null || /usr/bin/python3 -c 'import psycopg2' 2>/dev/null; }

install_packages() {
  have apt-get || die "please install: $* (this script knows only apt)"
  note "installing $*"
  as_admin env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "$@" </dev/null ||
    die "apt could not install: $*"
}

# On a machine without a server Debian's package would create and start one. Ours are private; none is wanted.
install_postgres() {
  local major=$1 quiet=/etc/postgresql-common/createcluster.d/db_architect-setup.conf
  if ! compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; then
    install_packages postgresql-common
    if [[ -d /etc/postgresql-common && ! -e $quiet ]]; then
      as_admin mkdir -p "${quiet%/*}"
      echo 'create_main_cluster = false' | as_admin tee "$quiet" >/dev/null
      at_exit allow_new_clusters_again
    fi
  fi
  install_packages "postgresql-$major" "postgresql-server-dev-$major"
}
allow_new_clusters_again() { as_admin rm -f /etc/postgresql-common/createcluster.d/db_architect-setup.conf; }

install_cargo_pgrx() {
  local version root
  version=$(pgrx_version)
  root=$(private_cargo_pgrx_root)
  note "installing cargo-pgrx $version into $root"
  CARGO_TARGET_DIR=$DBA_TARGET/cargo-pgrx cargo install --locked --quiet --root "$root" "cargo-pgrx@$version" </dev/null
  rm -rf "$DBA_TARGET/cargo-pgrx"
}

setup() {
  local -a packages
  local major
  mapfile -t packages < <(missing_packages)
  if ((${#packages[@]} > 0)) || ! find_pg_config >/dev/null; then
    if have apt-get; then as_admin apt-get -q -o DPkg::Lock::Timeout=600 update </dev/null || warn "apt-get update failed"; fi
  fi
  if ((${#packages[@]} > 0)); then install_packages "${packages[@]}"; fi
  if ! find_pg_config >/dev/null; then
    [[ -z ${PG_CONFIG:-} ]] || die "PG_CONFIG=$PG_CONFIG is no PostgreSQL 14 to 18 with server and headers"
    have apt-get || die "please install PostgreSQL 14 to 18 with its server headers and set PG_CONFIG"
    major=$(distribution_major)
    install_postgres "${major:-15}"
  fi
  find_pg_config >/dev/null || die "PostgreSQL was installed, but no usable pg_config was found"
  find_cargo_pgrx >/dev/null || install_cargo_pgrx
}

find_cargo
with_lock setup setup
use_toolchain
note "PostgreSQL $PG_MAJOR ($PG_CONFIG), cargo-pgrx $(pgrx_version), $(cargo --version)"
