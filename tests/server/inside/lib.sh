# For the tests, in the server: from a CD on /mnt.
# These guests run: web has its disk on LVM, mail in a file.
guests=${GUESTS:-web mail}
export PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C

# check NAME COMMAND...: one line with the result, and one with its time if that was long; what the command said only if it failed.
check()
{
	what=$1 begun=$(cut -d. -f1 /proc/uptime)
	shift
	if "$@" >/tmp/check.out 2>&1; then
		echo "ok $what"
		took=$(($(cut -d. -f1 /proc/uptime) - begun))
		[ $took -lt 5 ] || echo "# after $took s"
	else
		echo "not ok $what"
		tail -n 12 /tmp/check.out | sed 's/^/# /'
		return 1
	fi
}

# within SECONDS COMMAND...: true as soon as the command is. An emulator on a busy machine may take some times as long.
within()
{
	end=$(($(cut -d. -f1 /proc/uptime) + 4 * $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(cut -d. -f1 /proc/uptime)" -lt $end ] || { echo "not within the time: $*"; return 1; }
		sleep 2
	done
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
not() { ! "$@"; }
entries() { [ "$(grep -c "^[[:space:]]*menuentry '.*with Bothy" /boot/grub/grub.cfg)" = "$1" ]; }
# What the packages and `make install` put into place is gone, and nobody else's.
nothing_left() { not ls -d /boot/bothy.elf /etc/grub.d/20_linux_bothy /usr/sbin/bothy /usr/lib/bothy /usr/share/doc/bothy /usr/lib/systemd/system/xendomains.service.d; }
# said GUEST TEXT: the guest's console has it.
said() { grep -aq -- "$2" "/var/log/xen/console/guest-$1.log"; }
# The network of the bridge, such as "192.168.77.".
bridge_network() { ip -4 -o addr show xenbr0 | sed -n 's/.* inet \([0-9]*\.[0-9]*\.[0-9]*\.\).*/\1/p'; }
# Its last words: "guest: boot 12345678 for 90 s, network there".
last_words() { grep -a 'guest: boot' "/var/log/xen/console/guest-$1.log" | tail -n 1 | tr -d '\r'; }
# goes_on GUEST FILE: it is the start in FILE, has become older than it was there, and reaches its network.
goes_on()
{
	last_words "$1" >/tmp/words
	cat "$2" /tmp/words
	awk '{ boot[NR] = $3; age[NR] = $5; net = $8 } END { exit !(NR == 2 && boot[1] == boot[2] && age[2] > age[1] && net == "there") }' "$2" /tmp/words
}
newest_kernel() { ls /mnt/linux-image-*.deb | sed 's/.*linux-image-//; s/_.*//'; }
all_guests() { for name in $guests; do xl list $name || return 1; done; }
