"""Networks for speed: BiSeNet, BiSeNet V2, CGNet, ERFNet, Fast-SCNN."""

from collections.abc import Mapping
from typing import Any

from segkit.config.backbones import (
    BiSeNetV1Config,
    BiSeNetV2Config,
    CGNetConfig,
    ERFNetConfig,
    FastSCNNConfig,
    ResNetConfig,
)
from segkit.config.layers import ReLUConfig
from segkit.models.interop.sssegmentation.backbones import resnet
from segkit.models.interop.sssegmentation.backbones.reading import Arguments, BackboneMap, by, dropped_unless
from segkit.models.interop.sssegmentation.rules import Rules, conv_norm_act, prefixed, separable


def _read_bisenetv1(given: Arguments) -> dict[str, Any]:
    norm = given.take("norm_cfg", None)
    inner = Arguments({"norm_cfg": norm, **given.take("backbone_cfg", {})}, "backbone.backbone_cfg")
    inner.fixed(type="ResNet")
    context = resnet.read_resnet(inner)
    inner.finish()
    spatial = given.take("spatial_channels_list", (64, 64, 64, 128))
    widths = given.take("context_channels_list", (128, 256, 512))
    given.agree("context_channels_list.1", widths[1], spatial[-1] + widths[0])
    return given.common() | {
        "context": ResNetConfig(**context),
        "spatial_channels": spatial,
        "context_channels": widths[0],
        "channels": given.take("out_channels", 256),
        "out_indices": given.indices((0, 1, 2), 3),
        "norm": given.layer("norm", norm),
        "act": given.act("ReLU"),
    }


def _bisenetv1_rules(config: BiSeNetV1Config) -> Rules:
    fused, fine = 2 in config.out_indices, {0, 2} & set(config.out_indices)
    rules = prefixed(resnet.resnet_rules(config.context), "context_path.backbone_net.", "context.")
    rules |= conv_norm_act("context_path.gap_conv", "pooled", 1)
    for part, built in ((32, True), (16, bool(fine))):
        names = conv_norm_act(f"context_path.arm{part}.conv_layer", f"refine{part}.conv")
        names |= conv_norm_act(f"context_path.arm{part}.atten_conv_layer", f"refine{part}.gate", 1)
        rules |= dropped_unless(built, names | conv_norm_act(f"context_path.conv_head{part}", f"smooth{part}"))
    names = conv_norm_act("ffm.conv1", "fusion.conv") | conv_norm_act("ffm.conv_atten", "fusion.gate")
    for i in range(4):
        names |= conv_norm_act(f"spatial_path.layer{i + 1}", f"spatial.{i}")
    return rules | dropped_unless(fused, names)


def _read_bisenetv2(given: Arguments) -> dict[str, Any]:
    detail = given.take("detail_channels", (64, 64, 128))
    given.fixed(bga_channels=detail[-1])
    return given.common() | {
        "detail_channels": detail,
        "semantic_channels": given.take("semantic_channels", (16, 32, 64, 128)),
        "expansion": given.take("semantic_expansion_ratio", 6),
        "align_corners": given.take("align_corners", False),
        "out_indices": given.indices((0, 1, 2, 3, 4), 5),
        "norm": given.norm(),
        "act": given.act("ReLU"),
    }


def _bisenetv2_rules(config: BiSeNetV2Config) -> Rules:
    rules = conv_norm_act("semantic.stage1.conv_first", "stem.first")
    rules |= conv_norm_act("semantic.stage1.convs", "stem.convs.0")
    rules |= conv_norm_act("semantic.stage1.convs", "stem.convs.1", 3)
    rules |= conv_norm_act("semantic.stage1.fuse_last", "stem.fuse")
    for i in range(3):
        theirs, ours = f"semantic.stage{i + 2}.#", f"stages.{i}.#"
        block = conv_norm_act(f"{theirs}.conv1", f"{ours}.gather") | conv_norm_act(f"{theirs}.conv2", f"{ours}.project")
        block |= {f"{theirs}.dwconv.{k}": f"{ours}.expand.{k // 2}.{('conv', 'norm')[k % 2]}" for k in range(4)}
        block |= {f"{theirs}.dwconv.4": f"{ours}.expand.1.act"} | separable(f"{theirs}.shortcut.0", f"{ours}.shortcut")
        rules |= dropped_unless(i < max(config.out_indices), block)
    return rules | dropped_unless(4 in config.out_indices, _joined_rules())


def _joined_rules() -> Rules:
    rules = {"semantic.stage4_CEBlock.gap.1": "embed.norm"}
    rules |= conv_norm_act("semantic.stage4_CEBlock.conv_gap", "embed.pooled")
    rules |= conv_norm_act("semantic.stage4_CEBlock.conv_last", "embed.fuse")
    for stage in range(3):
        for i in range(3):
            rules |= conv_norm_act(f"detail.detail_branch.{stage}", f"detail.{stage}.{i}", 3 * i)
    for theirs, ours in (("detail_dwconv", "detail"), ("semantic_dwconv", "semantic")):
        names = {"depthwise_conv": "0.conv", "depthwise_bn": "0.norm", "pointwise_conv": "1"}
        rules |= {f"bga.{theirs}.0.{name}": f"join.{ours}.{part}" for name, part in names.items()}
    rules |= conv_norm_act("bga.detail_down", "join.detail_down") | conv_norm_act("bga.conv", "join.fuse")
    return rules | conv_norm_act("bga.semantic_conv", "join.semantic_up")


