"""The term of SAM's gradient that the paper drops: through ε's own dependence on w.

    ε_i(w) = ρ_i g_i / ‖g‖₂               i over parameters, ρ_i that of its group, g = ∇L(w)
    ∇_w L(w + ε(w)) = g_p + (dε/dw)ᵀ g_p              g_p = ∇L(w + ε)
    (dε/dw)ᵀ g_p = H z                    z_i = ρ_i g_p,i / ‖g‖ - g_i (Σ_j ρ_j g_j·g_p,j) / ‖g‖³

H is the Hessian at w: one more backward through the graph that gave g.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from sam import _foreach
from sam._ascent import gradients, safe_quotient
from sam._weights import Block


def add_second_order_(blocks: Sequence[Block], graph: Mapping[Tensor, Tensor | None]) -> None:
    """Add H z to the gradients at w + ε, which stand in `.grad`.

    `blocks` hold the clean gradients, `graph` the same with their graph, by parameter.
    """
    perturbed = [[torch.zeros_like(p) if p.grad is None else p.grad for p in block.w] for block in blocks]
    z = {
        p: z_i
        for block, of_block in zip(blocks, cotangents(blocks, perturbed), strict=True)
        for p, z_i in zip(block.w, of_block, strict=True)
    }
    # A gradient that is constant (of a linear loss) has no graph and no part in the Hessian.
    curved = [(g, z[p].to(g.dtype)) for p, g in graph.items() if g is not None and g.requires_grad and p in z]
    if not curved:
        return
    products = torch.autograd.grad(
        [g for g, _ in curved], list(graph), grad_outputs=[z_i for _, z_i in curved], allow_unused=True
    )
    for p, product in zip(graph, products, strict=True):
        if product is not None:
            p.grad = product if p.grad is None else p.grad.add_(product)


def cotangents(blocks: Sequence[Block], perturbed: Sequence[list[Tensor]]) -> list[list[Tensor]]:
    """z for blocks with their clean gradients, and the gradients at w + ε parallel to them; zeros for g = 0."""
    g = gradients(blocks)
    norm = _foreach.total_norm(g, 2)
    a = [_foreach.scaled(_foreach.widened(g_p), block.rho) for block, g_p in zip(blocks, perturbed, strict=True)]
    along = _foreach.dot(g, a)
    for g_i, a_i in zip(g, a, strict=True):
        per_norm = safe_quotient(1.0, norm, a_i[0].dtype)
        _foreach.scale_(a_i, per_norm)
        _foreach.add_scaled_(a_i, g_i, -along * per_norm * per_norm * per_norm)
    return a
