#!/bin/sh
# Runs in the service domain: starts the micro-guests and prints what they said, for tests/guest/run, which adds the list of them.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:$(echo /usr/lib/xen-4*/bin)
consoles=/var/log/xen/console

uptime_now() { read -r up _ </proc/uptime; echo "${up%.*}"; }

# In the foreground xl waits for the guest's end, and says what it was.
start()
{
	timeout "$2" xl create -F "/micro/$1.cfg" >"/tmp/$1.xl" 2>&1 </dev/null
	echo $? >"/tmp/$1.status"
	[ "$(cat "/tmp/$1.status")" = 0 ] || xl destroy "$1" >>"/tmp/$1.xl" 2>&1
}

# A helper is started first, and has to be ready before the next.
ready()
{
	n=0
	until grep -qs '^READY' "$consoles/guest-$1.log"; do
		n=$((n + 1))
		[ $n -lt 100 ] || return 1
		usleep 100000
	done
}

report()
{
	echo "=== $1"
	tr -d '\r' <"$consoles/guest-$1.log"
	echo "--- xl"
	cat "/tmp/$1.xl"
	echo "=== end $1 $(cat "/tmp/$1.status") $2"
}

# group SECONDS NAME...: these together, each with the time limit.
group()
{
	limit=$1 begin=$(uptime_now)
	shift
	last=
	for g in "$@"; do
		[ -z "$last" ] || ready "$last"
		start "$g" "$limit" &
		last=$g
	done
	wait
	for g in "$@"; do
		report "$g" $(($(uptime_now) - begin))
	done 2>&1
}

# After all of them the system has to be whole.
finish()
{
	if [ "$(xl list | wc -l)" = 2 ]; then
		echo "PASS dom0: no guest is left"
	else
		echo "FAIL dom0: guests are left: $(xl list | tail -n +3 | tr '\n' ';')"
	fi
	after=$(xl info free_memory)
	if [ "$after" -ge $((before - 1)) ]; then
		echo "PASS dom0: the memory is back"
	else
		echo "FAIL dom0: free memory was $before MiB and is $after"
	fi
}

before=$(xl info free_memory)
