#!/bin/sh
# A Linux guest's first program: writes to 8 MiB of its memory without a pause, until it is destroyed.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
exec /bench/io dirty 8388608
