#!/bin/sh
# The test pair, on a: a guest starts here, moves to b while it runs, and comes back.
. /tests/lib.sh
. /tests/pair-lib.sh
# b doesn't wait for what will never come.
trap 'tell end' EXIT

start_ssh
check "the keys are exchanged" within 20 meet
check "ssh asks nothing" within 20 ssh b true
check "a's memory is as it will be" settle
free=$(free_pages)
check "b has a disk for the guest" within 40 told disk
check "and it is reached here" attach_disk
check "the guest starts" start_guest
check "the guest counts" prepare_guest
guest_lives "at first" a
check "the guest has an address" within 30 has_address
ping "$address" >/tmp/pings &
ping=$!
answers() { grep -c 'bytes from' /tmp/pings; }
# It has answered since this was last called.
answers_go_on()
{
	answered=$(answers)
	within 20 more_answers
}
more_answers() { [ "$(answers)" -ge $((answered + 2)) ]; }
check "the guest answers a ping" answers_go_on

check "xl migrate to b" move
echo "# it took $took s"
check "it answers the same ping from b" answers_go_on
check "a has no guest" no_guest
check "no process of it is left" within 20 no_process
check "a's memory is back" within 20 memory_is_back "$free"
echo "# $pages of $free pages are free"

tell go
check "b moves it back" arrives
guest_lives "back at a" a b
check "it answers the same ping from a" answers_go_on
kill $ping
wait $ping 2>/dev/null
echo "# pings without an answer, at each move: $(sed -n '/DUP/d; s/.* seq=\([0-9]*\) .*/\1/p' /tmp/pings |
	awk '$1 > last + 2 { print $1 - last - 1 } { last = $1 }' | paste -sd ' ' -)"
check "xl destroy" xl destroy small
check "a's memory is back in the end" within 20 memory_is_back "$free"
echo "# $pages of $free pages are free"
check "a needs the disk no more" nbd-client -d /dev/nbd0
exit 0
