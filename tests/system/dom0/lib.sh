# For the tests, in the service domain.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:$(echo /usr/lib/xen-4*/bin)
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

# within SECONDS COMMAND...: true as soon as the command is. The seconds are what it may take on a host that has nothing else to do; only what
# hangs waits for the end, so that comes late enough for a busy one. It looks once a second: each look costs an emulator much.
now() { read -r up _ </proc/uptime; echo "${up%.*}"; }
within()
{
	end=$(($(now) + 5 * $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(now)" -lt $end ] || return 1
		sleep 1
	done
}

# The warnings and worse of a kernel's log (`dmesg -r`) that nobody knows a reason for: an operator would ask about each.
unexpected_warnings()
{
	sed -n 's/^<[0-4]>\[ *[0-9.]*\] *//p' | tr -d '\r' | grep -avE "$(sed 's/ *#.*//' <<-'END' | paste -sd '|' -
		^Speculative Return Stack Overflow: # the emulator's CPU model is one without that microcode
		^cpu [0-9]+ spinlock event irq      # Linux says so on every Xen, once for each CPU
		^Grant table initialized            # likewise
		^ *[[:punct:]][0-9]+$               # the CPUs' numbers as they start, each a line of its own
		^hpet_acpi_(add|probe): no address or irqs # the machine names an HPET, whose table the service domain doesn't get: it would wait for its interrupts
		^ACPI: No IOAPIC entries present    # libxl's tables for PVH: such guests have no I/O APIC,
		^ACPI: setting ELCR to 0200         # so Linux takes its ACPI for wired to a PIC, which isn't there either
		^ACPI: (OSL: )?SCI .* not registered # nor does Linux use a PIC in a PVH guest: the interrupt has no place
		^PCI: Fatal: No config space access # and they have no PCI
		^PCI: System does not support PCI   # likewise
		^xen-backend console-[0-9-]+: xenbus: device forcefully removed # from Linux 7 on: libxl takes xenconsoled's device away without closing it
		^ata[0-9.]+: LPM support broken     # the emulator's CD drive, from Linux 6.12 on
		^hrtimer: interrupt took            # a slow emulator
		^clocksource: .*(read-back|[Ww]atchdog|skew|cs_|wd_|interval:) # likewise
		^xenbus_probe_frontend: Waiting for devices # likewise: its back ends take more than five seconds
		soft lockup|rcu: INFO|blocked for more # likewise; dom0() in tests/system/lib.sh shows them
	END
	)"
}

on_bothy() { info xen_extra | grep -q bothy; }

# The processes with these words in their command lines.
processes()
{
	for p in /proc/[0-9]*; do
		case $(tr '\0' ' ' 2>/dev/null <"$p/cmdline") in
		*"$1"*) echo "${p#/proc/}" ;;
		esac
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

# opens NAME: for a line that is typed: true when the guest's disk NAME can be opened. To look for its name isn't enough for a
# disk that comes while the guest runs: Linux makes the name first, and an open fails with ENXIO until the disk is there too.
opens() { echo "[ -b /dev/$1 ] && true 2>/dev/null </dev/$1"; }

# ask GUEST COMMAND: run COMMAND in the shell on a guest's console; what it prints.
ask()
{
	read -r token _ </proc/uptime
	type_line "$1" "echo; echo be''gin $token; $2; echo e''nd $token" || return 1
	within 20 says "$1" "^end $token" || return 1
	said "$1" | tr -d '\r' | sed -n "/^begin $token\$/,/^end $token\$/p" | sed '1d; $d'
}
