"""Derive the constants of cpp/include/hsmoe/predictive/student_t_fit.hpp (run with mpmath and numpy; 1 minute).

Prints that header.  Mills' ratio m(z) = Phi(-z) / exp(-z^2/2) on [0, inf): rational fits in the relative error.
h(w, v) of the tail of Student's t: bivariate polynomials, fitted to the absolute or relative error of the tail.
"""

import textwrap

import numpy as np
from mpmath import beta, cos, erfc, exp, hyp2f1, lu_solve, matrix, mp, mpf, pi, polyval, sqrt

mp.dps = 60


def mills(z):
    """Phi(-z) exp(z^2 / 2)."""
    if z > 1000:
        return (1 - 1 / z**2 + 3 / z**4 - 15 / z**6 + 105 / z**8) / (z * sqrt(2 * pi))
    return exp(z * z / 2) * erfc(z / sqrt(2)) / 2


def fit_mills(n, rounds=8):
    """P of degree n - 1 over Q of degree n, close to the smallest largest relative error (Lawson's weights)."""
    nodes = [-cos(pi * (2 * i + 1) / (6 * n)) for i in range(3 * n)]
    z = [3 * (1 + s) / (1 - s) for s in nodes]
    f = [mills(x) for x in z]
    weight, lawson, best = [(1 + x) ** -n for x in z], [mpf(1)] * len(z), None
    for _ in range(rounds):
        A, b = matrix(len(z), 2 * n), matrix(len(z), 1)
        for i, x in enumerate(z):
            c = weight[i] * lawson[i] / f[i]
            for j in range(n):
                A[i, j], A[i, n + j] = c * x**j, -c * f[i] * x ** (j + 1)
            b[i] = c * f[i]
        solution = list(lu_solve(A, b))
        P, Q = solution[:n], [mpf(1)] + solution[n:]
        q = [polyval(Q[::-1], x) for x in z]
        error = [abs(polyval(P[::-1], x) / y / g - 1) for x, y, g in zip(z, q, f)]
        if best is None or max(error) < best[0]:
            best = max(error), P, Q
        weight = [1 / y for y in q]
        lawson = [a * (mpf("0.3") + e / max(error)) for a, e in zip(lawson, error)]
    return best


def h_exact(w, alpha):
    """h(w, 1/alpha) from the tail of Student's t with df = alpha + 1/2 (DLMF 8.17.7, 8.17.8)."""
    a, x, half = (alpha + mpf(1) / 2) / 2, exp(-w), mpf(1) / 2
    front = x**a * sqrt(1 - x) / beta(a, half)
    if w > 0.35 or alpha * w > 30:
        tail = front / (2 * a) * hyp2f1(a + half, 1, a + 1, x)
    else:
        tail = half - front * hyp2f1(a + half, 1, half + 1, 1 - x)
    z = sqrt(alpha * w)
    return (tail * exp(z * z / 2) - mills(z)) * alpha / z


def fit_h(alpha_min, w_max, J, relative, rounds=40):
    """Coefficients c[j][k], j + k <= J, of w^j / alpha^k; w up to w_max / alpha (w_max if relative)."""
    w, v, h = [], [], []
    for i in range(14):
        alpha = 2 * alpha_min / (1 - cos(pi * (2 * i + 1) / 28))
        for j in range(36):
            top = w_max if relative else w_max / alpha
            w.append(top * (1 - cos(pi * (2 * j + 1) / 72)) / 2)
            v.append(1 / alpha)
            h.append(h_exact(w[-1], alpha))
    w, v, h = (np.array(a, dtype=float) for a in (w, v, h))
    error_of_tail = 3 * w if relative else np.exp(-w / v / 2) * np.sqrt(w / v) * v
    powers = [(j, k) for j in range(J + 1) for k in range(J + 1 - j)]
    A = np.stack([(w / w.max()) ** j * (v / v.max()) ** k for j, k in powers], axis=1)
    lawson, best = np.ones_like(w), None
    for _ in range(rounds):
        B = A * (error_of_tail * lawson)[:, None]
        norm = np.linalg.norm(B, axis=0)
        c = np.linalg.lstsq(B / norm, h * error_of_tail * lawson, rcond=1e-18)[0] / norm
        error = np.abs(A @ c - h) * error_of_tail
        if best is None or error.max() < best[0]:
            best = error.max(), {p: x / w.max() ** p[0] / v.max() ** p[1] for p, x in zip(powers, c)}
        lawson *= np.sqrt(0.2 + error / error.max())
        lawson /= lawson.max()
    return best


def emit(name, comment, n, alpha_min, w_max, J, relative=False):
    error_m, P, Q = fit_mills(n)
    error_h, c = fit_h(alpha_min, w_max, J, relative)

    def array(name, values):
        indent = {"initial_indent": "      ", "subsequent_indent": "      ", "width": 108}
        text = textwrap.fill(", ".join(repr(float(x)) for x in values), **indent)
        return f"  static constexpr double {name} = {{\n{text}}};" if name else "      {" + text.strip() + "},"

    print(f"/// {comment}")
    print(f"/// Errors of the fits: m {float(error_m):.1e} (relative), h {error_h:.1e}", end=" ")
    print(f"({'relative' if relative else 'absolute'} error of the tail).")
    print(f"struct {name} {{")
    print(f"  static constexpr int shift = {int((alpha_min + 0.5) / 2)}, mills_degree = {n}, h_degree = {J};")
    print(array(f"mills_p[{n}]", P))
    print(array(f"mills_q[{n + 1}]", Q))
    print(f"  static constexpr double h[{J + 1}][{J + 1}] = {{")
    for j in range(J + 1):
        print(array("", [c[j, k] for k in range(J + 1 - j)]))
    print("  };\n};\n")


if __name__ == "__main__":
    print("// Written by bench/derive_student_t.py; what the constants mean is said in student_t.hpp.")
    print("// clang-format off\n#pragma once\n\nnamespace hsmoe {\nnamespace student_t_fit {\n")
    emit("Accurate", "For student_t_cdf over lanes and for quantiles.", 10, 15.5, 60, 6)
    emit("Fast", "For the quadrature of the CRPS.", 6, 7.5, 44, 4)
    emit("Relative", "For the scalar student_t_cdf: relative error in the tail where w <= 0.7.", 10, 31.5, 0.7, 7, True)
    print("}  // namespace student_t_fit\n}  // namespace hsmoe")
