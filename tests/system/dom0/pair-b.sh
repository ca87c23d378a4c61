#!/bin/sh
# The test pair, on b: it serves the disk. A guest arrives, is looked at, and goes back to a.
. /tests/lib.sh
. /tests/pair-lib.sh
# a doesn't wait for what will never come.
trap 'tell end' EXIT

start_ssh
serve_disk
check "the keys are exchanged" within 20 meet
check "ssh asks nothing" within 20 ssh a true
check "the disk is reached" within 10 attach_disk
check "b's memory is as it will be" settle
free=$(free_pages)
tell disk
if check "the guest arrives" arrives; then
	guest_lives "at b" b a
	check "at b: the file that is its disk has it" grep -q '^b' /srv/guest.img
	check "a looks at its own side" within 60 told go
	check "xl migrate to a" move
	echo "# it took $took s"
	check "b has no guest" no_guest
	check "no process of it is left" within 20 no_process
	check "b's memory is back" within 20 memory_is_back "$free"
	echo "# $pages of $free pages are free"
fi
check "a has ended" within 120 told end
trap - EXIT
exit 0
