"""The classifiers of torchvision, as plain data: what validation must know of them without importing torchvision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

PREFIX = "torchvision:"
"""Stands before the names of torchvision's networks in a study file."""


@dataclass(frozen=True)
class TorchvisionSpec:
    """A network of torchvision: the file of its DEFAULT weights, and the sides of its input images in pixels."""

    file: str
    """Its name holds the first digits of its SHA-256."""
    size: int = 224
    """What the weights were trained for (after torchvision's own preprocessing)."""
    smallest: int = 32
    one_size: bool = False
    """It takes no other size than `size`."""


SPECS: Mapping[str, TorchvisionSpec] = MappingProxyType(
    {
        "alexnet": TorchvisionSpec("alexnet-owt-7be5be79.pth", smallest=63),
        "convnext_base": TorchvisionSpec("convnext_base-6075fbad.pth"),
        "convnext_large": TorchvisionSpec("convnext_large-ea097f82.pth"),
        "convnext_small": TorchvisionSpec("convnext_small-0c510722.pth"),
        "convnext_tiny": TorchvisionSpec("convnext_tiny-983f1562.pth"),
        "densenet121": TorchvisionSpec("densenet121-a639ec97.pth"),
        "densenet161": TorchvisionSpec("densenet161-8d451a50.pth"),
        "densenet169": TorchvisionSpec("densenet169-b2777c0a.pth"),
        "densenet201": TorchvisionSpec("densenet201-c1103571.pth"),
        "efficientnet_b0": TorchvisionSpec("efficientnet_b0_rwightman-7f5810bc.pth"),
        "efficientnet_b1": TorchvisionSpec("efficientnet_b1-c27df63c.pth", 240),
        "efficientnet_b2": TorchvisionSpec("efficientnet_b2_rwightman-c35c1473.pth", 288),
        "efficientnet_b3": TorchvisionSpec("efficientnet_b3_rwightman-b3899882.pth", 300),
        "efficientnet_b4": TorchvisionSpec("efficientnet_b4_rwightman-23ab8bcd.pth", 380),
        "efficientnet_b5": TorchvisionSpec("efficientnet_b5_lukemelas-1a07897c.pth", 456),
        "efficientnet_b6": TorchvisionSpec("efficientnet_b6_lukemelas-24a108a5.pth", 528),
        "efficientnet_b7": TorchvisionSpec("efficientnet_b7_lukemelas-c5b4e57e.pth", 600),
        "efficientnet_v2_l": TorchvisionSpec("efficientnet_v2_l-59c71312.pth", 480, smallest=33),
        "efficientnet_v2_m": TorchvisionSpec("efficientnet_v2_m-dc08266a.pth", 480, smallest=33),
        "efficientnet_v2_s": TorchvisionSpec("efficientnet_v2_s-dd5fe13b.pth", 384, smallest=33),
        "maxvit_t": TorchvisionSpec("maxvit_t-bc5ab103.pth", one_size=True),
        "mnasnet0_5": TorchvisionSpec("mnasnet0.5_top1_67.823-3ffadce67e.pth"),
        "mnasnet0_75": TorchvisionSpec("mnasnet0_75-7090bc5f.pth"),
        "mnasnet1_0": TorchvisionSpec("mnasnet1.0_top1_73.512-f206786ef8.pth"),
        "mnasnet1_3": TorchvisionSpec("mnasnet1_3-a4c69d6f.pth"),
        "mobilenet_v2": TorchvisionSpec("mobilenet_v2-7ebf99e0.pth"),
        "mobilenet_v3_large": TorchvisionSpec("mobilenet_v3_large-5c1a4163.pth"),
        "mobilenet_v3_small": TorchvisionSpec("mobilenet_v3_small-047dcff4.pth"),
        "regnet_x_16gf": TorchvisionSpec("regnet_x_16gf-ba3796d7.pth"),
        "regnet_x_1_6gf": TorchvisionSpec("regnet_x_1_6gf-a12f2b72.pth"),
        "regnet_x_32gf": TorchvisionSpec("regnet_x_32gf-6eb8fdc6.pth"),
        "regnet_x_3_2gf": TorchvisionSpec("regnet_x_3_2gf-7071aa85.pth"),
        "regnet_x_400mf": TorchvisionSpec("regnet_x_400mf-62229a5f.pth"),
        "regnet_x_800mf": TorchvisionSpec("regnet_x_800mf-94a99ebd.pth"),
        "regnet_x_8gf": TorchvisionSpec("regnet_x_8gf-2b70d774.pth"),
        "regnet_y_128gf": TorchvisionSpec("regnet_y_128gf_swag-c8ce3e52.pth", 384),
        "regnet_y_16gf": TorchvisionSpec("regnet_y_16gf-3e4a00f9.pth"),
        "regnet_y_1_6gf": TorchvisionSpec("regnet_y_1_6gf-0d7bc02a.pth"),
        "regnet_y_32gf": TorchvisionSpec("regnet_y_32gf-8db6d4b5.pth"),
        "regnet_y_3_2gf": TorchvisionSpec("regnet_y_3_2gf-9180c971.pth"),
        "regnet_y_400mf": TorchvisionSpec("regnet_y_400mf-e6988f5f.pth"),
        "regnet_y_800mf": TorchvisionSpec("regnet_y_800mf-58fc7688.pth"),
        "regnet_y_8gf": TorchvisionSpec("regnet_y_8gf-dc2b1b54.pth"),
        "resnet101": TorchvisionSpec("resnet101-cd907fc2.pth"),
        "resnet152": TorchvisionSpec("resnet152-f82ba261.pth"),
        "resnet18": TorchvisionSpec("resnet18-f37072fd.pth"),
        "resnet34": TorchvisionSpec("resnet34-b627a593.pth"),
        "resnet50": TorchvisionSpec("resnet50-11ad3fa6.pth"),
        "resnext101_32x8d": TorchvisionSpec("resnext101_32x8d-110c445d.pth"),
        "resnext101_64x4d": TorchvisionSpec("resnext101_64x4d-173b62eb.pth"),
        "resnext50_32x4d": TorchvisionSpec("resnext50_32x4d-1a0047aa.pth"),
        "shufflenet_v2_x0_5": TorchvisionSpec("shufflenetv2_x0.5-f707e7126e.pth"),
        "shufflenet_v2_x1_0": TorchvisionSpec("shufflenetv2_x1-5666bf0f80.pth"),
        "shufflenet_v2_x1_5": TorchvisionSpec("shufflenetv2_x1_5-3c479a10.pth"),
        "shufflenet_v2_x2_0": TorchvisionSpec("shufflenetv2_x2_0-8be3c8ee.pth"),
        "swin_b": TorchvisionSpec("swin_b-68c6b09e.pth"),
        "swin_s": TorchvisionSpec("swin_s-5e29d889.pth"),
        "swin_t": TorchvisionSpec("swin_t-704ceda3.pth"),
        "swin_v2_b": TorchvisionSpec("swin_v2_b-781e5279.pth", 256),
        "swin_v2_s": TorchvisionSpec("swin_v2_s-637d8ceb.pth", 256),
        "swin_v2_t": TorchvisionSpec("swin_v2_t-b137f0e2.pth", 256),
        "vgg11": TorchvisionSpec("vgg11-8a719046.pth"),
        "vgg11_bn": TorchvisionSpec("vgg11_bn-6002323d.pth"),
        "vgg13": TorchvisionSpec("vgg13-19584684.pth"),
        "vgg13_bn": TorchvisionSpec("vgg13_bn-abd245e5.pth"),
        "vgg16": TorchvisionSpec("vgg16-397923af.pth"),
        "vgg16_bn": TorchvisionSpec("vgg16_bn-6c64b313.pth"),
        "vgg19": TorchvisionSpec("vgg19-dcbb9e9d.pth"),
        "vgg19_bn": TorchvisionSpec("vgg19_bn-c79401a0.pth"),
        "vit_b_16": TorchvisionSpec("vit_b_16-c867db91.pth", one_size=True),
        "vit_b_32": TorchvisionSpec("vit_b_32-d86f8d99.pth", one_size=True),
        "vit_h_14": TorchvisionSpec("vit_h_14_swag-80465313.pth", 518, one_size=True),
        "vit_l_16": TorchvisionSpec("vit_l_16-852ce7e3.pth", one_size=True),
        "vit_l_32": TorchvisionSpec("vit_l_32-c7638314.pth", one_size=True),
        "wide_resnet101_2": TorchvisionSpec("wide_resnet101_2-d733dc28.pth"),
        "wide_resnet50_2": TorchvisionSpec("wide_resnet50_2-9ba9bcbe.pth"),
    }
)

REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "googlenet": "it has two more heads while it is trained",
        "inception_v3": "it has one more head while it is trained",
        "squeezenet1_0": "it ends in a convolution: there is no last linear layer to replace",
        "squeezenet1_1": "it ends in a convolution: there is no last linear layer to replace",
    }
)
"""Classifiers of torchvision that cannot be trained here, and why."""
