"""A student for inference: what never changes again is reckoned beforehand."""

from copy import deepcopy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from edgevid_train.models.student import Student
from edgevid_train.models.temporal import CausalConv


def folded(student: Student) -> Student:
    """A copy for inference in which batch norms are part of the layers before them, where converters do not see to it.

    They fold a norm into a plain convolution by themselves; but Core ML's leaves one after a linear layer standing, and
    to none of them does the memory's sum of two products look like one. Its weights are laid out once as a step takes
    them, which by torch, too, takes half the time.
    """
    copy = deepcopy(student).eval()
    for module in copy.modules():
        if isinstance(module, nn.Sequential) and len(module) > 1:
            layer, norm = module[0], module[1]
            if isinstance(layer, nn.Linear) and isinstance(norm, nn.BatchNorm1d):
                module[0], module[1] = fuse_linear_bn_eval(layer, norm), nn.Identity()
            elif isinstance(layer, CausalConv) and isinstance(norm, nn.BatchNorm2d):
                layer.conv, module[1] = fuse_conv_bn_eval(layer.conv, norm), nn.Identity()
    tower = copy.memory.remember
    with torch.no_grad():
        tower.fixed = tower.unrolled() if len(tower.layers) else None
    return copy
