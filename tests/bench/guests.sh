#!/bin/bash
# In the service domain: one small guest after the other, up to $GUESTS. Lines for tests/bench/system.py, in microseconds:
#   CREATED n us    xl create -p of guest n, which is destroyed again        FIRST n us    from xl create of guest n to its first instruction
consoles=/var/log/xen/console
# Our clock is ahead of the hypervisor's by this.
ahead=$(/bench/io clock)
# The set of n at which xl create -p is timed.
paused=" 1 2 4 8 16 32 48 64 96 128 160 192 224 256 320 384 448 512 "

config()
{
	printf 'name = "%s"\ntype = "pvh"\nmemory = %s\nvcpus = 1\nkernel = "/bench/small.elf"\n%s\n' "$1" "$MEMORY" "$CONFIG" >"/tmp/$1.cfg"
}

stop() { echo "STOP $1 $2"; xl info free_memory | sed 's/^/FREE /'; exit 0; }

# The first one finds nothing in the caches.
config warm
xl create -q -e -p /tmp/warm.cfg && xl destroy warm
xl info free_memory | sed 's/^/FREE /'
for ((n = 1; n <= GUESTS; n++)); do
	config g$n
	if [[ $paused == *" $n "* ]]; then
		begin=$EPOCHREALTIME
		xl create -q -e -p /tmp/g$n.cfg >/tmp/xl.out 2>&1 || stop $n "$(tr '\n' ' ' </tmp/xl.out)"
		end=$EPOCHREALTIME
		echo "CREATED $n $((${end/./} - ${begin/./}))"
		xl destroy g$n
	fi
	begin=$EPOCHREALTIME
	xl create -q -e /tmp/g$n.cfg >/tmp/xl.out 2>&1 || stop $n "$(tr '\n' ' ' </tmp/xl.out)"
	for ((wait = 0; wait < 100; wait++)); do
		first=
		read -r _ first 2>/dev/null <$consoles/guest-g$n.log
		[[ -n $first ]] && break
		usleep 20000
	done
	[[ -n $first ]] || stop $n "the guest does not report"
	first=${first%$'\r'}
	echo "FIRST $n $(((first + ahead) / 1000 - ${begin/./}))"
done
xl info free_memory | sed 's/^/FREE /'
