"""Triton kernels for what lies between the network's convolutions, forward and backward.

Activations are rows of C channels, 81 rows a position, as channels-last tensors lie in memory. A
kernel reads and writes each of them as few times as the arithmetic allows: normalising, the
rectifier, squeeze-and-excitation and the residual sum never write what only the next one reads.
Arithmetic is float32; tensors are stored in their own dtype.

Imported only where Triton is: the plain form of every kernel is ``keisei.core.network``.
"""

from __future__ import annotations

import triton
import triton.language as tl

SQUARES = tl.constexpr(81)
EPSILON = tl.constexpr(1e-5)


@triton.jit
def _normalised(x, weight, bias, width: tl.constexpr):
    """x [R, C] -> (x over its rows' root mean square, that scale [R], with weight and bias)."""
    scale = tl.rsqrt(tl.sum(x * x, axis=1) / width + EPSILON)
    unit = x * scale[:, None]
    return unit, scale, unit * weight[None, :] + bias[None, :]


@triton.jit
def _rectified(x):
    """relu(x). What is no number stays so (tl.maximum would make it 0), and the learner sees it."""
    return tl.where(x <= 0.0, 0.0, x)


@triton.jit
def norm_relu_forward(
    x_ptr,
    shift_ptr,
    weight_ptr,
    bias_ptr,
    z_ptr,
    rows,
    SHIFT: tl.constexpr,
    C: tl.constexpr,
    BLOCK: tl.constexpr,
    R: tl.constexpr,
):
    """z = relu(norm(x + shift)); a program makes R rows."""
    row = tl.program_id(0).to(tl.int64) * R + tl.arange(0, R)
    col = tl.arange(0, BLOCK)
    here = (row < rows)[:, None] & (col < C)[None, :]
    at = row[:, None] * C + col[None, :]
    weight = tl.load(weight_ptr + col, mask=col < C, other=0.0).to(tl.float32)
    bias = tl.load(bias_ptr + col, mask=col < C, other=0.0).to(tl.float32)
    x = tl.load(x_ptr + at, mask=here, other=0.0).to(tl.float32)
    if SHIFT:
        x += tl.load(shift_ptr + col, mask=col < C, other=0.0).to(tl.float32)[None, :]
    _, _, z = _normalised(x, weight, bias, C)
    tl.store(z_ptr + at, _rectified(z).to(z_ptr.dtype.element_ty), mask=here)


@triton.jit
def norm_relu_backward(
    dz_ptr,
    skip_ptr,
    x_ptr,
    shift_ptr,
    weight_ptr,
    bias_ptr,
    dx_ptr,
    sums_ptr,
    rows,
    SKIP: tl.constexpr,
    SHIFT: tl.constexpr,
    C: tl.constexpr,
    BLOCK: tl.constexpr,
    R: tl.constexpr,
):
    """dx of norm_relu_forward, plus the gradient at ``skip`` that reached x another way.

    Programs stride over the rows. Program p writes its share of the gradients of weight, bias and
    shift to sums [p, 3, C].
    """
    col = tl.arange(0, BLOCK)
    weight = tl.load(weight_ptr + col, mask=col < C, other=0.0).to(tl.float32)
    bias = tl.load(bias_ptr + col, mask=col < C, other=0.0).to(tl.float32)
    if SHIFT:
        shift = tl.load(shift_ptr + col, mask=col < C, other=0.0).to(tl.float32)
    dweight = tl.zeros([R, BLOCK], tl.float32)
    dbias = tl.zeros([R, BLOCK], tl.float32)
    dshift = tl.zeros([R, BLOCK], tl.float32)
    program = tl.program_id(0).to(tl.int64)
    first = program * R
    while first < rows:
        row = first + tl.arange(0, R)
        here = (row < rows)[:, None] & (col < C)[None, :]
        at = row[:, None] * C + col[None, :]
        x = tl.load(x_ptr + at, mask=here, other=0.0).to(tl.float32)
        dz = tl.load(dz_ptr + at, mask=here, other=0.0).to(tl.float32)
        if SKIP:
            skip = tl.load(skip_ptr + at, mask=here, other=0.0).to(tl.float32)
        if SHIFT:
            x += shift[None, :]
        unit, scale, z = _normalised(x, weight, bias, C)
        dz = tl.where(z > 0.0, dz, 0.0)
        dweight += dz * unit
        dbias += dz
        dunit = dz * weight[None, :]
        dx = scale[:, None] * (dunit - unit * (tl.sum(dunit * unit, axis=1) / C)[:, None])
        if SKIP:
            dx += skip
        if SHIFT:
            dshift += dx
        tl.store(dx_ptr + at, dx.to(dx_ptr.dtype.element_ty), mask=here)
        first += tl.num_programs(0) * R
    out = sums_ptr + program * 3 * C + col
    tl.store(out, tl.sum(dweight, axis=0), mask=col < C)
    tl.store(out + C, tl.sum(dbias, axis=0), mask=col < C)
    tl.store(out + 2 * C, tl.sum(dshift, axis=0), mask=col < C)


