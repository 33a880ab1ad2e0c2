"""The files that pages of the README and the guide speak of: made when a page names them, as small as they can be.

A page that names a file of its own needs an entry in `MAKERS`; one whose Python begins with a name that it does not
define needs one in `NAMES`.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import attnviz

ROOT = Path(__file__).parents[2]
GUIDE = Path(attnviz.__file__).parent / "guide"
SAMPLES = {"photo.jpg": "dog", "other.jpg": "horses", "a.jpg": "dog", "b.jpg": "coffee", "c.jpg": "rocket"}


def furnish(folder: Path, text: str) -> None:
    """Puts into `folder`, which is the current one, what a page's text names."""
    (folder / "sample_images").symlink_to(ROOT / "sample_images")
    for name, sample in SAMPLES.items():
        shrunk(sample, folder / name, 500 if name == "photo.jpg" else 240)  # 500x375, as a page says
    for name, make in MAKERS.items():
        if re.search(rf"(?<![\w/.-]){re.escape(name)}", text):
            make(folder / name)


def shrunk(sample: str, path: Path, side: int = 240) -> None:
    """A sample photo, small."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(ROOT / "sample_images" / f"{sample}.jpg") as photo:
        photo.thumbnail((side, side))
        photo.save(path)


def photos(folder: Path) -> None:
    for name, sample in {"garden.jpg": "horses", "street.jpg": "coffee", "trip/a.jpg": "dog"}.items():
        shrunk(sample, folder / name)
    shrunk("rocket", folder / "2024" / "may" / "b.jpg")


def block(topic: str, name: str) -> str:
    """The file `name` as a topic of the guide shows it."""
    text = (GUIDE / f"{topic}.md").read_text(encoding="utf-8")
    found = re.search(rf"^```\w+ {re.escape(name)}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return found[1]


def mine(path: Path) -> None:
    """The configuration of the guide on training, with the data that it makes."""
    photos(Path("photos"))
    Path("mine.toml").write_text(block("training", "mine.toml"))
    Path("captions.csv").write_text(block("training", "captions.csv"))
    command("data", "csv", "--images", "photos", "--captions", "captions.csv", "-o", "data/mine")


def command(*args: str) -> None:
    from attnviz.cli import run

    assert run([*args, "-q"]) == 0


def attention(path: Path) -> None:
    """`photo-attention/`, as a first `attnviz render photo.jpg` leaves it."""
    command("render", "photo.jpg")


def gallery(path: Path) -> None:
    photos(path.parents[1] / "photos")
    command("batch", "photos", "-o", "results", "--report", "-f", "png", "--steps", "0", "--threads", "1")


def tiny_model(builder: str, layers: int | None = None) -> tuple[Any, Any]:
    """A model of transformers with its processor, that writes six pieces at most."""
    from tinyhf import models

    kept = dict(models.TEXT)
    models.TEXT.update({"num_hidden_layers": layers} if layers else {})
    try:
        model, processor = models.build(builder)
    finally:
        models.TEXT.update(kept)
    models.shorten(model)
    return model, processor


def hugging_face(builder: str, layers: int | None = None) -> Callable[[Path], None]:
    """A tiny model on disk. A folder of the name of a model of the hub is what a program finds instead of it."""

    def make(path: Path) -> None:
        model, processor = tiny_model(builder, layers)
        for part in (model, *(processor if isinstance(processor, tuple) else (processor,))):
            part.save_pretrained(path)

    return make


def tutorial(path: Path) -> None:
    """A checkpoint of the Show, Attend and Tell tutorial, with its word map beside it."""
    import torch
    from tutorial import pixels, save, small_resnet, train

    torch.manual_seed(0)
    seen = [pixels(path.with_name(name)) for name in ("photo.jpg", "b.jpg", "c.jpg")]
    sentences = ["a dog runs", "a cup of coffee", "a rocket in the sky"]
    network = train(small_resnet(), sentences, seen, 40, state=32, embedding=16)
    save(network, path)
    wordmap = path.name.replace("BEST_checkpoint", "WORDMAP").replace("BEST", "WORDMAP").replace(".pth.tar", ".json")
    path.with_name(wordmap).write_text(json.dumps(network.words))


def tiny(path: Path) -> None:
    from attnviz.captioner import Captioner, save_checkpoint

    save_checkpoint(Captioner.tiny(), path)


def split(path: Path) -> None:
    """SPLIT.jsonl and SPLIT.zip, of the record in the guide on training."""
    import zipfile

    path.parent.mkdir(parents=True, exist_ok=True)
    record = json.loads(block("training", "park.jsonl"))
    path.with_suffix(".jsonl").write_text(json.dumps(record) + "\n")
    with zipfile.ZipFile(path.with_suffix(".zip"), "w") as archive:
        archive.write("photo.jpg", record["image"])


def flickr8k(folder: Path) -> None:
    """Two photos in the form of Flickr8k and Flickr30k Entities."""
    names = {"train": "111_a.jpg", "dev": "222_b.jpg"}
    for part, name in names.items():
        shrunk("dog", folder / name, 60)
        folder.with_name(f"Flickr_8k.{part}Images.txt").write_text(f"{name}\n")
    folder.with_name("Flickr8k.token.txt").write_text("111_a.jpg#0\tA dog .\n222_b.jpg#0\tA dog , running .\n")
    for part, name, text in (
        ("Sentences", "111.txt", "[/EN#18/animals A dog] .\n"),
        ("Annotations", "111.xml", "<annotation><size><width>60</width><height>40</height></size></annotation>"),
    ):
        (folder.with_name("Flickr30kEntities") / part).mkdir(parents=True, exist_ok=True)
        (folder.with_name("Flickr30kEntities") / part / name).write_text(text)


def coco(folder: Path, number: int = 7004) -> None:
    """As many photos as the guide draws, all of one file, in the form of COCO 2017."""
    folder.mkdir()
    shrunk("dog", folder.with_name("seed.jpg"), 16)
    names = [f"{image:012}.jpg" for image in range(number)]
    for name in names:
        os.link(folder.with_name("seed.jpg"), folder / name)
    images = [{"file_name": name, "height": 16, "width": 16, "id": int(name[:12])} for name in names]
    captions = [{"image_id": image, "id": image, "caption": "A dog runs."} for image in range(number)]
    boxes = [{"image_id": image, "id": image, "category_id": 18, "bbox": [1, 2, 3, 4]} for image in range(number)]
    found = folder.with_name("annotations")
    found.mkdir()
    (found / "captions_train2017.json").write_text(json.dumps({"images": images, "annotations": captions}))
    kinds = [{"supercategory": "animal", "id": 18, "name": "dog"}]
    told = {"images": images, "annotations": boxes, "categories": kinds}
    (found / "instances_train2017.json").write_text(json.dumps(told))


def weights(path: Path) -> None:
    """Attention of three words to 4x4 cells."""
    np.save(path, np.random.default_rng(0).dirichlet(np.ones(16), 3))


def layered(path: Path) -> None:
    """Attention of two layers and heads, of three words to a CLS token and 24x32 cells; the words beside it."""
    from safetensors.numpy import save_file

    random = np.random.default_rng(0).random((2, 2, 3, 1 + 24 * 32), np.float32)
    save_file({"weights": random / random.sum(-1, keepdims=True)}, path)
    path.with_name("words.txt").write_text("a\ndog\nruns\n")


def plug_in(path: Path) -> None:
    """The entry point of the example plug-in, as pip leaves it; its module is a block of the guide."""
    found = path.with_name("attnviz_colours-1.0.dist-info")
    found.mkdir()
    (found / "METADATA").write_text("Metadata-Version: 2.1\nName: attnviz-colours\nVersion: 1.0\n")
    (found / "entry_points.txt").write_text("[attnviz.networks]\ncolours = attnviz_colours:load\n")
    path.write_text(block("any-model", path.name))
    sys.path.insert(0, str(path.parent))


MAKERS: dict[str, Callable[[Path], None]] = {
    "line.png": lambda path: shrunk("coffee", path),
    "receipt.png": lambda path: shrunk("coffee", path),
    "photos": photos,
    "my-model": hugging_face("llava_next"),
    "Salesforce/blip-image-captioning-base": hugging_face("blip"),
    "microsoft/trocr-base-printed": hugging_face("trocr"),
    "naver-clova-ix/donut-base-finetuned-cord-v2": hugging_face("donut"),
    "llava-hf/llava-v1.6-mistral-7b-hf": hugging_face("llava_next", 28),
    "some/folder": hugging_face("blip"),
    "mine.toml": mine,
    "data/mine": mine,
    "BEST.pth.tar": tutorial,
    "BEST_checkpoint_coco.pth.tar": tutorial,
    "my-model.safetensors": tiny,
    "data/dev": split,
    "data/flickr8k/dev": split,
    "Flicker8k_Dataset": flickr8k,
    "train2017": coco,
    "w.npy": weights,
    "w.safetensors": layered,
    "photo-attention": attention,
    "results/captions.csv": gallery,
    "attnviz_colours.py": plug_in,
}
"""What a page may name -> what makes it; in the order in which they are made."""


def own_model() -> dict[str, Any]:
    """`model` and `processor` of transformers, and the parts of a loop in plain PyTorch."""
    import torch

    class Net(torch.nn.Module):
        """Looks at the cell that it is told."""

        def forward(self, cell: int) -> torch.Tensor:
            scores = torch.zeros(1, 196)
            scores[0, cell] = 9
            return torch.softmax(scores, dim=1)

    def write(net: Net, cells: list[int]) -> list[str]:
        return [f"word{net(cell).argmax().item()}" for cell in cells]

    model, processor = tiny_model("llava_next", 28)
    return {"model": model, "processor": processor, "net": Net(), "pixels": [0, 195], "write": write}


def described() -> dict[str, Any]:
    """`trace` and `photos`: what `attnviz.explain` gives, and of what."""
    names = ["a.jpg", "b.jpg"]
    traces = attnviz.explain(attnviz.load_model(), names)
    return {"attnviz": attnviz, "trace": traces[0], "traces": traces, "photos": names}


NAMES: dict[str, Callable[[], dict[str, Any]]] = {"any-model": own_model, "figures": described}
"""Topic -> names that its Python takes as given."""
