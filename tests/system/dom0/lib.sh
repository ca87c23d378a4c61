# For the tests, in the service domain.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/xen-4.17/bin
consoles=/var/log/xen/console

# Debian's Xen emulates RDTSC by default, which is too slow for an emulator.
if xl info 2>/dev/null | grep -q '^virt_caps.* pv '; then
	for c in /etc/xen/*.cfg /etc/xen/*.cfg-example; do
		echo 'tsc_mode = "native"' >>"$c"
	done
fi

# check NAME COMMAND...: one line with the result; what the command said only if it failed.
check()
{
	what=$1
	shift
	if "$@" >/tmp/check.out 2>&1; then
		echo "ok $what"
	else
		echo "not ok $what"
		tail -n 6 /tmp/check.out | sed 's/^/# /'
		case $* in
		*"says "*|*"said_times "*) tail -qn 4 $consoles/*.log | sed 's/^/# console: /' ;;
		esac
		return 1
	fi
}

# refuse NAME TEXT COMMAND...: the command must fail, and say TEXT.
refuse()
{
	what=$1
	text=$2
	shift 2
	if "$@" >/tmp/check.out 2>&1; then
		echo "not ok $what: it was accepted"
	elif ! grep -q -- "$text" /tmp/check.out; then
		echo "not ok $what: nothing is said about '$text'"
		tail -n 6 /tmp/check.out | sed 's/^/# /'
	else
		echo "ok $what"
	fi
}

# within SECONDS COMMAND...: true as soon as the command is. It looks once a second: each look costs an emulator much.
now() { read -r up _ </proc/uptime; echo "${up%.*}"; }
within()
{
	end=$(($(now) + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(now)" -lt $end ] || return 1
		sleep 1
	done
}

not() { ! "$@"; }
info() { xl info "$1"; }
free_memory() { xl info free_memory; }

exists() { xl domid "$1"; }
# A guest's state as xl list shows it: r running, b blocked, p paused, s shut down, c crashed, d dying.
state() { xl list "$1" | tail -n 1 | awk '{ print $5 }'; }
has_state() { state "$1" | grep -q "$2"; }

# What a guest has written to its console.
said() { cat "$consoles/guest-$1.log" 2>/dev/null; }
says() { grep -aq -- "$2" "$consoles/guest-$1.log"; }
said_times() { [ "$(grep -ac -- "$2" "$consoles/guest-$1.log")" -ge "$3" ]; }

# Type a line at a guest's console.
type_line()
{
	tty=$(xenstore-read "/local/domain/$(xl domid "$1")/console/tty") || return 1
	echo "$2" >"$tty"
}

# config NAME LINE...: a configuration made of the small guest's, in /tmp/NAME.cfg.
config()
{
	n=$1
	shift
	sed "s/^name .*/name = \"$n\"/" /etc/xen/small.cfg >"/tmp/$n.cfg"
	for l in "$@"; do
		sed -i "/^${l%% *} /d" "/tmp/$n.cfg"
		echo "$l" >>"/tmp/$n.cfg"
	done
}