@triton.jit
def join_forward(
    x_ptr,
    shift_ptr,
    y_ptr,
    weight_ptr,
    bias_ptr,
    squeeze_ptr,
    squeeze_bias_ptr,
    excite_ptr,
    excite_bias_ptr,
    sum_ptr,
    z_ptr,
    pooled_ptr,
    hidden_ptr,
    gate_ptr,
    SHIFT: tl.constexpr,
    SE: tl.constexpr,
    SAVE: tl.constexpr,
    C: tl.constexpr,
    BLOCK: tl.constexpr,
    H: tl.constexpr,
    BLOCK_H: tl.constexpr,
    R_SUM: tl.constexpr,
    R: tl.constexpr,
    STAGES: tl.constexpr,
):
    """sum = x + shift + se(y), z = relu(norm(sum)); a program makes one position.

    For the way back (``SAVE``) it keeps the pooled y [N, C], the hidden units [N, H] and the
    gates [N, C].
    """
    n = tl.program_id(0).to(tl.int64)
    base = n * (SQUARES * C)
    col = tl.arange(0, BLOCK)
    in_width = col < C
    weight = tl.load(weight_ptr + col, mask=in_width, other=0.0).to(tl.float32)
    bias = tl.load(bias_ptr + col, mask=in_width, other=0.0).to(tl.float32)
    if SE:
        total = tl.zeros([R_SUM, BLOCK], tl.float32)
        for begin in tl.static_range(0, SQUARES, R_SUM):
            part = begin + tl.arange(0, R_SUM)
            inside = (part < SQUARES)[:, None] & in_width[None, :]
            where = base + part[:, None] * C + col[None, :]
            total += tl.load(y_ptr + where, mask=inside, other=0.0, cache_modifier=".cg").to(
                tl.float32
            )
        pooled = tl.sum(total, axis=0) / SQUARES
        unit = tl.arange(0, BLOCK_H)
        in_hidden = unit < H
        squeeze = tl.load(
            squeeze_ptr + unit[:, None] * C + col[None, :],
            mask=in_hidden[:, None] & in_width[None, :],
            other=0.0,
        ).to(tl.float32)
        hidden = tl.sum(squeeze * pooled[None, :], axis=1)
        hidden += tl.load(squeeze_bias_ptr + unit, mask=in_hidden, other=0.0).to(tl.float32)
        hidden = _rectified(hidden)
        excite_at = excite_ptr + col[:, None] * H + unit[None, :]
        in_excite = in_width[:, None] & in_hidden[None, :]
        excite = tl.load(excite_at, mask=in_excite, other=0.0).to(tl.float32)
        gate = tl.sum(excite * hidden[None, :], axis=1)
        gate += tl.load(excite_bias_ptr + col, mask=in_width, other=0.0).to(tl.float32)
        gate = tl.sigmoid(gate)
        excite = tl.load(excite_at + C * H, mask=in_excite, other=0.0).to(tl.float32)
        shift = tl.sum(excite * hidden[None, :], axis=1)
        shift += tl.load(excite_bias_ptr + C + col, mask=in_width, other=0.0).to(tl.float32)
        if SAVE:
            tl.store(
                pooled_ptr + n * C + col, pooled.to(pooled_ptr.dtype.element_ty), mask=in_width
            )
            tl.store(gate_ptr + n * C + col, gate.to(gate_ptr.dtype.element_ty), mask=in_width)
            tl.store(
                hidden_ptr + n * H + unit, hidden.to(hidden_ptr.dtype.element_ty), mask=in_hidden
            )
    if SHIFT:
        more = tl.load(shift_ptr + col, mask=in_width, other=0.0).to(tl.float32)
    for first in tl.range(0, SQUARES, R, num_stages=STAGES):
        row = first + tl.arange(0, R)
        here = (row < SQUARES)[:, None] & in_width[None, :]
        at = base + row[:, None] * C + col[None, :]
        y = tl.load(y_ptr + at, mask=here, other=0.0, cache_modifier=".cg").to(tl.float32)
        x = tl.load(x_ptr + at, mask=here, other=0.0, cache_modifier=".cg").to(tl.float32)
        if SE:
            y = y * gate[None, :] + shift[None, :]
        if SHIFT:
            y += more[None, :]
        joined = tl.where(here, x + y, 0.0).to(sum_ptr.dtype.element_ty)
        tl.store(sum_ptr + at, joined, mask=here)
        # Normalised as stored, so that the way back sees the same numbers.
        _, _, z = _normalised(joined.to(tl.float32), weight, bias, C)
        tl.store(z_ptr + at, _rectified(z).to(z_ptr.dtype.element_ty), mask=here)


