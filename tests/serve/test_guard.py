"""Who may ask: names of the host, other sites, and what browsers are told to hold to."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("starlette", reason="attnviz[serve] is not installed")

from served import Service, serve

from attnviz.serve import Settings
from attnviz.serve.guard import own_names


@pytest.mark.parametrize("host", ["localhost", "localhost:8642", "127.0.0.1:1", "[::1]:8642", "LocalHost."])
def test_own_names_are_answered(service: Service, host: str) -> None:
    assert service.client.get("/api/status", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *(
            "evil.example",
            "evil.example:8642",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "evil.example#localhost",
        ),
        *(
            "",
            "evil.example#localhost",
            "192.168.0.9",
            "127.0.0.2",
            "localhost:port",
            "user@localhost.example",
            "[::1",
            '"><script>',
            "0.0.0.0",
        ),
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/status", "/samples/dog.jpg", "/nothing"])
def test_other_names_are_refused(service: Service, host: str, path: str) -> None:
    """As they come when a name of the attacker's leads to this machine (DNS rebinding)."""
    answer = service.client.get(path, headers={"host": host})
    assert answer.status_code == 403
    assert answer.json().keys() == {"error"}
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:3000"},  # another program's page on this machine
        {"origin": "http://localhost.evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://localhost", "sec-fetch-site": "cross-site"},
    ],
)
@pytest.mark.parametrize("path", ["explain", "explore", "draw", "check"])
def test_posts_of_other_sites_are_refused(service: Service, upload: bytes, headers: dict[str, str], path: str) -> None:
    answer = service.post(path, upload, headers)
    assert answer.status_code == 403
    assert answer.json()["error"] == "another site's page may not ask this server"
    assert service.loaded == []  # nothing was done


def test_a_form_of_another_site_is_refused(service: Service, upload: bytes) -> None:
    """Which a browser sends without asking first."""
    answer = service.client.post("/api/explain", files={"photo": upload}, headers={"origin": "https://evil.example"})
    assert answer.status_code == 403


def test_other_sites_may_link_to_the_page_and_to_nothing_else(service: Service) -> None:
    cross = {"sec-fetch-site": "cross-site"}
    assert service.client.get("/", headers=cross).status_code == 200
    assert service.client.get("/api/status", headers=cross).status_code == 403
    assert service.client.get("/samples/dog.jpg", headers=cross).status_code == 403


def test_the_own_page_and_programs_may_ask(service: Service, upload: bytes) -> None:
    own = {"origin": "http://localhost:8642", "host": "localhost:8642", "sec-fetch-site": "same-origin"}
    assert service.post("explain", upload, own).status_code == 200
    assert service.post("explain", upload).status_code == 200


@pytest.mark.parametrize("path", ["/", "/api/status", "/samples/cat.jpg", "/nothing"])
def test_browsers_are_told_what_to_hold_to(service: Service, path: str) -> None:
    headers = service.client.get(path).headers
    assert "set-cookie" not in headers
    assert not [name for name in headers if name.startswith("access-control")]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["form-action"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert "http" not in headers["content-security-policy"]


def test_no_preflight_is_answered(service: Service) -> None:
    asks = {"origin": "http://evil.example", "access-control-request-method": "POST"}
    answer = service.client.options("/api/explain", headers=asks)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("host", "names", "everywhere"),
    [
        ("127.0.0.1", {"127.0.0.1"}, False),
        ("::1", {"::1"}, False),
        ("lab.example", {"lab.example"}, False),
        ("0.0.0.0", {"0.0.0.0"}, True),
        ("::", {"::"}, True),
        ("192.168.1.5", {"192.168.1.5"}, False),
    ],
)
def test_the_names_that_an_address_stands_for(host: str, names: set[str], everywhere: bool) -> None:
    found, any_number = own_names(host)
    assert (names <= set(found), any_number) == (True, everywhere)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *(("192.168.1.5:8642", 200), ("[fe80::1]", 200), ("lab.example", 200)),
        *(("evil.example", 403), ("1.2.3.4.evil.example", 403)),
    ],
)
def test_where_it_listens_everywhere_numbers_are_answered_and_names_are_not(host: str, status: int) -> None:
    """No name of an attacker's is a number."""
    service: Any = serve(Settings(names=("lab.example",), everywhere=True))
    assert service.client.get("/api/status", headers={"host": host}).status_code == status
    service.close()
