# A guest's second disk comes and goes, each time an empty one. The guest writes as soon as it can
# open the disk, and the image must have exactly that. The guest then writes more.
. /tests/lib.sh

check "debian: created" xl create /etc/xen/debian.cfg
check "debian: shell" within 90 says debian 'root@debian'

# since: the console's output from `begin` on. bare: the shell's echo of a typed line, without blanks.
# At the screen's right end the shell writes the next character twice.
log=$consoles/guest-debian.log
begin() { start=$(wc -c <"$log"); }
since() { tail -c +$((start + 1)) "$log"; }
answers() { since | grep -aq "$1"; }
bare() { sed 's/\(.\)\r\1/\1/g' | tr -d '\r\n '; }
wrong()
{
	failed=$((failed + 1))
	echo "# round $round: $1"
	since | cat -v | tail -n 12 | sed 's/^/# console: /'
	head -c 96 /tmp/second.img | od -c | sed 's/^/# second.img: /'
}

# In each other round the line is typed before the disk comes, and the guest looks for it without a rest.
round()
{
	token=$round-$(cut -d ' ' -f 1 /proc/uptime)
	rest='sleep 1'
	[ $((round % 2)) = 0 ] || rest=:
	truncate -s 8M /tmp/second.img
	device=$(losetup -f --show /tmp/second.img)
	begin
	line="until $(opens xvdb); do $rest; done"
	line="$line; echo guest $token >/dev/xvdb && sync; echo \"written $token: \$?\""
	[ "$rest" != : ] || type_line debian "$line"
	xl block-attach debian "phy:$device,xvdb,w" || wrong "xl block-attach"
	[ "$rest" = : ] || type_line debian "$line"
	within 20 answers "written $token: [0-9]"
	answers "written $token: 0" || wrong "the guest can't write"
	since | bare | grep -aqF "$(echo "$line" | bare)" || wrong "the line isn't what was typed"
	echo "guest $token" >/tmp/expected
	tr -d '\0' </tmp/second.img | cmp -s - /tmp/expected || wrong "the image has something else"

	begin
	type_line debian 'head -c 300k /dev/urandom >/dev/shm/x'
	type_line debian 'dd if=/dev/shm/x of=/dev/xvdb bs=4k seek=1 conv=fsync 2>/dev/null'
	type_line debian "echo \"sum $token: \$(sha256sum </dev/shm/x)\""
	within 20 answers "sum $token: [0-9a-f]"
	sum=$(tail -c +4097 /tmp/second.img | head -c 307200 | sha256sum | cut -c 1-64)
	answers "sum $token: $sum" || wrong "other data"

	xl block-detach debian xvdb || wrong "xl block-detach"
	within 20 losetup -d "$device" || wrong "the device stays in use"
	begin
	type_line debian "while [ -e /dev/xvdb ]; do sleep 0.1; done; echo \"gone $token: \$?\""
	within 20 answers "gone $token: 0" || wrong "the guest still has it"
	rm /tmp/second.img
}
rounds()
{
	failed=0 round=0 at=$(now)
	while [ $((round += 1)) -le $((ROUNDS / 10)) ]; do
		round
	done
	echo "# $1: $((round - 1)) rounds in $(($(now) - at)) s"
	check "$1: each time the image has what the guest wrote" test $failed = 0
}
rounds "a disk comes and goes"
xentop -b -d 1 >/dev/null &
top=$!
while :; do
	dd if=/dev/urandom of=/tmp/load bs=1M count=8 2>/dev/null
done &
load=$!
rounds "the service domain is busy"
kill $top $load
check "xl destroy" xl destroy debian
check "no loop device is left" within 10 sh -c 'test -z "$(losetup -a)"'
exit 0
