"""LeNet-5 and ResNet-9 in plain PyTorch."""

import torch.nn.functional as F  # noqa: N812
from torch import nn


class LeNet5(nn.Module):
    def __init__(self, channels, side, classes, dropout):
        super().__init__()
        padding = 2 if side < 28 else 0  # the kernels would leave nothing of small images
        for _ in range(2):
            side = (side + 2 * padding - 4) // 2
        self.conv1 = nn.Conv2d(channels, 6, 5, padding=padding)
        self.norm1 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 16, 5, padding=padding)
        self.norm2 = nn.BatchNorm2d(16)
        self.fc1 = nn.Linear(16 * side * side, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.norm2(self.conv2(x))), 2)
        x = x.flatten(1)
        x = self.dropout(F.relu(self.fc1(x)))
        x = self.dropout(F.relu(self.fc2(x)))
        return self.fc3(x)


def conv_block(inputs, outputs, pool=False):
    layers = [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.MaxPool2d(2)) if pool else nn.Sequential(*layers)


class ResNet9(nn.Module):
    def __init__(self, channels, side, classes, dropout):
        super().__init__()
        self.prep = conv_block(channels, 64)
        self.layer1 = conv_block(64, 128, pool=True)
        self.residual1 = nn.Sequential(conv_block(128, 128), conv_block(128, 128))
        self.layer2 = conv_block(128, 256, pool=True)
        self.layer3 = conv_block(256, 512, pool=True)
        self.residual2 = nn.Sequential(conv_block(512, 512), conv_block(512, 512))
        self.pool = nn.MaxPool2d(side // 8)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        x = self.layer1(self.prep(x))
        x = x + self.residual1(x)
        x = self.layer3(self.layer2(x))
        x = x + self.residual2(x)
        return self.fc(self.dropout(self.pool(x).flatten(1)))


NETWORKS = {"lenet5": LeNet5, "resnet9": ResNet9}
