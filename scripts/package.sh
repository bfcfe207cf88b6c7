#!/usr/bin/env bash
# Builds target/debian/postgresql-NN-db-architect_VERSION_ARCH.deb for the PostgreSQL of PG_CONFIG.
source "$(dirname "$0")/lib/stage.sh"

# The C library the .so needs, as dpkg-dev would write it; without that tool, any.
library_dependencies() {
  local found=
  if have dpkg-shlibdeps; then
    mkdir -p "$DBA_WORK/shlibs/debian"
    : >"$DBA_WORK/shlibs/debian/control"
    found=$(cd "$DBA_WORK/shlibs" && dpkg-shlibdeps -O "$1" 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
  fi
  printf '%s\n' "${found:-libc6}"
}

use_toolchain
have dpkg-deb || die "dpkg-deb is missing: packages are built on Debian and its relatives"
[[ $("$PG_CONFIG" --bindir) == "/usr/lib/postgresql/$PG_MAJOR/bin" ]] ||
  die "a Debian package needs Debian's layout; $PG_CONFIG is somewhere else"
build_package

name=postgresql-$PG_MAJOR-${DBA_EXTENSION//_/-}
version=$(extension_version)-1
architecture=$(dpkg --print-architecture)
tree=$DBA_WORK/deb
library=$DBA_PACKAGE$("$PG_CONFIG" --pkglibdir)/$DBA_EXTENSION.so

mkdir -p "$tree/DEBIAN" "$tree/usr/share/doc/$name"
cp -R "$DBA_PACKAGE/." "$tree/"
if have strip; then strip --strip-unneeded "$tree${library#"$DBA_PACKAGE"}"; fi
cp "$DBA_ROOT/LICENSE" "$tree/usr/share/doc/$name/copyright"
find "$tree" -type d -exec chmod 755 {} +
find "$tree" -type f -exec chmod 644 {} +
cat >"$tree/DEBIAN/control" <<CONTROL
Package: $name
Version: $version
Architecture: $architecture
Section: database
Priority: optional
Maintainer: The db_architect authors <db_architect@localhost>
Installed-Size: $(du -sk --exclude=DEBIAN "$tree" | cut -f 1)
Depends: postgresql-$PG_MAJOR, $(library_dependencies "$library")
Description: $(manifest_value description | cut -d : -f 1)
 Audit, updated_at, change capture, partitions, index advice and privacy for
 PostgreSQL $PG_MAJOR: CREATE EXTENSION $DBA_EXTENSION in a database to use it.
CONTROL

mkdir -p "$DBA_TARGET/debian"
output=$DBA_TARGET/debian/${name}_${version}_$architecture.deb
dpkg-deb --root-owner-group --build "$tree" "$output" >/dev/null
note "built $output"
