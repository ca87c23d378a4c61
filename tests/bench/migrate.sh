#!/bin/bash
# In the service domain: a guest that writes without a pause moves to the same machine, and a fresh Debian guest is saved. Lines for
# tests/bench/migrate.py:
#   MIGRATE name value        FAULT instructions times        AGAIN instructions times (of a second time)
consoles=/var/log/xen/console
cat >/tmp/mover.cfg <<END
name = "mover"
type = "pvh"
memory = 160
vcpus = 1
kernel = "/bench/vmlinuz"
ramdisk = "/bench/initrd.img"
cmdline = "console=hvc0 quiet rdinit=/bench/start cryptomgr.notests"
$CONFIG
END

stop() { echo "STOP $*"; exit 1; }

says()  # GUEST TEXT SECONDS
{
	for ((n = 0; n < $3 * 10; n++)); do
		grep -qa "$2" "$consoles/guest-$1.log" 2>/dev/null && return
		usleep 100000
	done
	stop "$1 is not up"
}

# What the record says of the guests $1 (here) and $2 (there), as nanoseconds, which are instructions:
#   the writes that fault while the log is on, how often each cost occurs; the rounds; when it began, was suspended, was loaded, went on.
digest()
{
	awk -v here="d$1" -v there="d$2" '
	/ records were lost/ { print "MIGRATE lost " $(NF - 3) }
	$3 == here && / dirty log / {
		on = !/op=off/
		if (/op=on/) print "MIGRATE begin " $1
		if (/op=clean/) { sub(".*frames=", ""); print "ROUND " $1 }
		next
	}
	$3 == here && / shut down / { print "MIGRATE suspended " $1 }
	on && $3 ~ "^" here "v" && / nested page fault .*write=1/ { cost = $NF; gsub("[^0-9]", "", cost); faults[cost + 0]++ }
	/ domctl sethvmcontext / { loaded = $1 }
	$3 == there && / unpaused/ { on_again = $1 }
	END {
		for (cost in faults) print "FAULT " cost " " faults[cost]
		print "MIGRATE loaded " loaded "\nMIGRATE on_again " on_again
	}' /tmp/trace.txt
}

# Moves the guest, with /tmp/trace.txt for what the record says meanwhile.
move()
{
	if [[ -n $BOTHY ]]; then
		bothy trace --text --seconds 600 -o /tmp/trace.txt 2>/dev/null &
		trace=$!
	fi
	begin=$EPOCHREALTIME
	xl migrate -s '' mover 'xl migrate-receive' >/tmp/migrate.out 2>&1 || stop "$(tr '\r\n' '  ' </tmp/migrate.out)"
	end=$EPOCHREALTIME
	if [[ -n $BOTHY ]]; then
		kill -INT "$trace"
		wait "$trace"
	fi
}

xl create -q -e /tmp/mover.cfg || stop "mover is not created"
says mover "IO dirty" 120
here=$(xl domid mover)
move
echo "MIGRATE whole $(((${end/./} - ${begin/./}) * 1000))"
if [[ -n $BOTHY ]]; then
	there=$(xl domid mover)
	digest "$here" "$there"
	# It moves again: a page that splits was one of 2 MiB after the first time.
	move
	digest "$there" "$(xl domid mover)" | sed -n 's/^FAULT/AGAIN/p'
fi
xl destroy mover
rm -f /tmp/trace.txt

xl create -q -e /etc/xen/debian.cfg || stop "debian is not created"
says debian root@debian 300
sleep 2
[[ -z $BOTHY ]] || /bench/io types "$(xl domid debian)" 1044480
xl save debian /tmp/saved >/dev/null 2>&1 || stop "debian is not saved"
echo "MIGRATE file $(stat -c %s /tmp/saved)"
