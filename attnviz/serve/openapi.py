"""The interface described, for programs: OpenAPI 3.1, whose schemas are JSON Schema."""

from __future__ import annotations

from typing import Any

from attnviz._version import __version__
from attnviz.limits import MOST_BEAMS
from attnviz.network import HARDS, MAPS, VIEWS
from attnviz.render.heatmap import SCALES
from attnviz.render.overlay import STYLES

Json = dict[str, Any]

TEXT: Json = {"type": "string"}
WHOLE: Json = {"type": "integer"}
FLAG: Json = {"type": "boolean"}
NUMBER: Json = {"type": "number"}
MAYBE_TEXT: Json = {"type": ["string", "null"]}
MAYBE_NUMBERS: Json = {"type": ["array", "null"], "items": NUMBER}


def document() -> Json:
    """The document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "attnviz",
            "version": __version__,
            "description": "Where an image-to-text network looks while it writes each word. An error is a status and "
            '{"error": "one line"}. 503 comes with Retry-After: try again after so many seconds.',
        },
        "paths": {
            "/api/explain": {"post": _explain()},
            "/api/explore": {"post": _explore()},
            "/api/draw": {"post": _draw()},
            "/api/check": {"post": _check()},
            "/api/status": {"get": {"summary": "How things stand", "responses": {"200": _json("Status")}}},
        },
        "components": {"schemas": SCHEMAS},
    }


def _explain() -> Json:
    answer = _json("Trace")
    answer["content"]["application/x-npz"] = {"schema": {"type": "string", "contentMediaType": "application/x-npz"}}
    answer["headers"] = {"attnviz-photo": {"description": "the photo's key, of a trace file", "schema": TEXT}}
    return _post("Explain a photo: a trace, as JSON or (Accept: application/x-npz) as a trace file", answer, ASKING)


def _explore() -> Json:
    answer = _json("Explorer")
    answer["content"]["application/x-ndjson"] = {"schema": _ref("Progress")}
    picture = _query("picture", FLAG, "whether the photo itself is in the answer, as a data: address")
    return _post(
        "What the page's explorer shows; several networks or layers side by side", answer, ASKING + LOOK, picture
    )


def _draw() -> Json:
    file = {"description": "the file", "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}
    told = "a format of `render -f` that is one file, npz for the trace, or evidence-html, evidence-pdf, evidence-json"
    return _post("A picture, animation, figure, page or trace", file, ASKING + LOOK, _query("format", TEXT, told))


def _check() -> Json:
    answer = _json("Evidence")
    answer["content"]["application/x-ndjson"] = {"schema": _ref("Progress")}
    return _post("Test whether each word's map shows what the word hangs on; takes a while", answer, ASKING, *TESTING)


def _post(summary: str, answer: Json, parameters: list[Json], *more: Json) -> Json:
    photo = {"type": "string", "format": "binary", "description": "the photo's file"}
    form = {"type": "object", "properties": {"photo": photo, "name": TEXT}, "required": ["photo"]}
    return {
        "summary": summary,
        "parameters": [*PHOTO, *parameters, *more],
        "requestBody": {
            "description": "The photo. None where `photo` names one; the other parameters may be fields of the form.",
            "required": False,
            "content": {
                "image/*": {"schema": photo},
                "application/octet-stream": {"schema": photo},
                "multipart/form-data": {"schema": form},
            },
        },
        "responses": {"200": answer, **{status: _error(told) for status, told in ERRORS.items()}},
    }


def _query(name: str, schema: Json, description: str, several: bool = False) -> Json:
    found = {"type": "array", "items": schema} if several else schema
    return {"name": name, "in": "query", "description": description, "required": False, "schema": found}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(name: str) -> Json:
    return {"description": name, "content": {"application/json": {"schema": _ref(name)}}}


def _error(told: str) -> Json:
    return {"description": told, "content": {"application/json": {"schema": _ref("Error")}}}


def _object(required: str, **properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": required.split()}


def _list(of: Json) -> Json:
    return {"type": "array", "items": of}


ERRORS = {
    "400": "no photo, a form that cannot be read, an unknown parameter",
    "403": "asked under another name, or by another site's page",
    "404": "the photo is no longer kept; send it once more",
    "408": "the photo takes too long to arrive",
    "413": "too many bytes or pixels",
    "415": "no photo of a kind that is read",
    "422": "a damaged photo, or something that cannot be done with it",
    "503": "too many are waiting; Retry-After says for how long",
    "504": "it takes too long",
}

PHOTO = [
    _query("photo", TEXT, "the key of a photo that was sent before, in the place of a body"),
    _query("name", TEXT, "what the photo is called"),
]

ASKING = [
    _query("model", TEXT, "a name of /api/status; the first by default", several=True),
    _query("mode", TEXT, "its score function", several=True),
    _query("network", TEXT, "MODEL or MODEL:MODE, in the place of both", several=True),
    _query(
        "layers", TEXT, "of a model with several: all, last, a number from 0, or a span such as 10-20", several=True
    ),
    _query("text", TEXT, "given words, in the place of its own"),
    _query("prompt", TEXT, "question or instruction, for a model that takes one"),
    _query("beam", {"type": "integer", "minimum": 1, "maximum": MOST_BEAMS}, "sentences searched side by side"),
    _query("hard", {"enum": list(HARDS)}, "look at one cell at a time"),
    _query("seed", WHOLE, "of hard=sample"),
    _query("heads", TEXT, "how heads become one map: mean, max or a head's number"),
    _query("view", {"enum": list(VIEWS)}, "of a model that sees a photo as an overview and in tiles"),
    _query("map", {"enum": list(MAPS)}, "attention, or attention times what the word's probability owes to it"),
    _query("pieces", FLAG, "keep a tokenizer's pieces of words apart"),
]

LOOK = [
    _query("scale", {"enum": list(SCALES)}, "range of the colours"),
    _query("style", {"enum": list(STYLES)}, "how the map is laid over the photo"),
    _query("opacity", {"type": "number", "minimum": 0, "maximum": 1}, "of the strongest colour"),
    _query("cells", FLAG, "the model's grid as it is"),
    _query("relative", FLAG, "each word's map divided by the mean of all"),
    _query("regions", FLAG, "outline what holds half of a word's weight"),
    _query("steps", TEXT, "only these words, from 0: 1-5,8"),
    _query("size", TEXT, "longest side in pixels"),
]

TESTING = [
    _query("remove", {"enum": ["blur", "mean"]}, "what stands where a cell was: the photo blurred, or its mean colour"),
    _query("parts", {"type": "integer", "minimum": 2, "maximum": 100}, "in which cells go"),
    _query("draws", {"type": "integer", "minimum": 1, "maximum": 100}, "orders drawn at random"),
]

SCHEMAS: Json = {
    "Error": _object("error", error=TEXT),
    "Trace": _object(
        "photo caption tokens weights grid model mode image frame steps notes settings attnviz",
        photo={**TEXT, "description": "key of the photo"},
        caption=TEXT,
        tokens=_list(TEXT),
        weights={**_list(_list(_list(NUMBER))), "description": "(T, h, w); each step sums to 1"},
        scores={"type": ["array", "null"], "items": _list(_list({"type": ["number", "null"]}))},
        channel_weights={"type": ["array", "null"], "items": _list(NUMBER)},
        logprobs=MAYBE_NUMBERS,
        on_image=MAYBE_NUMBERS,
        words={"type": ["array", "null"], "items": WHOLE},
        grid={**_list(WHOLE), "minItems": 2, "maxItems": 2},
        model=MAYBE_TEXT,
        mode=MAYBE_TEXT,
        layers=MAYBE_TEXT,
        heads=MAYBE_TEXT,
        view=MAYBE_TEXT,
        prompt=MAYBE_TEXT,
        image=_object("name size sha256", name=TEXT, size=_list(WHOLE), sha256=MAYBE_TEXT, remarks=_list(TEXT)),
        frame=_object("kind photo input grid resized offset", kind=TEXT, photo=_list(WHOLE), grid=_list(WHOLE)),
        steps=_list(_object("index token entropy", index=WHOLE, token=TEXT, entropy=NUMBER)),
        notes=_list(TEXT),
        settings={"type": "object"},
        attnviz=TEXT,
    ),
    "Explorer": _object("photo caption explorer", photo=TEXT, caption=TEXT, explorer={"type": "object"}, picture=TEXT),
    "Evidence": _object(
        "caption model mode image settings passes sinks words",
        caption=TEXT,
        passes={**WHOLE, "description": "photos that the network has read for it"},
        sinks=_list(_list(WHOLE)),
        words=_list(_object("index token probability verdict", index=WHOLE, token=TEXT, probability=NUMBER)),
    ),
    "Progress": {
        "description": "One JSON object a line; the last one is of the state done or failed.",
        **_object(
            "state",
            state={"enum": ["loading", "waiting", "working", "done", "failed"]},
            ahead=WHOLE,
            done=WHOLE,
            total=WHOLE,
            result={"type": "object"},
            status=WHOLE,
            error=TEXT,
        ),
    },
    "Status": _object(
        "attnviz ready error waiting models model mode most_bytes most_pixels",
        attnviz=TEXT,
        ready=FLAG,
        error=MAYBE_TEXT,
        waiting=WHOLE,
        models=_list(
            _object(
                "name modes layers prompt",
                name=TEXT,
                modes=_list(TEXT),
                layers={"type": ["integer", "null"], "description": "how many; null where there are none to choose"},
                prompt={**MAYBE_TEXT, "description": "asked where none is given; null where the model takes none"},
            )
        ),
        model=TEXT,
        mode=MAYBE_TEXT,
        most_bytes=WHOLE,
        most_pixels=WHOLE,
    ),
}
