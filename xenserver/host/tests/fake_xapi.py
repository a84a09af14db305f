#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""fake_xapi.py SOCKET STATE LOG: as much of xapi as the tools ask for, over its Unix socket, with Python's own XML-RPC.

STATE is a JSON file, read anew for every call: {"CLASS": {"REF": {record}}, "old": BOOL, "sessions": BOOL}. "old": a host
before 6.2, whose login takes two arguments and which knows no tunnels. "sessions" false: no session is valid. "refuse": methods that fail. Each call is
a line of LOG: the method and its arguments but the session, as JSON.
"""

import json
import os
import re
import socketserver
import sys
import xmlrpc.client
from http.server import BaseHTTPRequestHandler

SOCKET, STATE, LOG = sys.argv[1:]


class Failure(Exception):
    pass


def answer(method, params):
    with open(STATE, encoding="utf-8") as file:
        state = json.load(file)
    if method == "session.login_with_password":
        if state.get("old") and len(params) != 2:
            raise Failure("MESSAGE_PARAMETER_COUNT_MISMATCH", method, "2", str(len(params)))
        return "OpaqueRef:session"
    session, params = params[0], params[1:]
    if session not in ("OpaqueRef:session", "OpaqueRef:given") or state.get("sessions") is False:
        raise Failure("SESSION_INVALID", session)
    if method == "session.logout":
        return ""
    if method in state.get("refuse", []):
        raise Failure("INTERNAL_ERROR", method)
    name, verb = method.split(".")
    if name not in state or (name == "tunnel" and state.get("old")):
        raise Failure("MESSAGE_METHOD_UNKNOWN", method)
    records = state[name]
    if verb == "get_all_records":
        return records
    if verb == "get_all_records_where":
        field, value = re.fullmatch(r'field "(\w+)"="([^"]*)"', params[0]).groups()
        return {ref: r for ref, r in records.items() if r[field] == value}
    if verb == "get_by_uuid":
        for ref, record in records.items():
            if record["uuid"] == params[0]:
                return ref
        raise Failure("UUID_INVALID", name, params[0])
    if verb == "get_record":
        if params[0] not in records:
            raise Failure("HANDLE_INVALID", name, params[0])
        return records[params[0]]
    raise Failure("MESSAGE_METHOD_UNKNOWN", method)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        params, method = xmlrpc.client.loads(body)
        with open(LOG, "a", encoding="utf-8") as log:
            log.write(method + " " + json.dumps(params if "login" in method else params[1:]) + "\n")
        try:
            envelope = {"Status": "Success", "Value": answer(method, params)}
        except Failure as failure:
            envelope = {"Status": "Failure", "ErrorDescription": list(failure.args)}
        text = xmlrpc.client.dumps((envelope,), methodresponse=True).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Connection", "close")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
        self.close_connection = True

    def log_message(self, *_args):
        pass

    def address_string(self):
        return "unix"


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


if os.path.exists(SOCKET):
    os.unlink(SOCKET)
Server(SOCKET, Handler).serve_forever()
