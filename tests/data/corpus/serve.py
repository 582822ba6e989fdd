"""Answers a tap's HTTP requests from a file: serve.py PORT ANSWERS.json [CA_FOLDER].

ANSWERS.json has a list of answers for each `GET host/path` (of a tap that goes through this proxy) or `/path`; the
first one whose `match` is in the query is sent. With HTTPS_PROXY=http://127.0.0.1:PORT a tap that has the address of
its service built in comes here, too, if it trusts CA_FOLDER/ca.pem (REQUESTS_CA_BUNDLE, or the end of its certifi's
cacert.pem). The certificates are made with openssl.
"""

import json
import ssl
import subprocess
import sys
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT, ANSWERS = int(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
FOLDER = Path(sys.argv[3]) if len(sys.argv) > 3 else None
CA = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"]


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=FOLDER)


def authority():
    FOLDER.mkdir(exist_ok=True)
    words = [word for each in CA for word in ("-addext", each)]
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=lab", *words)


def certificate(host):
    if not (FOLDER / f"{host}.pem").exists():
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{host}.key", "-out", "csr", "-subj", f"/CN={host}")
        (FOLDER / "ext").write_text(f"subjectAltName=DNS:{host}\n")
        openssl("x509", "-req", "-in", "csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", f"{host}.pem", "-extfile", "ext")
    return FOLDER / f"{host}.pem", FOLDER / f"{host}.key"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    host = ""

    def do_CONNECT(self):
        host = self.path.split(":")[0]
        self.send_response(200)
        self.end_headers()
        self.wfile.flush()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate(host))
        inner = type("Inner", (Handler,), {"host": host})
        inner(context.wrap_socket(self.connection, server_side=True), self.client_address, self.server)
        self.close_connection = True

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        answers = ANSWERS.get(f"GET {self.host}{url.path}" if self.host else url.path, [])
        found = next((each for each in answers if each.get("match", "") in url.query), None)
        body = (found or {}).get("body", {})
        data = (body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", (found or {}).get("type", "application/json; charset=utf-8"))
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if FOLDER:
    authority()
ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
