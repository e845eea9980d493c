"""A reader of server-sent events on a raw socket: what came, when, and the connection as it is."""
import json
import socket
import time

import yaml

from harness import ROOT, wait_for

MESSAGES = yaml.safe_load((ROOT / "proto/asyncapi.yaml").read_text())["components"]["messages"]


class Refused(AssertionError):
    """The answer is no stream."""


class Event:
    def __init__(self, id, name, data, at):
        self.id, self.name, self.data, self.at = id, name, data, at

    def check(self):
        """It has the members that proto/asyncapi.yaml, and so docs/events.md, tells."""
        payload = MESSAGES[self.name]["payload"]
        assert set(self.data) == set(payload.get("required", ())), self
        assert self.data.get("state") in payload.get("properties", {}).get("state", {"enum": [None]})["enum"], self
        return self

    def __repr__(self):
        return f"{self.name} {self.id} {json.dumps(self.data)[:200]}"


class Stream:
    """One open stream. Read it with next(), until() or all(); closed by the server: StopIteration."""

    def __init__(self, address, path, last=None, token=None, timeout=20, headers=()):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=timeout)
        lines = [f"GET {path} HTTP/1.1", f"Host: {address}", *headers]
        if last is not None:
            lines.append(f"Last-Event-ID: {last}")
        if token:
            lines.append(f"Authorization: Bearer {token}")
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.left, self.events, self.last, self.comments, self.retry = b"", [], None, 0, None
        head = self.read_until(b"\r\n\r\n").decode()
        self.status = int(head.split()[1])
        self.head = {k.lower(): v for k, v in (x.split(": ", 1) for x in head.split("\r\n")[1:] if x)}
        if self.status != 200:
            length = int(self.head["content-length"])
            while len(self.left) < length:
                self.left += self.more()
            self.problem = json.loads(self.left)
            self.close()

    def more(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise StopIteration
        return data

    def read_until(self, mark):
        while mark not in self.left:
            self.left += self.more()
        part, self.left = self.left.split(mark, 1)
        return part

    def next(self):
        """The next event; comments and fields alone are passed over."""
        assert self.status == 200, Refused(f"{self.status} {self.problem}")
        while True:
            name, data = "message", []
            for line in self.read_until(b"\n\n").decode().split("\n"):
                field, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if not field:
                    self.comments += 1
                elif field == "id":
                    self.last = value
                elif field == "event":
                    name = value
                elif field == "data":
                    data.append(value)
                elif field == "retry":
                    self.retry = int(value)
                else:
                    raise AssertionError(f"not a line of an event: {line!r}")
            if data:
                self.events.append(Event(int(self.last), name, json.loads("\n".join(data)), time.monotonic()))
                return self.events[-1].check()

    def until(self, name):
        """The events up to the first with this name."""
        seen = []
        while not seen or seen[-1].name != name:
            seen.append(self.next())
        return seen

    def all(self):
        """What comes until the server ends the stream."""
        seen = []
        try:
            while True:
                seen.append(self.next())
        except StopIteration:
            return seen

    def close(self):
        self.socket.close()


def events_of(site, id, **kw):
    return Stream(kw.pop("address", None) or site.address, f"/v1/jobs/{id}/events", **kw)


def names(events):
    return [e.name for e in events]


def check_series(events):
    """Numbers of calls grow, none twice; `done` is the last and behind all."""
    numbers = [e.id for e in events if e.name == "call"]
    assert numbers == sorted(set(numbers)), events
    assert names(events).count("done") == 1 and events[-1].name == "done", events
    assert not numbers or events[-1].id > numbers[-1], events


def wait_open(gateway, n):
    wait_for(f"{n} streams are open", lambda: gateway.metric("offpath_streams") == n)
