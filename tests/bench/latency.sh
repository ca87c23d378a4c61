#!/bin/bash
# In the service domain: what may keep the hypervisor's interrupts off for long, and how long it did. A line each for tests/bench/latency.py:
#   LATENCY name ns what
config()    # NAME MEMORY WORDS...: further lines
{
	printf 'name = "%s"\ntype = "pvh"\nmemory = %s\nkernel = "/bench/%s.elf"\n' "$1" "$2" "${1%%-*}" >"/tmp/$1.cfg"
	printf 'on_%s = "destroy"\n' poweroff reboot crash >>"/tmp/$1.cfg"
	printf '%s\n' "${@:3}" >>"/tmp/$1.cfg"
}

# measure NAME COMMAND...: the longest time while the command runs.
measure()
{
	label=$1
	shift
	bothy info --reset >/dev/null
	"$@" >/tmp/out 2>&1 || sed "s/^/# $label: /" /tmp/out
	bothy info --json | sed -n "s/.*\"irqs_off\":{\"ns\":\\([0-9]*\\),\"until_ns\":[0-9]*,\"what\":\"\\([^\"]*\\)\".*/LATENCY $label \\1 \\2/p"
}

play()  # GAME LINE: the guest does that, to its end
{
	name=latency-$1
	config "$name" 64 "vcpus = 1" "cmdline = \"game=$1\"" "$2"
	timeout 300 xl create -F "/tmp/$name.cfg"
}

create_many()
{
	for ((n = 1; n <= GUESTS; n++)); do
		name=small-$n
		config "$name" 8 "vcpus = 1"
		xl create -q -e "/tmp/$name.cfg" || return 1
	done
}

destroy_many() { for ((n = 1; n <= GUESTS; n++)); do xl destroy "small-$n"; done; }

pair()  # NAME MEMORY LINE: a guest is made, and destroyed
{
	name=small-$1
	config "$name" "$2" "$3"
	xl create -q -e "/tmp/$name.cfg" && xl destroy "$name"
}

# Moves a guest of Linux to the same machine. The second time, all of its memory is in small pages.
migrate_twice()
{
	sed 's,/guests/vmlinux,/bench/vmlinuz,; s,/guests/,/bench/,; /^vif/d' /etc/xen/small.cfg >/tmp/mover.cfg
	xl create -q /tmp/mover.cfg && sleep 8 &&
	for i in 1 2; do xl migrate -s '' small 'xl migrate-receive' || return 1; done
	xl destroy small
}

list() { for i in 1 2 3; do xl list; xl vcpu-list; done; }
keys() { for i in 1 2 3 4; do xl debug-keys cdmzcdmzcdmzcdmz; done; }
balloon() { xl mem-set 0 600 && sleep 2 && xl mem-set 0 1000 && sleep 2; }
print() { dmesg >/dev/hvc0; }

measure idle sleep 2
game=0
for what in tables batches balloon blocks flood grants multicall ports triple_fault; do
	# For the first, as much as the tools allow a guest of 16 GiB for its tables.
	[[ $what == tables ]] && more="shadow_memory = 129" || more=
	measure $what play $game "$more"
	game=$((game + 1))
done
measure big_guest pair big 2048 "vcpus = 1"
measure many_vcpus pair vcpus 64 "vcpus = 128"
measure migration migrate_twice
measure create_many create_many
measure list list
measure debug_keys keys
measure dmesg xl dmesg
measure destroy_many destroy_many
measure dom0_balloon balloon
measure console print
