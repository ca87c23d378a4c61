# The record of a small guest's start, its counters, and what the tool says when there is nothing to show.
. /tests/lib.sh

# status N TEXT COMMAND...: the command ends with N, and says TEXT.
status()
{
	want=$1 text=$2
	shift 2
	"$@" >/tmp/said 2>&1
	got=$?
	cat /tmp/said
	[ $got = "$want" ] && grep -q -- "$text" /tmp/said
}

check "help" status 0 'usage: bothy' bothy --help
check "no such command: 2" status 2 'no command dance' bothy dance
check "a number that is none: 2" status 2 'not nan' bothy top --batch --seconds nan
check "a count that is none: 2" status 2 'not 3x' bothy top --batch --count 3x
check "nowhere to write: 1" status 1 'No space' sh -c 'bothy info >/dev/full'
check "no such guest: 3" status 3 'no guest nobody' bothy exits nobody
check "info" status 0 'records since boot' bothy info
check "info --json" status 0 '"cpus":2' bothy info --json
check "info: the longest time without interrupts" status 0 'without interrupts for at most [0-9.]* us: [a-z]' bothy info
check "info --json: with what" status 0 '"irqs_off":{"ns":[0-9]*,"until_ns":[0-9]*,"what":"[^"]' bothy info --json
# longest NS: none of the CPUs' longest times ended before that.
since() { bothy info --json | grep -o '"until_ns":[0-9]*' | awk -F: -v t="$1" '$2 < t { bad = 1 } END { exit bad }'; }
now=$(bothy info --json | sed -n 's/.*"seconds":\([0-9]*\)\.\([0-9]*\).*/\1\2000000/p')
check "info: before a reset" not since "$now"
check "info --reset" bothy info --reset
check "info: after it" since "$now"

bothy trace --seconds 20 -o /tmp/all.json 2>/tmp/trace.log &
all=$!
check "a guest is made" xl create -q /etc/xen/small.cfg
bothy trace --guest small --seconds 90 --text -o /tmp/small.txt 2>/tmp/small.log &
one=$!
check "the guest is up" within 60 says small 'guest: up'
kill -INT $one
wait $one
check "trace of a guest, as text" grep -q 'records, ' /tmp/small.log
id=$(xl domid small)
has() { grep -q -- "$1" "$2"; }
check "its hypercalls have names and results" has "d${id}v0 .*result=[0-9-]* rip=0x.*took=[0-9]*ns" /tmp/small.txt
check "its exits have their words" has 'nested page fault address=0x\|CPUID leaf=0x\|WRMSR msr=0x' /tmp/small.txt
check "it stops and runs" has 'stops why=blocked' /tmp/small.txt
check "it wakes" has "d${id}v0 *wakes" /tmp/small.txt
check "nothing of others" not grep -q '^[0-9.]* [0-9]* d0' /tmp/small.txt
sorted() { awk '!/^#/ { if ($1 < last) exit 1; last = $1 }' "$1"; }
check "in order" sorted /tmp/small.txt
kill -INT $all 2>/dev/null
wait $all
check "trace of all is whole" [ "$(tail -c 4 /tmp/all.json | tr -d '\n')" = ']}' ]
check "trace has the guest's creation" has '"name":"created"' /tmp/all.json
check "trace names the guest" has '"name":"process_name","args":{"name":"small"}}' /tmp/all.json
check "trace has each CPU's turns" has '"ph":"X","pid":1,"tid":1,' /tmp/all.json
check "a page that shows itself" status 0 'records, ' bothy trace --seconds 0.2 --html -o /tmp/t.html
check "the page has the trace" has '"traceEvents":' /tmp/t.html

check "exits" status 0 'hypercall .*#' bothy exits small
check "exits: hypercalls by name" status 0 'sched_op \|event_channel_op ' bothy exits small
check "exits --json" status 0 '"hypercall":{"count":' bothy exits --json "$id"
check "list" status 0 'small' bothy list
check "list --json" status 0 '"name":"small","domid"' bothy list --json
check "top --batch" status 0 'small' bothy top --batch --count 1
check "top --json" status 0 '"cpu_percent":' bothy top --json --count 1
# As on the console, a vt102 by its name: the screen has the head, and a key ends it.
screen()
{
	: >/tmp/screen
	(within 60 grep -q small /tmp/screen; printf q) | TERM=vt102 bothy top --count 90 >/tmp/screen && grep -q 'steal%' /tmp/screen && grep -q small /tmp/screen
}
check "top on a screen" screen

xl destroy small
check "a guest that is gone has no counters" within 10 not bothy exits small
check "and is not in the list" not status 0 'small' bothy list
