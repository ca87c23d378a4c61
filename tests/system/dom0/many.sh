# Ten guests at once.
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
check "ten guests: all are gone" within 120 gone
memory_is_back() { [ "$(free_memory)" -ge $((before - 1)) ]; }
check "ten guests: memory is back" within 20 memory_is_back

exit 0
