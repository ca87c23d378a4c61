# An operator's comforts: what xl and its relatives say and do around the guests.
. /tests/lib.sh

# xenstored asks from Xen 4.21 on which domains have changed. Debian's listens for VIRQ_DOM_EXC, and doesn't ask.
states() { /tests/domain-state "$@" | tr '\n' ' ' >/tmp/states; grep -qxE "$states_are " /tmp/states || { cat /tmp/states; false; }; }
states_are='0 1 3 [1-9a-f][0-9a-f]* ENOENT'
on_bothy && check "get_domain_state: the service domain is there" states
check "a guest with disk and network" xl create -q /etc/xen/debian.cfg
if on_bothy; then
	states_are='1 1 0 [1-9a-f][0-9a-f]* ENOENT'
	check "get_domain_state: the guest has come" states
	guest=$(cut -d ' ' -f 1-4 /tmp/states)
	states_are=ENOENT
	check "get_domain_state: each change is told once" states
	states_are=$guest
	check "get_domain_state: the guest, by its number" states 1
	states_are=ESRCH
	check "get_domain_state: there is no domain 2" states 2
	states_are=EACCES
	check "get_domain_state: no other interface version" states 1 0x17
fi

# The service domain's own CPUs go and come back.
cpus() { [ "$(nproc)" = "$1" ]; }
offline() { xl vcpu-list Domain-0 | awk '$3 == 1 { exit !($4 == "-" && $5 == "--p") }'; }
check "xl vcpu-set Domain-0: less" xl vcpu-set Domain-0 1
check "xl vcpu-set Domain-0: Linux has one CPU" within 10 cpus 1
check "xl vcpu-set Domain-0: xl shows it" within 5 offline
check "xl vcpu-set Domain-0: back" xl vcpu-set Domain-0 2
check "xl vcpu-set Domain-0: Linux has both CPUs" within 10 cpus 2
check "xl vcpu-set Domain-0: xl shows it" within 5 not offline
check "xl vcpu-pin Domain-0: where it is" xl vcpu-pin Domain-0 1 1
check "xl vcpu-pin Domain-0: soft affinity" xl vcpu-pin Domain-0 0 - all
refuse "xl vcpu-pin Domain-0: elsewhere" 'Device or resource busy' xl vcpu-pin Domain-0 0 1

# Pools and the scheduler.
pool() { xl cpupool-list | awk -v want="$1" '$1 == "Pool-0" { exit !($2 " " $3 " " $5 == want) }'; }
check "xl cpupool-list" pool "2 credit2 2"
refuse "xl cpupool-create" 'illegal or not free' xl cpupool-create 'name="other"' 'cpus=[1]'
says_ratelimit() { [ "$(xl sched-credit2 -s)" = "Cpupool Pool-0: ratelimit=1000us" ]; }
check "xl sched-credit2 -s" says_ratelimit
check "xl cpupool-list: as before" pool "2 credit2 2"

# field NAME: of xentop's line about the guest.
check "the guest comes up" within 60 says debian 'debian: up'
field() { xentop -b -i 1 | awk -v name="$1" '$1 == "NAME" { for (i in a) delete a[i]; for (i = 1; i <= NF; i++) if ($i == name) at = i } $1 == "debian" { print $at }'; }
some() { [ "$(field "$1")" -gt 0 ]; }
check "xentop: seconds of CPU" some 'CPU(sec)'
check "xentop: its memory" test "$(field 'MEM(k)')" -ge 393000
check "xentop: at most" test "$(field 'MAXMEM(k)')" -ge 393216
check "xentop: vCPUs" test "$(field VCPUS)" = 2
check "xentop: one network" test "$(field NETS)" = 1
check "xentop: what the guest has sent" within 10 some 'NETRX(k)'
check "xentop: one disk" test "$(field VBDS)" = 1
check "xentop: reads" some VBD_RD
check "xentop: sectors read" some VBD_RSECT
listed() { xl list -l debian | tr -d ' \n' | grep -q "\"name\":\"debian\".*\"max_vcpus\":2.*\"max_memkb\":393216.*\"target_memkb\":393216.*\"weight\":256.*\"vdev\":\"xvda\".*\"bridge\":\"xenbr0\""; }
check "xl list -l: the guest" listed
own() { xl list -l Domain-0 | tr -d ' \n' | grep -q '"domid":0,.*"type":"pvh","name":"Domain-0".*"max_memkb":1048576'; }
check "xl list -l: the service domain" own

# xenstored replaces itself while guests run.
check "xenstored updates itself" xenstore-control live-update /usr/lib/xen-*/bin/xenstored
check "xenstored: the guest is still there" exists debian
check "xenstored: a guest's watch still fires" xl shutdown -w debian
if on_bothy; then
	check "the guest is gone" within 30 not exists debian
	# xenstored listens anew since its update, so the service domain has changed for it too.
	states_are='(0 1 3 [1-9a-f][0-9a-f]* )?1 0 0 0 ENOENT'
	check "get_domain_state: the guest has gone" within 10 states
fi
exit 0