@triton.jit
def join_backward(
    dz_ptr,
    skip_ptr,
    sum_ptr,
    y_ptr,
    weight_ptr,
    bias_ptr,
    gate_ptr,
    dx_ptr,
    sums_ptr,
    dexcited_ptr,
    positions,
    SKIP: tl.constexpr,
    SE: tl.constexpr,
    C: tl.constexpr,
    BLOCK: tl.constexpr,
    R: tl.constexpr,
    STAGES: tl.constexpr,
):
    """The gradient of join_forward at x; ``skip`` is the one that reached sum directly.

    Without squeeze-and-excitation it is that at y, too; with it the gradients before the sigmoid
    and of the shift go to dexcited [n, 2, C], for join_backward_rest. Programs stride over the
    positions; program p writes its share of the gradients of weight and bias, and the sums over
    its positions of those two, to sums [p, 4, C].
    """
    program = tl.program_id(0)
    col = tl.arange(0, BLOCK)
    in_width = col < C
    weight = tl.load(weight_ptr + col, mask=in_width, other=0.0).to(tl.float32)
    bias = tl.load(bias_ptr + col, mask=in_width, other=0.0).to(tl.float32)
    dweight = tl.zeros([R, BLOCK], tl.float32)
    dbias = tl.zeros([R, BLOCK], tl.float32)
    all_before = tl.zeros([BLOCK], tl.float32)
    all_shift = tl.zeros([BLOCK], tl.float32)
    n = program.to(tl.int64)
    while n < positions:
        base = n * (SQUARES * C)
        dgate = tl.zeros([R, BLOCK], tl.float32)
        dshift = tl.zeros([R, BLOCK], tl.float32)
        for first in tl.range(0, SQUARES, R, num_stages=STAGES):
            row = first + tl.arange(0, R)
            here = (row < SQUARES)[:, None] & in_width[None, :]
            at = base + row[:, None] * C + col[None, :]
            x = tl.load(sum_ptr + at, mask=here, other=0.0, cache_modifier=".cg").to(tl.float32)
            dz = tl.load(dz_ptr + at, mask=here, other=0.0, cache_modifier=".cg").to(tl.float32)
            if SKIP:
                skip = tl.load(skip_ptr + at, mask=here, other=0.0, cache_modifier=".cg")
            if SE:
                y = tl.load(y_ptr + at, mask=here, other=0.0, cache_modifier=".cg")
            unit, scale, z = _normalised(x, weight, bias, C)
            dz = tl.where(z > 0.0, dz, 0.0)
            dweight += dz * unit
            dbias += dz
            dunit = dz * weight[None, :]
            dx = scale[:, None] * (dunit - unit * (tl.sum(dunit * unit, axis=1) / C)[:, None])
            if SKIP:
                dx += skip.to(tl.float32)
            if SE:
                dgate += dx * y.to(tl.float32)
                dshift += dx
            tl.store(dx_ptr + at, dx.to(dx_ptr.dtype.element_ty), mask=here)
        if SE:
            gate = tl.load(gate_ptr + n * C + col, mask=in_width, other=0.0).to(tl.float32)
            before = tl.sum(dgate, axis=0) * gate * (1.0 - gate)
            dsum = tl.sum(dshift, axis=0)
            kept = dexcited_ptr.dtype.element_ty
            out = dexcited_ptr + n * (2 * C) + col
            tl.store(out, before.to(kept), mask=in_width)
            tl.store(out + C, dsum.to(kept), mask=in_width)
            all_before += before
            all_shift += dsum
        n += tl.num_programs(0)
    out = sums_ptr + program * (4 * C) + col
    tl.store(out, tl.sum(dweight, axis=0), mask=in_width)
    tl.store(out + C, tl.sum(dbias, axis=0), mask=in_width)
    tl.store(out + 2 * C, all_before, mask=in_width)
    tl.store(out + 3 * C, all_shift, mask=in_width)


