"""Triton kernels: GELU, GRN and the linear layer behind them, without 4C-wide maps in between.

`h` (R, K) is what the first linear layer gives for all rows, N of each image. GELU's and GRN's
outputs are computed again from it wherever they are wanted; of 4C-wide maps only `h`, what the
second linear layer reads, and the gradient of `h` are ever written.
"""

import triton
import triton.language as tl

# Of what differs from batch to batch nothing is compiled in: one kernel serves all sizes.
SIZES = ("B", "N", "P", "R", "images", "chunk", "chunks", "parts")


@triton.jit(do_not_specialize=SIZES)
def linear_squares(
    x, weight, bias, h, squares, R, N, C, K, parts,
    BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_K: tl.constexpr,
    ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """`h`, the first linear layer, and of each image sums of squares of GELU(h).

    An image's rows are in several programs' tiles; what each adds is one of its `parts`.
    """
    tile = tl.program_id(0)
    r = tile * BLOCK_R + tl.arange(0, BLOCK_R)
    k = tl.program_id(1) * BLOCK_K + tl.arange(0, BLOCK_K)
    row = r.to(tl.int64)[:, None]
    total = tl.zeros([BLOCK_R, BLOCK_K], ACC)
    for start in range(0, C, BLOCK_C):
        c = start + tl.arange(0, BLOCK_C)
        v = tl.load(x + row * C + c[None, :], (r < R)[:, None] & (c < C)[None, :], 0)
        w = tl.load(weight + k[None, :] * C + c[:, None], (c < C)[:, None] & (k < K)[None, :], 0)
        total += tl.dot(v, w, input_precision=PRECISION, out_dtype=ACC)
    total += tl.load(bias + k, k < K, 0).to(ACC)[None, :]
    kept = (r < R)[:, None] & (k < K)[None, :]
    rounded = total.to(h.dtype.element_ty)
    tl.store(h + row * K + k[None, :], rounded, kept)
    a, _ = gelu(rounded.to(ACC))
    a = tl.where(kept, a * a, 0.0)
    image = r // N
    last = tl.minimum(tile * BLOCK_R + BLOCK_R, R) - 1
    for b in range(tile * BLOCK_R // N, last // N + 1):
        part = tile - b * N // BLOCK_R
        added = tl.sum(tl.where((image == b)[:, None], a, 0.0), 0)
        tl.store(squares + (b * parts + part) * K + k, added, k < K)


@triton.jit(do_not_specialize=SIZES)
def response_scale(
    squares, gamma, norms, mean, scale, N, K, parts, eps,
    BLOCK_R: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_K: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Of an image: the norms of channels, their mean + eps, and 1 + gamma * norm / mean."""
    b = tl.program_id(0)
    k = tl.arange(0, BLOCK_K)
    count = ((b + 1) * N - 1) // BLOCK_R - b * N // BLOCK_R + 1  # tiles that have rows of it
    gx = tl.sqrt(add_parts(squares + b * parts * K, count, k, K, BLOCK_P, BLOCK_K, ACC))
    m = tl.sum(gx, 0) / K + eps
    tl.store(norms + b * K + k, gx, k < K)
    tl.store(mean + b, m)
    tl.store(scale + b * K + k, 1 + tl.load(gamma + k, k < K, 0).to(ACC) * gx / m, k < K)


@triton.jit(do_not_specialize=SIZES)
def gelu_respond(
    h, scale, beta, out, R, N, K,
    BLOCK_R: tl.constexpr, BLOCK_K: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """GRN of GELU: `out` = GELU(h) * scale of the image + beta."""
    r = tl.program_id(0) * BLOCK_R + tl.arange(0, BLOCK_R)
    k = tl.program_id(1) * BLOCK_K + tl.arange(0, BLOCK_K)
    kept = (r < R)[:, None] & (k < K)[None, :]
    at = r.to(tl.int64)[:, None] * K + k[None, :]
    a, _ = gelu(tl.load(h + at, kept, 0).to(ACC))
    s = tl.load(scale + (r // N)[:, None] * K + k[None, :], kept, 0)
    g = a * s + tl.load(beta + k, k < K, 0).to(ACC)[None, :]
    tl.store(out + at, g.to(out.dtype.element_ty), kept)


@triton.jit(do_not_specialize=SIZES)
def response_grad_weight(
    grad, h, scale, beta, weight, grad_weight, grad_bias, grad_scale,
    B, N, C, K, images, chunk, chunks,
    BLOCK_N: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_K: tl.constexpr,
    ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients of the second linear layer, and on the way of each image's `scale`.

    Of an image, P = grad^T GELU(h) is (C, K). Its scaled copies add up to the gradient of the
    weight, and the sum over C of P * weight is the gradient of the scale, for which the gradient of
    GRN's output is not needed. A program adds `chunk` rows of each of `images` images.
    """
    z = tl.program_id(2)
    p = z % chunks
    c = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    k = tl.program_id(1) * BLOCK_K + tl.arange(0, BLOCK_K)
    tile = c[:, None] * K + k[None, :]
    kept = (c < C)[:, None] & (k < K)[None, :]
    w = tl.load(weight + tile, kept, 0).to(ACC)
    total = tl.zeros([BLOCK_C, BLOCK_K], ACC)
    bias = tl.zeros([BLOCK_C], ACC)
    first = z // chunks * images
    last = tl.minimum((p + 1) * chunk, N)
    for b in range(first, tl.minimum(first + images, B)):
        product = tl.zeros([BLOCK_C, BLOCK_K], ACC)
        for start in range(p * chunk, last, BLOCK_N):
            n = start + tl.arange(0, BLOCK_N)
            row = (b * N + n).to(tl.int64)[:, None]
            d = tl.load(grad + row * C + c[None, :], (n < last)[:, None] & (c < C)[None, :], 0)
            x = tl.load(h + row * K + k[None, :], (n < last)[:, None] & (k < K)[None, :], 0)
            a, _ = gelu(x.to(ACC))
            product += tl.dot(tl.trans(d), a.to(d.dtype), input_precision=PRECISION, out_dtype=ACC)
            bias += tl.sum(d.to(ACC), 0)
        place = ((b * chunks + p) * tl.num_programs(0) + tl.program_id(0)) * K + k
        tl.store(grad_scale + place, tl.sum(product * w, 0), k < K)
        total += product * tl.load(scale + b * K + k, k < K, 0)[None, :]
    total += bias[:, None] * tl.load(beta + k, k < K, 0).to(ACC)[None, :]
    tl.store(grad_weight + z.to(tl.int64) * C * K + tile, total, kept)
    if tl.program_id(1) == 0:
        tl.store(grad_bias + z * C + c, bias, c < C)


@triton.jit(do_not_specialize=SIZES)
def response_along(
    grad_scale, gamma, norms, mean, along, grad_gamma, parts, K,
    BLOCK_P: tl.constexpr, BLOCK_K: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Of an image: what its norms send back to GELU, as a factor of it, and gamma's gradient."""
    b = tl.program_id(0)
    k = tl.arange(0, BLOCK_K)
    gs = add_parts(grad_scale + b * parts * K, parts, k, K, BLOCK_P, BLOCK_K, ACC)
    gx = tl.load(norms + b * K + k, k < K, 0)
    m = tl.load(mean + b)
    nx = gx / m
    grad_nx = gs * tl.load(gamma + k, k < K, 0).to(ACC)
    grad_gx = (grad_nx - tl.sum(grad_nx * nx, 0) / K) / m
    # d|x| / dx = x / |x|; 0 where a channel is 0 everywhere.
    safe = tl.where(gx == 0, 1.0, gx)
    tl.store(along + b * K + k, tl.where(gx == 0, 0.0, grad_gx / safe), k < K)
    tl.store(grad_gamma + b * K + k, gs * nx, k < K)


@triton.jit(do_not_specialize=SIZES)
def response_grad_input(
    grad, h, weight, scale, along, out, partial, R, N, C, K,
    BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_K: tl.constexpr,
    ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradient of `h`: grad @ weight, back through GRN and GELU before it is written.

    `partial` has its sums over a program's rows, for the bias of the first linear layer.
    """
    r = tl.program_id(0) * BLOCK_R + tl.arange(0, BLOCK_R)
    k = tl.program_id(1) * BLOCK_K + tl.arange(0, BLOCK_K)
    row = r.to(tl.int64)[:, None]
    total = tl.zeros([BLOCK_R, BLOCK_K], ACC)
    for start in range(0, C, BLOCK_C):
        c = start + tl.arange(0, BLOCK_C)
        d = tl.load(grad + row * C + c[None, :], (r < R)[:, None] & (c < C)[None, :], 0)
        w = tl.load(weight + c[:, None] * K + k[None, :], (c < C)[:, None] & (k < K)[None, :], 0)
        total += tl.dot(d, w, input_precision=PRECISION, out_dtype=ACC)
    kept = (r < R)[:, None] & (k < K)[None, :]
    image = (r // N)[:, None] * K + k[None, :]
    a, slope = gelu(tl.load(h + row * K + k[None, :], kept, 0).to(ACC))
    total = total * tl.load(scale + image, kept, 0) + a * tl.load(along + image, kept, 0)
    total *= slope
    tl.store(out + row * K + k[None, :], total.to(out.dtype.element_ty), kept)
    # Beyond R, all of it is 0.
    tl.store(partial + tl.program_id(0) * K + k, tl.sum(total, 0), k < K)


@triton.jit(do_not_specialize=SIZES)
def response_grad_vectors(
    partial, grad_gamma, grad_bias, weight, out, P, B, C, K,
    BLOCK_P: tl.constexpr, BLOCK_K: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Gradients (3, K): of the first layer's bias and of gamma, added up, and of beta."""
    k = tl.program_id(0) * BLOCK_K + tl.arange(0, BLOCK_K)
    tl.store(out + k, add_parts(partial, P, k, K, BLOCK_P, BLOCK_K, ACC), k < K)
    tl.store(out + K + k, add_parts(grad_gamma, B, k, K, BLOCK_P, BLOCK_K, ACC), k < K)
    total = tl.zeros([BLOCK_K], ACC)
    for start in range(0, C, BLOCK_P):
        c = start + tl.arange(0, BLOCK_P)
        w = tl.load(weight + c[:, None] * K + k[None, :], (c < C)[:, None] & (k < K)[None, :], 0)
        total += tl.sum(w.to(ACC) * tl.load(grad_bias + c, c < C, 0)[:, None], 0)
    tl.store(out + 2 * K + k, total, k < K)


@triton.jit
def gelu(x):
    """GELU by the error function, and its slope."""
    below = 0.5 * (1 + tl.math.erf(x * 0.7071067811865476))
    return x * below, below + x * tl.exp(-0.5 * x * x) * 0.3989422804014327


@triton.jit
def add_parts(x, count, k, K, BLOCK_P: tl.constexpr, BLOCK_K: tl.constexpr, ACC: tl.constexpr):
    """The sum of x (count, K)."""
    total = tl.zeros([BLOCK_K], ACC)
    for start in range(0, count, BLOCK_P):
        p = start + tl.arange(0, BLOCK_P)
        kept = (p < count)[:, None] & (k < K)[None, :]
        total += tl.sum(tl.load(x + p[:, None] * K + k[None, :], kept, 0), 0)
    return total
