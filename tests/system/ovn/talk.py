# SPDX-License-Identifier: GPL-2.0
"""talk.py NAME PORT...: a TCP server that tells each client how it saw it: who asked, how much came, its checksum."""

import hashlib
import socketserver
import sys
import threading


class Answer(socketserver.BaseRequestHandler):
    def handle(self):
        total, sha = 0, hashlib.sha256()
        while data := self.request.recv(1 << 16):
            total += len(data)
            sha.update(data)
        said = "%s here, you are %s" % (sys.argv[1], self.client_address[0])
        if total:
            said += " and sent %d bytes, sha256 %s" % (total, sha.hexdigest())
        self.request.sendall(said.encode() + b"\n")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 32


for port in sys.argv[2:]:
    threading.Thread(target=Server(("", int(port)), Answer).serve_forever).start()
