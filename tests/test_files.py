"""Files are whole or not there; the log tells a user one line and a developer the traceback."""

import gzip
import hashlib
import http.server
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from cisgrammar.files import (
    BGZF_END,
    atomic,
    check_checksum,
    check_complete,
    checksum,
    fetch,
    open_text,
    read_json,
    write_json,
)
from cisgrammar.log import InputError

SCRIPTS = Path(__file__).parents[1] / "workflow" / "scripts"
# SHA-256 of "abc", from FIPS 180-2, appendix B.1; MD5 of "abc", from RFC 1321, appendix A.5
ABC = {
    "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "md5": "900150983cd24fb0d6963f7d28e17f72",
}


def noise(size=5000):
    """Bytes that compress little, so that a cut or a change hits the data."""
    return np.random.default_rng(1).integers(65, 91, size, dtype=np.uint8).tobytes()


def put(path, content):
    path.write_bytes(content)
    return path


def test_atomic_writes_into_a_new_folder_and_replaces(tmp_path):
    target = tmp_path / "new" / "table.tsv"
    for content in ("first", "second"):
        with atomic(target) as temporary:
            assert temporary.parent == target.parent
            temporary.write_text(content)
        assert target.read_text() == content
    assert list(target.parent.iterdir()) == [target]


def test_atomic_leaves_the_old_file_when_the_block_fails(tmp_path):
    target = put(tmp_path / "table.tsv", b"old")
    with pytest.raises(RuntimeError, match="half way"), atomic(target) as temporary:
        temporary.write_text("ne")
        raise RuntimeError("half way")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_atomic_removes_a_temporary_folder_when_the_block_fails(tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic(tmp_path / "folder") as temporary:
        temporary.mkdir()
        (temporary / "part").write_text("x")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_open_text_reads_plain_and_gzip(tmp_path):
    # two gzip members behind each other, as bgzip writes them
    for name, content in (("a", b"1\n2\n"), ("b", gzip.compress(b"1\n") + gzip.compress(b"2\n"))):
        with open_text(put(tmp_path / name, content)) as handle:
            assert handle.read() == "1\n2\n"


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_checksum_known_answers(tmp_path, kind):
    assert checksum(put(tmp_path / "abc", b"abc"), kind) == ABC[kind]


def test_checksum_of_lines_ignores_order_line_ends_and_compression(tmp_path):
    expected = hashlib.sha256(b"chr1\t1\t2\nchr2\t3\t4").hexdigest()
    a = put(tmp_path / "a.bed", b"chr1\t1\t2\nchr2\t3\t4\n")
    b = put(tmp_path / "b.bed.gz", gzip.compress(b"chr2\t3\t4\r\n\r\nchr1\t1\t2"))
    assert checksum(a, "lines") == checksum(b, "lines") == expected
    assert checksum(put(tmp_path / "c.bed", b"chr1\t1\t2\n"), "lines") != expected


def test_checksum_of_an_unknown_kind(tmp_path):
    with pytest.raises(InputError, match="kind 'crc32' is not known; write md5:"):
        check_checksum(put(tmp_path / "abc", b"abc"), "crc32:00", "abc")


def test_fetch_copies_and_checks(tmp_path):
    source = put(tmp_path / "source", b"abc")
    fetch(source, tmp_path / "in" / "target", "sha256:" + ABC["sha256"].upper())
    assert (tmp_path / "in" / "target").read_bytes() == b"abc"
    assert list((tmp_path / "in").iterdir()) == [tmp_path / "in" / "target"]


def test_fetch_without_checksum_tells_it(tmp_path, caplog):
    fetch(put(tmp_path / "source", b"abc"), tmp_path / "target")
    assert ABC["sha256"] in caplog.text


@pytest.mark.parametrize("old", [b"old", None])
def test_fetch_with_a_wrong_checksum_leaves_the_target(tmp_path, old):
    source = put(tmp_path / "source", b"abd")
    folder = tmp_path / "in"
    folder.mkdir()
    if old:
        put(folder / "target", old)
    with pytest.raises(InputError) as caught:
        fetch(source, folder / "target", f"md5:{ABC['md5']}")
    message = str(caught.value)
    assert message.startswith(f"{source}: checksum is md5:{hashlib.md5(b'abd').hexdigest()}")
    assert ABC["md5"] in message and "fetch it again" in message
    assert [path.read_bytes() for path in folder.iterdir()] == ([old] if old else [])


def test_fetch_of_a_missing_source(tmp_path):
    with pytest.raises(InputError, match=r"absent: cannot be read .*; check the address"):
        fetch(tmp_path / "absent", tmp_path / "target")
    assert list(tmp_path.iterdir()) == []


def test_fetch_of_a_cut_gzip_file_with_a_checksum_of_its_lines(tmp_path):
    source = put(tmp_path / "cut.bed.gz", gzip.compress(noise())[:-400])
    with pytest.raises(InputError, match="cut short"):
        fetch(source, tmp_path / "target", "lines:00")
    assert list(tmp_path.iterdir()) == [source]


@pytest.fixture
def server():
    """Address of a web server: /good holds `abc`, /cut says 100 bytes and sends 3, anything else is not there."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path in ("/good", "/cut") else 404)
            self.send_header("Content-Length", "100" if self.path == "/cut" else "3")
            self.end_headers()
            self.wfile.write(b"abc")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def test_fetch_of_a_url(tmp_path, server, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    fetch(f"{server}/good", tmp_path / "target", f"md5:{ABC['md5']}")
    assert (tmp_path / "target").read_bytes() == b"abc"
    with pytest.raises(InputError, match=r"/absent: cannot be read \(HTTP Error 404"):
        fetch(f"{server}/absent", tmp_path / "other")


def test_fetch_of_a_url_that_is_cut_short(tmp_path, server, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(InputError, match="/cut"):
        fetch(f"{server}/cut", tmp_path / "target")
    assert list(tmp_path.iterdir()) == []


def bgzip(content):
    """A bgzip file of one block (SAM specification, section 4.1) and the end marker."""
    raw = gzip.compress(content, mtime=0)
    extra = b"\x06\x00BC\x02\x00" + (len(raw) + 8 - 1).to_bytes(2, "little")
    return raw[:3] + b"\x04" + raw[4:10] + extra + raw[10:] + BGZF_END


def test_check_complete_of_whole_files(tmp_path):
    for name, content in (
        ("plain", b"chr1\t1\t2\n"),
        ("one_byte", b"\x1f"),
        ("a.gz", gzip.compress(noise())),
        ("no_rows.gz", gzip.compress(b"")),
        ("b.gz", bgzip(noise())),
    ):
        check_complete(put(tmp_path / name, content))
    assert gzip.decompress(bgzip(b"abc")) == b"abc"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(gzip.compress(noise())[:1000], id="in the data"),
        pytest.param(gzip.compress(noise())[:-1], id="last byte"),
        pytest.param(gzip.compress(noise())[:3], id="in the header"),
        pytest.param(bgzip(noise())[:-1], id="bgzip, last byte"),
        pytest.param(bgzip(noise())[: -len(BGZF_END)], id="bgzip, at the end of a block"),
        pytest.param(bgzip(noise())[:20], id="bgzip, in the header"),
    ],
)
def test_check_complete_of_cut_files(tmp_path, content):
    path = put(tmp_path / "reads.bed.gz", content)
    with pytest.raises(InputError, match=r"reads\.bed\.gz: the file is cut short.*copy it again"):
        check_complete(path)


def test_check_complete_of_a_damaged_file(tmp_path):
    content = bytearray(gzip.compress(noise()))
    content[10] = 0xFF  # no such type of block (RFC 1951, section 3.2.3)
    with pytest.raises(InputError, match="cut short or damaged"):
        check_complete(put(tmp_path / "reads.bed.gz", bytes(content)))


def test_check_complete_of_an_empty_file(tmp_path):
    with pytest.raises(InputError, match=r"reads\.bam: the file is empty; copy it again"):
        check_complete(put(tmp_path / "reads.bam", b""))


def test_json_round_trip_refuses_nan(tmp_path):
    path = tmp_path / "model.json"
    write_json({"b": [1, 2.5, None], "a": "x"}, path)
    assert read_json(path) == {"a": "x", "b": [1, 2.5, None]}
    with pytest.raises(ValueError, match="Out of range float"):
        write_json({"a": float("nan")}, path)
    assert read_json(path)["a"] == "x"
    assert list(tmp_path.iterdir()) == [path]


def run_with_log(tmp_path, body):
    """Run a script that starts its log and then `body`; returns (exit status, stderr, text of the log)."""
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(SCRIPTS)!r})\n"
        "import logging, warnings\nfrom cisgrammar.log import InputError, start_log\n"
        f"start_log({str(tmp_path / 'job.log')!r})\n{body}\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.stdout == ""
    return done.returncode, done.stderr, (tmp_path / "job.log").read_text()


def test_log_shows_an_input_error_as_one_line(tmp_path):
    status, shown, log = run_with_log(tmp_path, "raise InputError('peaks.bed, row 3:\\n 100%s wrong;  mend it')")
    assert status == 1
    assert shown == f"Error: peaks.bed, row 3: 100%s wrong; mend it [{tmp_path / 'job.log'}]\n"
    assert log.rstrip("\n").endswith("ERROR peaks.bed, row 3: 100%s wrong; mend it")
    assert "Traceback" not in log


def test_log_keeps_the_traceback_of_other_errors(tmp_path):
    status, shown, log = run_with_log(tmp_path, "def divide():\n    return 1 / 0\n\n\ndivide()")
    assert status == 1
    assert shown == f"Error: ZeroDivisionError: division by zero [traceback in {tmp_path / 'job.log'}]\n"
    assert "Traceback (most recent call last)" in log and "in divide" in log


def test_log_holds_messages_and_warnings_of_this_run_only(tmp_path):
    (tmp_path / "job.log").write_text("of an earlier run")
    status, shown, log = run_with_log(tmp_path, "logging.info('%d peaks', 3)\nwarnings.warn('old option')")
    assert (status, shown) == (0, "")
    assert "INFO 3 peaks" in log and "old option" in log and "earlier" not in log
