"""A web server that breaks off, for tests of downloads."""

import http.server
import re
import threading
from contextlib import contextmanager

import pytest


@contextmanager
def serve(files, ranges=True, cut=None):
    """An HTTP server of `files`; the first answer to each breaks off after `cut` bytes."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            start = int(re.findall(r"\d+", self.headers.get("Range", "bytes=0-"))[0])
            asked.append((self.path, start))
            content = files.get(self.path[1:])
            if content is None:
                self.send_error(404)
                return
            if start and ranges and start >= len(content):
                self.send_error(416)
                return
            partial = ranges and "Range" in self.headers
            content = content[start:] if partial else content
            self.send_response(206 if partial else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            first = sum(path == self.path for path, _ in asked) == 1
            self.wfile.write(content[:cut] if first else content)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("no_proxy", "127.0.0.1")
            yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
