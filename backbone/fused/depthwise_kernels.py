"""Triton kernels: the depthwise 7x7 convolution among rows, with LayerNorm, and its gradients.

Rows (R, C) are the pixels that exist, of all images. `find_near` says which of them lie around a
row: of whole maps by their size, of packed rows by a table. So nothing is scattered into maps with
zeros, and no hidden pixel is computed. Channels lie side by side, and neighbours are near each
other in memory, so that of the 49 readings of a pixel all but one or two are a cache's.
"""

import triton
import triton.language as tl

# Of what differs from batch to batch nothing is compiled in: one kernel serves all sizes.
SIZES = ("R", "P", "Q", "height", "width", "chunk")


@triton.jit(do_not_specialize=SIZES)
def depthwise_norm(
    x, rows, places, weight, bias, gain, shift, y, normed, R, C, height, width, eps,
    PACKED: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """`y`, the convolution of `x`, and `normed`, its LayerNorm; a program has whole rows."""
    r = tl.program_id(0) * BLOCK_R + tl.arange(0, BLOCK_R)
    c = tl.arange(0, BLOCK_C)
    total = convolve(
        x, rows, places, weight, r, c, R, C, height, width, PACKED, False, BLOCK_R, BLOCK_C, ACC
    )
    total += tl.load(bias + c, c < C, 0).to(ACC)[None, :]
    kept = (r < R)[:, None] & (c < C)[None, :]
    at = r.to(tl.int64)[:, None] * C + c[None, :]
    rounded = total.to(y.dtype.element_ty)
    tl.store(y + at, rounded, kept)
    unit, _ = standardize(rounded.to(ACC), kept, C, eps)
    scaled = unit * tl.load(gain + c, c < C, 0).to(ACC)[None, :]
    scaled += tl.load(shift + c, c < C, 0).to(ACC)[None, :]
    tl.store(normed + at, scaled.to(normed.dtype.element_ty), kept)


@triton.jit(do_not_specialize=SIZES)
def norm_backward(
    grad, y, gain, grad_y, partial, R, C, eps,
    BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Gradient of LayerNorm's input, and a program's sums for its gain and shift, (2, C)."""
    c = tl.arange(0, BLOCK_C)
    g = tl.load(gain + c, c < C, 0).to(ACC)[None, :]
    sum_gain = tl.zeros([BLOCK_C], ACC)
    sum_shift = tl.zeros([BLOCK_C], ACC)
    step = tl.num_programs(0) * BLOCK_R
    for start in range(tl.program_id(0) * BLOCK_R, R, step):
        r = start + tl.arange(0, BLOCK_R)
        kept = (r < R)[:, None] & (c < C)[None, :]
        at = r.to(tl.int64)[:, None] * C + c[None, :]
        d = tl.load(grad + at, kept, 0).to(ACC)
        unit, inverse = standardize(tl.load(y + at, kept, 0).to(ACC), kept, C, eps)
        scaled = d * g
        mean = tl.sum(scaled, 1)[:, None] / C
        along = tl.sum(scaled * unit, 1)[:, None] / C
        out = inverse * (scaled - mean - unit * along)
        tl.store(grad_y + at, out.to(grad_y.dtype.element_ty), kept)
        sum_gain += tl.sum(d * unit, 0)
        sum_shift += tl.sum(d, 0)
    base = partial + tl.program_id(0) * 2 * C
    tl.store(base + c, sum_gain, c < C)
    tl.store(base + C + c, sum_shift, c < C)


@triton.jit(do_not_specialize=SIZES)
def depthwise_grad_input(
    grad, skip, rows, places, weight, out, R, C, height, width,
    PACKED: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """`out`: what comes back through the convolution, and past it, `skip`."""
    r = tl.program_id(0) * BLOCK_R + tl.arange(0, BLOCK_R)
    c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    total = convolve(
        grad, rows, places, weight, r, c, R, C, height, width, PACKED, True, BLOCK_R, BLOCK_C, ACC
    )
    kept = (r < R)[:, None] & (c < C)[None, :]
    at = r.to(tl.int64)[:, None] * C + c[None, :]
    total += tl.load(skip + at, kept, 0).to(ACC)
    tl.store(out + at, total.to(out.dtype.element_ty), kept)


@triton.jit(do_not_specialize=SIZES)
def depthwise_grad_weight(
    grad, x, rows, places, partial, R, C, height, width, chunk,
    PACKED: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """The sums of `chunk` rows for the 49 taps and, as the 50th, for the bias: (50, C)."""
    c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    t = tl.arange(0, 64)
    total = tl.zeros([64, BLOCK_C], ACC)
    first = tl.program_id(0) * chunk
    last = tl.minimum(first + chunk, R)
    for start in range(first, last, BLOCK_R):
        r = start + tl.arange(0, BLOCK_R)
        here = (r < last)[:, None] & (t < 49)[None, :]
        near = find_near(
            r[:, None], here, t[None, :], rows, places, height, width, PACKED
        )  # (BLOCK_R, 64)
        at = near.to(tl.int64)[:, :, None] * C + c[None, None, :]
        v = tl.load(x + at, (near >= 0)[:, :, None] & (c < C)[None, None, :], 0).to(ACC)
        v = tl.where((t == 49)[None, :, None], 1.0, v)
        at = r.to(tl.int64)[:, None] * C + c[None, :]
        d = tl.load(grad + at, (r < last)[:, None] & (c < C)[None, :], 0).to(ACC)
        total += tl.sum(v * d[:, None, :], 0)
    at = (tl.program_id(0) * 50 + t)[:, None] * C + c[None, :]
    tl.store(partial + at, total, (t < 50)[:, None] & (c < C)[None, :])


@triton.jit(do_not_specialize=SIZES)
def depthwise_grad_vectors(
    taps, norm, weight, bias, gain, shift, P, Q, C,
    BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Of partial sums `taps` (P, 50, C) and `norm` (Q, 2, C): the gradients of parameters."""
    c = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    t = tl.arange(0, 64)
    kept = (t < 50)[:, None] & (c < C)[None, :]
    total = tl.zeros([64, BLOCK_C], ACC)
    for p in range(P):
        total += tl.load(taps + (p * 50 + t)[:, None] * C + c[None, :], kept, 0)
    tl.store(weight + c[None, :] * 49 + t[:, None], total, kept & (t < 49)[:, None])
    tl.store(bias + c, tl.sum(tl.where((t == 49)[:, None], total, 0.0), 0), c < C)
    sum_gain = tl.zeros([BLOCK_C], ACC)
    sum_shift = tl.zeros([BLOCK_C], ACC)
    for start in range(0, Q, BLOCK_P):
        q = start + tl.arange(0, BLOCK_P)
        at = norm + q[:, None] * 2 * C + c[None, :]
        kept = (q < Q)[:, None] & (c < C)[None, :]
        sum_gain += tl.sum(tl.load(at, kept, 0), 0)
        sum_shift += tl.sum(tl.load(at + C, kept, 0), 0)
    tl.store(gain + c, sum_gain, c < C)
    tl.store(shift + c, sum_shift, c < C)


@triton.jit
def convolve(
    x, rows, places, weight, r, c, R, C, height, width,
    PACKED: tl.constexpr, TURNED: tl.constexpr,
    BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Sums over the taps of weights (49, C) and rows of `x`; `TURNED` by half a turn."""
    total = tl.zeros([BLOCK_R, BLOCK_C], ACC)
    for t in range(49):
        near = find_near(r, r < R, t, rows, places, height, width, PACKED)
        tap = 48 - t if TURNED else t
        w = tl.load(weight + tap * C + c, c < C, 0).to(ACC)
        at = near.to(tl.int64)[:, None] * C + c[None, :]
        v = tl.load(x + at, (near >= 0)[:, None] & (c < C)[None, :], 0).to(ACC)
        total += v * w[None, :]
    return total


@triton.jit
def find_near(r, here, t, rows, places, height, width, PACKED: tl.constexpr):
    """The rows at tap `t` around rows `r`; -1 where nothing is, and where not `here`."""
    down = t // 7 - 3
    right = t % 7 - 3
    if PACKED:
        place = tl.load(places + r, here, 0)
        near = tl.load(rows + place + down * (width + 6) + right, here, -1)
    else:
        x = r % width + right
        y = r // width % height + down
        inside = here & (x >= 0) & (x < width) & (y >= 0) & (y < height)
        near = tl.where(inside, r + down * width + right, -1)
    return near


@triton.jit
def standardize(x, kept, C, eps):
    """Rows of mean 0 and variance 1, 0 where nothing is kept; and 1 / deviation, (BLOCK_R, 1)."""
    mean = tl.sum(x, 1)[:, None] / C
    centred = tl.where(kept, x - mean, 0.0)
    inverse = 1 / tl.sqrt(tl.sum(centred * centred, 1)[:, None] / C + eps)
    return centred * inverse, inverse
