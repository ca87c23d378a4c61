# All addresses of the machine's memory by /dev/mem, for the canary of a sealed guest. The service domain's kernel has iomem=relaxed.
. /tests/lib.sh

pry() { timeout 300 /tests/pry "$@"; }
# When a guest has run for a second, it has long since written its canary.
ran() { [ "$(xl list "$1" | awk 'NR == 2 { print int($6) }')" -ge 1 ]; }
# Linux maps foreign frames at addresses that are nobody's: it calls them so.
scratch() { sed -n 's/^ *\([0-9a-f]*\)-\([0-9a-f]*\) : Xen scratch.*/0x\1 0x\2/p' /proc/iomem; }
sweep_scratch() { scratch | while read -r from to; do pry sweepmem 0 "$from" "$to"; done >"/tmp/$1"; }
sweep_machine() { pry sweepmem 0 0x1000000 0x80000000 >"/tmp/$1"; }
# has FILE WORD TEST N: the sum of the numbers before this word.
has()
{
	sum=$(sed -n "s/.* \([0-9]*\) $2.*/\1/p" "/tmp/$1" | awk '{ n += $1 } END { print n + 0 }')
	echo "$1: $sum $2"
	[ "$sum" "$3" "$4" ]
}
hold()
{
	/tests/pry "$@" >/tmp/held &
	holder=$!
	within 20 grep -q . /tmp/held
}
let_go()
{
	kill $holder 2>/dev/null
	wait $holder 2>/dev/null
}
for name in seen unseen; do
	printf '%s\n' "name = \"$name\"" 'type = "pvh"' 'memory = 16' 'vcpus = 1' 'kernel = "/tests/canary.elf"' >/tmp/$name.cfg
done
echo 'seclabel = "sealed"' >>/tmp/unseen.cfg

check "unseen: runs, sealed" xl create /tmp/unseen.cfg
within 20 ran unseen
hold holdcanary "$(xl domid unseen)"
check "unseen: its canary can't be mapped" grep -qx refused /tmp/held
let_go
sweep_scratch unseen-scratch
sweep_machine unseen-machine
check "unseen: what Linux maps of others doesn't have it" has unseen-scratch found = 0
check "unseen: that could be looked at" has unseen-scratch "read" -ge 1
check "unseen: no address of the machine's memory has it" has unseen-machine found = 0
check "unseen: Bothy refuses what isn't the service domain's" has unseen-machine "refused by Bothy" -ge 25000
check "unseen: it ran all the time" [ "$(xl list unseen | awk 'NR == 2 { print $5 }' | tr -d 'rb-')" = "" ]
xl destroy unseen

check "seen: runs" xl create /tmp/seen.cfg
within 20 ran seen
hold holdcanary "$(xl domid seen)"
check "seen: its canary is mapped" grep -qx held /tmp/held
sweep_scratch seen-scratch
let_go
check "base line: /dev/mem has it then" has seen-scratch found -ge 1
xl destroy seen

# The service domain's own RAM: Debian's kernel never gives it by /dev/mem, so seal.test looks through that by /proc/kcore.
hold plant 0
check "a canary in the service domain's own memory" grep -qx held /tmp/held
sweep_machine own
let_go
check "/dev/mem doesn't have it" has own found = 0
check "because Linux denies all of its RAM" has own "denied by Linux" -ge 25000
sed "s/^/# /" /tmp/unseen-* /tmp/seen-* /tmp/own
