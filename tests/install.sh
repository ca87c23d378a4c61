#!/bin/sh
# What `make install` puts where, and the GRUB menu that its script makes with GRUB's own library.
set -u
cd "$(dirname "$0")/.." || exit 1
checks=install
. tests/check.sh
lacks() { ! grep -q "$@"; }
count() { [ "$(grep -c "$2" "$3")" = "$1" ]; }

dest=$work/dest
check copies make -s install DESTDIR="$dest"
check image cmp build/bothy.elf "$dest/boot/bothy.elf"
check script test -x "$dest/etc/grub.d/20_linux_bothy"
check multiboot2 grub-file --is-x86-multiboot2 "$dest/boot/bothy.elf"

# A machine: two kernels that can be the service domain, one that can't, and what is left of one. GRUB's tools that would
# look at the real disks are stood in for.
boot=$dest/boot
for version in 6.1.0-9-amd64 6.1.0-18-amd64 5.10.0-1-cloud; do
	echo kernel >"$boot/vmlinuz-$version"
	echo initrd >"$boot/initrd.img-$version"
	printf 'CONFIG_XEN_DOM0=y\nCONFIG_XEN_PVH=y\n' >"$boot/config-$version"
done
echo '# CONFIG_XEN_DOM0 is not set' >"$boot/config-5.10.0-1-cloud"
echo kernel >"$boot/vmlinuz-6.1.0-18-amd64.dpkg-tmp"
cat >"$work/probe" <<'END'
#!/bin/sh
case "$*" in
*fs_uuid*|*hints_string*) echo 1234-abcd ;;
*target=drive*) echo "(hd0,msdos1)" ;;
*target=partmap*) echo msdos ;;
*target=fs*) echo ext2 ;;
*target=compatibility_hint*) echo hd0,msdos1 ;;
esac
END
cat >"$work/mkrelpath" <<'END'
#!/bin/sh
echo "/${1##*/}"
END
chmod +x "$work/probe" "$work/mkrelpath"

# menu [VARIABLE=VALUE]...: run the installed script as grub-mkconfig does.
menu()
{
	env -i PATH="$PATH:/usr/sbin:/sbin" pkgdatadir=/usr/share/grub datarootdir=/usr/share grub_probe="$work/probe" \
		grub_mkrelpath="$work/mkrelpath" BOTHY_BOOT="$boot" BOTHY_ETC="$work/etc" BOTHY_LIB="$work/lib" GRUB_DEVICE=/dev/vda1 GRUB_DEVICE_UUID=1234-abcd \
		GRUB_DEVICE_BOOT=/dev/vda1 GRUB_DEVICE_BOOT_UUID=1234-abcd GRUB_DISTRIBUTOR=Debian GRUB_FS=ext2 \
		GRUB_CMDLINE_LINUX_DEFAULT=quiet GRUB_CMDLINE_LINUX=net.ifnames=0 "$@" \
		"$dest/etc/grub.d/20_linux_bothy" >"$work/menu" 2>"$work/errors" || { cat "$work/errors"; return 1; }
}
check runs menu
check syntax grub-script-check "$work/menu"
check first-entry grep -q "^menuentry 'Debian GNU/Linux, with Bothy' " "$work/menu"
check entries count 2 "^.menuentry 'Debian GNU/Linux, with Bothy and Linux " "$work/menu"
check newest-first sh -c "grep -n 'module2.*vmlinuz-' '$work/menu' | head -n 1 | grep -q 6.1.0-18-amd64"
check hypervisor grep -q '^.multiboot2	/boot/bothy.elf dom0_mem=2G console=com1,115200$' "$work/menu"
check kernel grep -q '^.module2	/boot/vmlinuz-6.1.0-18-amd64 root=/dev/vda1 ro console=tty0 console=hvc0 net.ifnames=0 quiet$' "$work/menu"
check initrd grep -q '^.module2	--nounzip /boot/initrd.img-6.1.0-18-amd64$' "$work/menu"
check finds-disk grep -q 'search.*1234-abcd' "$work/menu"
check leaves-out lacks -e cloud -e dpkg-tmp "$work/menu"
check options-run menu GRUB_CMDLINE_BOTHY='dom0_mem=512M console=none' GRUB_CMDLINE_BOTHY_LINUX=console=tty0 GRUB_DISTRIBUTOR="Ed's"
check options-syntax grub-script-check "$work/menu"
check options grep -q '^.multiboot2	/boot/bothy.elf dom0_mem=512M console=none$' "$work/menu"
check options-linux grep -q 'ro console=tty0 net.ifnames=0 quiet$' "$work/menu"
check whole-name-runs menu GRUB_DISTRIBUTOR="Debian GNU/Linux"
check whole-name grep -q "^menuentry 'Debian GNU/Linux, with Bothy' " "$work/menu"
check flat-runs menu GRUB_DISABLE_SUBMENU=y GRUB_CMDLINE_LINUX='dyndbg=\"file /etc/* +p\"'
check flat-syntax grub-script-check "$work/menu"
check flat lacks submenu "$work/menu"
check flat-entries count 3 "^menuentry 'Debian GNU/Linux, with Bothy" "$work/menu"
check no-expansion grep -q 'console=hvc0 dyndbg=\\"file /etc/\* +p\\" quiet$' "$work/menu"
# As on a machine: grub-mkconfig has read these files, but hands on none of our variables.
mkdir -p "$work/etc/default/grub.d"
echo 'GRUB_CMDLINE_BOTHY="dom0_mem=3G console=none"; GRUB_CMDLINE_LINUX=other' >"$work/etc/default/grub"
echo 'GRUB_CMDLINE_BOTHY_LINUX=console=tty0' >"$work/etc/default/grub.d/local.cfg"
echo 'grub_warn "as xen.cfg does"' >"$work/etc/default/grub.d/xen.cfg"
check settings-run menu
check settings-quiet lacks xen.cfg "$work/errors"
check settings grep -q '^.multiboot2	/boot/bothy.elf dom0_mem=3G console=none$' "$work/menu"
check settings-linux grep -q 'ro console=tty0 net.ifnames=0 quiet$' "$work/menu"
# Of several toolstacks the newest is reported, as a number and not as a word; what is left of a removed one doesn't count.
rm -r "$work/etc"
for release in 4.9 4.17 4.20; do
	mkdir -p "$work/lib/xen-$release/bin"
	printf '#!/bin/sh\n' >"$work/lib/xen-$release/bin/xl"
	chmod +x "$work/lib/xen-$release/bin/xl"
