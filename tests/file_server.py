"""A web server that breaks off and lies, for tests of downloads."""

import http.server
import re
import threading
from contextlib import contextmanager

import pytest


@contextmanager
def serve(files, ranges=True, cut=None, answer=None):
    """An HTTP server of `files`; the first answer to each breaks off after `cut` bytes.

    `answer(handler, count)` may answer the request of that number itself, and says so by True.
    """
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            start = int(re.findall(r"\d+", self.headers.get("Range", "bytes=0-"))[0])
            asked.append((self.path, start))
            if answer and answer(self, len(asked)):
                return
            content = files.get(self.path[1:])
            if content is None:
                self.send_error(404)
                return
            whole = len(content)
            if start and ranges and start >= whole:
                self.reply(416, b"", {"Content-Range": f"bytes */{whole}"})
                return
            partial = ranges and "Range" in self.headers
            content = content[start:] if partial else content
            stated = {"Content-Range": f"bytes {start}-{whole - 1}/{whole}"} if partial else {}
            stated["Content-Length"] = str(len(content))
            first = sum(path == self.path for path, _ in asked) == 1
            self.reply(206 if partial else 200, content[:cut] if first else content, stated)

        def reply(self, status, content, headers):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("no_proxy", "127.0.0.1")
            yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
