#!/bin/sh
# What `make deb` makes: the package's contents and scripts, its man pages, and what Debian's own checker says of it.
set -u
cd "$(dirname "$0")/.." || exit 1
checks=deb
. tests/check.sh

# named PAGE: prints the words of the standard input that the man page doesn't have in bold; fails if there are any.
named()
{
	while read -r word; do
		sed 's/\\-/-/g; s/\\f[BI]/ /g' "$1" | grep -Eq "^\.(TP|B|BR|BI) (.*[ \"])?$word([^a-z]|$)|^ $word[^a-z]" || echo "$1 doesn't name $word"
	done | grep . && return 1 || return 0
}

package=build/bothy_$(install/deb --version)_amd64.deb
check builds make -s deb
check package test -f "$package"
[ $failed = 0 ] || exit 1
check lintian lintian --no-cfg --allow-root --info --display-info --fail-on error,warning,info "$package"

# The date in it is that of the newest change, not of the day.
cp "$package" "$work/first.deb"
rm "$package"
make -s deb >/dev/null
check repeats cmp "$work/first.deb" "$package"

root=$work/root
dpkg-deb -x "$package" "$root"
dpkg-deb -e "$package" "$work/control"
check image cmp build/bothy.elf "$root/boot/bothy.elf"
check efi cmp build/bothy.efi "$root/usr/lib/bothy/bothy.efi"
check menu-script cmp install/20_linux_bothy "$root/etc/grub.d/20_linux_bothy"
check conffile grep -qx /etc/grub.d/20_linux_bothy "$work/control/conffiles"
check tool "$root/usr/sbin/bothy" --help
check owner sh -c "! dpkg-deb -c '$package' | grep -v ' root/root '"
# xen-utils recommends Xen itself; with this, apt doesn't install it, and GRUB's default stays.
check replaces-xen sh -c "dpkg-deb -f '$package' Provides | grep -q xen-hypervisor-4.17"
check libraries sh -c "dpkg-deb -f '$package' Depends | grep -q libxenforeignmemory1"

# What the tool and the manual know, the man pages know too.
"$root/usr/sbin/bothy" --help | grep -oE '^  [a-z]+|--[a-z]+' | tr -d ' ' | sort -u >"$work/words"
check words-of-the-tool test "$(wc -l <"$work/words")" -ge 10
check man-1 named docs/man/bothy.1 <"$work/words"
sed -n "/^## Bothy's options/,/^## The order/s/^| \`\([a-z0-9_]*\)[=\`].*/\1/p" docs/boot.md >"$work/words"
check words-of-the-manual test "$(wc -l <"$work/words")" -ge 6
check man-7 named docs/man/bothy.7 <"$work/words"

# The maintainer scripts, with an update-grub that says when it runs, and one that fails.
mkdir "$work/bin" "$work/broken"
printf '#!/bin/sh\necho ran >>%s/ran\n' "$work" >"$work/bin/update-grub"
printf '#!/bin/sh\nexit 1\n' >"$work/broken/update-grub"
chmod +x "$work/bin/update-grub" "$work/broken/update-grub"
# ran TIMES SCRIPT ARGUMENT...: the script runs update-grub so many times.
ran()
{
	want=$1 script=$2
	shift 2
	rm -f "$work/ran"
	PATH=$work/bin:/usr/bin:/bin sh "$work/control/$script" "$@" || return 1
	[ "$(cat "$work/ran" 2>/dev/null | wc -l)" = "$want" ]
}
check installed ran 1 postinst configure ''
check upgraded ran 1 postinst configure 0.1
check abandoned ran 0 postinst abort-upgrade 0.1
check removed ran 1 postrm remove
check purged ran 0 postrm purge
check replaced ran 0 postrm upgrade 0.2
check failure-is-said sh -c "PATH=$work/broken:/usr/bin:/bin sh $work/control/postinst configure '' 2>&1 | grep -q 'update-grub failed'"
check failure-harms-not env PATH="$work/broken:/usr/bin:/bin" sh "$work/control/postinst" configure ''
check without-grub env PATH=/nowhere /bin/sh "$work/control/postinst" configure ''
exit $failed
