"""A small provider of OpenID Connect on the loopback: discovery, authorisation, tokens it signs, keys and userinfo."""

import base64
import hashlib
import json
import secrets
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT_ID, CLIENT_SECRET = "aegir", "a-secret-of-two"
_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
_STRANGERS_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Provider:
    """Whoever comes is `person`; what it gets wrong on purpose is in `faults`."""

    def __init__(self):
        self.person = {"sub": "42", "email": "hal@riverbank.example", "email_verified": True}
        self.faults = set()
        self.codes, self.tokens = {}, {}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"provider": self}))
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"

    def discovery(self):
        paths = {"authorization_endpoint": "authorize", "token_endpoint": "token", "userinfo_endpoint": "userinfo"}
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            **{name: f"{self.issuer}/{path}" for name, path in paths.items()},
        }

    def authorize(self, query):
        """Where the browser is sent back to; nobody is asked."""
        assert query["client_id"] == CLIENT_ID
        assert query["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe()
        self.codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def token(self, form):
        asked = self.codes.pop(form["code"])
        assert form["client_secret"] == CLIENT_SECRET
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == asked["code_challenge"]
        access = secrets.token_urlsafe()
        self.tokens[access] = self.person
        now = int(time.time())
        told = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 60, **self.person}
        if "for somebody else" in self.faults:
            told["aud"] = "another site"
        if "over" in self.faults:
            told["exp"] = now - 60
        key = _STRANGERS_KEY if "forged" in self.faults else _KEY
        signed = jwt.encode(told, key, "RS256", headers={"kid": "one"})
        if "unsigned" in self.faults:
            signed = jwt.encode(told, None, "none", headers={"kid": "one"})
        return {"access_token": access, "token_type": "Bearer", "expires_in": 60, "id_token": signed}

    def keys(self):
        key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(_KEY.public_key()))
        return {"keys": [{**key, "kid": "one", "alg": "RS256", "use": "sig"}]}

    def userinfo(self, access):
        return {**self.tokens[access], **({"sub": "43"} if "two people" in self.faults else {})}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if "away" in self.provider.faults:
            self.send_error(500)
        elif url.path == "/authorize":
            self.send_response(302)
            self.send_header("Location", self.provider.authorize(query))
            self.end_headers()
        elif url.path == "/userinfo":
            self._say(self.provider.userinfo(self.headers["Authorization"].removeprefix("Bearer ")))
        else:
            self._say({"/keys": self.provider.keys}.get(url.path, self.provider.discovery)())

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self._say(self.provider.token({name: values[0] for name, values in form.items()}))

    def _say(self, what):
        body = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@contextmanager
def running():
    provider = Provider()
    thread = threading.Thread(target=provider.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        provider.server.shutdown()
        provider.server.server_close()
        thread.join()