@triton.jit
def join_backward_rest(
    dx_ptr,
    gate_ptr,
    dpooled_ptr,
    dy_ptr,
    C: tl.constexpr,
    BLOCK: tl.constexpr,
    R: tl.constexpr,
):
    """The gradient of join_forward at y: dx gate + dpooled / 81; a program makes one position."""
    n = tl.program_id(0).to(tl.int64)
    base = n * (SQUARES * C)
    col = tl.arange(0, BLOCK)
    in_width = col < C
    gate = tl.load(gate_ptr + n * C + col, mask=in_width, other=0.0).to(tl.float32)
    dpooled = tl.load(dpooled_ptr + n * C + col, mask=in_width, other=0.0).to(tl.float32) / SQUARES
    for first in tl.static_range(0, SQUARES, R):
        row = first + tl.arange(0, R)
        here = (row < SQUARES)[:, None] & in_width[None, :]
        at = base + row[:, None] * C + col[None, :]
        dx = tl.load(dx_ptr + at, mask=here, other=0.0).to(tl.float32)
        dy = dx * gate[None, :] + dpooled[None, :]
        tl.store(dy_ptr + at, dy.to(dy_ptr.dtype.element_ty), mask=here)


@triton.jit
def policy_forward(
    x_ptr,
    weight_ptr,
    bias_ptr,
    out_ptr,
    out_bias_ptr,
    logits_ptr,
    rows,
    C: tl.constexpr,
    BLOCK: tl.constexpr,
    PLANES: tl.constexpr,
    BLOCK_PLANES: tl.constexpr,
    R: tl.constexpr,
):
    """logits [N, PLANES, 81] = out relu(norm(x)) + out_bias; a program makes R rows."""
    row = tl.program_id(0).to(tl.int64) * R + tl.arange(0, R)
    col = tl.arange(0, BLOCK)
    plane = tl.arange(0, BLOCK_PLANES)
    in_width = col < C
    here = (row < rows)[:, None] & in_width[None, :]
    weight = tl.load(weight_ptr + col, mask=in_width, other=0.0).to(tl.float32)
    bias = tl.load(bias_ptr + col, mask=in_width, other=0.0).to(tl.float32)
    out = tl.load(
        out_ptr + plane[:, None] * C + col[None, :],
        mask=(plane < PLANES)[:, None] & in_width[None, :],
        other=0.0,
    )
    out_bias = tl.load(out_bias_ptr + plane, mask=plane < PLANES, other=0.0).to(tl.float32)
    x = tl.load(x_ptr + row[:, None] * C + col[None, :], mask=here, other=0.0).to(tl.float32)
    _, _, z = _normalised(x, weight, bias, C)
    hidden = _rectified(z).to(out.dtype)
    logits = tl.dot(hidden, tl.trans(out), input_precision="ieee")
    logits = tl.trans(logits) + out_bias[:, None]
    at = row // SQUARES * (PLANES * SQUARES) + row % SQUARES
    tl.store(
        logits_ptr + plane[:, None] * SQUARES + at[None, :],
        logits.to(logits_ptr.dtype.element_ty),
        mask=(plane < PLANES)[:, None] & (row < rows)[None, :],
    )


