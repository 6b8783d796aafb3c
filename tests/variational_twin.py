"""Streaming variational Bayes written plainly, one member, Gaussian experts.

The oracle of the engine: every belief is solved afresh from its sums, moments of sigmoids are
quadratures; the engine's recursions must come to the same numbers.
"""

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, exp1, expit, gammaln, log_expit, logsumexp
from scipy.stats import t as student_t

MASK = (1 << 64) - 1
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(120)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


class Xoshiro:
    """xoshiro256++, and uniforms at the midpoints of 2^52 cells."""

    def __init__(self, words):
        self.s = [int(w) for w in words]

    def uniform(self):
        s = self.s

        def rotl(x, k):
            return ((x << k) | (x >> (64 - k))) & MASK

        result = (rotl((s[0] + s[3]) & MASK, 23) + s[0]) & MASK
        t = (s[1] << 17) & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotl(s[3], 45)
        return ((result >> 12) + 0.5) / 2.0**52


def polya_gamma_mean(c):
    c = np.maximum(c, 1e-8)
    return np.tanh(c / 2) / (2 * c)


def inverse_square(c):
    """E[1/lambda^2] where its density is proportional to exp(-c w) / (1 + w)."""
    return 1 / (c * np.exp(c) * exp1(c)) - 1


class Twin:
    def __init__(
        self,
        nodes,
        n_experts,
        dim,
        stream,
        *,
        diagonal=False,
        retain=None,
        sampled_rows=0,
        n_scans=4,
        forgetting=1.0,
        tau0=1.0,
        slab=10.0,
        intercept_sd=1.5,
        a0=2.0,
        b0=0.1,
        b0_shape=1.0,
        coefficient_variance=10.0,
        coefficient_shape=1.0,
    ):
        self.K, self.d, self.diagonal, self.retain = n_experts, dim, diagonal, retain
        self.rng, self.sampled_rows, self.n_scans = Xoshiro(stream), sampled_rows, n_scans
        self.forgetting, self.tau0, self.slab = forgetting, tau0, slab
        self.isd, self.a0, self.b0, self.b0_shape = intercept_sd, a0, b0, b0_shape
        self.v0, self.tau_shape = coefficient_variance, coefficient_shape
        self.D_expert = np.full((n_experts, dim), 1 / coefficient_variance)
        L = len(nodes)
        self.left, self.right = np.zeros((L, n_experts)), np.zeros((L, n_experts))
        for l, (low, middle, high) in enumerate(nodes):
            self.left[l, low:middle] = self.right[l, middle:high] = 1
        self.mu = np.log(self.left.sum(1) / self.right.sum(1))
        self.M = L * (dim - 1)
        self.inv_tau, self.inv_xi = 1 / tau0**2, tau0**2 / 2
        self.w = np.ones((L, dim))
        self.gate = [self.empty() for _ in range(L)]
        self.expert = [self.empty() for _ in range(n_experts)]
        self.frozen = None
        self.set_prior()
        self.rows, self.r = [], []  # retained: (x, y), responsibilities
        self.n = self.n_frozen = self.swept_at = 0

    def empty(self):
        shape = (self.d,) if self.diagonal else (self.d, self.d)
        # "square": sum r y^2; diagonal: R + m'h, which no prior enters either.
        return {"A": np.zeros(shape), "h": np.zeros(self.d), "square": 0.0, "n": 0.0}

    def taus(self):
        """Update q(tau), the precision of the coefficients of each expert in units of the noise."""
        if self.tau_shape == 0:
            return
        for k, belief in enumerate(self.expert):
            m, V = self.solve(belief, self.D_expert[k])
            a, b, _ = self.noise(belief, self.squares(belief, m))
            second = m @ m * a / b + np.trace(V)
            self.D_expert[k] = (self.tau_shape + self.d / 2) / (
                self.tau_shape * self.v0 + second / 2
            )

    def set_prior(self):
        self.D = self.w * self.inv_tau + 1 / self.slab**2
        self.D[:, 0] = 1 / self.isd**2

    # ------------------------------------------------------------------ beliefs

    def covariance(self, belief, D):
        if self.diagonal:
            return np.diag(1 / (belief["A"] + D))
        return np.linalg.inv(belief["A"] + np.diag(D))

    def prior_pull(self, D, mu):
        return np.r_[D[0] * mu, np.zeros(self.d - 1)]

    def solve(self, belief, D, mu=0.0):
        V = self.covariance(belief, D)
        return V @ (belief["h"] + self.prior_pull(D, mu)), V

    def squares(self, belief, m):
        """R of an expert at its mean m."""
        return max(belief["square"] - m @ belief["h"], 0.0)

    def noise(self, belief, R):
        """Return a, b and E[b0], where q(1/s2) and q(b0) agree with each other."""
        a, c, b0 = self.a0 + belief["n"] / 2, self.b0_shape, self.b0
        if c > 0:
            # E[b0] = (c + a0) / (c / b0 + E[1/s2]), E[1/s2] = a / (E[b0] + R/2), fractions cleared.
            def gap(g):
                return g * (c / self.b0 * (g + R / 2) + a) - (c + self.a0) * (g + R / 2)

            b0 = brentq(gap, 1e-300, self.b0 * (1 + self.a0 / c) + 1, xtol=1e-15, rtol=1e-14)
        return a, b0 + R / 2, b0

    def add(self, belief, x, w, kappa, D, mu=0.0):
        """Learn exp(kappa t - w t^2 / 2) of t = x'b."""
        m, V = self.solve(belief, D, mu)
        if not self.diagonal:
            belief["A"] = belief["A"] + w * np.outer(x, x)
            belief["h"] = belief["h"] + kappa * x
            return
        moved = m + V @ x * (kappa - w * x @ m) / (1 + w * x @ V @ x)
        belief["A"] = belief["A"] + w * x**2
        belief["h"] = (belief["A"] + D) * moved - self.prior_pull(D, mu)

    # ------------------------------------------------------------------ one row

    def forecast(self, x, gates, experts):
        """log E g_k and location, scale, df, from (mean, variance) of each linear predictor."""
        log_g = np.zeros(self.K)
        for l, (m, v) in enumerate(gates):
            t = m + np.sqrt(v) * NODES
            log_g += self.left[l] * np.log(WEIGHTS @ expit(t))
            log_g += self.right[l] * np.log(WEIGHTS @ expit(-t))
        law = [(loc, np.sqrt(b / a * (1 + lev)), 2 * a) for loc, lev, a, b in experts]
        return log_g, np.array(law).T

    def beliefs(self, x):
        gates, experts = [], []
        for belief, D, mu in zip(self.gate, self.D, self.mu, strict=True):
            m, V = self.solve(belief, D, mu)
            gates.append((x @ m, x @ V @ x))
        for belief, D in zip(self.expert, self.D_expert, strict=True):
            m, V = self.solve(belief, D)
            a, b, _ = self.noise(belief, self.squares(belief, m))
            experts.append((x @ m, x @ V @ x, a, b))
        return gates, experts

    def allocate(self, log_r):
        r = np.exp(log_r - logsumexp(log_r))
        if self.n >= self.sampled_rows or self.K == 1:
            return r
        left, z = self.rng.uniform(), 0
        while z + 1 < self.K and left - r[z] >= 0:
            left -= r[z]
            z += 1
        return np.eye(self.K)[z]

    def learn(self, x, y):
        """Learn a row; returns the log density of its forecast."""
        gates, experts = self.beliefs(x)
        log_g, (loc, scale, df) = self.forecast(x, gates, experts)
        log_r = log_g + student_t.logpdf(y, df, loc, scale)
        r = self.allocate(log_r)
        for l, (m, v) in enumerate(gates):
            passed, kappa = (
                r @ (self.left[l] + self.right[l]),
                r @ (self.left[l] - self.right[l]) / 2,
            )
            if passed < 1e-10:
                continue
            mean, variance = m, v
            for _ in range(5):
                w = passed * polya_gamma_mean(np.sqrt(mean**2 + variance))
                variance = v / (1 + w * v)
                mean = m + v * (kappa - w * m) / (1 + w * v)
            self.add(self.gate[l], x, w, kappa, self.D[l], self.mu[l])
        for k, (loc_k, lev, _, _) in enumerate(experts):
            belief, e = self.expert[k], y - loc_k
            if r[k] < 1e-10:
                continue
            R = self.squares(belief, self.solve(belief, self.D_expert[k])[0])
            self.add(belief, x, r[k], r[k] * y, self.D_expert[k])
            if self.diagonal:
                R += r[k] * e**2 / (1 + r[k] * lev)
                belief["square"] = R + self.solve(belief, self.D_expert[k])[0] @ belief["h"]
            else:
                belief["square"] += r[k] * y**2
            belief["n"] += r[k]
        self.n += 1
        if self.retain != 0:
            self.rows.append((x, y))
            self.r.append(r)
        self.tend()
        return logsumexp(log_r)

    def tend(self):
        full = self.retain and self.n - self.n_frozen >= 2 * self.retain
        early, n = set(), 10
        while n <= self.n:
            early.add(n)
            n += (n + 1) // 2
        if full or (self.retain != 0 and self.n_frozen == 0 and self.n in early):
            self.scan(len(self.rows) - self.retain if full else 0)
        elif self.n % max(8, 1 if self.diagonal else self.d) == 0:
            self.expect_scales()

    def expect_scales(self):
        second = np.zeros_like(self.w)
        for l, belief in enumerate(self.gate):
            m, V = self.solve(belief, self.D[l], self.mu[l])
            second[l] = m**2 + np.diag(V)
        for _ in range(2):
            self.w[:, 1:] = inverse_square(second[:, 1:] * self.inv_tau / 2)
            total = (second * self.w)[:, 1:].sum()
            self.inv_tau = (self.M + 1) / 2 / (self.inv_xi + total / 2)
            self.inv_xi = 1 / (1 / self.tau0**2 + self.inv_tau)
        self.set_prior()
        self.taus()

    # ------------------------------------------------------------------ scans

    def without(self, V, x, m, v, w, kappa):
        """Mean and variance of a predictor without the row's own (w, kappa)."""
        if self.diagonal:
            own = x**2 * np.diag(V)
            v = (own / np.maximum(1 - w * own, 0.05)).sum()
        else:
            v = v / max(1 - w * v, 0.05)
        return m + v * (w * m - kappa), v

    def scan(self, freeze):
        X, y = np.array([x for x, _ in self.rows]), np.array([t for _, t in self.rows])
        frozen = self.frozen or (
            [self.empty() for _ in self.gate],
            [self.empty() for _ in self.expert],
        )
        decay = self.forgetting ** (self.n - self.swept_at)
        frozen = tuple([{k: v * decay for k, v in b.items()} for b in group] for group in frozen)
        for scan in range(self.n_scans):
            r = np.array(self.r)
            gates = [
                self.solve(b, D, mu) for b, D, mu in zip(self.gate, self.D, self.mu, strict=True)
            ]
            experts = [self.solve(b, D) for b, D in zip(self.expert, self.D_expert, strict=True)]
            noise = [
                self.noise(b, self.squares(b, m))
                for b, (m, _) in zip(self.expert, experts, strict=True)
            ]
            omega = np.zeros((len(y), len(gates)))
            for i, x in enumerate(X):
                seen_gates, seen_experts = [], []
                for l, (m, V) in enumerate(gates):
                    mean, v = x @ m, x @ V @ x
                    omega[i, l] = polya_gamma_mean(np.sqrt(mean**2 + v))
                    passed, kappa = (
                        r[i] @ (self.left[l] + self.right[l]),
                        r[i] @ (self.left[l] - self.right[l]) / 2,
                    )
                    seen_gates.append(self.without(V, x, mean, v, passed * omega[i, l], kappa))
                for k, ((m, V), (a, b, b0)) in enumerate(zip(experts, noise, strict=True)):
                    mean, v = self.without(V, x, x @ m, x @ V @ x, r[i, k], r[i, k] * y[i])
                    less = b - r[i, k] * (y[i] - mean) ** 2 / (1 + r[i, k] * v) / 2
                    seen_experts.append((mean, v, max(a - r[i, k] / 2, self.a0), max(less, b0)))
                log_g, (loc, scale, df) = self.forecast(x, seen_gates, seen_experts)
                self.r[i] = self.allocate(log_g + student_t.logpdf(y[i], df, loc, scale))
            r = np.array(self.r)
            r = np.where(r < 1e-10, 0.0, r)
            last = freeze if scan + 1 == self.n_scans else 0
            kept = ([], [])
            for l, base in enumerate(frozen[0]):
                passed, kappa = (
                    r @ (self.left[l] + self.right[l]),
                    r @ (self.left[l] - self.right[l]) / 2,
                )
                self.gate[l], frozen_l = self.rebuild(
                    base, self.gate[l], X, passed * omega[:, l], kappa, self.D[l], self.mu[l], last
                )
                kept[0].append(frozen_l)
            for k, base in enumerate(frozen[1]):
                self.expert[k], frozen_k = self.rebuild(
                    base, self.expert[k], X, r[:, k], r[:, k] * y, self.D_expert[k], 0.0, last
                )
                self.expert[k]["n"], frozen_k["n"] = (
                    base["n"] + r[:, k].sum(),
                    base["n"] + r[:last, k].sum(),
                )
                if not self.diagonal:
                    squares = r[:, k] * y**2
                    self.expert[k]["square"] = base["square"] + squares.sum()
                    frozen_k["square"] = base["square"] + squares[:last].sum()
                kept[1].append(frozen_k)
            self.expect_scales()
        if freeze:
            self.frozen, self.rows, self.r = kept, self.rows[freeze:], self.r[freeze:]
            self.n_frozen += freeze
        elif self.frozen:
            self.frozen = frozen
        self.swept_at = self.n

    def rebuild(self, base, now, X, w, kappa, D, mu, freeze):
        """Sums of all rows on top of ``base``, and those of the first ``freeze``."""
        new, frozen = dict(base), dict(base)
        if not self.diagonal:
            new["A"], new["h"] = base["A"] + (X.T * w) @ X, base["h"] + kappa @ X
            first = slice(0, freeze)
            frozen["A"] = base["A"] + (X[first].T * w[first]) @ X[first]
            frozen["h"] = base["h"] + kappa[first] @ X[first]
            return new, frozen
        m, pull = self.solve(now, D, mu)[0], self.prior_pull(D, mu)
        before = base["A"] + D
        Q = before + w @ X**2
        for _ in range(2):
            for j in range(self.d):
                gradient = (
                    X[:, j] @ (kappa - w * (X @ m)) + base["h"][j] + pull[j] - before[j] * m[j]
                )
                m[j] += gradient / Q[j]
        rest = kappa - w * (X @ m)
        square = np.divide(rest**2, w, out=np.zeros_like(w), where=w > 0)
        offset = m - (base["h"] + pull) / before
        total = square.sum() + (before * offset**2).sum()
        new["A"], new["h"] = Q - D, Q * m - pull
        retained = X[freeze:].T @ rest[freeze:]
        frozen["A"] = Q - D - w[freeze:] @ X[freeze:] ** 2
        after = frozen["A"] + D
        frozen["h"] = after * m - pull - retained
        # The least of the squares, with what each h explains put back.
        total += base["square"] - (base["h"] ** 2 / before).sum()
        new["square"] = total + (new["h"] ** 2 / Q).sum()
        frozen["square"] = max(
            total
            - square[freeze:].sum()
            - (retained**2 / after).sum()
            + (frozen["h"] ** 2 / after).sum(),
            0.0,
        )
        return new, frozen


