# ruff: noqa: E501, B905, RUF005
"""Print cpp/include/hsmoe/predictive/student_t_fit.hpp (needs mpmath, numpy and scipy).

Mills' ratio m(z) = Phi(-z) / exp(-z^2/2) on [0, inf): rational fits in the relative error.
h(w, v) of the tail of Student's t: bivariate polynomials, absolute or relative error of the tail.
"""

import textwrap

import numpy as np
from mpmath import beta, cos, erfc, exp, hyp2f1, lu_solve, matrix, mp, mpf, pi, polyval, sqrt
from scipy import special

mp.dps = 60


def mills(z):
    """Phi(-z) exp(z^2 / 2)."""
    if z > 1000:
        return (1 - 1 / z**2 + 3 / z**4 - 15 / z**6 + 105 / z**8) / (z * sqrt(2 * pi))
    return exp(z * z / 2) * erfc(z / sqrt(2)) / 2


def fit_mills(n, rounds=8):
    """P of degree n - 1 over Q of degree n, nearly smallest largest relative error (Lawson's weights)."""
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
    """Coefficients c[j, k], j + k <= J, of w^j / alpha^k; w up to w_max / alpha (w_max if relative)."""
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
    size, c = least_largest(A, h, error_of_tail, rounds)
    return size, {p: x / w.max() ** p[0] / v.max() ** p[1] for p, x in zip(powers, c)}


def least_largest(A, f, weight, rounds):
    """Coefficients c with a nearly smallest largest weight |A c - f|, and that error (Lawson's algorithm)."""
    lawson, best = np.ones_like(f), None
    for _ in range(rounds):
        B = A * (weight * lawson)[:, None]
        norm = np.linalg.norm(B, axis=0)
        c = np.linalg.lstsq(B / norm, f * weight * lawson, rcond=1e-18)[0] / norm
        error = np.abs(A @ c - f) * weight
        if best is None or error.max() < best[0]:
            best = error.max(), c
        lawson *= np.sqrt(0.15 + error / error.max())
        lawson /= lawson.max()
    return best


def fit_normal(degree=10, power=16, z_max=6.4):
    """Phi(-z) = (polynomial)^-power on [0, z_max], smallest absolute error."""
    z = z_max * (1 - np.cos(np.pi * (2 * np.arange(400) + 1) / 800)) / 2
    root = special.ndtr(-z) ** (-1 / power)
    A = (z / z_max)[:, None] ** np.arange(degree + 1)
    size, c = least_largest(A, root, power * special.ndtr(-z) / root, 200)
    return size, c / z_max ** np.arange(degree + 1)


def fit_z(min_df=12.0, J=8, K=4, offset=3.0, z_max=6.4):
    """z(x) / x as a polynomial in s = q / (q + offset) and 1 / df, where Phi(-z) = P(T > x), q = x^2 / df."""
    x, v, z = [], [], []
    for i in range(16):
        df = 2 * min_df / (1 - np.cos(np.pi * (2 * i + 1) / 32))
        grid = z_max * (1 - np.cos(np.pi * (2 * np.arange(60) + 1) / 120)) / 2
        x.append(-special.stdtrit(df, special.ndtr(-grid)))
        z.append(-special.ndtri(special.stdtr(df, -x[-1])))
        v.append(np.full(60, 1 / df))
    x, v, z = map(np.concatenate, (x, v, z))
    s = x * x * v / (x * x * v + offset)
    powers = [(j, k) for j in range(J + 1) for k in range(min(K, J - j) + 1)]
    A = np.stack([(s / s.max()) ** j * (v / v.max()) ** k for j, k in powers], axis=1)
    size, c = least_largest(A, z / x, np.exp(-z * z / 2) * z / np.sqrt(2 * np.pi) + 1e-13, 100)
    return size, {p: a / s.max() ** p[0] / v.max() ** p[1] for p, a in zip(powers, c)}


def array(name, values):
    indent = {"initial_indent": "      ", "subsequent_indent": "      ", "width": 108}
    text = textwrap.fill(", ".join(repr(float(x)) for x in values), **indent)
    return (
        f"  static constexpr double {name} = {{\n{text}}};"
        if name
        else "      {" + text.strip() + "},"
    )


def table(name, c):
    rows, columns = max(j for j, k in c) + 1, max(k for j, k in c) + 1
    print(f"  static constexpr double {name}[{rows}][{columns}] = {{")
    for j in range(rows):
        print(array("", [c[j, k] for k in range(columns) if (j, k) in c]))
    print("  };\n};\n")


def emit(name, comment, n, alpha_min, w_max, J, relative=False):
    error_m, P, Q = fit_mills(n)
    error_h, c = fit_h(alpha_min, w_max, J, relative)
    print(f"/// {comment}")
    print(f"/// Errors of the fits: m {float(error_m):.1e} (relative), h {error_h:.1e}", end=" ")
    print(f"({'relative' if relative else 'absolute'} error of the tail).")
    print(f"struct {name} {{")
    print(
        f"  static constexpr int shift = {int((alpha_min + 0.5) / 2)}, mills_degree = {n}, h_degree = {J};"
    )
    print(array(f"mills_p[{n}]", P))
    print(array(f"mills_q[{n + 1}]", Q))
    table("h", c)


def emit_quadrature():
    error_normal, c = fit_normal()
    error_z, z = fit_z()
    print("/// For the quadrature of the CRPS where df >= min_df.")
    print(f"/// Absolute errors of the tail: normal {error_normal:.1e}, z {error_z:.1e}.")
    print("struct Direct {\n  static constexpr double min_df = 12, offset = 3, max_z = 8;")
    print(array(f"normal[{len(c)}]", c))
    table("z", z)


if __name__ == "__main__":
    print(
        "// Written by bench/derive_student_t.py; what the constants mean is said in student_t.hpp."
    )
    print("// clang-format off\n#pragma once\n\nnamespace hsmoe {\nnamespace student_t_fit {\n")
    emit("Accurate", "For student_t_cdf over lanes and for quantiles.", 10, 15.5, 60, 6)
    emit("Fast", "For the quadrature of the CRPS where df < 12.", 6, 7.5, 44, 4)
    emit("Relative", "For the scalar student_t_cdf where w <= 0.7.", 10, 31.5, 0.7, 7, True)
    emit_quadrature()
    print("}  // namespace student_t_fit\n}  // namespace hsmoe")
