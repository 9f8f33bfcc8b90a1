import json, sys
from websockets.sync.client import connect


def until(link, test):
    while not test(told := json.loads(link.recv(timeout=5))):
        pass
    return told


def is_page(told):
    return told.get("method") == "Network.responseReceived" and "page.html" in told["params"]["response"]["url"]


with connect(sys.argv[1], max_size=None) as one, connect(sys.argv[1], max_size=None) as two:
    for link in (one, two):
        link.send(json.dumps({"id": 1, "method": "Network.enable"}))
    first, second = (until(link, is_page)["params"]["requestId"] for link in (two, one))
    assert first == second
    for link in (one, two):
        link.send(
            json.dumps(
                {
                    "id": 2,
                    "method": "Network.searchInResponseBody",
                    "params": {"requestId": first, "query": "HARK</p><p>"},
                }
            )
        )
    found = [until(link, lambda told: told.get("id") == 2)["result"]["result"] for link in (one, two)]
    assert found[0] == found[1]
    one.send("no command")
    two.send(json.dumps({"id": 3, "method": "Network.getResponseBody", "params": {"requestId": "none"}}))
    assert until(two, lambda told: told.get("id") == 3)["error"]["code"] == -32000
print(json.dumps(found[0]))
