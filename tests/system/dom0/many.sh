# Ten guests at once; then rounds of creating and destroying one, which must leave the memory as it was.
. /tests/lib.sh

before=$(free_memory)
for i in 1 2 3 4 5 6 7 8 9 10; do
	config "guest$i"
	check "ten guests: guest$i created" xl create "/tmp/guest$i.cfg"
done
for i in 1 2 3 4 5 6 7 8 9 10; do
	check "ten guests: guest$i is up" within 240 says "guest$i" 'guest: up'
done
check "ten guests: xl list shows them" test "$(xl list | grep -c '^guest')" = 10
alive()
{
	type_line "$1" 'echo "add""ress: $(ip -4 addr show dev eth0 | grep inet)"'
	within 5 says "$1" 'address: *inet [1-9]'
}
for i in 1 2 3 4 5 6 7 8 9 10; do
	check "ten guests: guest$i has an address" within 30 alive "guest$i"
done
addresses=$(cat $consoles/guest-guest*.log | grep -ao 'address: *inet [0-9.]*' | sort -u | wc -l)
check "ten guests: their addresses differ" test "$addresses" -ge 10
check "ten guests: xl shutdown --all" xl shutdown -aw
gone() { [ "$(xl list | grep -c '^guest')" = 0 ]; }
check "ten guests: all are gone" within 30 gone
memory_is_back() { [ "$(free_memory)" -ge $((before - 1)) ]; }
check "ten guests: memory is back" within 20 memory_is_back

cat >/tmp/tiny.cfg <<'END'
name = "tiny"
type = "pvh"
memory = 16
vcpus = 2
kernel = "/tests/halt.elf"
END
# What the first round leaves behind for good is not counted.
round() { xl create -qp /tmp/tiny.cfg && xl destroy tiny; }
check "rounds: the first" round
sleep 1
pages() { xl info free_memory; awk '/^MemAvailable/ { print $2 }' /proc/meminfo; }
set -- $(pages)
n=0
start=$(now)
while [ $n -lt "$ROUNDS" ]; do
	round >/tmp/round.out 2>&1 || { echo "not ok rounds: round $n"; sed 's/^/# /' /tmp/round.out; break; }
	n=$((n + 1))
done
echo "# $n rounds in $(($(now) - start)) s"
check "rounds: all $ROUNDS" test "$n" = "$ROUNDS"
sleep 1
set -- "$@" $(pages)
echo "# free memory (MiB) $1, then $3; the service domain's (KiB) $2, then $4"
check "rounds: the machine's memory is as before" test "$3" -ge "$1"
check "rounds: the service domain's memory is about as before" test "$4" -ge $(($2 - 24576))
exit 0
