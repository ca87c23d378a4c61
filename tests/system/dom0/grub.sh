# GRUB reads its menu from the guest's disk, and boots the kernel that it finds there.
. /tests/lib.sh

check "grub: created" xl create /etc/xen/grub.cfg-example
check "grub: Debian comes up" within 150 says grub 'debian: up'
check "grub: shell" within 20 says grub 'root@debian'
type_line grub 'mount | head -n 1; echo "type""d: $((6 * 7))"'
check "grub: answers on its console" within 20 says grub 'typed: 42'
check "grub: has its disk" says grub '/dev/xvda'
check "grub: xl shutdown" xl shutdown -w grub
check "grub: is gone" within 60 not exists grub
exit 0
