"""Write archives that a Linux kernel unpacks as its initial root file system ("newc" cpio), owned by root, without being root."""
import os
import stat


class Archive:
    """An archive in memory: add what is to be in it, then take it with bytes()."""

    def __init__(self):
        self.parts = []
        self.names = set()

    def _add(self, name, mode, data=b"", rdev=(0, 0)):
        if name in self.names:
            return
        self.names.add(name)
        path = name.encode() + b"\0"
        # All fields are eight hex digits: ino mode uid gid nlink mtime size devmajor devminor rdevmajor rdevminor namesize check.
        fields = (len(self.names), mode, 0, 0, 1, 0, len(data), 0, 0, rdev[0], rdev[1], len(path), 0)
        head = b"070701" + b"".join(b"%08X" % f for f in fields) + path
        self.parts += [head, bytes(-len(head) % 4), data, bytes(-len(data) % 4)]

    def _parents(self, name):
        parent = os.path.dirname(name)
        if parent and parent not in self.names:
            self.dir(parent)

    def dir(self, name, mode=0o755):
        name = name.strip("/")
        self._parents(name)
        self._add(name, stat.S_IFDIR | mode)

    def file(self, name, data, mode=0o644):
        name = name.strip("/")
        self._parents(name)
        self._add(name, stat.S_IFREG | mode, data)

    def link(self, name, target):
        name = name.strip("/")
        self._parents(name)
        self._add(name, stat.S_IFLNK | 0o777, target.encode())

    def node(self, name, mode, major, minor):
        name = name.strip("/")
        self._parents(name)
        self._add(name, mode, rdev=(major, minor))

    def copy(self, name, source):
        """Add the host's file, link or directory tree at source as name; only the owner's run bit is kept of the mode."""
        if os.path.islink(source):
            self.link(name, os.readlink(source))
        elif os.path.isdir(source):
            self.dir(name)
            for entry in sorted(os.listdir(source)):
                self.copy(name + "/" + entry, os.path.join(source, entry))
        else:
            with open(source, "rb") as f:
                self.file(name, f.read(), 0o755 if os.stat(source).st_mode & stat.S_IXUSR else 0o644)

    def bytes(self):
        end = Archive()
        end._add("TRAILER!!!", 0)
        return b"".join(self.parts + end.parts)
