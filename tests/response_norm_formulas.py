"""Every response norm as a loop over images, pixels and channels, in plain sums."""

import torch

SCOPE = "convnextv2."


def every_image(formula):
    """A formula of one image's rows (N, C), of all images (B, N, C)."""
    return lambda layer, x, *_: torch.stack([formula(layer, rows) for rows in x])


def grn(aggregate, normalize, residual):
    def formula(layer, rows):
        g = [aggregate(channel) for channel in rows.T]
        n = normalize(g)
        columns = [
            layer.gamma[c] * (rows[:, c] * n[c]) + layer.beta[c] + (rows[:, c] if residual else 0)
            for c in range(len(g))
        ]
        return torch.stack(columns, dim=1)

    return every_image(formula)


def l1(channel):
    return sum(abs(value) for value in channel)


def l2(channel):
    return sum(value * value for value in channel) ** 0.5


def average(channel):
    return sum(channel) / len(channel)


def divide(g):
    return [value / (average(g) + 1e-6) for value in g]


def standardize(g):
    mean = average(g)
    variance = sum((value - mean) ** 2 for value in g) / len(g)
    return [(value - mean) / (variance + 1e-6) ** 0.5 for value in g]


def batch_grn(layer, x, *_):
    """Of all images' pixels as if they were one image's."""
    return grn(l2, divide, True)(layer, x.reshape(1, -1, x.shape[2])).reshape(x.shape)


def lrn(layer, x, *_):
    """Five channels around each; those beyond the ends are 0 and count."""
    channels = range(x.shape[2])
    columns = []
    for c in channels:
        near = [x[..., d] ** 2 for d in range(c - 2, c + 3) if d in channels]
        columns.append(x[..., c] / (1 + 2.0 / 5 * sum(near)) ** 0.75)
    return torch.stack(columns, dim=2)


def bn(layer, x, *_):
    columns = []
    for c in range(x.shape[2]):
        values = x[..., c]
        mean = values.sum() / values.numel()
        variance = ((values - mean) ** 2).sum() / values.numel()
        scaled = (values - mean) / (variance + 1e-5) ** 0.5
        columns.append(layer.norm.weight[c] * scaled + layer.norm.bias[c])
    return torch.stack(columns, dim=2)


def ln(layer, rows):
    pixels = []
    for pixel in rows:
        variance = average((pixel - average(pixel)) ** 2)
        scaled = (pixel - average(pixel)) / (variance + 1e-6) ** 0.5
        pixels.append(layer.norm.weight * scaled + layer.norm.bias)
    return torch.stack(pixels)


def mlp(layer, values):
    first, _, second = layer.gate
    hidden = first.weight @ values + first.bias
    return second.weight @ (hidden * (hidden > 0)) + second.bias


def sigmoid(x):
    return 1 / (1 + torch.exp(-x))


def largest_of(values):
    return max(values, key=lambda value: value.item())


def se(layer, rows):
    return rows * sigmoid(mlp(layer, average(rows)))


def cbam(layer, x, convolve):
    images = []
    for rows in x:
        largest = torch.stack([largest_of(channel) for channel in rows.T])
        rows = rows * sigmoid(mlp(layer, average(rows)) + mlp(layer, largest))
        images.append(rows)
    pixels = [
        torch.stack([torch.stack([average(p), largest_of(p)]) for p in rows]) for rows in images
    ]
    gates = sigmoid(convolve(layer.conv, torch.stack(pixels)))
    return torch.stack(images) * gates


def of(name, **options):
    return {"type": SCOPE + name, **options}


# Name: config of the layer, and its formula, of layer, rows (B, N, C) and a convolution.
VARIANTS = {
    "v1": (of("NoResponseNorm"), lambda layer, x, *_: x),
    "grn": (of("GRN"), grn(l2, divide, True)),
    "l2": (of("GRNVariant"), grn(l2, divide, True)),
    "l1": (of("GRNVariant", aggregation="l1"), grn(l1, divide, True)),
    "average": (of("GRNVariant", aggregation="average"), grn(average, divide, True)),
    "standardizing": (
        of("GRNVariant", normalization="standardizing"),
        grn(l2, standardize, True),
    ),
    "not-normalized": (of("GRNVariant", normalization="none"), grn(l2, list, True)),
    "no-residual": (of("GRNVariant", residual=False), grn(l2, divide, False)),
    "all-changed": (
        of("GRNVariant", aggregation="l1", normalization="standardizing", residual=False),
        grn(l1, standardize, False),
    ),
    "batch": (of("BatchGRN"), batch_grn),
    "lrn": (of("LRNResponse", alpha=2.0), lrn),
    "bn": (of("BNResponse"), bn),
    "ln": (of("LNResponse"), every_image(ln)),
    "se": (of("SEResponse", reduction=4), every_image(se)),
    "cbam": (of("CBAMResponse", reduction=4), cbam),
}


def convolve_sparsely(conv, x, visible):
    """A 7x7 convolution of a map (C, H, W), pixel by pixel: hidden neighbours do not exist.

    Depthwise or of all channels. Returns (visible pixels, channels), row by row.
    """
    _, height, width = x.shape
    pixels = []
    for y, z in visible.nonzero().tolist():
        out = conv.bias
        for v in range(max(y - 3, 0), min(y + 4, height)):
            for w in range(max(z - 3, 0), min(z + 4, width)):
                if visible[v, w]:
                    weight = conv.weight[:, :, v - y + 3, w - z + 3]
                    value = x[:, v, w]
                    out = out + (weight @ value if conv.groups == 1 else weight[:, 0] * value)
        pixels.append(out)
    return torch.stack(pixels)


def lay_out(rows, visible):
    """Rows (N, C) of visible pixels as a map (C, H, W), 0 where hidden."""
    x = rows.new_zeros(*visible.shape, rows.shape[1])
    return x.index_put((visible,), rows).permute(2, 0, 1)


def block_loop(block, formula, x, visible):
    """A block of maps (B, C, H, W) that are 0 where hidden; `visible` (B, H, W)."""

    def convolve(conv, rows):
        maps = [lay_out(r, v) for r, v in zip(rows, visible, strict=True)]
        return torch.stack(
            [convolve_sparsely(conv, m, v) for m, v in zip(maps, visible, strict=True)]
        )

    rows = [convolve_sparsely(block.dwconv, m, v) for m, v in zip(x, visible, strict=True)]
    hidden = torch.nn.functional.gelu(block.pwconv1(block.norm(torch.stack(rows))))
    rows = block.layer_scale(block.pwconv2(formula(block.grn, hidden, convolve)))
    maps = [lay_out(r, v) for r, v in zip(rows, visible, strict=True)]
    return x + torch.stack(maps)
