# For what runs on two machines (tools/pair), in the service domain of each: ssh and NBD as docs/fleet.md has them, and a guest that moves. The
# machines are called a and b. There is no third one, so b serves the guest's disk.
me=$(hostname)
other=$(echo "$me" | tr ab ba)

# Each machine has one key, for itself and for its root. The wire belongs to these two machines alone, so it may bring the public halves.
start_ssh()
{
	mkdir -p -m 700 /root/.ssh
	dropbearkey -t ed25519 -f /root/.ssh/id_dropbear 2>/dev/null | awk '/^ssh-/ { print $1, $2 }' >/tmp/key
	nc -ll -p 5000 -e cat /tmp/key &
	# With a larger window than its own, more is on its way at a time.
	dropbear -r /root/.ssh/id_dropbear -K 5 -W 1048576
}
meet()
{
	nc -w 5 "$other" 5000 </dev/null >/tmp/key.other && grep -q '^ssh-' /tmp/key.other || return 1
	cp /tmp/key.other /root/.ssh/authorized_keys
	echo "$other $(cat /tmp/key.other)" >/root/.ssh/known_hosts
}

# tell WORD: the other machine knows it from now on. told WORD: whether it has said so.
tell() { ssh "$other" touch "/tmp/told-$1" </dev/null; }
told() { [ -e "/tmp/told-$1" ]; }

serve_disk()
{
	mkdir -p /etc/nbd-server /srv
	truncate -s 16M /srv/guest.img
	cat >/etc/nbd-server/config <<-'END'
		[generic]
		[disk]
		exportname = /srv/guest.img
		flush = true
		fua = true
	END
	nbd-server
}
attach_disk() { modprobe nbd && nbd-client -N disk b /dev/nbd0; }

# The guest has the smallest memory in which Linux starts, because all of it is copied.
start_guest()
{
	config small 'memory = 128' 'disk = [ "phy:/dev/nbd0,xvda,w" ]'
	xl create -q /tmp/small.cfg && within 90 says small 'guest: up'
}

# It counts, in its memory and on its disk: a disk that doesn't answer stops the count. The shell on its console knows a word.
prepare_guest()
{
	ask small 'modprobe xen-blkfront; dmesg -n 1; word=kept; counted=0' &&
	ask small '{ (i=0; while sleep 1; do i=$((i + 1)); echo $i | dd of=/dev/xvda bs=512 seek=8 conv=sync,fsync && echo $i >/count; done) 2>/dev/null & }' &&
	within 20 counts
}
# $address is its address.
has_address()
{
	address=$(ask small 'ip -4 addr show dev eth0' | sed -n 's,.*inet \([0-9.]*\)/.*,\1,p')
	[ -n "$address" ]
}
# Its count has grown since this was last true.
counts() { ask small '[ $(cat /count) -gt $counted ] && counted=$(cat /count) && echo counts' | grep -qx counts; }
knows_word() { ask small 'echo $word' | grep -qx kept; }

# Its disk begins with this text; writes it there. Both pass by the guest's cache.
guest_reads() { ask small 'dd if=/dev/xvda bs=512 count=1 iflag=direct 2>/dev/null | head -n 1' | grep -qx "$1"; }
guest_writes() { ask small "echo $1 | dd of=/dev/xvda bs=512 conv=sync,fsync 2>/dev/null && echo wrote" | grep -qx wrote; }

# Its clock is this machine's, to 2 s: it reads it between our two readings.
clock_is_right()
{
	first=$(date +%s) guests=$(ask small 'date +%s') last=$(date +%s)
	echo "the guest's clock says $guests, ours $first and then $last"
	[ $((guests + 2)) -ge "$first" ] && [ $((guests - 2)) -le "$last" ]
}

# guest_lives WHEN WRITES [READS]: it goes on here, and its disk has what it wrote at the other place.
guest_lives()
{
	check "$1: its shell kept its memory" knows_word
	check "$1: its processes go on" within 20 counts
	[ $# = 2 ] || check "$1: it reads what was written to its disk" guest_reads "$3"
	check "$1: it writes its disk" guest_writes "$2"
	check "$1: and reads what it wrote" guest_reads "$2"
	check "$1: its clock is right" clock_is_right
}

# move: it goes to the other machine while it runs. $took has the seconds.
move()
{
	took=$(now)
	xl migrate small "$other" >/tmp/migrate.out 2>&1
	status=$?
	took=$(($(now) - took))
	tr '\r' '\n' </tmp/migrate.out | grep -av '%'
	return $status
}

# arrives: it has come from the other machine, which tells if it ends without sending it. Its console's log has the name from the way.
arrives()
{
	within 180 eval 'exists small || told end' && exists small >/dev/null || return 1
	ln -sf guest-small--incoming.log $consoles/guest-small.log
}

# The hypervisor's own count, because xl info has whole MiB.
free_pages()
{
	xl debug-keys m
	xl dmesg | sed -n 's/.*memory: \([0-9]*\) of [0-9]* pages free.*/\1/p' | tail -n 1
}
# The first guest of a machine costs tables for good. They are the service domain's own, for the addresses where it maps frames of guests: here 32,
# for the 62 MiB of the guest's kernel and initrd. Later guests are mapped at the same addresses.
settle() { config first 'memory = 128' && xl create -q -p /tmp/first.cfg && xl destroy first && within 20 no_guest; }
# memory_is_back PAGES: so many are free again, to the page: a machine has one guest at a time here. Two at a time would cost pages for good, because
# Bothy keeps what it took for the most vCPUs, ports and mapped grants.
memory_is_back()
{
	pages=$(free_pages)
	[ "$pages" = "$1" ]
}
no_process() { [ -z "$(processes 'xl ')$(processes libxl-save-helper)" ]; }
no_guest() { [ "$(xl list | wc -l)" = 2 ]; }