def _read_cgnet(given: Arguments) -> dict[str, Any]:
    return given.common() | {
        "channels": given.take("num_channels", (32, 64, 128)),
        "num_blocks": given.take("num_blocks", (3, 21)),
        "dilations": given.take("dilations", (2, 4)),
        "reductions": given.take("reductions", (8, 16)),
        "out_indices": given.indices((0, 1, 2), 3),
        "norm": given.norm(),
        "act": given.act("PReLU"),
    }


def _cgnet_rules(config: CGNetConfig) -> Rules:
    last = max(config.out_indices)
    rules = conv_norm_act("stem.#", "stem.#")
    for i in range(3):
        rules |= dropped_unless(
            i <= last, {f"norm_prelu_{i}.0": f"joins.{i}.norm", f"norm_prelu_{i}.1": f"joins.{i}.act"}
        )
    for i in range(2):
        theirs, ours = f"level{i + 1}.#", f"levels.{i}.#"
        names = {"f_loc": "local", "f_sur": "surround", "bn": "join.norm", "activate": "join.act"}
        names |= {"bottleneck": "squeeze", "f_glo.fc.0": "gate.0", "f_glo.fc.2": "gate.2"}
        block = {f"{theirs}.{name}": f"{ours}.{part}" for name, part in names.items()}
        rules |= dropped_unless(i < last, block | conv_norm_act(f"{theirs}.conv1x1", f"{ours}.project"))
    return rules


def _read_erfnet(given: Arguments) -> dict[str, Any]:
    widths = given.take("enc_downsample_channels", (16, 64, 128))
    decoded = given.take("dec_upsample_channels", (64, 16))
    given.fixed(enc_non_bottleneck_channels=tuple(widths[1:]), dec_non_bottleneck_channels=tuple(decoded))
    given.fixed(selected_indices=(0,))
    return given.common() | {
        "enc_channels": widths,
        "enc_blocks": given.take("enc_stage_non_bottlenecks", (5, 8)),
        "dilations": given.take("enc_non_bottleneck_dilations", (2, 4, 8, 16)),
        "dec_channels": decoded,
        "dec_blocks": given.take("dec_stages_non_bottleneck", (2, 2)),
        "dropout": float(given.take("dropout_ratio", 0.1)),
        "norm": given.norm(),
        "act": given.act("ReLU"),
    }


def _erfnet_rules(config: ERFNetConfig) -> Rules:
    rules: Rules = {}
    for part in ("encoder.#", "decoder.#"):
        rules |= {f"{part}.conv": f"{part}.conv", f"{part}.bn": f"{part}.norm"}
        names = {0: "column1", 2: "row1", 3: "norm1", 5: "column2", 7: "row2", 8: "norm2"}
        # One activation serves a block; if it learns, it is listed wherever it stands.
        names |= dict.fromkeys((1, 4, 6), "act")
        rules |= {f"{part}.convs_layers.{i}": f"{part}.{name}" for i, name in names.items()}
        rules |= dict.fromkeys((f"{part}.act", f"{part}.activate"), f"{part}.act")
    return rules


def _read_fastscnn(given: Arguments) -> dict[str, Any]:
    first = given.take("global_in_channels", 64)
    coarse = given.take("global_out_channels", 128)
    given.fixed(higher_in_channels=first, lower_in_channels=coarse)
    act = given.act("ReLU")
    given.agree("dw_act_cfg", given.layer("act", given.take("dw_act_cfg", {"type": "ReLU"})), act or ReLUConfig())
    return given.common() | {
        "stem_channels": (*given.take("downsample_dw_channels", (32, 48)), first),
        "block_channels": given.take("global_block_channels", (64, 96, 128)),
        "block_strides": given.take("global_block_strides", (2, 2, 1)),
        "global_channels": coarse,
        "channels": given.take("fusion_out_channels", 128),
        "align_corners": given.take("align_corners", False),
        "out_indices": given.indices((0, 1, 2), 3),
        "norm": given.norm(),
        "act": act,
    }


def _fastscnn_rules(config: FastSCNNConfig) -> Rules:
    last = max(config.out_indices)
    rules = conv_norm_act("learning_to_downsample.conv", "stem.0")
    for i in (1, 2):
        rules |= separable(f"learning_to_downsample.dsconv{i}", f"stem.{i}")
    context = conv_norm_act("ppm.#", "pool.stages.#", 1) | conv_norm_act("out", "fuse")
    for i in range(3):
        for theirs, ours in (("conv", "conv"), ("bn", "norm"), ("activation", "act")):
            context[f"bottleneck{i + 1}.#.conv.#.{theirs}"] = f"groups.{i}.#.convs.#.{ours}"
    rules |= dropped_unless(last >= 1, prefixed(context, "global_feature_extractor.", "context."))
    fusion: Rules = {}
    for theirs, ours in (("dwconv", "depthwise"), ("conv_lower_res", "coarse"), ("conv_higher_res", "fine")):
        fusion |= conv_norm_act(f"feature_fusion.{theirs}", f"fusion.{ours}")
    return rules | dropped_unless(last >= 2, fusion)


MAPS: Mapping[str, BackboneMap] = {
    "BiSeNetV1": BackboneMap(BiSeNetV1Config, _read_bisenetv1, by(_bisenetv1_rules)),
    "BiSeNetV2": BackboneMap(BiSeNetV2Config, _read_bisenetv2, by(_bisenetv2_rules)),
    "CGNet": BackboneMap(CGNetConfig, _read_cgnet, by(_cgnet_rules)),
    "ERFNet": BackboneMap(ERFNetConfig, _read_erfnet, by(_erfnet_rules)),
    "FastSCNN": BackboneMap(FastSCNNConfig, _read_fastscnn, by(_fastscnn_rules)),
}
