# Debian without Bothy, as before, with the newer kernel; the guests' disks are whole.
. /mnt/tests/lib.sh
check "nothing of Bothy runs" not test -e /sys/hypervisor/type
check "no service failed" services
sed "s/^/# /" /tmp/took
check "the kernel is the newer one" test "$(uname -r)" = "$(newest_kernel)"
for disk in /dev/guests/web /srv/guests/mail.img; do
	check "the file system on $disk is whole" e2fsck -fn $disk
	check "its guest was started twice and stopped twice" sh -c "[ \"\$(debugfs -R 'cat /log' $disk 2>/dev/null | tr '\n' ' ')\" = 'start stop start stop ' ]"
done
