# shellcheck shell=bash
# Finds Rust, PostgreSQL and cargo-pgrx, and tells pgrx about them without touching anybody's ~/.pgrx.
# shellcheck source-path=SCRIPTDIR source=common.sh
[[ -n ${DBA_ROOT:-} ]] || source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

find_cargo() {
  have cargo || PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
  export PATH
  have cargo || die "cargo is not on PATH nor in ~/.cargo/bin. Install Rust from https://rustup.rs:
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
}

manifest_value() { sed -n "s/^$1 *= *\"=\{0,1\}\([^\"]*\)\".*/\1/p" "$DBA_ROOT/Cargo.toml" | head -n 1; }
pgrx_version() { manifest_value pgrx; }
extension_version() { manifest_value version; }

pg_major_of() { "$1" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/'; }

# A PostgreSQL is usable when it can be built against and can be run.
is_complete_postgres() {
  local config=$1 major
  [[ -n $config ]] && have "$config" || return 1
  major=$(pg_major_of "$config" 2>/dev/null) || return 1
  ((major >= 14 && major <= 18)) || return 1
  [[ -f $("$config" --includedir-server)/postgres.h && -x $("$config" --bindir)/postgres ]]
}

# find_pg_config [MAJOR]: prints a usable pg_config, the one in PG_CONFIG or PATH first.
find_pg_config() {
  local wanted=${1:-} candidate
  local -a candidates=()
  if [[ -z $wanted && -n ${PG_CONFIG:-} ]]; then
    is_complete_postgres "$PG_CONFIG" || return 1
    printf '%s\n' "$PG_CONFIG"
    return 0
  fi
  candidates+=("${PG_CONFIG:-}" pg_config)
  local major
  for major in ${wanted:-18 17 16 15 14}; do
    candidates+=("/usr/lib/postgresql/$major/bin/pg_config" "/usr/pgsql-$major/bin/pg_config" "/opt/postgresql/$major/bin/pg_config")
    candidates+=("$HOME/.pgrx/$major".*/pgrx-install/bin/pg_config)
  done
  for candidate in "${candidates[@]}"; do
    is_complete_postgres "$candidate" || continue
    [[ -z $wanted || $(pg_major_of "$candidate") == "$wanted" ]] || continue
    printf '%s\n' "$candidate"
    return 0
  done
  return 1
}

# use_postgres [MAJOR]: sets PG_CONFIG (the real program, not Debian's front-end), PG_MAJOR and the pgrx home.
use_postgres() {
  local found
  found=$(find_pg_config "${1:-}") || die "no usable PostgreSQL ${1:-14 to 18}${PG_CONFIG:+ at PG_CONFIG=$PG_CONFIG} (server and headers); try: make setup"
  local own
  own=$("$found" --bindir)/pg_config
  if [[ -x $own ]]; then PG_CONFIG=$own; else PG_CONFIG=$(command -v "$found"); fi
  PG_MAJOR=$(pg_major_of "$PG_CONFIG")
  export PG_CONFIG PG_MAJOR
  write_pgrx_home
}

# pgrx reads $PGRX_HOME/config.toml at build time and again when tests run. Ours names a small pg_config that can be
# pointed at a staged server by DBA_STAGED_PG_CONFIG, so both steps read the same file and nothing is rebuilt:
# cargo rebuilds the bindings whenever that file's time changes, which is why it is only written when it differs.
write_pgrx_home() {
  export PGRX_HOME=$DBA_TARGET/pgrx/pg$PG_MAJOR
  local wrapper config
  wrapper=$(printf '#!/bin/sh\nexec "${DBA_STAGED_PG_CONFIG:-%s}" "$@"' "$PG_CONFIG")
  config=$(printf '# %s\n[configs]\npg%s = "%s"' "$("$PG_CONFIG" --version) $PG_CONFIG" "$PG_MAJOR" "$PGRX_HOME/pg_config")
  mkdir -p "$PGRX_HOME"
  replace_if_different "$PGRX_HOME/pg_config" "$wrapper" 755
  replace_if_different "$PGRX_HOME/config.toml" "$config" 644
}

replace_if_different() {
  local path=$1 content=$2 mode=$3 new
  [[ ! -f $path || $(<"$path") != "$content" ]] || return 0
  new=$(mktemp "$path.XXXXXX")
  printf '%s\n' "$content" >"$new"
  chmod "$mode" "$new"
  mv -f "$new" "$path"
}

# A cargo-pgrx of another version stays where it is; ours goes to a place of its own.
private_cargo_pgrx_root() { printf '%s/db_architect/cargo-pgrx-%s\n' "${XDG_CACHE_HOME:-$HOME/.cache}" "$(pgrx_version)"; }

find_cargo_pgrx() {
  local wanted candidate
  wanted=$(pgrx_version)
  for candidate in "${CARGO_PGRX:-}" cargo-pgrx "${CARGO_HOME:-$HOME/.cargo}/bin/cargo-pgrx" "$(private_cargo_pgrx_root)/bin/cargo-pgrx"; do
    [[ -n $candidate ]] && have "$candidate" || continue
    if [[ $("$candidate" pgrx --version 2>/dev/null) == "cargo-pgrx $wanted" ]]; then command -v "$candidate"; return 0; fi
  done
  return 1
}

# use_toolchain [MAJOR]: everything a build needs, or a message saying what is missing.
use_toolchain() {
  find_cargo
  use_postgres "${1:-}"
  CARGO_PGRX=$(find_cargo_pgrx) || die "cargo-pgrx $(pgrx_version) is missing; try: make setup"
  export CARGO_PGRX
  # cargo-pgrx links with --no-gc-sections for platforms that would lose its metadata section. x86_64 does not lose it,
  # and without the flag tests and extension share one set of compiled dependencies.
  if [[ $(uname -m) == x86_64 ]]; then export CARGO_PGRX_DISABLE_GC_SECTIONS_WORKAROUND=1; fi
}

cargo_pgrx() { "$CARGO_PGRX" pgrx "$@"; }
