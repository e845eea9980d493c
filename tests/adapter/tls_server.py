"""tls_server.py FOLDER - an upstream with TLS for test_http_tls.c. Makes certificates in FOLDER (ca.pem,
server.*, client.*, other.pem) and serves on three ports, which it prints: one that offers HTTP/2 and HTTP/1.1, one
with HTTP/1.1 alone, one that wants a client certificate. It speaks HTTP/1.1; each answer is `NEGOTIATED CONNECTION
CLIENT`. Ends when its standard input does."""
import contextlib
import pathlib
import socket
import ssl
import subprocess
import sys
import threading

FOLDER = pathlib.Path(sys.argv[1])


def openssl(*words):
    subprocess.run(["openssl", *words], cwd=FOLDER, check=True, capture_output=True)


def make_ca(name):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
            f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")


def make_certificate(name, more):
    (FOLDER / f"{name}.ext").write_text(more)
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-keyout", f"{name}.key", "-out", f"{name}.csr")
    openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days",
            "2", "-extfile", f"{name}.ext", "-out", f"{name}.pem")


def serve_h1(c, text):
    got = b""
    while True:
        while b"\r\n\r\n" not in got:
            part = c.recv(4096)
            if not part:
                return
            got += part
        got = got.split(b"\r\n\r\n", 1)[1]
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)


def let_read(c):
    """Ends without a reset, which would take the alert back."""
    with socket.socket(fileno=c.detach()) as raw:
        raw.settimeout(5)
        raw.shutdown(socket.SHUT_WR)
        while raw.recv(4096):
            pass


def serve_one(raw, context, number):
    c = context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
    try:
        c.do_handshake()
    except ssl.SSLError:
        let_read(c)
        return
    with c:
        names = dict(x[0] for x in (c.getpeercert() or {}).get("subject", ()))
        text = f"{c.selected_alpn_protocol()} {number} {names.get('commonName', '-')}".encode()
        with contextlib.suppress(OSError):
            serve_h1(c, text)


def serve(listener, context):
    number = 0
    while True:
        raw, _ = listener.accept()
        number += 1
        threading.Thread(target=serve_one, args=(raw, context, number), daemon=True).start()


def listen(alpn, client=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(FOLDER / "server.pem", FOLDER / "server.key")
    context.set_alpn_protocols(alpn)
    if client:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(FOLDER / "ca.pem")
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener, context), daemon=True).start()
    return listener.getsockname()[1]


make_ca("ca")
make_ca("other")
make_certificate("server", "subjectAltName=IP:127.0.0.1\n")
make_certificate("client", "extendedKeyUsage=clientAuth\n")
print(listen(["h2", "http/1.1"]), listen(["http/1.1"]), listen(["http/1.1"], client=True), flush=True)
sys.stdin.read()
