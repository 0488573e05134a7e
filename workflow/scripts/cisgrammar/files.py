"""Files: written whole or not at all, read with their checksum, fetched from a URL or from a local mirror."""

import gzip
import hashlib
import json
import logging
import os
import shutil
import urllib.error
import urllib.request
import zlib
from contextlib import contextmanager
from pathlib import Path

from cisgrammar.log import InputError

BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")

DAMAGE = (EOFError, OSError, UnicodeDecodeError, zlib.error)  # what reading a cut or damaged file raises


@contextmanager
def atomic(path):
    """Yield a temporary Path beside `path`; rename it to `path` when the block ends well, remove it when not."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


def open_text(path):
    """Open a plain, gzip or bgzip text file for reading."""
    with open(path, "rb") as handle:
        compressed = handle.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rt") if compressed else open(path)


def is_url(location):
    return str(location).startswith(("http://", "https://", "ftp://"))


def checksum(path, kind="sha256"):
    """Hexadecimal checksum of a file.

    kind: `md5` or `sha256` of the bytes; or `lines`, the SHA-256 of the sorted lines without line ends, which
    does not change when a table is sorted or compressed in another way.
    Raises InputError for any other kind.
    """
    if kind == "lines":
        check_complete(path)
        with open_text(path) as handle:
            lines = sorted(line.rstrip("\r\n") for line in handle)
        return hashlib.sha256("\n".join(line for line in lines if line).encode()).hexdigest()
    if kind not in ("md5", "sha256"):
        raise InputError(f"checksum kind '{kind}' is not known; write md5:..., sha256:... or lines:...")
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, kind).hexdigest()


def check_checksum(path, expected, source):
    """Compare a file with `expected`, written `kind:hexadecimal`; raise InputError when they differ."""
    kind, _, value = expected.partition(":")
    found = checksum(path, kind)
    if found != value.lower():
        raise InputError(
            f"{source}: checksum is {kind}:{found} but the configuration says {expected}; the file was changed or "
            "cut short on its way, delete the local copy and fetch it again, or correct the checksum"
        )


def fetch(source, target, expected=None):
    """Copy a local file or download a URL to `target`, checked against the checksum `expected` (kind:hex).

    Raises InputError when the source cannot be read or its checksum differs; `target` is then left as it was.
    """
    with atomic(target) as temporary:
        try:
            if is_url(source):
                request = urllib.request.Request(source, headers={"User-Agent": "cisgrammar"})
                with urllib.request.urlopen(request, timeout=60) as answer, open(temporary, "wb") as handle:
                    shutil.copyfileobj(answer, handle)
                    missing = getattr(answer, "length", None)  # an FTP answer does not tell
                    if missing:
                        raise OSError(f"cut short, {missing} bytes are missing")
            else:
                shutil.copyfile(source, temporary)
        except (OSError, urllib.error.URLError) as error:
            raise InputError(
                f"{source}: cannot be read ({error}); check the address and the network, or give a local copy"
            ) from error
        if expected:
            check_checksum(temporary, expected, source)
        else:
            logging.warning("%s has no checksum in the configuration; sha256:%s", source, checksum(temporary))


def check_complete(path):
    """Raise InputError when a gzip, bgzip or BAM file is empty or cut short.

    The block-compressed formats (BAM, bgzip) end with a fixed empty block (SAM specification, section 4.1.2),
    other gzip files are read to their end.
    """
    path = Path(path)
    size = path.stat().st_size
    if size == 0:
        raise InputError(f"{path}: the file is empty; copy it again")
    with open(path, "rb") as handle:
        head = handle.read(18)
        if head[:2] != b"\x1f\x8b":
            return
        if len(head) == 18 and head[3] & 4 and head[12:14] == b"BC":
            handle.seek(max(0, size - len(BGZF_END)))
            if handle.read() != BGZF_END:
                raise InputError(f"{path}: the file is cut short ({size} bytes, no end marker); copy it again")
            return
    try:
        with gzip.open(path) as handle:
            while handle.read(1 << 24):
                pass
    except DAMAGE as error:
        raise InputError(f"{path}: the file is cut short or damaged ({error}); copy it again") from error


def write_json(content, path):
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_table(table, path, float_format="%.6g"):
    """Write a data frame as TSV with a header."""
    with atomic(path) as temporary:
        table.to_csv(temporary, sep="\t", index=False, float_format=float_format)


def read_json(path):
    return json.loads(Path(path).read_text())
