# What xl is refused and can't explain: each time the log gains exactly one line, which says why, and nothing is left behind.
. /tests/lib.sh

lines() { xl dmesg | grep -c 'refused: '; }

# explained NAME TEXT COMMAND...: xl's status isn't looked at, since it is 0 for some verbs that were refused.
explained()
{
	what=$1
	text=$2
	shift 2
	had=$(lines)
	"$@" >/tmp/explained.out 2>&1
	xl dmesg | grep 'refused: ' | tail -n 1 >/tmp/explained.line
	check "$what: refused with one line" test $(($(lines) - had)) = 1 || tail -n 3 /tmp/explained.out | sed 's/^/# /'
	check "$what: the line says why" grep -q -e "$text" /tmp/explained.line || sed 's/^/# /' /tmp/explained.line
}

# config_refused NAME TEXT LINE...: a guest of the least configuration with these lines.
config_refused()
{
	what=$1
	text=$2
	shift 2
	cat >/tmp/refused.cfg <<'END'
name = "refused"
type = "pvh"
memory = 16
vcpus = 1
kernel = "/tests/halt.elf"
END
	for l in "$@"; do
		sed -i "/^${l%% *} /d" /tmp/refused.cfg
		[ "$l" = "${l#*=}" ] || echo "$l" >>/tmp/refused.cfg
	done
	explained "$what" "$text" xl create -qp /tmp/refused.cfg
	check "$what: no such guest" not exists refused
	xl destroy refused 2>/dev/null
}

before=$(free_memory)
config_refused 'type left out' 'guests are of type="pvh"' 'type '
config_refused 'type="hvm"' 'type="hvm": guests are' 'type = "hvm"'
config_refused 'nestedhvm=1' 'nestedhvm=1' 'nestedhvm = 1'
config_refused 'hap=0' 'hap=0' 'hap = 0'
config_refused 'vmtrace_buf_kb=64' 'vmtrace_buf_kb=' 'vmtrace_buf_kb = 64'
config_refused 'vcpus=129' 'a guest has 1 to 128' 'vcpus = 129' 'maxvcpus = 129'
config_refused 'max_grant_version=2' 'max_grant_version=' 'max_grant_version = 2'
config_refused 'vnuma' 'vnuma=' 'vnuma = [ [ "pnode=0", "size=16", "vcpus=0", "vdistances=10" ] ]'
config_refused 'iomem' 'iomem=' 'iomem = [ "fed00,1" ]'
config_refused 'ioports' 'ioports=' 'ioports = [ "3f8-3ff" ]'
config_refused 'irqs' 'irqs=' 'irqs = [ 5 ]'
config_refused 'tsc_mode="always_emulate"' 'always_emulate' 'tsc_mode = "always_emulate"'
explained 'xl vcpu-pin Domain-0' 'xl vcpu-pin Domain-0' xl vcpu-pin Domain-0 0 1
explained 'xl cpupool-cpu-remove' 'xl cpupool-' xl cpupool-cpu-remove Pool-0 1
explained 'xl sched-credit2 -s -r' 'xl sched-credit2 -s' xl sched-credit2 -s -r 2000
explained 'xl trigger' 'xl trigger' xl trigger 0 power
had=$(lines)
config accepted
check "a guest that is accepted" xl create -qp /tmp/accepted.cfg
check "a guest that is accepted: nothing is refused" test "$(lines)" = "$had"
xl destroy accepted
check "memory is back" within 20 sh -c "test \$(xl info free_memory) -ge $((before - 1))"
exit 0
