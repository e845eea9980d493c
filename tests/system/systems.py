"""The five systems of deploy/ as they ship: eight flows, one database and one account per service. Only
names are a site's own: topics, groups and databases bear its mark."""
import json
import re

import tokens
from harness import ROOT, Site, request, wait_for

SERVICES = ("resume", "builder", "auth", "member", "batch")
SERVICE = re.compile(rf"\b({'|'.join(SERVICES)})(?=\.\w|\s+CHARACTER SET)")
ISSUER = "https://id.example"
SECRET = b"a secret of the tests, 32 bytes."


class Systems(Site):
    def __init__(self, *words, change=None, env=None, **kw):
        """change: {flow: {old text: new text}}."""
        self.change = change or {}
        super().__init__(*words, **kw)
        jwt = self.folder / "secrets/jwt"
        jwt.write_bytes(SECRET)
        self.env.update({"OFFPATH_JWT_HS256_FILE": str(jwt), "OFFPATH_JWT_ISSUER": ISSUER,
                         "OFFPATH_JWT_AUDIENCE": "offpath", "MYSQL_PORT": self.env["OFFPATH_MYSQL"].split(":")[3].split("/")[0],
                         **(env or {})})
        with self.closed_if_it_fails():
            self.make_databases()

    def own(self, name):
        return f"{name}-{self.mark}"

    def write_flows(self, edit, extra):
        super().write_flows(edit, extra)
        for path in sorted((ROOT / "deploy/flows").glob("*.yaml")):
            if ".test." in path.name or path.name == "price-compare.yaml":
                continue
            text = path.read_text()
            for old, new in self.change.get(path.stem, {}).items():
                assert old in text, f"{path.name} holds no {old!r}"
                text = text.replace(old, new)
            text = re.sub(r"(?m)^( +(?:name|group|topic): )([a-z0-9.-]+)$", rf"\1\2-{self.mark}", text)
            (self.folder / "flows" / path.name).write_text(text)
        path = self.folder / "upstreams.yaml"
        path.write_text(re.sub(rf"\b(name|user): ({'|'.join(SERVICES)})\b", rf"\1: \2_{self.mark}", path.read_text()))

    def make_databases(self):
        tables = (ROOT / "deploy/sql/systems.sql").read_text()
        self.stack.sql(SERVICE.sub(rf"\1_{self.mark}", tables))
        for s in SERVICES:
            name, password = f"{s}_{self.mark}", (self.folder / f"secrets/mysql_{s}").read_text()
            self.stack.sql(f"CREATE USER '{name}'@'127.0.0.1' IDENTIFIED BY '{password}';"
                           f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name}.* TO '{name}'@'127.0.0.1'")

    def rows(self, service, text):
        return self.stack.sql(text, f"{service}_{self.mark}")

    def close(self):
        reports = super().close()
        for s in SERVICES:
            self.stack.sql(f"DROP DATABASE IF EXISTS {s}_{self.mark};"
                           f"DROP USER IF EXISTS '{s}_{self.mark}'@'127.0.0.1'")
        return reports

    def quiet(self):
        """The stand-in as at the start: nothing scripted, nothing logged."""
        self.standin.mend()
        self.standin.call("DELETE", "/_log")
        return self

    # requests

    def headers(self, user):
        if user is None:
            return {}
        return {"Authorization": f"Bearer {tokens.hs256(SECRET, user, iss=ISSUER, aud='offpath')}"}

    def start(self, flow, body, user=None, **headers):
        return request(self.address, "POST", f"/v1/flows/{flow}/jobs", json.dumps(body),
                       {"Content-Type": "application/json", **self.headers(user), **headers}, 30)

    def started(self, flow, body, user=None):
        a = self.start(flow, body, user)
        assert a.status == 202, a
        return a.json()["id"]

    def look(self, id, user=None):
        a = request(self.address, "GET", f"/v1/jobs/{id}", headers=self.headers(user))
        assert a.status == 200, a
        return a.json()

    def ended(self, id, user=None, timeout=60):
        return wait_for(f"job {id} is over", lambda: (
            job := self.look(id, user)) and job["state"] not in ("queued", "running") and job, timeout)

    def run_flow(self, flow, body, user=None):
        """Started, and over: the job."""
        return self.ended(self.started(flow, body, user), user)

    def mine(self, user, **query):
        q = "&".join(f"{k}={v}" for k, v in query.items())
        a = request(self.address, "GET", f"/v1/jobs?{q}", headers=self.headers(user))
        assert a.status == 200, a
        return a.json()["items"]
