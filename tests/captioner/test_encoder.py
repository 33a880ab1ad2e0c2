"""The backbones: EfficientNet-Lite against its published shape and plain arithmetic, torchvision's by name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from attnviz.captioner.convnet import TorchvisionBackbone
from attnviz.captioner.depthwise import DepthwiseConv
from attnviz.captioner.efficientnet import (
    BATCHNORM_EPS,
    EfficientNetLite,
    SameConv,
    fold_batchnorm,
    load_pretrained,
    round_channels,
)
from attnviz.captioner.encoder import Fuse, build_backbone
from attnviz.errors import ModelError


@pytest.mark.parametrize(
    ("name", "millions"), [("efficientnet-lite0", 4.7), ("efficientnet-lite1", 5.4), ("efficientnet-lite2", 6.1)]
)
def test_published_parameter_counts(name: str, millions: float) -> None:
    """The TPU repository's table counts the classifier (1280 x 1000 + 1000) and batch norm's two per channel."""
    backbone = EfficientNetLite(name)
    weights = sum(m.weight.numel() for m in backbone.modules() if isinstance(m, SameConv))
    norms = sum(2 * m.out_channels for m in backbone.modules() if isinstance(m, SameConv))
    assert (weights + norms + 1281000) / 1e6 == pytest.approx(millions, abs=0.06)


def test_grids_are_at_stride_16_and_32() -> None:
    backbone = EfficientNetLite("efficientnet-lite0").eval()
    with torch.no_grad():
        fine, coarse = backbone(torch.rand(1, 3, 70, 96))
    assert fine.shape == (1, 112, 5, 6)
    assert coarse.shape == (1, 1280, 3, 3)
    assert backbone.grid((70, 96)) == (5, 6)
    assert float(coarse.min()) >= 0
    assert float(coarse.max()) <= 6
    assert float(fine.min()) < 0  # block outputs are linear, hence signed


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (5, 2), (3, 1), (5, 1), (1, 1)])
def test_same_padding_is_tensorflows(size: int, kernel: int, stride: int) -> None:
    """TensorFlow: total = (ceil(n/s) - 1) s + k - n, the smaller half before; here with loops."""
    conv = SameConv(1, 1, kernel, stride)
    x = torch.randn(1, 1, size, size)
    out = -(-size // stride)
    total = max((out - 1) * stride + kernel - size, 0)
    before = total // 2
    expected = torch.zeros(out, out)
    for i in range(out):
        for j in range(out):
            for u in range(kernel):
                for v in range(kernel):
                    y, z = i * stride + u - before, j * stride + v - before
                    if 0 <= y < size and 0 <= z < size:
                        expected[i, j] += x[0, 0, y, z] * conv.weight[0, 0, u, v].detach()
    torch.testing.assert_close(conv(x)[0, 0].detach() - conv.bias.detach(), expected, atol=1e-5, rtol=1e-5)  # type: ignore[union-attr]


def published_state(backbone: EfficientNetLite) -> dict[str, torch.Tensor]:
    """A random state dict under the names of the published files, with batch norms."""
    blocks = [block for stage in backbone.stages for block in stage.children()]
    pairs: list[tuple[str, str, Any]] = [("_conv_stem", "_bn0", backbone.stem), ("_conv_head", "_bn1", backbone.head)]
    for i, block in enumerate(blocks):
        if block.expand is not None:
            pairs.append((f"_blocks.{i}._expand_conv", f"_blocks.{i}._bn0", block.expand))
        pairs.append((f"_blocks.{i}._depthwise_conv", f"_blocks.{i}._bn1", block.depthwise))
        pairs.append((f"_blocks.{i}._project_conv", f"_blocks.{i}._bn2", block.project))
    state = {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}
    for conv, norm, module in pairs:
        n = module.out_channels
        state[f"{conv}.weight"] = torch.randn_like(module.weight)
        state |= {f"{norm}.weight": torch.rand(n) + 0.5, f"{norm}.bias": torch.randn(n)}
        state |= {f"{norm}.running_mean": torch.randn(n), f"{norm}.running_var": torch.rand(n) + 0.1}
    return state


def test_folded_batchnorm_equals_convolution_then_norm() -> None:
    torch.manual_seed(0)
    backbone = EfficientNetLite("efficientnet-lite0").double()
    state = {key: value.double() for key, value in published_state(backbone).items()}
    load_pretrained(backbone, state)
    x = torch.randn(1, 3, 8, 8).double()
    raw = F.conv2d(F.pad(x, (0, 1, 0, 1)), state["_conv_stem.weight"], stride=2)
    norm = [state[f"_bn0.{key}"] for key in ("running_mean", "running_var", "weight", "bias")]
    torch.testing.assert_close(
        backbone.stem(x), F.batch_norm(raw, norm[0], norm[1], norm[2], norm[3], eps=BATCHNORM_EPS)
    )
    last = backbone.stages[-1][-1].project  # type: ignore[index]
    torch.testing.assert_close(last.bias.detach(), fold_batchnorm(state)["_blocks.15._project_conv.bias"])


@pytest.mark.parametrize("stages", range(5))
def test_early_and_late_stages_make_the_whole(stages: int) -> None:
    torch.manual_seed(0)
    backbone, images = EfficientNetLite().eval(), torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        parts = backbone.late(backbone.early(images, stages), stages)
        for part, whole in zip(parts, backbone(images), strict=True):
            assert torch.equal(part, whole)


def test_weights_of_another_network_are_refused() -> None:
    other = published_state(EfficientNetLite("efficientnet-lite1"))
    with pytest.raises(ModelError, match="another EfficientNet-Lite"):
        load_pretrained(EfficientNetLite("efficientnet-lite0"), other)
    with pytest.raises(ModelError, match="not the weights of an EfficientNet-Lite"):
        fold_batchnorm({"fc.weight": torch.zeros(1)})


@pytest.mark.parametrize(
    ("channels", "width", "expected"), [(112, 1.1, 120), (320, 1.1, 352), (16, 1.1, 16), (24, 1.2, 32), (40, 1.0, 40)]
)
def test_channel_rounding(channels: int, width: float, expected: int) -> None:
    """Lite2's and Lite3's published widths."""
    assert round_channels(channels, width) == expected


def test_fuse_is_one_convolution_over_upsampled_maps() -> None:
    torch.manual_seed(0)
    fuse = Fuse((3, 5), 4)
    fine, coarse = torch.randn(2, 3, 6, 6), torch.randn(2, 5, 3, 3)
    together = torch.cat([fine, F.interpolate(coarse, size=(6, 6), mode="bilinear", align_corners=False)], 1)
    weight = torch.cat([fuse.lateral[0].weight, fuse.lateral[1].weight], 1)  # type: ignore[list-item]
    expected = F.relu(fuse.norm(F.conv2d(together, weight).permute(0, 2, 3, 1))).reshape(2, 36, 4)
    torch.testing.assert_close(fuse((fine, coarse)), expected)


def test_torchvision_backbone_is_cut_where_asked() -> None:
    last = TorchvisionBackbone("resnet18")
    assert last.grid((224, 224)) == (7, 7)
    assert last.channels == (512,)
    middle = build_backbone("torchvision:resnet18", "layer3")
    assert middle.grid((224, 224)) == (14, 14)
    assert middle.channels == (256,)


def test_torchvision_weights_come_from_a_local_file(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """What a user's download leaves in torch's cache is used as it lies there."""
    from torchvision.models import ResNet18_Weights, resnet18

    torch.manual_seed(1)
    network = resnet18()
    url = ResNet18_Weights.DEFAULT.url
    (tmp_path / "checkpoints").mkdir()
    torch.save(network.state_dict(), tmp_path / "checkpoints" / url.rsplit("/", 1)[1])
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", lambda *_: pytest.fail("a download was tried"))
    # The file's name carries a hash of the true weights, which torchvision checks on download only.
    backbone = TorchvisionBackbone("resnet18", "layer1", "DEFAULT")
    torch.testing.assert_close(backbone.body.conv1.weight, network.conv1.weight)


def test_wrong_names_are_one_line_errors() -> None:
    with pytest.raises(ModelError, match="no network called 'resnet19'"):
        build_backbone("resnet19")
    with pytest.raises(ModelError, match="no layer 'layer9'"):
        build_backbone("resnet18", "layer9")
    with pytest.raises(ModelError, match="efficientnet-lite2"):
        EfficientNetLite("efficientnet-lite9")


@pytest.mark.parametrize("stride", [1, 2])
def test_the_gradients_of_a_depthwise_convolution_in_bfloat16_are_float32s(stride: int) -> None:
    """Of values that bfloat16 holds exactly: those that torch gives in float32."""
    torch.manual_seed(0)
    x = torch.randn(2, 6, 9, 8).bfloat16()
    conv = SameConv(6, 6, 3, stride, groups=6)
    conv.padding = (1, 1)
    conv.load_state_dict({key: value.bfloat16().float() for key, value in conv.state_dict().items()})
    grad = torch.randn(2, 6, *((9, 8) if stride == 1 else (5, 4))).bfloat16()
    exact = x.float().requires_grad_()
    wanted = F.conv2d(exact, conv.weight, conv.bias, stride, 1, groups=6)
    torch.autograd.backward(wanted, grad.float())
    parameters = {name: p.grad.clone() for name, p in conv.named_parameters() if p.grad is not None}
    conv.zero_grad()
    rounded = x.clone().requires_grad_()
    got = DepthwiseConv.apply(rounded, conv.weight, conv.bias, conv.stride, conv.padding)
    assert got.dtype == torch.bfloat16
    assert torch.allclose(got.float(), wanted, rtol=2**-7, atol=2**-7)
    torch.autograd.backward(got, grad)
    assert rounded.grad is not None
    assert exact.grad is not None
    assert rounded.grad.dtype == torch.bfloat16
    assert torch.allclose(rounded.grad.float(), exact.grad, rtol=2**-8, atol=1e-6)
    for name, parameter in conv.named_parameters():
        assert parameter.grad is not None
        assert torch.allclose(parameter.grad, parameters[name], rtol=1e-5, atol=1e-5), name
