"""Traces, their numbers and their files: what comes back, and what is said of malformed ones."""

from __future__ import annotations

import io
import json
import math
import tempfile
import zipfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings, strategies as st

import attnviz
from attnviz.errors import AttnvizError, OutputError, TraceError
from attnviz.photo.frame import Frame
from attnviz.trace import Trace, npz
from attnviz.trace.meta import ImageInfo

FRAME = Frame.letterbox((30, 50), (32, 32), (4, 5))
OTHER = Frame.stretch((9, 9), (9, 9), (5, 4))


def weights(steps: int = 3, grid: tuple[int, int] = (4, 5), seed: int = 0) -> npt.NDArray[np.float32]:
    cells = grid[0] * grid[1]
    drawn = np.random.default_rng(seed).dirichlet(np.full(cells, 0.3), steps)
    return drawn.reshape(steps, *grid).astype(np.float32)


def full_trace() -> Trace:
    generator = np.random.default_rng(1)
    return Trace(
        weights(),
        ("a", "naïve", "狗🐕"),
        logprobs=np.log(np.array([0.5, 0.25, 1.0], np.float32)),
        scores=generator.normal(size=(3, 4, 5)).astype(np.float32),
        channel_weights=generator.dirichlet(np.ones(7), 3).astype(np.float32),
        frame=FRAME,
        image=ImageInfo("dog\n.jpg", (30, 50), "ab" * 32),
        model="tiny",
        mode="concat",
        settings={"beam": 3, "text": None, "nested": {"b": [1, 2.5, "x"], "a": True}},
        on_image=np.array([0.25, 0, 1], np.float32),
        words=np.array([0, 0, 1], np.int32),
        layers="10-20",
        heads="mean",
        view="all",
        prompt="What is this?\nAnswer:",
        text="a naïve 狗🐕",
    )


def write(path: Path, **arrays: Any) -> Path:
    """A trace file as another program would write it."""
    np.savez(path, **{"weights": weights(), "tokens": np.array(["a", "b", "c"]), **arrays})
    return path


def message(path: Path) -> str:
    with pytest.raises(TraceError) as caught:
        Trace.load(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert text.isprintable()
    return text


def same(left: Trace, right: Trace) -> bool:
    arrays = ("weights", "logprobs", "scores", "channel_weights", "on_image", "words")
    others = tuple(field.name for field in fields(Trace) if field.name not in arrays)
    for name in arrays:
        ours, theirs = getattr(left, name), getattr(right, name)
        if (ours is None) != (theirs is None) or (ours is not None and ours.tobytes() != theirs.tobytes()):
            return False
    return all(getattr(left, name) == getattr(right, name) for name in others)


def test_round_trip_is_exact(tmp_path: Path) -> None:
    trace = full_trace()
    trace.save(tmp_path / "t.npz")
    again = Trace.load(tmp_path / "t.npz")
    assert same(trace, again)
    assert again.weights.dtype == np.float32
    assert again.version == attnviz.__version__
    assert again.summary() == trace.summary()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(st.characters(exclude_characters="\0")), max_size=5), st.integers(0, 99), st.booleans())
def test_round_trip_of_any_tokens(tokens: list[str], seed: int, frame: bool) -> None:
    trace = Trace(weights(len(tokens), seed=seed), tuple(tokens), frame=FRAME if frame else None)
    assert same(trace, undump(dump(trace)))


