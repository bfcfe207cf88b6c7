# shellcheck shell=bash
# Builds the extension and puts it into a private copy of the server.
#
# PostgreSQL finds its libraries and its extensions relative to its own executable. A tree with copies of the programs
# and links to everything else is therefore a complete server whose extension directory is ours: nothing is installed
# into the system, no privilege is needed, and runs of different builds cannot disturb each other.
# shellcheck source-path=SCRIPTDIR source=toolchain.sh
declare -F use_toolchain >/dev/null || source "$(dirname "${BASH_SOURCE[0]}")/toolchain.sh"

# build_package: a build laid out as it would be installed, in $DBA_PACKAGE; a release unless DBA_BUILD=debug, which
# compiles in a tenth of the time.
build_package() {
  [[ -z ${DBA_PACKAGE:-} ]] || return 0
  make_work_dir
  note "building $DBA_EXTENSION for PostgreSQL $PG_MAJOR (${DBA_BUILD:-release})"
  # The lock covers compiling and copying: another version's build would replace the library in between.
  with_lock build package_into "$DBA_WORK/package"
  export DBA_PACKAGE=$DBA_WORK/package
}

package_into() {
  local log=$DBA_WORK/package.log
  local -a profile=()
  if [[ ${DBA_BUILD:-release} == debug ]]; then profile=(--debug); fi
  # Cargo's own progress goes to the terminal; cargo-pgrx's chatter is only of interest when it fails.
  (cd "$DBA_ROOT" && cargo_pgrx package "${profile[@]}" --pg-config "$PGRX_HOME/pg_config" --out-dir "$1") >"$log" || {
    cat "$log" >&2
    die "the build failed"
  }
}

# make_stage NAME: a server tree without this extension in $DBA_WORK/NAME; prints its path.
make_stage() {
  local stage=$DBA_WORK/$1 bin lib share include dir
  bin=$("$PG_CONFIG" --bindir) lib=$("$PG_CONFIG" --pkglibdir) share=$("$PG_CONFIG" --sharedir)
  mkdir -p "$stage$bin"
  cp -R "$bin/." "$stage$bin/"
  link_entries "$lib" "$stage$lib"
  link_entries "$share" "$stage$share" extension
  link_entries "$share/extension" "$stage$share/extension"
  for include in --includedir-server --pkgincludedir --includedir; do
    dir=$("$PG_CONFIG" "$include")
    if [[ -d $dir && ! -e $stage$dir ]]; then mkdir -p "$(dirname "$stage$dir")"; ln -s "$dir" "$stage$dir"; fi
  done
  [[ $("$stage$bin/pg_config" --pkglibdir) == "$stage$lib" ]] ||
    die "the PostgreSQL at $bin cannot be relocated, so a private copy of it cannot be made"
  printf '%s\n' "$stage"
}

# link_entries FROM TO [EXCEPT]: TO becomes a real directory with links to what FROM holds, without this extension's
# own files: writing through such a link would change the system's.
link_entries() {
  local from=$1 to=$2 except=${3:-} entry name
  mkdir -p "$to"
  for entry in "$from"/*; do
    name=${entry##*/}
    [[ -e $entry && $name != "$except" && $name != "$DBA_EXTENSION"* && ! -e $to/$name ]] || continue
    ln -s "$entry" "$to/$name"
  done
}

# use_stage: $DBA_STAGE holds a server with the extension as built now; a caller's stage is used as it is.
use_stage() {
  # Here and not later: a work directory made in a subshell would not be cleaned up.
  make_work_dir
  if [[ -z ${DBA_STAGE:-} ]]; then
    use_toolchain
    build_package
    DBA_STAGE=$(make_stage pg)
    export DBA_STAGE
    cp -R "$DBA_PACKAGE/." "$DBA_STAGE/"
    add_released_scripts
    chmod -R go+rX "$DBA_STAGE" 2>/dev/null || true
  fi
  DBA_BIN=$DBA_STAGE$("$PG_CONFIG" --bindir)
  DBA_SHARE=$DBA_STAGE$("$PG_CONFIG" --sharedir)
  export DBA_BIN DBA_SHARE
}

# Install scripts of released versions are for upgrade tests only; the script of the build itself is never replaced.
add_released_scripts() {
  local script extensions
  extensions=$DBA_STAGE$("$PG_CONFIG" --sharedir)/extension
  for script in "$DBA_ROOT"/sql/install/"$DBA_EXTENSION"--*.sql; do
    [[ -f $script && ! -e $extensions/${script##*/} ]] || continue
    cp "$script" "$extensions/"
  done
}
