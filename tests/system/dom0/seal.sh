# What root of the service domain can do to a guest, first to one that isn't sealed: there it all works, which shows that the attacks do. Then to a sealed one.
. /tests/lib.sh

word=e674b000101000bc   # the first of the kernel's code, at guest frame 0x100
pry() { timeout 60 /tests/pry "$@"; }
# guest NAME KERNEL LINES...
guest()
{
	name=$1
	printf '%s\n' "name = \"$1\"" 'type = "pvh"' 'memory = 16' 'vcpus = 1' "kernel = \"/tests/$2.elf\"" >"/tmp/$1.cfg"
	shift 2
	[ $# = 0 ] || printf '%s\n' "$@" >>"/tmp/$name.cfg"
}
new_lines() { xl dmesg | tail -n "+$((lines + 1))"; }
mark() { lines=$(xl dmesg | wc -l); }
attacks=19
faulted() { new_lines | grep -q "triple fault"; }

# attack NAME: all of pry's attacks; the results are in /tmp/NAME.
attack()
{
	pry all "$(xl domid "$1")" >"/tmp/$1"
	sed 's/^/# /' "/tmp/$1"
}
count() { grep -c "$1" "/tmp/$2"; }

guest open spin 'on_reboot = "destroy"'
guest shut spin 'on_reboot = "destroy"' 'seclabel = "sealed"'

# --- while the guest is built -------------------------------------------------------------------------------------------------

for name in open shut; do
	check "$name: created, paused" xl create -p /tmp/$name.cfg
	id=$(xl domid $name)
	check "$name: its memory can be read until it runs" [ "$(pry read "$id" 0x100)" = $word ]
done
check "the list tells which is sealed" [ "$(xl list -Z | awk '$1 == "open" || $1 == "shut" { print $NF }' | sort | tr '\n' ' ')" = "sealed unsealed " ]

# hold NAME WHAT: a program keeps something of the guest, and the guest is to run.
hold()
{
	/tests/pry "$2" "$(xl domid "$1")" >/tmp/held &
	holder=$!
	within 10 grep -q held /tmp/held
	mark
	xl unpause "$1" >/tmp/unpaused 2>&1
	running=$(xl list "$1" | awk 'NR == 2 { print $5 }')
	kill $holder
	wait $holder 2>/dev/null
}
hold open hold
check "base line: a guest runs while a program has one of its pages" not grep -q p <<E
$running
E
xl pause open
hold shut hold
check "a page that a program keeps: the guest doesn't run" grep -q p <<E
$running
E
check "and the log says why" grep -q "can't be sealed, and stays paused: a page of it is mapped elsewhere" <<E
$(new_lines)
E
hold shut holdgrants
check "a grant table that a program keeps: the guest doesn't run" grep -q "stays paused: its grant table is mapped" <<E
$(new_lines)
E

# stays_paused WHY: the sealed guest is to run with what it was given; the log must say WHY it doesn't.
stays_paused()
{
	mark
	xl unpause shut >/tmp/unpaused 2>&1
	check "shut: doesn't run with it" has_state shut p
	check "and the log says why" grep -q "$1" <<E
$(new_lines)
E
}
check "base line: an entry in the grant table, for later" [ "$(pry seed "$(xl domid open)" 0x100)" = seeded ]
check "base line: a port of its own" [ "$(pry port "$(xl domid open)")" = "open a port for it: done" ]
check "base line: the guest runs with both" xl unpause open
check "base line: its page is mapped by that entry" [ "$(pry use "$(xl domid open)")" = $word ]
check "shut: the same entry" [ "$(pry seed "$(xl domid shut)" 0x100)" = seeded ]
stays_paused "its grant table lends more than"
check "shut: is destroyed" xl destroy shut
check "shut: created anew, paused" xl create -p /tmp/shut.cfg
check "shut: a port of its own" [ "$(pry port "$(xl domid shut)")" = "open a port for it: done" ]
stays_paused "it has more event ports than"
check "shut: is destroyed again" xl destroy shut

# --- while the guest runs -----------------------------------------------------------------------------------------------------

mark
check "shut: runs" xl create /tmp/shut.cfg
check "the log has its digest" grep -Eq "sealed d$(xl domid shut): SHA-256 [0-9a-f]{64}" <<E
$(new_lines)
E
first=$(new_lines | sed -n 's/.*sealed d.*SHA-256 //p')
expected() { /tests/bothy-seal --expect "$@"; }
check "and it is the expected one" [ "$(expected /tmp/shut.cfg)" = "$first" ]
attack open
check "base line: all $attacks attacks are done" [ "$(count ': done' open)" = $attacks ]
mark
attack shut
check "sealed: all $attacks attacks are refused" [ "$(count ': refused (Operation not permitted)' shut)" = $attacks ]
check "each with a line that says so" [ "$(new_lines | grep -c 'refused: .*: it is sealed')" -ge $attacks ]
refuse "xl dump-core" "not permitted" xl dump-core shut /tmp/core
check "no core is written" [ ! -s /tmp/core ]
refuse "xl save" "not permitted" xl save shut /tmp/saved
check "shut: goes on after all that" [ "$(xl list shut | awk 'NR == 2 { print $5 }' | tr -d 'rb-')" = "" ]
xl debug-keys d
check "the debug keys' domains have no registers" not grep -Eqi 'rip|rax|cr3' <<E
$(new_lines | grep -a 'domain\|vCPU')
E

# --- stock commands -----------------------------------------------------------------------------------------------------------

for command in "vcpu-list shut" "pause shut" "unpause shut" "mem-max shut 32" "vcpu-pin shut 0 0" "sched-credit2 -d shut -w 300" "destroy shut"; do
	# shellcheck disable=SC2086
	check "xl $command" xl $command
done
mark
check "shut: starts again" xl create /tmp/shut.cfg
check "with the same digest" [ "$(new_lines | sed -n 's/.*sealed d.*SHA-256 //p')" = "$first" ]
xl destroy shut
guest longer spin 'seclabel = "sealed"' 'cmdline = "another"'
mark
check "a guest with another command line" xl create /tmp/longer.cfg
longer=$(new_lines | sed -n 's/.*sealed d.*SHA-256 //p')
check "has another digest" [ "$longer" != "$first" ]
check "and that is the expected one" expected --digest "$longer" /tmp/longer.cfg
refuse "the first guest's digest isn't" "isn't the expected one" expected --digest "$first" /tmp/longer.cfg
xl destroy longer
xl destroy open

# The guest starts anew after some seconds. The same xl builds it then, which changes a byte or two of its ACPI tables.
guest anew reboot 'seclabel = "sealed"' 'vcpus = 2'
mark
check "a guest that starts anew" xl create /tmp/anew.cfg
digests() { new_lines | sed -n 's/.*sealed d.*SHA-256 //p'; }
twice() { [ "$(digests | wc -l)" -ge 2 ]; }
within 30 twice
xl destroy anew
check "has the digest that is expected of it at first" [ "$(digests | sed -n 1p)" = "$(expected /tmp/anew.cfg)" ]
check "and the one that is expected then" [ "$(digests | sed -n 2p)" = "$(expected --again /tmp/anew.cfg)" ]

# --- the canary ---------------------------------------------------------------------------------------------------------------

# sweep NAME: looks for the canary in all memory that can be reached; the results are in /tmp/NAME.swept. The sealed guest comes first, because
# what is found stays in the service domain's memory.
sweep()
{
	timeout 120 /tests/pry sweep "$(xl domid "$1")" >"/tmp/$1.swept"
	sed "s/^/# $1: /" "/tmp/$1.swept"
}
swept() { sed -n "s/^$2: \([0-9]*\) .*, \([0-9]*\) .*/\1 \2/p" "/tmp/$1.swept"; }
# When a guest has run for a second, it has long since written its canary.
ran() { [ "$(xl list "$1" | awk 'NR == 2 { print int($6) }')" -ge 1 ]; }
# finds NAME WAY LEAST TEST N: at least so many pages were read or asked for, and of those found or given `[ FOUND TEST N ]` holds.
finds() { swept "$1" "$2" | { read -r pages found && [ "$pages" -ge "$3" ] && [ "$found" "$4" "$5" ]; }; }
guest seen canary
guest unseen canary 'seclabel = "sealed"'
check "unseen: runs, sealed" xl create /tmp/unseen.cfg
within 20 ran unseen
sweep unseen
check "unseen: the canary isn't in the service domain's own memory" finds unseen "own memory" 250000 = 0
check "unseen: no frame of the guest can be read" finds unseen frames 0 = 0
check "unseen: no frame of the machine is given" finds unseen machine 4000000 = 0
check "unseen: it ran all the time" [ "$(xl list unseen | awk 'NR == 2 { print $5 }' | tr -d 'rb-')" = "" ]
xl destroy unseen
check "seen: runs" xl create /tmp/seen.cfg
within 20 ran seen
/tests/pry plant 0 >/tmp/held &
holder=$!
within 10 grep -q held /tmp/held
sweep seen
kill $holder
wait $holder 2>/dev/null
check "base line: the canary is found in the service domain's own memory" finds seen "own memory" 250000 -ge 64
check "base line: all 64 pages of the guest's are found" finds seen frames 4000 = 64
check "base line: frames of the guest are given" finds seen machine 4000000 -ge 4000
xl destroy seen

# --- the end, and the record --------------------------------------------------------------------------------------------------

# triple NAME: the guest ends by a triple fault; 0xE9 is the port on which it says its name.
triple()
{
	mark
	bothy trace --text --seconds 15 -o "/tmp/$1.trace" &
	tracer=$!
	sleep 5
	xl create "/tmp/$1.cfg"
	within 20 faulted
	wait $tracer
}
guest faults triple 'on_reboot = "destroy"' 'on_crash = "destroy"'
guest hides triple 'on_reboot = "destroy"' 'on_crash = "destroy"' 'seclabel = "sealed"'
triple faults
check "base line: the log has the registers of a triple fault" grep -q 'rip .* rsp' <<E
$(new_lines)
E
check "base line: the record has the guest's ports" grep -Eq 'd[1-9][0-9]*v0 .*I/O port=(0x)?0*e9 ' /tmp/faults.trace
triple hides
check "sealed: the log tells of the triple fault" grep -q 'triple fault' <<E
$(new_lines)
E
check "sealed: and of no register" not grep -q 'rip .* rsp' <<E
$(new_lines)
E
check "sealed: the record has its exits" grep -Eq 'd[1-9][0-9]*v0 .*I/O port=(0x)?0 ' /tmp/hides.trace
check "sealed: and not its ports" not grep -Eq 'd[1-9][0-9]*v0 .*port=(0x)?0*e9 ' /tmp/hides.trace
for t in faults hides; do grep -m 3 -n 'd[1-9][0-9]*v0' /tmp/$t.trace | sed 's/^/# trace: /'; done

# --- a Debian guest, with a disk and a network --------------------------------------------------------------------------------

mkdir -p /mnt/root /tmp/www
mount -o loop /guests/debian.img /mnt/root
cp /tests/attest /mnt/root/attest
server=$(ip -br -4 addr show dev xenbr0 | awk '{ sub("/.*", "", $3); print $3 }')
printf '%s\n' '#!/bin/sh' "for n in 1 2 3 4 5 6 7 8 9; do busybox wget -q -O /fetched http://$server:8080/data && break; sleep 1; done" \
	'/attest >/told; echo "seal-test: status $?"' 'echo "seal-test: $(tr -s " " </told | tr "\n" ";")"' \
	'echo "seal-test: fetched $(sha256sum </fetched | cut -c1-64)"' >/mnt/root/etc/rc.local
chmod +x /mnt/root/etc/rc.local
umount /mnt/root
dd if=/dev/urandom of=/tmp/www/data bs=1M count=1 2>/dev/null
sum=$(sha256sum </tmp/www/data | cut -c1-64)
httpd -p 8080 -h /tmp/www
{ cat /etc/xen/debian.cfg; echo 'seclabel = "sealed"'; } >/tmp/debian.cfg
mark
check "debian: created, sealed" xl create /tmp/debian.cfg
digest=$(new_lines | sed -n 's/.*sealed d.*SHA-256 //p')
echo "# digest of debian: $digest"
check "debian: comes up" within 60 says debian 'debian: up'
check "debian: is told that it is sealed, and out of devices' reach" within 60 says debian 'seal-test: sealed yes;DMA is remapped yes;'
check "debian: so the program's status is 0" says debian 'seal-test: status 0'
check "debian: is told the digest that the log has" says debian "SHA-256 $digest;"
check "debian: has its disk and its network" within 30 says debian "seal-test: fetched $sum"
check "debian: its balloon works" xl mem-set debian 300
pry all "$(xl domid debian)" >/tmp/debian
check "debian: all $attacks attacks are refused" [ "$(count ': refused (Operation not permitted)' debian)" = $attacks ]
check "debian: goes on" within 20 says debian 'root@debian'
check "debian: shuts down" timeout 300 xl shutdown -w debian