def dump(trace: Trace) -> bytes:
    """The bytes that `save` writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.npz"
        trace.save(path)
        assert [file.name for file in Path(folder).iterdir()] == ["t.npz"]
        return path.read_bytes()


def undump(data: bytes) -> Trace:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.npz"
        path.write_bytes(data)
        return Trace.load(path)


def test_the_same_trace_gives_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    first = dump(full_trace())
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *_: (2033, 5, 18, 3, 33, 20, 2, 138, 0))
    assert dump(full_trace()) == first
    shuffled = full_trace()
    object.__setattr__(shuffled, "settings", dict(reversed(list(shuffled.settings.items()))))
    assert dump(shuffled) == first


def test_numpy_alone_reads_the_file(tmp_path: Path) -> None:
    full_trace().save(tmp_path / "t.npz")
    with np.load(tmp_path / "t.npz", allow_pickle=False) as file:
        shapes = {name: (file[name].dtype.kind, file[name].shape) for name in file.files}
        meta = json.loads(str(file["meta"]))
    assert shapes == {
        "weights": ("f", (3, 4, 5)),
        "tokens": ("U", (3,)),
        "logprobs": ("f", (3,)),
        "scores": ("f", (3, 4, 5)),
        "channel_weights": ("f", (3, 7)),
        "on_image": ("f", (3,)),
        "words": ("i", (3,)),
        "meta": ("U", ()),
    }
    assert meta == {
        "version": 2,
        "frame": {"photo": [30, 50], "input": [32, 32], "grid": [4, 5], "resized": [19, 32], "offset": [6, 0]},
        "image": {"name": "dog\n.jpg", "size": [30, 50], "sha256": "ab" * 32},
        "model": "tiny",
        "mode": "concat",
        "layers": "10-20",
        "heads": "mean",
        "view": "all",
        "prompt": "What is this?\nAnswer:",
        "text": "a naïve 狗🐕",
        "settings": {"beam": 3, "text": None, "nested": {"b": [1, 2.5, "x"], "a": True}},
        "attnviz": attnviz.__version__,
    }


FILES = Path(__file__).parent / "files"


def test_files_of_version_1_are_read_for_ever() -> None:
    """Both were written by attnviz 0.1.0 with `render sample_images/dog.jpg --text "..."`."""
    trace = Trace.load(FILES / "version-1-concat.npz")
    assert (trace.tokens, trace.caption, trace.grid) == (("a", "dog", "on", "Zürich"), "a dog on Zürich", (16, 16))
    assert (trace.model, trace.mode, trace.version) == ("flickr8k", "concat", "0.1.0")
    assert trace.image is not None
    assert (trace.image.name, trace.frame) == ("dog.jpg", Frame.stretch(trace.image.size, (256, 256), (16, 16)))
    assert trace.settings["unknown"] == ["Zürich"]
    assert trace.steps[1].peak == (7, 10)
    assert trace.scores is not None
    raised = np.exp(trace.scores.astype(np.float64))
    np.testing.assert_allclose(raised / raised.sum(axis=(1, 2), keepdims=True), trace.weights, atol=1e-6)
    assert trace.logprobs is not None
    assert (trace.on_image, trace.words, trace.layers, trace.heads, trace.view, trace.prompt, trace.text) == (None,) * 7
    channels = Trace.load(FILES / "version-1-channel-dot.npz")
    assert channels.channel_weights is not None
    assert (channels.caption, channels.channel_weights.shape) == ("a dog", (2, 256))
    for old in (trace, channels):
        assert same(undump(dump(old)), old)


@pytest.mark.parametrize("kind", ["<f2", "<f4", ">f4", "<f8"])
@pytest.mark.parametrize("writer", [np.savez, np.savez_compressed])
def test_files_of_other_programs(tmp_path: Path, kind: str, writer: Any) -> None:
    writer(tmp_path / "t.npz", weights=weights().astype(kind), tokens=np.array(["a", "b", "c"]), more=np.arange(3))
    trace = Trace.load(tmp_path / "t.npz")
    np.testing.assert_array_equal(trace.weights, weights().astype(kind).astype(np.float32))
    assert (trace.frame, trace.image, trace.logprobs, trace.settings, trace.version) == (None, None, None, {}, "")
    assert trace.caption == "a b c"
    assert trace.heatmap(0, (40, 50)).shape == (40, 50)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"weights": np.zeros((3, 4, 5), np.int32)}, "floating-point"),
        ({"weights": np.full((3, 4, 5), 0.05, np.complex64)}, "floating-point"),
        ({"weights": np.full((3, 20), 0.05)}, "shape (T, h, w)"),
        ({"weights": np.zeros((3, 0, 5))}, "shape (T, h, w)"),
        ({"weights": np.full((2, 4, 5), 0.05)}, "2 steps, but 3 tokens"),
        ({"weights": np.full((3, 4, 5), 0.06)}, "step 0 sum to 1.2"),
        ({"weights": np.concatenate([weights(2), np.full((1, 4, 5), np.nan)])}, "step 2 are negative or no numbers"),
        ({"weights": np.full((3, 4, 5), np.inf)}, "negative or no numbers"),
        ({"weights": weights() - np.float32(0.01)}, "negative"),
        ({"weights": np.array([[["x"]]])}, "floating-point"),
        ({"tokens": np.array([b"a", b"b", b"c"])}, "unicode"),
        ({"tokens": np.array([1, 2, 3])}, "unicode"),
        ({"tokens": np.array("abc")}, "unicode"),
        ({"tokens": np.array(["a\0b", "b", "c"])}, "NUL"),
        ({"tokens": np.array(["a", {}, "c"], dtype=object)}, "Python objects"),
        ({"logprobs": np.zeros(2, np.float32)}, "logprobs of shape"),
        ({"logprobs": np.array([0.5, -1, -1])}, "0 or less"),
        ({"logprobs": np.array([np.nan, -1, -1])}, "0 or less"),
        ({"scores": np.zeros((3, 5, 4))}, "scores of shape"),
        ({"scores": np.full((3, 4, 5), np.nan)}, "not NaN"),
        ({"channel_weights": np.full((3, 7), 0.5)}, "channel_weights of step 0 sum to 3.5"),
        ({"channel_weights": np.full((2, 4), 0.25)}, "channel_weights of shape"),
        ({"weights": np.concatenate([weights(2), weights(1) * 0])}, "of step 2 are all 0, which is no attention"),
        ({"on_image": np.zeros(2)}, "on_image of shape (2,) do not fit 3 steps"),
        ({"on_image": np.array([0, 1.5, 1])}, "from 0 to 1"),
        ({"on_image": np.array([0, np.nan, 1])}, "from 0 to 1"),
        ({"on_image": np.array([0, 1, 1])}, "floating-point"),
        ({"words": np.array([0, 1])}, "words must be whole numbers, one a step"),
        ({"words": np.array([0.0, 1, 2])}, "words must be whole numbers, one a step"),
        ({"words": np.array([1, 2, 3])}, "count from 0"),
        ({"words": np.array([0, 2, 3])}, "rise by 0 or 1"),
        ({"words": np.array([0, 1, 0])}, "rise by 0 or 1"),
        ({"words": np.array([0, 2**63, 1], np.uint64)}, "rise by 0 or 1"),
        ({"meta": np.array(["{}", "{}"])}, "meta must be one JSON string"),
        ({"meta": np.array(1.5)}, "meta must be one JSON string"),
        ({"meta": np.array("{")}, "not valid JSON"),
        ({"meta": np.array("[" * 100_000)}, "not valid JSON"),
        ({"meta": np.array("[]")}, "JSON object"),
        ({"meta": np.array('{"version": 3}')}, "update attnviz"),
        ({"meta": np.array('{"version": "1"}')}, "version must be a whole number"),
        ({"meta": np.array('{"version": 0}')}, "version must be a whole number"),
        ({"meta": np.array('{"model": ["x"]}')}, "model must be text"),
        ({"meta": np.array('{"prompt": 7}')}, "prompt must be text"),
        ({"meta": np.array('{"view": []}')}, "view must be text"),
        ({"meta": np.array('{"settings": [1]}')}, "settings must be an object"),
        ({"meta": np.array('{"settings": {"x": NaN}}')}, "settings must be an object"),
        ({"meta": np.array('{"frame": {}}')}, "a frame has the fields"),
        ({"meta": np.array('{"frame": 7}')}, "a frame has the fields"),
        ({"meta": np.array(json.dumps({"frame": {**FRAME.to_dict(), "photo": [0, 1]}}))}, "photo must be positive"),
        ({"meta": np.array(json.dumps({"frame": OTHER.to_dict()}))}, "do not fit a frame"),
        ({"meta": np.array('{"image": "x.jpg"}')}, "image must have a name"),
        ({"meta": np.array('{"image": {"name": "x", "size": [0, 5]}}')}, "image must have a name"),
        ({"meta": np.array('{"image": {"name": "x", "size": [true, 5]}}')}, "image must have a name"),
        ({"meta": np.array('{"image": {"name": "x", "size": [5, 5], "sha256": 5}}')}, "image must have a name"),
        (
            {"meta": np.array(json.dumps({"frame": FRAME.to_dict(), "image": {"name": "x", "size": [5, 5]}}))},
            "does not fit an image",
        ),
    ],
)  # fmt: skip
def test_malformed_arrays(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    assert words in message(write(tmp_path / "t.npz", **arrays))


@pytest.mark.parametrize("missing", ["weights", "tokens"])
def test_missing_arrays(tmp_path: Path, missing: str) -> None:
    arrays = {"weights": weights(), "tokens": np.array(["a", "b", "c"])}
    arrays.pop(missing)
    np.savez(tmp_path / "t.npz", **arrays)  # type: ignore[arg-type]
    assert f"has no {missing!r}" in message(tmp_path / "t.npz")


def test_files_that_are_no_traces(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    assert "no such file" in message(path)
    assert "cannot be read" in message(tmp_path)
    for content in (b"", b"Dear all,\n", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", bytes(1000)):
        path.write_bytes(content)
        assert "not a trace file" in message(path)
    np.save(tmp_path / "one.npy", weights())
    assert "not a trace file" in message(tmp_path / "one.npy")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "hello")
    assert "has no 'weights'" in message(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights.npy", "hello")
        archive.writestr("tokens.npy", "hello")
    assert "is damaged" in message(path)


def test_cut_off_and_damaged_files_end_in_one_line(tmp_path: Path) -> None:
    whole = dump(full_trace())
    path = tmp_path / "t.npz"
    for length in range(0, len(whole) - 1, 97):
        path.write_bytes(whole[:length])
        message(path)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_bytes_end_in_a_trace_or_in_one_line(changes: list[tuple[float, int]]) -> None:
    data = bytearray(WHOLE)
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    try:
        trace = undump(bytes(data))
    except TraceError:
        return  # any other kind of error fails the test
    assert trace.weights.sum(axis=(1, 2)) == pytest.approx(1, abs=1e-3)


WHOLE = dump(full_trace())


def npy_header(shape: tuple[int, ...], kind: str = "<f4") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": kind, "fortran_order": False, "shape": shape})
    return stream.getvalue()


@pytest.mark.parametrize("shape", [(3, 100_000, 100_000), (2**62, 1, 1), (2**40, 2**40, 2**40)])
def test_bombs_are_refused_by_their_headers(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "t.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights.npy", npy_header(shape))
        archive.writestr("tokens.npy", npy_header((3,), "<U1") + bytes(12))
    assert "; a " in message(path)
    assert "has at most" in message(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights.npy", npy_header((3, 4, 5)) + weights().tobytes())
        archive.writestr("tokens.npy", npy_header((3,), "<U400000000"))
    assert "would take more than" in message(path)


def test_negative_shapes_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights.npy", npy_header((-3, 4, 5)) + weights().tobytes())
        archive.writestr("tokens.npy", npy_header((3,), "<U1") + bytes(12))
    assert "damaged" in message(path)


def test_the_bound_holds_for_all_arrays_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "t.npz", scores=weights())
    monkeypatch.setattr(npz, "MAX_BYTES", 2 * weights().nbytes + 11)  # the tokens take 12
    assert "would take more than" in message(tmp_path / "t.npz")
    monkeypatch.setattr(npz, "MAX_BYTES", 2 * weights().nbytes + 12)
    assert len(Trace.load(tmp_path / "t.npz")) == 3


def test_saving_where_nothing_can_be_saved(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(OutputError, match="file"):
        full_trace().save(tmp_path / "file" / "t.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_saving_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.npz"
    path.write_text("before")

    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(OutputError, match="No space left"):
        full_trace().save(path)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("t.npz", "before")]


def test_numbers_of_the_steps() -> None:
    """Entropy, effective cells, change, peak and weight on padding, against loops in plain Python."""
    trace = full_trace()
    coverage = FRAME.coverage()
    for index, step in enumerate(trace.steps):
        values = trace.weights[index].astype(float)
        entropy = -sum(w * math.log(w) for w in values.flat if w > 0)
        assert step.entropy == pytest.approx(entropy)
        assert step.effective_cells == pytest.approx(math.exp(entropy))
        assert values[step.peak] == values.max()
        assert step.outside == pytest.approx(sum(w * (1 - c) for w, c in zip(values.flat, coverage.flat, strict=True)))
        if index:
            before = trace.weights[index - 1].astype(float)
            change = sum(max(float(d), 0) for d in (values - before).flat)
            assert step.change == pytest.approx(change, abs=1e-6)
        else:
            assert step.change is None
        assert (step.index, step.token, step.weights.shape) == (index, trace.tokens[index], (4, 5))
    assert [step.logprob for step in trace.steps] == pytest.approx([math.log(0.5), math.log(0.25), 0])
    assert trace.density.mean(axis=(1, 2)) == pytest.approx(1)
    assert len(trace) == 3
    assert trace.caption == "a naïve 狗🐕"
    assert replace(trace, text=None, words=None).caption == "a naïve 狗🐕"
    assert replace(trace, text=None).caption == "anaïve狗🐕"  # pieces carry their own spaces
    assert [step.on_image for step in trace.steps] == [0.25, 0, 1]


def test_numbers_at_their_ends() -> None:
    one, all_alike = np.zeros((1, 2, 3), np.float32), np.full((1, 2, 3), 1 / 6, np.float32)
    one[0, 1, 2] = 1
    first, second = Trace(np.concatenate([one, all_alike]), ("x", "y")).steps
    assert (first.entropy, first.effective_cells, first.peak, first.outside) == (0, 1, (1, 2), 0)
    assert second.entropy == pytest.approx(math.log(6))
    assert second.effective_cells == pytest.approx(6)
    assert second.change == pytest.approx(5 / 6)


def test_heatmap_is_density_on_the_photo() -> None:
    trace = full_trace()
    heat = trace.heatmap(1)
    assert heat.shape == (30, 50)
    np.testing.assert_array_equal(heat, FRAME.upsample(trace.weights[1] * 20))
    np.testing.assert_array_equal(trace.heatmap(-1, (15, 25), cells=True), trace.heatmaps(None, (15, 25), True)[2])
    assert trace.heatmaps([2, 0]).shape == (2, 30, 50)
    for step in (3, -4):
        with pytest.raises(TraceError, match="no step"):
            trace.heatmap(step)
    with pytest.raises(TraceError, match="give a size"):
        Trace(weights(), ("a", "b", "c")).heatmap(0)


def test_steps_that_are_not_there_are_one_line() -> None:
    trace = Trace(np.full((2, 3, 4), 1 / 12, np.float32), ("a", "b"))
    for wrong in (2, -3, 99, 1.5, "a", None, True, [0], np.float32(1)):
        with pytest.raises(TraceError, match=r"there is no step .*; the trace has 2, counted from 0"):
            trace.heatmap(wrong, (6, 8))  # type: ignore[arg-type]
        with pytest.raises(TraceError, match="there is no step"):
            trace.heatmaps([0, wrong], (6, 8))  # type: ignore[list-item]
    for wrong in (1, "01"):
        with pytest.raises(TraceError, match="a sequence of whole numbers"):
            trace.heatmaps(wrong, (6, 8))  # type: ignore[arg-type]
    assert trace.heatmaps(np.array([1, -1]), (6, 8)).shape == (2, 6, 8)  # type: ignore[arg-type]
    assert trace.heatmaps([], (6, 8)).shape == (0, 6, 8)
    assert trace.heatmap(np.int64(-2), (6, 8)).shape == (6, 8)  # type: ignore[arg-type]


def test_relative_is_each_step_over_the_mean_of_all() -> None:
    trace = full_trace()
    sunk = trace.weights.astype(float)
    sunk[:, 2, 3] = 0  # a cell without weight at any step
    sunk[:, 0, 0] = 5  # a sink
    sunk /= sunk.sum(axis=(1, 2), keepdims=True)
    relative = replace(trace, weights=sunk.astype(np.float32)).relative()
    for step in range(3):
        ratios = np.zeros((4, 5))
        for row, column in np.ndindex(4, 5):
            mean = sum(sunk[other, row, column] for other in range(3)) / 3
            ratios[row, column] = sunk[step, row, column] / mean if mean else 0
        np.testing.assert_allclose(relative.weights[step], ratios / ratios.sum(), rtol=1e-5)
        assert relative.weights[step, 0, 0] < 0.15  # of 0.8 and more
    assert relative.settings == {**trace.settings, "relative": True}
    assert (relative.scores, relative.tokens, relative.frame) == (None, trace.tokens, trace.frame)
    one = Trace(weights(1), ("x",)).relative()
    np.testing.assert_allclose(one.weights, 1 / 20)
    assert len(Trace(np.zeros((0, 4, 5), np.float32), ()).relative()) == 0


def test_summary_is_json_and_tells_all() -> None:
    summary = json.loads(json.dumps(full_trace().summary(), allow_nan=False))
    assert summary["caption"] == "a naïve 狗🐕"
    assert summary["grid"] == [4, 5]
    assert summary["frame"]["kind"] == "letterbox"
    assert summary["image"]["sha256"] == "ab" * 32
    assert [step["probability"] for step in summary["steps"]] == pytest.approx([0.5, 0.25, 1])
    assert set(summary["steps"][0]) == {
        "index", "token", "probability", "entropy", "effective_cells", "change", "peak", "outside", "on_image",
    }  # fmt: skip
    impossible = Trace(weights(1), ("x",), logprobs=np.array([-np.inf], np.float32))
    assert json.loads(json.dumps(impossible.summary(), allow_nan=False))["steps"][0]["probability"] == 0


def notes_of(values: npt.ArrayLike, **fields: Any) -> str:
    array = np.asarray(values, np.float32)
    return " ".join(Trace(array, tuple("x" * len(array)), **fields).summary()["notes"])


def test_dead_attention_is_told() -> None:
    even = np.full((3, 4, 5), 0.05)
    assert "uniform at every step" in notes_of(even)
    assert "uniform at every step" in notes_of(even * (1 + 1e-9 * np.random.default_rng(0).normal(size=even.shape)))
    lively = weights().astype(np.float64)
    assert notes_of(lively) == ""
    assert "uniform at 2 of 3 steps" in notes_of(np.concatenate([even[:2], lively[:1]]))
    assert "same at every step" in notes_of(np.repeat(lively[:1], 3, axis=0))
    assert notes_of(lively[:1]) == ""  # one step cannot repeat itself
    assert "single cell" in notes_of(np.ones((3, 1, 1)))
    assert "no steps" in notes_of(np.zeros((0, 4, 5)))


def test_a_faint_but_true_peak_is_not_dead() -> None:
    """The most that tanh-bounded scores allow on 14x14 cells, 3.65 %, is seven times the even share."""
    scores = np.full((1, 14, 14), -1.0)
    scores[0, 3, 4] = 1
    bounded = np.exp(scores) / np.exp(scores).sum()
    assert bounded.max() == pytest.approx(0.0365, abs=1e-4)
    assert notes_of(bounded) == ""


def test_weight_on_padding_is_told() -> None:
    frame = Frame.letterbox((100, 200), (32, 32), (4, 4))  # the upper and the lower row of cells are padding
    inside, outside = np.zeros((4, 4, 4)), np.zeros((4, 4, 4))
    for step in range(4):
        inside[step, 1 + step % 2, step] = 1
        outside[step, 3 * (step % 2), step] = 1
    assert notes_of(inside, frame=frame) == ""
    mixed = 0.75 * inside + 0.25 * outside
    assert "25% of the attention lies on the padding around the photo, which is 50%" in notes_of(mixed, frame=frame)
    once = np.concatenate([outside[:1], np.repeat(inside[1:], 3, axis=0)])
    assert 'At step 0 ("x") 100% of the attention lies on the padding' in notes_of(once, frame=frame)
    assert "around the photo" not in notes_of(once, frame=frame)


def test_what_a_crop_leaves_out_is_told() -> None:
    frame = Frame.crop((100, 200), (32, 32), (4, 5))
    assert notes_of(weights(), frame=frame) == "The model saw 50% of the photo; the rest is drawn dimmed."


def test_unknown_words_are_told() -> None:
    words = ["zebra", "Rex,", "(Rex)", "..."]  # as they were typed
    assert 'does not know "zebra", "Rex", "...": it saw' in notes_of(weights(), settings={"unknown": words})
    assert notes_of(weights(), settings={"unknown": []}) == ""


def test_a_trace_is_not_changed_behind_its_back() -> None:
    given_weights, chosen = weights(), {"beam": [3]}
    trace = Trace(given_weights, ("a", "b", "c"), settings=chosen)
    given_weights[:] = 0
    chosen["beam"].append(4)
    assert trace.weights.sum() == pytest.approx(3)
    assert trace.settings == {"beam": [3]}
    with pytest.raises(ValueError, match="read-only"):
        trace.weights[0] = 0


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32", "float64"])
def test_torch_tensors_are_taken_as_they_are(kind: str) -> None:
    import torch

    def tensor(value: Any) -> Any:
        return torch.tensor(value, dtype=getattr(torch, kind), requires_grad=True)

    given_weights = tensor(np.full((2, 4, 4), 1 / 16))
    trace = Trace(
        given_weights, ("a", "b"), logprobs=tensor([-0.5, -1]), on_image=tensor([0.5, 0.25]), scores=given_weights
    )
    np.testing.assert_array_equal(trace.weights, 1 / 16)
    assert trace.weights.dtype == np.float32
    assert trace.on_image == pytest.approx([0.5, 0.25])
    assert Trace(trace.weights, ("a", "b"), words=torch.tensor([0, 0])).joined().tokens == ("ab",)  # type: ignore[arg-type]


def test_things_that_are_no_arrays_are_one_line() -> None:
    import torch

    class Awkward:
        def __array__(self, *_: Any, **__: Any) -> None:
            raise RuntimeError("no\nway")

    for wrong in ([[1.0], [1.0, 2.0]], torch.eye(3).to_sparse(), Awkward()):
        with pytest.raises(TraceError, match="weights: no array can be made of this"):
            Trace(wrong, ("a",))  # type: ignore[arg-type]


def test_parts_that_do_not_fit() -> None:
    for wrong, words in (
        ({"tokens": ("a", "b")}, "3 steps, but 2 tokens"),
        ({"tokens": "abc"}, "tuple of strings"),
        ({"tokens": ("a", "b", 3)}, "tuple of strings"),
        ({"settings": {"x": object()}}, "settings must be an object"),
        ({"settings": {"x": float("nan")}}, "settings must be an object"),
        ({"frame": OTHER}, "do not fit a frame"),
    ):
        with pytest.raises(TraceError, match=words):
            Trace(**{"weights": weights(), "tokens": ("a", "b", "c"), **wrong})  # type: ignore[arg-type]
    assert issubclass(TraceError, AttnvizError)


def test_repr_is_short() -> None:
    assert repr(full_trace()) == "<Trace of 3 steps on 4x5 cells: 'a naïve 狗🐕'>"


def test_a_map_by_gradient_is_called_that() -> None:
    even, lively = np.full((1, 4, 5), 0.05), weights().astype(np.float64)[:2]
    told = notes_of(np.concatenate([even, lively]), settings={"map": "gradient"}, on_image=np.full(3, 0.05, np.float32))
    assert "At 1 of 3 words no cell of the picture helps" in told
    assert "5.0% of the map by gradient lies on the picture" in told
    assert "attention" not in told
    assert "map by gradient is nearly uniform at every step" in notes_of(even, settings={"map": "gradient"})
    assert "helps, so" not in notes_of(lively, settings={"map": "gradient"})
