# What a device still reaches when a page has gone that it has just used. The units remember the page's translation from the first access, so it is only
# out of reach when they were told to forget. The caller knows which answers to expect.
. /tests/lib.sh

forge() { timeout 300 /tests/forge "$@"; }
# answers NAME COMMAND...
answers()
{
	name=$1
	shift
	forge "$@" >/tmp/answers || echo failed >>/tmp/answers
	echo "# $name: $(tr '\n' ' ' </tmp/answers)"
}
cat >/tmp/tiny.cfg <<'END'
name = "tiny"
type = "pvh"
memory = 16
vcpus = 1
kernel = "/tests/spin.elf"
END

check "a device reaches the service domain's own memory" forge own
check "a guest starts" xl create /tmp/tiny.cfg
check "it waits with its memory" xl pause tiny
id=$(xl domid tiny)
answers grant grant "$id" 0
answers "grant for reading" grant "$id" 0 ro
# The first one splits a large page, the second one probably doesn't.
answers balloon balloon
answers "balloon again" balloon
check "the service domain's own memory is still reached" forge own
check "xl destroy" xl destroy tiny
check "the guest has gone" within 20 not exists tiny
exit 0
