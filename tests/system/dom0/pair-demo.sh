#!/bin/sh
# The demo of two machines (tools/demo-pair), in the service domain of each: a guest moves from a to b and back, and each step is told.
. /tests/lib.sh
. /tests/pair-lib.sh
say() { echo "* $*"; }
fail() { say "$*"; tail -n 20 /tmp/log; exit 1; }

# follow COMMAND...: runs it until the end; its lines come by the pipe /tmp/COMMAND.
followed=
follow()
{
	mkfifo "/tmp/$1"
	"$@" >"/tmp/$1" 2>/dev/null &
	followed="$followed $!"
}
# What the guest prints on its console, whichever log it goes to.
show_guest()
{
	follow tail -n +1 -F $consoles/guest-small.log
	while read -r line; do
		case $line in
		*"guest: I count "*) echo "    $line" | sed 's/.*guest: /    guest: /; s/\r//' ;;
		esac
	done </tmp/tail &
}
# How it answers.
show_ping()
{
	follow ping -i 4 "$1"
	while read -r line; do
		case $line in
		*seq=*) line=${line#*seq=}; echo "        ping: the guest's answer no. ${line%% *}, after ${line#*time=}" ;;
		esac
	done </tmp/ping &
}

on_a()
{
	within 60 told disk || fail "the other machine has no disk for the guest"
	attach_disk >/tmp/log 2>&1 || fail "the guest's disk can't be reached"
	say "A starts a guest of 128 MiB. Its disk is on B, and both machines reach it by the network (NBD)"
	start_guest >/tmp/log 2>&1 || fail "the guest didn't start"
	show_guest
	say "The guest counts, in its memory and on its disk. Its count must go on wherever it is"
	type_line small 'modprobe xen-blkfront; dmesg -n 1; i=0; while sleep 4; do i=$((i + 1)); echo $i | dd of=/dev/xvda bs=512 conv=sync,fsync 2>/dev/null && echo "gue""st: I count $i"; done &'
	within 30 has_address || fail "the guest has no address"
	say "A pings the guest, each four seconds, all the time"
	show_ping "$address"
	sleep 20
	say "A moves the guest to B while it runs: xl migrate small b. This copies its memory by ssh"
	move >/tmp/log 2>&1 || fail "the guest didn't move"
	say "The guest is on B now, after $took s. This is A's xl list:"
	xl list
	tell go
	arrives || fail "the guest didn't come back"
	say "The guest is back on A, and has never been shut down"
	sleep 20
	xl destroy small
	say "A ends the guest. That is all: both machines go off now"
}

on_b()
{
	serve_disk
	attach_disk >/tmp/log 2>&1 || fail "the guest's disk can't be reached"
	say "B serves the guest's disk to both machines"
	tell disk
	arrives || fail "the guest didn't arrive"
	show_guest
	say "The guest has arrived on B. This is B's xl list:"
	xl list
	within 60 told go
	sleep 20
	say "B moves the guest back to A: xl migrate small a"
	move >/tmp/log 2>&1 || fail "the guest didn't move"
	say "B has sent the guest back, after $took s"
	within 120 told end
}

say "This machine is up: Bothy, and its service domain \"$me\""
# What still prints after our end would spoil the end of the output.
quiet()
{
	[ -z "$followed" ] || kill $followed
	wait $followed 2>/dev/null
}
trap 'quiet; tell end' EXIT
start_ssh >/tmp/log 2>&1
within 60 meet || fail "the other machine isn't there"
case $me in
a) on_a ;;
b) on_b; trap quiet EXIT ;;
esac
exit 0
