# libvirt on Bothy, with a guest of its own.
. /root/tests/lib.sh
v() { virsh -c xen:///system "$@"; }
# has TEXT COMMAND...: what the command says has the text.
has()
{
	text=$1
	shift
	"$@" >/tmp/has.out 2>&1 || { cat /tmp/has.out; return 1; }
	grep -q -- "$text" /tmp/has.out || { echo "no '$text' in:"; cat /tmp/has.out; return 1; }
}
state() { has "^$1$" v domstate web; }
# ticks START: which tick of this start the guest's console has come to.
ticks() { sed -n "s/.*guest: start $1 tick \([0-9]*\).*/\1/p" /var/log/xen/console/guest-web*.log | sort -n | tail -n 1; }
later() { [ "$(ticks "$1")" -gt "$2" ]; }
# counted COMMAND DEVICE NAME...: in what the command says of the guest's device, each of the names has a number above 0.
counted()
{
	v "$1" web "$2" >/tmp/counted
	cat /tmp/counted
	shift 2
	for name in "$@"; do
		awk -v name="$name" '$2 == name && $3 > 0 { found = 1 } END { exit !found }' /tmp/counted || return 1
	done
}
# disk_state STATE: xenstore's state of the guest's connection to xvdb.
disk_state() { xl block-list web | awk '$1 == 51728 { print "state " $4 }' | grep -qx "state $1"; }

check "no service failed" services
sed "s/^/# /" /tmp/took
check "virsh names the hypervisor" has "Running hypervisor: Xen 4" v version
check "virsh names the node" has "CPU(s): *2" v nodeinfo
check "the capabilities have PVH guests" has xenpvh v capabilities
check "the capabilities have the machine's NUMA node" has "<cell id='0'>" v capabilities
check "virsh names the free memory" has "^Total: *[1-9]" v freecell --all
check "the service domain is in the list" has "Domain-0 *running" v list
check "a guest is defined" v define /etc/fleet/web.xml
check "it is off" state "shut off"
check "it starts" v start web
check "it comes up" within 60 said web "guest: start 1 tick"
check "it runs, by dominfo" has "State: *running" v dominfo web
check "it has two vCPUs, by dominfo" has "CPU(s): *2" v dominfo web
check "xl has it in its list" xl list web
check "a vCPU is pinned" v vcpupin web 1 0
check "virsh shows the pinning" has "^ *1 *0$" v vcpupin web
check "xl shows the pinning" sh -c "xl vcpu-list web | awk '\$3 == 1' | grep -q ' 0 / '"
check "the disk's operations are counted" counted domblkstat xvda rd_req wr_req
check "it answers on its network" within 20 ping -c 1 -W 2 web
check "the network card's packets are counted" counted domifstat 00:16:3e:00:00:11 rx_packets tx_packets
check "it is paused" v suspend web
check "it is paused, by domstate" state paused
check "it goes on" v resume web
check "its memory is set" v setmem web 112M --live
check "it gives memory back" within 30 sh -c "virsh -c xen:///system dominfo web | awk '/Used memory/ { exit !(\$3 < 118000) }'"
check "a vCPU is taken away" v setvcpus web 1 --live
check "the guest has done without it" within 20 sh -c "xl vcpu-list web | awk '\$3 == 1 && \$4 == \"-\" { off = 1 } END { exit !off }'"
check "a second disk is attached" v attach-disk web /dev/disk/by-id/ata-QEMU_HARDDISK_mail xvdb --sourcetype block --driver phy --live
check "the guest has connected to it" within 20 disk_state 4
check "the disk is taken away" v detach-disk web xvdb --live
check "the guest has left it" within 20 not disk_state '[0-9]'
check "it is saved" v save web /var/lib/libvirt/web.save
check "it is off while it is saved" state "shut off"
at=$(ticks 1)
check "it is restored" v restore /var/lib/libvirt/web.save
check "it runs, by domstate" state running
check "it goes on at tick $at" within 30 later 1 "$at"
check "it was started once" sh -c '! grep -aq "guest: start 2" /var/log/xen/console/guest-web*.log'
check "it answers again" within 20 ping -c 1 -W 2 web
check "it is restarted" v reboot web
check "it comes up as its second start" within 60 said web "guest: start 2 tick"
check "it is shut down" v shutdown web
check "it is off after that" within 60 state "shut off"
check "it starts for managedsave" v start web
check "it comes up again" within 60 said web "guest: start 3 tick"
check "it is saved under libvirt's care" v managedsave web
at=$(ticks 3)
check "it starts from there" v start web
check "it goes on at its tick $at" within 30 later 3 "$at"
check "it is destroyed" v destroy web
check "it is undefined" v undefine web
check "nothing is left of it" sh -c '[ "$(xl list | wc -l)" = 2 ] && ! virsh -c xen:///system dominfo web'
