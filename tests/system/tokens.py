"""Tokens and key sets for the tests: signed by hand (hmac, and the openssl command), so that the
gateway is checked against something that is not its own."""
import base64
import hashlib
import hmac
import json
import subprocess
import time


def b64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def claims_of(sub, ttl=600, **more):
    return {"sub": sub, "exp": int(time.time()) + ttl, **more}


def unsigned(head, claims):
    return f"{b64(json.dumps(head).encode())}.{b64(json.dumps(claims).encode())}"


def hs256(secret, sub, ttl=600, head=None, **more):
    text = unsigned({"alg": "HS256", **(head or {})}, claims_of(sub, ttl, **more))
    return f"{text}.{b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def openssl(*words, data=None):
    return subprocess.run(["openssl", *map(str, words)], input=data, capture_output=True, check=True,
                          timeout=60).stdout


class Key:
    """An RSA or P-256 key pair in a file; its JWK, and tokens signed with it."""

    def __init__(self, folder, kid, alg, bits=2048):
        self.kid, self.alg, self.path = kid, alg, folder / f"{kid}.pem"
        kind = (["-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}"] if alg == "RS256"
                else ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"])
        openssl("genpkey", *kind, "-out", self.path)

    def jwk(self):
        der = openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")
        head = {"kid": self.kid, "alg": self.alg, "use": "sig"}
        if self.alg == "ES256":
            return {**head, "kty": "EC", "crv": "P-256", "x": b64(der[-64:-32]), "y": b64(der[-32:])}
        text = openssl("rsa", "-in", self.path, "-modulus", "-noout").decode()
        return {**head, "kty": "RSA", "n": b64(bytes.fromhex(text.strip().split("=")[1])), "e": "AQAB"}

    def token(self, sub, ttl=600, **more):
        text = unsigned({"alg": self.alg, "kid": self.kid}, claims_of(sub, ttl, **more))
        signature = openssl("dgst", "-sha256", "-sign", self.path, data=text.encode())
        if self.alg == "ES256":
            signature = raw_of_der(signature)
        return f"{text}.{b64(signature)}"


def raw_of_der(der):
    """SEQUENCE of two INTEGERs to r || s."""
    at, out = 2, b""
    for _ in range(2):
        n = der[at + 1]
        out += der[at + 2:at + 2 + n].lstrip(b"\0").rjust(32, b"\0")
        at += 2 + n
    return out


def jwks(*keys):
    return json.dumps({"keys": [k.jwk() for k in keys]})
