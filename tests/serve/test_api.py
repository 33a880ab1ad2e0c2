"""The interface for programs: right answers, described as they are, and one line for whatever is wrong."""

from __future__ import annotations

import io
import json
import os
import struct
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image
from served import MODES, Echo, Service, jpeg, serve

import attnviz
from attnviz.captioner import Captioner
from attnviz.network import Asked, describe_rows
from attnviz.photo.image import load
from attnviz.serve import Settings, openapi

DOCUMENT = openapi.document()


def described(name: str, answer: Any) -> dict[str, Any]:
    """The answer, once it is what the document says."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(schema).validate(answer.json())
    found: dict[str, Any] = answer.json()
    return found


def error_of(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    told = str(described("Error", answer)["error"])
    assert "\n" not in told
    return told


def png_of(height: int, width: int) -> bytes:
    """A PNG that says how large it is, and holds no pixel of it."""

    def chunk(kind: bytes, upload: bytes) -> bytes:
        return struct.pack(">I", len(upload)) + kind + upload + struct.pack(">I", zlib.crc32(kind + upload))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def expected(upload: bytes, mode: str = "concat", **asked: Any) -> attnviz.Trace:
    (trace,) = attnviz.explain(Captioner.tiny(mode), [upload], **asked)
    return trace


@pytest.mark.parametrize("asked", [{}, {"text": "a dog on grass"}, {"beam": 1}, {"hard": "sample", "seed": 3}])
@pytest.mark.parametrize("mode", MODES)
def test_the_trace_is_that_of_explain(service: Service, upload: bytes, mode: str, asked: dict[str, Any]) -> None:
    for _ in range(2):  # the second time what is kept is used
        found = described("Trace", service.post("explain", upload, mode=mode, **asked))
        own = expected(upload, mode, **asked)
        assert tuple(found["tokens"]) == own.tokens
        assert np.array_equal(np.array(found["weights"], np.float32), own.weights)
        assert np.array_equal(np.array(found["logprobs"], np.float32), np.asarray(own.logprobs))
        assert np.array_equal(np.array(found["scores"], np.float32), np.asarray(own.scores))
        assert found["settings"] == dict(own.settings)
        assert found["image"]["sha256"] == (own.image and own.image.sha256)


@pytest.mark.parametrize(
    "accept", ["application/x-npz", "application/octet-stream;q=0.9, text/html", "application/zip"]
)
def test_as_a_trace_file(service: Service, upload: bytes, tmp_path: Path, accept: str) -> None:
    answer = service.post("explain", upload, {"accept": accept}, name="park.png")
    assert answer.headers["content-type"] == "application/x-npz"
    (tmp_path / "t.npz").write_bytes(answer.content)
    trace, own = attnviz.Trace.load(tmp_path / "t.npz"), expected(upload)
    assert np.array_equal(trace.weights, own.weights)
    assert (trace.tokens, trace.image and trace.image.name) == (own.tokens, "park.png")
    again = service.post("explain", photo=answer.headers["attnviz-photo"])
    assert again.json()["caption"] == own.caption


def test_a_form_is_as_good_as_a_body(service: Service, upload: bytes) -> None:
    plain = service.post("explain", upload, text="a dog", mode="dot", name="p.png").json()
    form = service.client.post("/api/explain?mode=dot", files={"photo": ("p.png", upload)}, data={"text": "a dog"})
    assert form.json() == plain


def test_a_photo_is_looked_at_once(service: Service, upload: bytes) -> None:
    """Whatever is asked about it, and by whichever networks that see alike."""
    key = service.post("explain", upload).json()["photo"]
    assert service.seen == [1]
    for text in ("a dog", "grass", "a cat runs"):
        found = service.post("explain", photo=key, text=text).json()
        assert np.array_equal(np.array(found["weights"], np.float32), expected(upload, text=text).weights)
    assert service.post("explain", upload, text="on").status_code == 200  # the same bytes are the same photo
    assert service.seen == [1]
    service.post("explain", photo=key, model="other")
    assert service.seen == [1, 1]  # of other weights
    found = service.post("explain", photo=key, mode="general", text="a dog").json()
    assert np.array_equal(np.array(found["weights"], np.float32), expected(upload, "general", text="a dog").weights)


def test_networks_side_by_side_read_the_words_of_the_first(service: Service, upload: bytes) -> None:
    answer = service.post("explore", upload, network=["tiny:dot", "tiny", "other"])
    rows = described("Explorer", answer)["explorer"]["rows"]
    assert [row["mode"] for row in rows] == ["dot", "concat", "concat"]
    first = expected(upload, "dot")
    assert answer.json()["caption"] == first.caption
    from attnviz.render import DrawOptions
    from attnviz.render.pictures import Pictures
    from attnviz.render.writers.html import contents

    others = [
        expected(upload, text=first.caption),
        *attnviz.explain(Captioner.tiny(seed=1), [upload], text=first.caption),
    ]
    own = contents(Pictures(first, load(upload, name="photo"), DrawOptions(), others))
    assert answer.json()["explorer"]["rows"] == own["rows"]
    assert service.loaded == [("first", "dot"), ("first", "concat"), ("second", None)]


@pytest.mark.parametrize(
    ("kind", "ending", "start"),
    [
        ("gif", "attention.gif", b"GIF89a"),
        ("overview", "overview.png", b"\x89PNG"),
        ("pdf", "attention.pdf", b"%PDF"),
        ("svg", "attention.svg", b"<?xml"),
        ("html", "attention.html", b"<!DOCTYPE html>"),
        ("npz", "trace.npz", b"PK"),
        ("boxes", "boxes.json", b"{"),
    ],
)
def test_files_are_those_of_render(service: Service, upload: bytes, kind: str, ending: str, start: bytes) -> None:
    answer = service.post("draw", upload, name="Grün & blau.png", format=kind, scale="linear", text="a dog")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].endswith(f"filename*=UTF-8''Gr%C3%BCn-blau-{ending}")
    assert answer.content.startswith(start)
    if kind != "npz":
        out, photo = io.BytesIO(), load(upload, name="Grün & blau.png")
        (trace,) = attnviz.explain(Captioner.tiny(), [photo], text="a dog")
        from attnviz.render import write

        write(trace, photo, out, format=kind, scale="linear")
        assert answer.content == out.getvalue()


def test_evidence_on_demand_and_its_report(service: Service, upload: bytes) -> None:
    told = error_of(service.post("draw", upload, format="evidence-html", text="a dog"), 422)
    assert "/api/check" in told
    key = service.post("explain", upload).json()["photo"]
    found = described("Evidence", service.post("check", photo=key, text="a dog", parts=2, draws=1, remove="mean"))
    assert [word["token"] for word in found["words"]] == ["a", "dog"]
    from attnviz.evidence import Settings as EvidenceSettings, check

    own = check(Captioner.tiny(), load(upload, name="photo"), Asked("a dog"), EvidenceSettings("mean", 2, 1)).to_dict()
    assert json.loads(json.dumps(own))["words"] == found["words"]
    for kind, start in (("html", b"<!DOCTYPE"), ("pdf", b"%PDF"), ("json", b"{")):
        report = service.post("draw", photo=key, format=f"evidence-{kind}", text="a dog")
        assert report.content.startswith(start)
        assert f"-evidence.{kind}" in report.headers["content-disposition"]
    (row,) = service.post("explore", photo=key, text="a dog").json()["explorer"]["rows"]
    assert [kind for kind, _ in row["verdicts"]] == [word["verdict"]["kind"] for word in found["words"]]
    (row,) = service.post("explore", photo=key, text="a cat").json()["explorer"]["rows"]
    assert row["verdicts"] is None


def test_line_by_line(service: Service, upload: bytes) -> None:
    for path, schema, more in (("explore", "Explorer", {}), ("check", "Evidence", {"parts": 2, "draws": 1})):
        answer = service.post(path, upload, {"accept": "application/x-ndjson"}, text="a dog", **more)
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        lines = [json.loads(line) for line in answer.text.splitlines()]
        checker = jsonschema.Draft202012Validator(
            {"$ref": "#/components/schemas/Progress", "components": DOCUMENT["components"]}
        )
        for line in lines:
            checker.validate(line)
        assert [line["state"] for line in lines[-1:]] == ["done"]
        result = {"$ref": f"#/components/schemas/{schema}", "components": DOCUMENT["components"]}
        jsonschema.Draft202012Validator(result).validate(lines[-1]["result"])
    answer = service.post("explore", b"no photo", {"accept": "application/x-ndjson"})
    last = json.loads(answer.text.splitlines()[-1])
    assert (last["state"], last["status"]) == ("failed", 415)
    assert "is not an image" in last["error"]


def test_how_things_stand(service: Service, upload: bytes) -> None:
    before = described("Status", service.client.get("/api/status"))
    assert (before["ready"], before["model"], before["mode"]) == (False, "tiny", "concat")
    assert before["models"][0] == {"name": "tiny", "modes": list(MODES), "layers": None, "prompt": None}
    service.post("explain", upload)
    assert service.client.get("/api/status").json()["ready"] is True


def test_the_document_is_sound_and_names_what_there_is(service: Service) -> None:
    assert service.client.get("/api/openapi.json").json() == json.loads(json.dumps(DOCUMENT))
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    known = {route.path for route in service.app.routes() if route.path.startswith("/api/")}
    assert set(DOCUMENT["paths"]) == known - {"/api/openapi.json"}
    from attnviz.serve.asks import CHOOSING, LOOK, TESTING

    for path, more in (
        ("explain", ()),
        ("explore", (*LOOK, "picture")),
        ("draw", (*LOOK, "format")),
        ("check", TESTING),
    ):
        post = DOCUMENT["paths"][f"/api/{path}"]["post"]
        assert {one["name"] for one in post["parameters"]} == {"photo", "name", *CHOOSING, *more}
        for one in post["parameters"]:
            jsonschema.Draft202012Validator.check_schema(one["schema"])


@pytest.mark.parametrize(
    ("params", "status", "words"),
    [
        ({"txet": "a dog"}, 400, ["'txet'", "did you mean 'text'"]),
        ({"mode": "concta"}, 422, ["concta", "did you mean 'concat'"]),
        ({"model": "nothing"}, 422, ["nothing", "tiny, other"]),
        ({"model": "other", "mode": "dot"}, 422, ["other", "none to choose"]),
        ({"network": "tiny:dot", "mode": "dot"}, 400, ["not both"]),
        ({"mode": ["dot", "concat"]}, 422, ["one at a time"]),
        ({"beam": "many"}, 422, ["beam", "many"]),
        ({"beam": "1000000"}, 422, ["beams", "100"]),
        ({"beam": ["1", "2"]}, 400, ["beam is given 2 times"]),
        ({"text": "?!"}, 422, ["no word"]),
        ({"text": "dog " * 201}, 422, ["201 words"]),
        ({"layers": "3"}, 422, ["layers"]),
        ({"layers": "x"}, 422, ["layers", "'x'"]),
        ({"hard": "maybe"}, 422, ["sample or argmax"]),
        ({"pieces": "perhaps"}, 422, ["pieces", "perhaps"]),
        ({"prompt": "what?"}, 422, ["prompt"]),
    ],
)
def test_what_cannot_be_asked(
    service: Service, upload: bytes, params: dict[str, Any], status: int, words: list[str]
) -> None:
    told = error_of(service.post("explain", upload, **params), status)
    assert all(word in told for word in words), told


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("nothing", 400, ["there is no photo"]),
        ("text", 415, ["is not an image", "JPEG, PNG"]),
        ("svg", 415, ["not"]),
        ("cut", 422, ["cut off"]),
        ("damaged", 422, ["damaged"]),
        ("pixels", 413, ["100,000", "the limit is 100,000,000"]),
        ("bytes", 413, ["larger than 32 MiB"]),
    ],
)
def test_what_is_no_photo(service: Service, upload: bytes, name: str, status: int, words: list[str]) -> None:
    bodies = {
        "nothing": b"",
        "text": b"hello",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "cut": jpeg(0)[:40] + jpeg(0)[40:200],
        "damaged": upload[:40] + b"\xff" * 40 + upload[80:],
        "pixels": png_of(100_000, 100_000),
        "bytes": bytes(33 * 2**20),
    }
    told = error_of(service.post("explain", bodies[name]), status)
    assert all(word in told for word in words), told
    form = service.client.post("/api/explain", files={"photo": ("a.png", bodies[name])})
    assert form.status_code == status
    assert len(service.app.shelf) == 0


def test_a_body_of_unknown_length_is_bounded_too(service: Service) -> None:
    answer = service.client.post("/api/explain", content=(bytes(2**20) for _ in range(40)))
    assert "larger than 32 MiB" in error_of(answer, 413)


FORM = "multipart/form-data; boundary=x"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", FORM),
        (b"no form", FORM),
        (b"--x\r\n\r\n\r\n--x--\r\n", FORM),
        (b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nAB\r\n--x--\r\n', FORM),
        (b"--x", "multipart/form-data"),
    ],
)
def test_forms_that_are_none(service: Service, body: bytes, kind: str) -> None:
    error_of(service.post("explain", body, {"content-type": kind}), 400)


def test_keys_that_are_none(service: Service, upload: bytes) -> None:
    error_of(service.post("explain", photo="../../etc/passwd"), 400)
    assert "send it once more" in error_of(service.post("explain", photo="0" * 32), 404)
    key = service.post("explain", upload).json()["photo"]
    assert "given twice" in error_of(service.post("explain", upload, photo=key), 400)


def test_addresses_that_are_none(service: Service) -> None:
    assert "/api/openapi.json" in error_of(service.client.get("/nothing"), 404)
    assert "POST" in error_of(service.client.get("/api/explain"), 405)
    for name in ("../README.md", "..%2F__init__.py", "nothing.jpg", "dog"):
        assert service.client.get(f"/samples/{name}").status_code == 404
    assert Image.open(io.BytesIO(service.client.get("/samples/dog.jpg").content)).size == (480, 360)


HOSTILE = [
    *("<script>alert(1)</script>.jpg", "../../../etc/passwd", "C:\\Windows\\win.ini", "a\r\nSet-Cookie: x=1.jpg"),
    *("\u202egpj.exe", "x" * 5000, "\x1b[31mred", "", "…", '"quoted".png', "%0d%0a.png"),
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_names(service: Service, upload: bytes, name: str) -> None:
    for answer in (
        service.post("draw", upload, name=name, format="html"),
        service.client.post("/api/draw", files={"photo": (name or " ", upload)}, data={"format": "html"}),
    ):
        assert answer.status_code in (200, 400), answer.text  # 400: no form can carry this one
        if answer.status_code == 400:
            continue
        assert "set-cookie" not in answer.headers
        disposition = answer.headers["content-disposition"]
        assert disposition.startswith('attachment; filename="')
        assert disposition.isascii()
        assert not any(char in disposition for char in "<>\\/\r\n%0d") or "%0d" not in disposition.lower()
        assert ".." not in disposition
        assert "<script>alert" not in answer.text
    found = service.post("explain", upload, name=name).json()["image"]["name"]
    assert found.isprintable()
    assert 0 < len(found) <= 200
    assert "/" not in found
    assert "\\" not in found


def test_hostile_words(service: Service, upload: bytes) -> None:
    words = "</script><script>alert(1)</script> \u202e dog"
    page = service.post("draw", upload, text=words, format="html").text
    assert "<script>alert" not in page
    assert service.post("explore", upload, text=words).headers["content-type"] == "application/json"


def test_no_photo_touches_the_disk(service: Service) -> None:
    """Told by Python itself: whatever opens a file for writing raises an audit event."""
    written: list[Any] = []
    watching = True

    def hook(event: str, args: tuple[Any, ...]) -> None:
        opened = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
        if watching and (opened or event.startswith("tempfile.")):
            written.append((event, args))

    sys.addaudithook(hook)
    large = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (1000, 1200, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(large, "PNG")  # noise does not shrink: 3.6 MB, more than forms keep in memory
    assert len(large.getvalue()) > 3 * 2**20
    try:
        assert service.post("explain", large.getvalue()).status_code == 200
        form = service.client.post("/api/explain", files={"photo": ("a.png", large.getvalue())})
        assert form.status_code == 200
    finally:
        watching = False
    assert written == []


def test_a_bug_is_told_to_the_owner_and_not_to_the_world(upload: bytes) -> None:
    def broken(model: str, mode: str | None) -> Any:
        raise KeyError("secret")

    service = serve(load=broken)
    told = error_of(service.post("explain", upload), 500)
    assert "secret" not in told
    assert [type(error) for error in service.told] == [KeyError]
    service.close()


def test_memory_that_runs_out_is_no_bug(upload: bytes) -> None:
    def huge(model: str, mode: str | None) -> Any:
        raise MemoryError

    service = serve(load=huge)
    assert "out of memory" in error_of(service.post("explain", upload), 503)
    service.close()


def test_work_that_takes_too_long(upload: bytes) -> None:
    import threading

    over = threading.Event()

    def slow(model: str, mode: str | None) -> Any:
        over.wait(20)
        return Captioner.tiny()

    service = serve(Settings(answer_seconds=0.2), slow)
    assert "longer than" in error_of(service.post("explain", upload), 504)
    over.set()
    service.close()


def test_layers_side_by_side(upload: bytes) -> None:
    """Of a network that has some: each row is what `describe_layers` gives."""
    service = serve(load=lambda model, mode: Layered())
    key = service.post("explain", upload, layers="1").json()["photo"]
    assert service.client.get("/api/status").json()["models"][0]["layers"] == 3
    found = service.post("explore", photo=key, layers=["0", "2", "all"], text="a dog").json()["explorer"]
    assert [row["label"] for row in found["rows"]] == ["layer 0", "layer 2", "all layers"]
    (rows,) = describe_rows(Layered(), [Captioner.tiny().prepare(load(upload))], Asked("a dog"), ["0", "2", "all"])
    for row, trace in zip(found["rows"], rows, strict=True):
        assert np.allclose(row["peaks"], trace.weights.max(axis=(1, 2)))
    service.close()


class Layered:
    """A tiny network with a map of its own in each of three layers."""

    depth, device, concurrent, mode, name = 3, "cpu", True, "concat", "layered"

    def __init__(self) -> None:
        self._own = Captioner.tiny()

    def fingerprint(self) -> str:
        return "layered"

    def check(self, asked: Asked) -> None:
        pass

    def prepare(self, photo: Any, asked: Asked | None = None) -> Any:
        return self._own.prepare(photo)

    def describe(self, prepared: Any, asked: Asked) -> list[attnviz.Trace]:
        return [rows[0] for rows in self.describe_layers(prepared, asked, (asked.layers,))]

    def describe_layers(self, prepared: Any, asked: Asked, layers: Any) -> list[list[attnviz.Trace]]:
        from dataclasses import replace

        plain = self._own.describe(prepared, replace(asked, layers="all"))
        turned = {name: np.roll(plain[0].weights, 0 if name == "all" else int(name), axis=2) for name in layers}
        return [[replace(trace, weights=turned[name], layers=name, mode=None) for name in layers] for trace in plain]


def test_a_prompt_for_a_network_that_takes_one(upload: bytes) -> None:
    service = serve(load=lambda model, mode: Echo())
    first = service.post("explain", upload).json()
    assert service.client.get("/api/status").json()["models"][0]["prompt"] == "a dog"
    assert (first["caption"], first["prompt"]) == ("a dog", "a dog")
    other = service.post("explain", photo=first["photo"], prompt="the cat").json()
    assert (other["caption"], other["prompt"]) == ("the cat", "the cat")
    given = service.post("explain", photo=first["photo"], prompt="the cat", text="grass").json()
    assert (given["caption"], given["prompt"]) == ("grass", "the cat")
    service.close()


def test_what_a_trace_file_holds_is_a_zip(service: Service, upload: bytes) -> None:
    answer = service.post("draw", upload, format="npz")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert {"weights.npy", "tokens.npy", "meta.npy"} <= set(archive.namelist())
