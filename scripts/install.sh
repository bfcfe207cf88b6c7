#!/usr/bin/env bash
# Installs a release build into the PostgreSQL of PG_CONFIG; asks for sudo only where it may not write.
source "$(dirname "$0")/lib/stage.sh"

# Written beside the old file and moved over it: a running server never sees half a library, and two installs at once
# leave one of the two builds whole.
put() {
  local source=$1 target=$2
  local -a as=()
  [[ -w $(dirname "$target") ]] || as=(as_admin)
  "${as[@]}" install -m "$3" "$source" "$target.$$.new"
  "${as[@]}" mv -f "$target.$$.new" "$target"
  printf '%s\n' "$target"
}

use_toolchain
build_package
while read -r file; do
  case $file in
    *.so) mode=755 ;;
    *) mode=644 ;;
  esac
  put "$file" "${file#"$DBA_PACKAGE"}" "$mode"
done < <(find "$DBA_PACKAGE" -type f | sort)
note "installed; in a database: CREATE EXTENSION $DBA_EXTENSION"