done
mkdir -p "$work/lib/xen-4.21/bin" "$work/lib/xen-common/bin"
check toolstack-runs menu
check toolstack grep -q '^.multiboot2	/boot/bothy.elf dom0_mem=2G console=com1,115200 xen=4.20$' "$work/menu"
check toolstack-said-runs menu GRUB_CMDLINE_BOTHY='xen=4.17 noreboot'
check toolstack-said grep -q '^.multiboot2	/boot/bothy.elf xen=4.17 noreboot$' "$work/menu"
rm -r "$work/lib/xen-4.20"
check toolstack-older menu
check toolstack-follows grep -q ' xen=4.17$' "$work/menu"
rm -f "$boot"/config-6*
check no-kernel menu
check no-kernel-said grep -q CONFIG_XEN_PVH "$work/errors"
check no-kernel-menu test ! -s "$work/menu"

# Of the files that xendomains saved, those go that have no end.
saved=$work/saved
mkdir -p "$saved/folder"
printf 'Xen saved domain, xl format\n and half of it' >"$saved/half"
printf 'Xen saved domain, xl format\n and all of it\0\0\0\0\0\0\0\0' >"$saved/whole"
: >"$saved/nothing"
echo "XENDOMAINS_SAVE=$saved" >"$work/xendomains"
check saves-run "$dest/usr/lib/bothy/drop-unfinished-saves" "$work/xendomains"
check saves-unfinished test ! -e "$saved/half" -a ! -e "$saved/nothing"
check saves-aside test -e "$saved.unfinished/half"
check saves-whole test -e "$saved/whole" -a -d "$saved/folder"
echo "XENDOMAINS_SAVE=" >"$work/xendomains"
check saves-none "$dest/usr/lib/bothy/drop-unfinished-saves" "$work/xendomains"
check saves-by-xendomains grep -qx "ExecStopPost=-/usr/lib/bothy/drop-unfinished-saves" \
	"$dest/usr/lib/systemd/system/xendomains.service.d/bothy.conf"

# The images' script for a CPU that the toolstack gives: the kernel takes it a moment after it has reported it.
mkdir "$work/online"
{ sleep 0.5; rmdir "$work/online"; } &
check cpu-refused-at-first env ACTION=add SUBSYSTEM=cpu DEVPATH="/..$work" sh dom0-lite/root/etc/bothy/hotplug
check cpu-is-taken grep -qx 1 "$work/online"

check removes make -s uninstall DESTDIR="$dest"
check removed test ! -e "$dest/boot/bothy.elf" -a ! -e "$dest/etc/grub.d/20_linux_bothy"
check removed-all test ! -e "$dest/usr/lib/bothy" -a ! -e "$dest/usr/lib/systemd/system/xendomains.service.d"
check keeps test -e "$boot/vmlinuz-6.1.0-18-amd64"
exit $failed
