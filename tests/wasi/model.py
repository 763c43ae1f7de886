"""A file system in a few dictionaries, which says what each call has to give."""

from __future__ import annotations

MAX_LINKS = 40


class Failure(Exception):
    """A call that fails, with the name of its errno."""


class File:
    """A regular file."""

    def __init__(self) -> None:
        self.data = bytearray()


class Link:
    """A symbolic link."""

    def __init__(self, target: str) -> None:
        self.target = target


class Directory:
    """A directory."""

    def __init__(self, parent: Directory | None) -> None:
        self.parent = parent
        self.entries: dict[str, Node] = {}


Node = File | Link | Directory


class FileSystem:
    """A tree that paths are resolved in, each step by hand."""

    def __init__(self) -> None:
        self.root = Directory(None)

    def resolve(self, path: str, *, follow: bool) -> tuple[Directory, str, Node | None]:
        """Give the directory, the name and what is there; the directory itself is named ``.``."""
        pending = [(name, True) for name in reversed(path.split("/"))]
        here = self.root
        links = 0
        while pending:
            name, own = pending.pop()
            if name == "..":
                if here.parent is None and own:
                    raise Failure("PERM")
                here = here.parent or here
                continue
            node = here.entries.get(name)
            if isinstance(node, Link) and (pending or follow):
                links += 1
                if links > MAX_LINKS:
                    raise Failure("LOOP")
                pending += [(part, False) for part in reversed(node.target.split("/"))]
            elif not pending:
                return here, name, node
            elif node is None:
                raise Failure("NOENT")
            elif not isinstance(node, Directory):
                raise Failure("NOTDIR")
            else:
                here = node
        return here, ".", here

    def node(self, path: str, *, follow: bool) -> Node:
        """Give what is at a path."""
        node = self.resolve(path, follow=follow)[2]
        if node is None:
            raise Failure("NOENT")
        return node

    def make(self, path: str, node: Node) -> None:
        """Put something new at a path."""
        directory, name, there = self.resolve(path, follow=False)
        if there is not None:
            raise Failure("EXIST")
        if isinstance(node, Directory):
            node.parent = directory
        directory.entries[name] = node

    def link(self, old: str, new: str) -> None:
        """Make a hard link."""
        node = self.resolve(old, follow=False)[2]
        replaced = self.resolve(new, follow=False)[2]
        if node is None:
            raise Failure("NOENT")
        if replaced is not None:
            raise Failure("EXIST")
        if isinstance(node, Directory):
            raise Failure("PERM")
        self.make(new, node)

    def open(self, path: str, *, create: bool, exclusive: bool, truncate: bool) -> File:
        """Open a file for reading and writing."""
        directory, name, node = self.resolve(path, follow=not (create and exclusive))
        if create and exclusive and node is not None:
            raise Failure("EXIST")
        if isinstance(node, Directory):
            raise Failure("ISDIR")
        if node is None:
            if not create:
                raise Failure("NOENT")
            node = directory.entries[name] = File()
        assert isinstance(node, File)
        if truncate:
            node.data.clear()
        return node

    def remove_directory(self, path: str) -> None:
        """Remove an empty directory."""
        directory, name, node = self.resolve(path, follow=False)
        if name == ".":
            raise Failure("INVAL")
        if node is None:
            raise Failure("NOENT")
        if not isinstance(node, Directory):
            raise Failure("NOTDIR")
        if node.entries:
            raise Failure("NOTEMPTY")
        del directory.entries[name]

    def unlink(self, path: str) -> None:
        """Remove what is no directory."""
        directory, name, node = self.resolve(path, follow=False)
        if node is None:
            raise Failure("NOENT")
        if isinstance(node, Directory):
            raise Failure("ISDIR")
        del directory.entries[name]

    def rename(self, old: str, new: str) -> None:
        """Move something."""
        old_directory, old_name, moved = self.resolve(old, follow=False)
        new_directory, new_name, replaced = self.resolve(new, follow=False)
        if "." in {old_name, new_name}:
            raise Failure("BUSY")
        if moved is None:
            raise Failure("NOENT")
        if moved is replaced:
            return
        if isinstance(moved, Directory) and _is_within(new_directory, moved):
            raise Failure("INVAL")
        if isinstance(replaced, Directory) and _is_within(old_directory, replaced):
            raise Failure("NOTEMPTY")
        if isinstance(moved, Directory) and replaced is not None and not isinstance(replaced, Directory):
            raise Failure("NOTDIR")
        if isinstance(replaced, Directory) and not isinstance(moved, Directory):
            raise Failure("ISDIR")
        if isinstance(replaced, Directory) and replaced.entries:
            raise Failure("NOTEMPTY")
        del old_directory.entries[old_name]
        new_directory.entries[new_name] = moved
        if isinstance(moved, Directory):
            moved.parent = new_directory


def _is_within(directory: Directory | None, ancestor: Directory) -> bool:
    while directory is not None:
        if directory is ancestor:
            return True
        directory = directory.parent
    return False
