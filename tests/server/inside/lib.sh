# For the tests, in the server.
export PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C

# check NAME COMMAND...: one line with the result; what the command said only if it failed.
check()
{
	what=$1
	shift
	if "$@" >/tmp/check.out 2>&1; then
		echo "ok $what"
	else
		echo "not ok $what"
		tail -n 12 /tmp/check.out | sed 's/^/# /'
		return 1
	fi
}

# The system has started all its services, and none of them failed.
services()
{
	timeout 300 systemctl is-system-running --wait
	{ systemd-analyze | head -n 1; systemd-analyze blame | head -n 6; } >/tmp/took
	systemctl --failed --no-legend --plain | tee /tmp/failed
	[ ! -s /tmp/failed ] || { systemctl status --no-pager -n 5 $(cut -d' ' -f1 /tmp/failed); return 1; }
}
menu() { grep -q "$@" /boot/grub/grub.cfg; }
entries() { [ "$(grep -c "^[[:space:]]*menuentry '.*with Bothy" /boot/grub/grub.cfg)" = "$1" ]; }