# ---------------------------------------------------------------------- the bound itself


def gamma_entropy(a, rate):
    return a - np.log(rate) + gammaln(a) + (1 - a) * digamma(a)


class Batch:
    """Coordinate ascent on all rows at once, with plain mean-field responsibilities."""

    def __init__(self, twin, X, y, r):
        self.t, self.X, self.y, self.r = twin, X, y, r
        self.c = np.ones((len(y), len(twin.gate)))
        self.inv_b0 = [twin.b0] * twin.K
        self.update_scales_moments()

    def update_scales_moments(self):
        t = self.t
        second = np.array([m**2 + np.diag(V) for m, V in self.gates()])
        self.c_lambda = second * t.inv_tau / 2
        t.w[:, 1:] = inverse_square(self.c_lambda[:, 1:])
        self.B = t.inv_xi + (second * t.w)[:, 1:].sum() / 2
        t.inv_tau = (t.M + 1) / 2 / self.B
        self.C = 1 / t.tau0**2 + t.inv_tau
        t.inv_xi = 1 / self.C
        # As the factors were updated in turn, those of lambda keep the c they were made with.

    def gates(self):
        return [
            self.t.solve(b, D, mu)
            for b, D, mu in zip(self.t.gate, self.t.D, self.t.mu, strict=True)
        ]

    def update_gate(self):
        t = self.t
        t.set_prior()
        for l in range(len(t.gate)):
            passed, kappa = self.r @ (t.left[l] + t.right[l]), self.r @ (t.left[l] - t.right[l]) / 2
            w = passed * polya_gamma_mean(self.c[:, l])
            t.gate[l] = {**t.gate[l], "A": (self.X.T * w) @ self.X, "h": kappa @ self.X}

    def update_omega(self):
        for l, (m, V) in enumerate(self.gates()):
            self.c[:, l] = np.sqrt((self.X @ m) ** 2 + np.einsum("ni,ij,nj->n", self.X, V, self.X))

    def update_experts(self):
        t = self.t
        for k in range(t.K):
            w = self.r[:, k]
            t.expert[k] = {
                "A": (self.X.T * w) @ self.X,
                "h": (w * self.y) @ self.X,
                "square": (w * self.y**2).sum(),
                "n": w.sum(),
            }

    def terms(self):
        """E log g and E log f (bounds of them), for the responsibilities."""
        t, X, y = self.t, self.X, self.y
        log_g, log_f = np.zeros((len(y), t.K)), np.zeros((len(y), t.K))
        for l, (m, V) in enumerate(self.gates()):
            psi, c = X @ m, self.c[:, l]
            square = psi**2 + np.einsum("ni,ij,nj->n", X, V, X)
            base = log_expit(c) - c / 2 - polya_gamma_mean(c) * (square - c**2) / 2
            log_g += np.outer(base + psi / 2, t.left[l]) + np.outer(base - psi / 2, t.right[l])
        for k, belief in enumerate(t.expert):
            m, P = t.solve(belief, t.D_expert[k])
            a, b, _ = t.noise(belief, t.squares(belief, m))
            spread = np.einsum("ni,ij,nj->n", X, P, X)
            log_f[:, k] = -0.5 * (
                np.log(2 * np.pi) + np.log(b) - digamma(a) + a / b * (y - X @ m) ** 2 + spread
            )
        return log_g, log_f

    def update_responsibilities(self):
        log_r = sum(self.terms())
        self.r = np.exp(log_r - logsumexp(log_r, axis=1, keepdims=True))

    def elbo(self):
        """The evidence lower bound, up to a constant."""
        t = self.t
        log_g, log_f = self.terms()
        r = np.maximum(self.r, 1e-300)
        total = (self.r * (log_g + log_f - np.log(r))).sum()
        # Gate coefficients and scales.
        E_log_tau = digamma((t.M + 1) / 2) - np.log(self.B)  # of 1/tau^2
        E_log_xi = digamma(1.0) - np.log(self.C)
        for l, (m, V) in enumerate(self.gates()):
            second = m**2 + np.diag(V)
            total += 0.5 * np.linalg.slogdet(V)[1]
            total -= 0.5 * ((m[0] - t.mu[l]) ** 2 + V[0, 0]) / t.isd**2
            total -= 0.5 * second[1:].sum() / t.slab**2
            c = self.c_lambda[l, 1:]
            total += ((c - second[1:] * t.inv_tau / 2) * t.w[l, 1:] + c + np.log(exp1(c))).sum()
        total += t.M / 2 * E_log_tau
        total += 0.5 * E_log_xi - 0.5 * E_log_tau - t.inv_xi * t.inv_tau
        total += -0.5 * E_log_xi - t.inv_xi / t.tau0**2
        total += gamma_entropy((t.M + 1) / 2, self.B) + gamma_entropy(1.0, self.C)
        # Experts: beta | s2 and 1/s2 ~ Gamma(a, b), b0 and tau ~ Gamma.
        for belief, D in zip(t.expert, t.D_expert, strict=True):
            m, P = t.solve(belief, D)
            a, b, b0 = t.noise(belief, t.squares(belief, m))
            E_log_precision, E_precision = digamma(a) - np.log(b), a / b
            total += 0.5 * np.linalg.slogdet(P)[1] - 0.5 * (np.diag(P) * D).sum()
            total -= 0.5 * E_precision * (D * m**2).sum()
            # E log N(beta | 0, s2 / tau) has d/2 E log tau; D is E[tau].
            shape = t.tau_shape + t.d / 2
            rate = shape / D[0]
            E_log_tau = digamma(shape) - np.log(rate)
            total += (t.d / 2 + t.tau_shape - 1) * E_log_tau - t.tau_shape * t.v0 * D[0]
            total += gamma_entropy(shape, rate)
            shape = t.b0_shape + t.a0
            rate = shape / b0
            E_log_b0 = digamma(shape) - np.log(rate)
            total += t.a0 * E_log_b0 + (t.a0 - 1) * E_log_precision - b0 * E_precision
            total += (t.b0_shape - 1) * E_log_b0 - t.b0_shape / t.b0 * b0
            total += gamma_entropy(a, b) + gamma_entropy(shape, rate)
        return total