@triton.jit
def policy_backward(
    dlogits_ptr,
    x_ptr,
    weight_ptr,
    bias_ptr,
    out_ptr,
    dx_ptr,
    sums_ptr,
    rows,
    C: tl.constexpr,
    BLOCK: tl.constexpr,
    PLANES: tl.constexpr,
    BLOCK_PLANES: tl.constexpr,
    R: tl.constexpr,
):
    """The gradients of policy_forward; programs stride over the rows.

    Program p writes its share of the gradients of out, weight, bias and out_bias, one after the
    other, to sums [p, (PLANES + 2) C + PLANES].
    """
    program = tl.program_id(0).to(tl.int64)
    col = tl.arange(0, BLOCK)
    plane = tl.arange(0, BLOCK_PLANES)
    in_width = col < C
    in_planes = plane < PLANES
    both = in_planes[:, None] & in_width[None, :]
    weight = tl.load(weight_ptr + col, mask=in_width, other=0.0).to(tl.float32)
    bias = tl.load(bias_ptr + col, mask=in_width, other=0.0).to(tl.float32)
    out_at = plane[:, None] * C + col[None, :]
    out = tl.load(out_ptr + out_at, mask=both, other=0.0)
    dout = tl.zeros([BLOCK_PLANES, BLOCK], tl.float32)
    dout_bias = tl.zeros([BLOCK_PLANES], tl.float32)
    dweight = tl.zeros([BLOCK], tl.float32)
    dbias = tl.zeros([BLOCK], tl.float32)
    first = program * R
    while first < rows:
        row = first + tl.arange(0, R)
        here = (row < rows)[:, None] & in_width[None, :]
        at = row[:, None] * C + col[None, :]
        x = tl.load(x_ptr + at, mask=here, other=0.0).to(tl.float32)
        label = row // SQUARES * (PLANES * SQUARES) + row % SQUARES
        dlogits = tl.load(
            dlogits_ptr + plane[:, None] * SQUARES + label[None, :],
            mask=in_planes[:, None] & (row < rows)[None, :],
            other=0.0,
        )
        unit, scale, z = _normalised(x, weight, bias, C)
        hidden = tl.where(here, _rectified(z), 0.0).to(out.dtype)
        dout += tl.dot(dlogits, hidden, input_precision="ieee")
        dout_bias += tl.sum(dlogits.to(tl.float32), axis=1)
        dz = tl.dot(tl.trans(dlogits), out, input_precision="ieee")
        dz = tl.where(z > 0.0, dz, 0.0)
        dweight += tl.sum(dz * unit, axis=0)
        dbias += tl.sum(dz, axis=0)
        dunit = dz * weight[None, :]
        dx = scale[:, None] * (dunit - unit * (tl.sum(dunit * unit, axis=1) / C)[:, None])
        tl.store(dx_ptr + at, dx.to(dx_ptr.dtype.element_ty), mask=here)
        first += tl.num_programs(0) * R
    sums = sums_ptr + program * ((PLANES + 2) * C + PLANES)
    tl.store(sums + out_at, dout, mask=both)
    tl.store(sums + PLANES * C + col, dweight, mask=in_width)
    tl.store(sums + (PLANES + 1) * C + col, dbias, mask=in_width)
    tl.store(sums + (PLANES + 2) * C + plane, dout_bias, mask=in_planes)


@triton.jit
def sum_parts(
    parts_ptr, out_ptr, parts, WIDTH: tl.constexpr, COLUMNS: tl.constexpr, R: tl.constexpr
):
    """out [WIDTH] = the sum of parts [P, WIDTH], always in the same order."""
    col = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    total = tl.zeros([R, COLUMNS], tl.float32)
    first = tl.program_id(0) * 0
    while first < parts:
        row = first + tl.arange(0, R)
        here = (row < parts)[:, None] & (col < WIDTH)[None, :]
        total += tl.load(parts_ptr + row[:, None] * WIDTH + col[None, :], mask=here, other=0.0)
        first += R
    tl.store(out_ptr + col, tl.sum(total, axis=0), mask=col < WIDTH)
