"""CRIS's own parts: the neck that fuses a sentence into image features, the decoder, the text-conditioned projector.

References
----------
Z. Wang et al., CRIS: CLIP-driven referring image segmentation, CVPR 2022 (arXiv 2111.15174), section 3.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def convolution(inputs: int, outputs: int, side: int) -> nn.Sequential:
    """Return a convolution that keeps the size, batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class Neck(nn.Module):
    """The cross-modal neck: features of three scales and a sentence to one map at stride 16.

    F_m4 = Up(relu(F_v4 W_v4) . relu(F_s W_s)), F_m3 = [relu(F_m4 W_m4), relu(F_v3 W_v3)], F_m2 likewise of F_m3 and the
    pooled F_v2; all three together, then with the coordinates of each place beside them.

    Parameters
    ----------
    image : tuple of int
        Channels of F_v2, F_v3, F_v4.
    sentence : int
        Length of F_s.
    fused : tuple of int
        Channels of F_m2, F_m3, F_m4.
    width : int
        Channels of the outcome.

    Notes
    -----
    The sentence's gate is normalised by its own mean and variance: in a batch whose images all have the same text, the
    released batch normalisation would leave nothing of it.
    """

    def __init__(self, image: tuple[int, int, int], sentence: int, fused: tuple[int, int, int], width: int) -> None:
        super().__init__()
        (v2, v3, v4), (m2, m3, m4) = image, fused
        self.sentence = nn.Sequential(nn.Linear(sentence, m4, bias=False), nn.LayerNorm(m4), nn.ReLU())  # W_s
        self.v4, self.v3, self.v2 = convolution(v4, m4, 1), convolution(v3, m3, 3), convolution(v2, m2, 3)
        self.m3, self.m2 = convolution(m4 + m3, m3, 1), convolution(m3 + m2, m2, 1)
        self.to_width = nn.ModuleList([convolution(channels, width, 3) for channels in (m2, m3, m4)])
        self.together = convolution(3 * width, width, 1)
        self.placed = nn.Sequential(convolution(width + 2, width, 3), convolution(width, width, 3))

    def forward(self, v2: Tensor, v3: Tensor, v4: Tensor, sentence: Tensor) -> Tensor:
        """Return F_v, (n, width, h, w), from maps at strides 8, 16 and 32 and sentences (n, d)."""
        m4 = self.v4(v4) * self.sentence(sentence)[:, :, None, None]
        m4 = F.interpolate(m4, v3.shape[2:], mode="bilinear", align_corners=False)
        m3 = self.m3(torch.cat([m4, self.v3(v3)], dim=1))
        m2 = self.m2(torch.cat([m3, self.v2(F.avg_pool2d(v2, 2))], dim=1))
        maps = [layer(m) for layer, m in zip(self.to_width, (m2, m3, m4), strict=True)]
        m = self.together(torch.cat(maps, dim=1))
        return self.placed(torch.cat([m, coordinates(m)], dim=1))  # type: ignore[no-any-return]


def coordinates(like: Tensor) -> Tensor:
    """Return the x and y of each place, in [-1, 1], (n, 2, h, w)."""
    n, _, h, w = like.shape
    y, x = (torch.linspace(-1, 1, side, dtype=like.dtype, device=like.device) for side in (h, w))
    return torch.stack([x.expand(h, w), y[:, None].expand(h, w)]).expand(n, 2, h, w)


def sines(places: Tensor, channels: int) -> Tensor:
    """Return fixed position codes (..., channels) of places (...): sines, then cosines, of falling frequency.

    Vaswani et al. 2017, section 3.5.
    """
    half = channels // 2
    frequency = 10000.0 ** (-torch.arange(half, dtype=torch.float32, device=places.device) / half)
    angle = places.float()[..., None] * frequency
    return F.pad(torch.cat([angle.sin(), angle.cos()], dim=-1), (0, channels - 2 * half))


class VisionLanguageDecoder(nn.Module):
    """The vision-language decoder: each place attends to all places, then to the words.

    F'_v = MHSA(LN(F_v)) + F_v, F'_c = MHCA(LN(F'_v), F_t) + F'_v, F_c = MLP(LN(F'_c)) + F'_c; sines of the positions
    are added to F_v and F_t first.

    Parameters
    ----------
    width, words : int
        Channels of F_v and of F_t; where they differ, the words are projected.
    layers, heads, hidden : int
    dropout : float
    """

    def __init__(self, width: int, words: int, layers: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.words = nn.Linear(words, width) if words != width else nn.Identity()
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(width, heads, hidden, dropout, batch_first=True, norm_first=True)
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, v: Tensor, words: Tensor, ends: Tensor) -> Tensor:
        """Return F_c, (n, width, h, w), from F_v and words (n, L, c) with the places (n,) where the texts end."""
        n, width, h, w = v.shape
        y, x = (torch.arange(side, device=v.device) for side in (h, w))
        place = torch.cat(
            [sines(x, width // 2).expand(h, w, -1), sines(y, width - width // 2)[:, None].expand(h, w, -1)], dim=-1
        )
        f = v.flatten(2).transpose(1, 2) + place.reshape(h * w, width).to(v.dtype)
        position = torch.arange(words.shape[1], device=v.device)
        t = self.words(words) + sines(position, width).to(v.dtype)
        after = position > ends[:, None]  # the end of the text
        for layer in self.layers:
            f = layer(f, t, memory_key_padding_mask=after)
        return self.norm(f).transpose(1, 2).reshape(n, width, h, w)  # type: ignore[no-any-return]


class Projector(nn.Module):
    """Pixels z_v = Up(F_c) W_v + b_v against the sentence z_t = F_s W_t + b_t, which is a 3 x 3 kernel and its bias.

    Parameters
    ----------
    width, sentence : int
        Channels of F_c, length of F_s.
    side : int
        Of the kernel that the sentence makes.
    """

    def __init__(self, width: int, sentence: int, side: int = 3) -> None:
        super().__init__()
        half, self.side = width // 2, side
        self.pixels = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            convolution(width, width, 3),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            convolution(width, half, 3),
            nn.Conv2d(half, half, 1),
        )
        self.kernel = nn.Linear(sentence, half * side * side + 1)

    def forward(self, c: Tensor, sentence: Tensor) -> Tensor:
        """Return logits (n, 4h, 4w) of F_c (n, width, h, w) and sentences (n, d)."""
        z = self.pixels(c)
        n, channels, h, w = z.shape
        made = self.kernel(sentence)
        kernel, bias = made[:, :-1].reshape(n, channels, self.side, self.side), made[:, -1]
        # One image's kernel each: images side by side as groups of one convolution.
        logits = F.conv2d(z.reshape(1, n * channels, h, w), kernel, bias, padding=self.side // 2, groups=n)
        return logits[0]
