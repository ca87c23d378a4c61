#!/usr/bin/env python3
"""Lay out a disk that GRUB boots by BIOS and by UEFI, without a loop device: disk.py IMAGE ESP BOOT CORE ROOT-MiB LVM-MiB

ESP is a file system, BOOT and CORE are what GRUB's package and grub-mkimage have for BIOS. The disk has a GUID partition table with the
partitions bios, esp, root and lvm. It prints where root begins, in bytes; root and lvm are left empty."""
import struct
import sys
import uuid
import zlib

SECTOR, MIB = 512, 1 << 20
# UEFI specification, "GUID Partition Table (GPT) Disk Layout"; the first is GRUB's own.
TYPES = {
    "bios": "21686148-6449-6e6f-744e-656564454649",
    "esp": "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
    "root": "0fc63daf-8483-4772-8e79-3d69d8477de4",
    "lvm": "e6d6d379-f507-44c2-a23c-238f2a3df928",
}
ENTRIES, ENTRY_BYTES = 128, 128
# Where GRUB's first sector has the place of its next one, and where that has the place of the rest (GRUB's boot.S, diskboot.S).
KERNEL_SECTOR, BLOCK_LIST = 0x5C, 0x1F4


def guid(text):
    return uuid.UUID(text).bytes_le


def header(mine, other, entries_at, last_usable, entries):
    def fields(crc):
        return struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, crc, 0, mine, other, 2048, last_usable,
                           guid("0b0b0b0b-0000-4000-8000-000000000001"), entries_at, ENTRIES, ENTRY_BYTES, zlib.crc32(entries))
    return fields(zlib.crc32(fields(0))).ljust(SECTOR, b"\0")


def write_table(disk, sectors, parts):
    entries = b""
    for n, (name, first, count) in enumerate(parts):
        entries += struct.pack("<16s16sQQQ72s", guid(TYPES[name]), guid("0b0b0b0b-0000-4000-8000-%012x" % (n + 2)), first, first + count - 1, 0,
                               name.encode("utf-16-le"))
    entries = entries.ljust(ENTRIES * ENTRY_BYTES, b"\0")
    last, table = sectors - 1, ENTRIES * ENTRY_BYTES // SECTOR
    usable = last - table - 1
    for mine, other, at in (1, last, 2), (last, 1, last - table):
        disk.seek(at * SECTOR)
        disk.write(entries)
        disk.seek(mine * SECTOR)
        disk.write(header(mine, other, at, usable, entries))


def write_boot_code(disk, boot, core, first):
    core = bytearray(core)
    struct.pack_into("<Q", core, BLOCK_LIST, first + 1)
    boot = bytearray(boot[:440].ljust(SECTOR, b"\0"))
    struct.pack_into("<Q", boot, KERNEL_SECTOR, first)
    # The old partition table has one entry, which keeps other programs off; some firmware wants it to be active.
    boot[446:462] = struct.pack("<BBBBBBBBII", 0x80, 0, 2, 0, 0xEE, 255, 255, 255, 1, 0xFFFFFFFF)
    boot[510:] = b"\x55\xaa"
    disk.seek(0)
    disk.write(boot)
    disk.seek(first * SECTOR)
    disk.write(core)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def main():
    image, esp, boot, core, root, lvm = sys.argv[1:]
    esp, core = read(esp), read(core)
    if len(core) > MIB:
        sys.exit("disk.py: GRUB's core has %d bytes, more than its partition" % len(core))
    parts, at = [], 2048
    for name, size in ("bios", MIB), ("esp", len(esp)), ("root", int(root) * MIB), ("lvm", int(lvm) * MIB):
        count = -(-size // MIB) * MIB // SECTOR
        parts.append((name, at, count))
        at += count
    sectors = at + 2048
    with open(image, "wb") as disk:
        disk.truncate(sectors * SECTOR)
        write_boot_code(disk, read(boot), core, parts[0][1])
        write_table(disk, sectors, parts)
        disk.seek(parts[1][1] * SECTOR)
        disk.write(esp)
    print(parts[2][1] * SECTOR)


main()
