"""Other servers and clients than nginx and curl: what they say is told, and tshark finds nothing that hark has missed."""

import json
import sys

import pytest

import servers
from conformance import missed
from world import PROGRAMS, program


@pytest.fixture(scope="module", autouse=True)
def others(world):
    for start in servers.ALL:
        start(world)


TALKS = {
    "apache h2": ("curl -s --compressed --cacert $CA https://site.test:7070/page.html https://site.test:7070/item.json", [
        "GET https://site.test:7070/page.html 200 h2 curl", "GET https://site.test:7070/item.json 200 h2 curl"]),
    "apache h1": ("curl -s --http1.1 --cacert $CA https://site.test:7070/item.json https://site.test:7070/none", [
        "GET https://site.test:7070/item.json 200 http/1.1 curl", "GET https://site.test:7070/none 404 http/1.1 curl"]),
    "haproxy h2": ("curl -s --cacert $CA https://site.test:7071/hello -d a=b", ["POST https://site.test:7071/hello 200 h2 curl"]),
    "PROXY protocol": ("curl -s --haproxy-protocol http://192.0.2.10:7072/", ["GET http://192.0.2.10:7072/ 200 http/1.1 curl"]),
    "SOCKS5": ("curl -s --socks5 192.0.2.10:7074 --cacert $CA https://site.test:8443/hello", ["GET https://site.test:8443/hello 200 h2 curl"]),
    "SOCKS5 by name": ("curl -s --socks5-hostname 192.0.2.10:7074 http://far.test:8080/hello", ["GET http://far.test:8080/hello 200 http/1.1 curl"]),
    "SOCKS4a": ("curl -s --socks4a 192.0.2.10:7074 http://far.test:8080/hello", ["GET http://far.test:8080/hello 200 http/1.1 curl"]),
    "multipart and ranges": ("curl -s --cacert $CA -F a=one -F 'f=@/etc/hostname;type=text/x' https://site.test:7073/; curl -s -r 0-3,5-6 http://192.0.2.10:8080/item.json", [
        "POST https://site.test:7073/ 200 h2 curl", "GET http://192.0.2.10:8080/item.json 206 http/1.1 curl"]),
    "Go to Go, HTTP/2": (f"{servers.GO} get https://192.0.2.10:7076/a https://192.0.2.10:7076/b https://192.0.2.10:7076/large", [
        "GET https://192.0.2.10:7076/a 200 h2 talk", "POST https://192.0.2.10:7076/b 200 h2 talk", "GET https://192.0.2.10:7076/large 200 h2 talk"]),
    "quic-go, HTTP/3": (f"{servers.GO} get3 https://192.0.2.10:7076/a https://192.0.2.10:7076/b https://192.0.2.10:7076/large", [
        "GET https://192.0.2.10:7076/a 200 h3 talk", "POST https://192.0.2.10:7076/b 200 h3 talk", "GET https://192.0.2.10:7076/large 200 h3 talk"]),
    "Java": (f"java -XX:-UsePerfData {PROGRAMS}/Client.java http://192.0.2.10:8080/hello http://192.0.2.10:8080/none", [
        "GET http://192.0.2.10:8080/hello 200 http/1.1 java", "GET http://192.0.2.10:8080/none 404 http/1.1 java"]),
}  # fmt: skip


@pytest.mark.parametrize("name", TALKS)
def test_told_and_nothing_missed(world, name: str) -> None:
    script, told = TALKS[name]
    run = world.run("hark", "-o", "other.pcapng", "-o", "other.jsonl", "sh", "-c", script, timeout=60)
    assert run.status == 0, run.err
    entries = [json.loads(line) for line in (world.dir / "home" / "other.jsonl").read_text().splitlines()]
    heard = [
        f"{e['request']['method']} {e['request']['url']} {e['response']['status']} {e['_protocol']} {e['_process']['name']}"
        for e in entries
    ]
    assert heard == told, run.err
    assert not any("_trouble" in entry for entry in entries)
    assert missed(world.dir / "home" / "other.pcapng", entries) == {}


def test_what_is_in_them(world) -> None:
    """Trailers, form fields, the ends that a proxy speaks for."""
    run = world.hark(
        "sh",
        "-c",
        f"curl -s --haproxy-protocol http://192.0.2.10:7072/; {servers.GO} get https://192.0.2.10:7076/a; curl -s --cacert $CA -F a=one https://site.test:7073/",
    )
    proxied, go, form = run.entries
    assert (
        proxied["_proxied"]["serverPort"] == 7072
        and proxied["_proxied"]["client"] in proxied["response"]["content"]["text"]
    )
    assert go["response"]["_trailers"] == [{"name": "checksum", "value": "0"}]
    assert form["request"]["postData"]["params"] == [{"name": "a", "value": "one"}]


@pytest.mark.parametrize("how", ["doh", "dot", "tcp"])
def test_look_ups_by_other_ways_lead_to_their_connections(world, how: str) -> None:
    """DNS over HTTPS, TLS and TCP: the exchange that follows has the look-up's time."""
    ask = {
        "doh": "curl -s --doh-url https://192.0.2.10:7073/dns-query --doh-insecure http://over-https.test:8080/hello",
        "dot": "kdig +tls @192.0.2.10 -p 7075 +short over-tls.test A && curl -s http://192.0.2.10:8080/hello",
        "tcp": "kdig +tcp @127.0.0.53 +short site.test A && curl -s http://192.0.2.10:8080/hello",
    }[how]
    run = world.run("hark", "-o", "names.pcapng", "-o", "names.jsonl", "sh", "-c", ask)
    assert run.out.endswith(b"hello\n"), run.err
    entries = [json.loads(line) for line in (world.dir / "home" / "names.jsonl").read_text().splitlines()]
    hello = entries[-1]
    assert hello["request"]["url"].endswith(":8080/hello") and hello["timings"]["dns"] > 0, run.err
    again = world.run("hark", "read", "--json", "names.pcapng")
    assert again.out.decode() == (world.dir / "home" / "names.jsonl").read_text()


def test_events_over_http2(world) -> None:
    run = world.hark("curl", "-sN", "--cacert", str(world.dir / "cert.pem"), "https://site.test:7073/events")
    assert [event["data"] for event in run.entries[0]["_events"]] == ["number 0", "number 1", "number 2"]


def test_tls_inside_tls(world) -> None:
    """A CONNECT through a proxy that is spoken to by TLS itself, then TLS to the host."""
    proxy = program("tls_proxy.py")
    world.start([sys.executable, "-c", proxy, str(world.dir / "cert.pem"), str(world.dir / "key.pem")])
    world.wait_for("192.0.2.10", 7077)
    run = world.sh(
        "curl -s --proxy https://site.test:7077 --proxy-cacert $CA --cacert $CA https://site.test:8443/hello"
    )
    assert run.told == ["CONNECT site.test:8443 200 http/1.1 curl", "GET https://site.test:8443/hello 200 h2 curl"], (
        run.err
    )
