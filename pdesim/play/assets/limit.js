"use strict";

// Functions of the generated code of the Jacobian.
function modulo(a, b) {
  return a - Math.floor(a / b) * b;
}

function heaviside(a) {
  return 0.5 * (Math.sign(a) + 1);
}

function power(a, b) {
  return Math.pow(a, b);
}

function errorFunction(a) {
  const x = Math.abs(a);
  if (x < 2) {
    let term = a, total = a;
    for (let n = 1; n < 40; n++) {
      term *= -a * a / n;
      total += term / (2 * n + 1);
    }
    return 2 / Math.sqrt(Math.PI) * total;
  }
  const s = 1 / (1 + 0.3275911 * x);
  const series = s * (0.254829592 + s * (-0.284496736 + s * (1.421413741
    + s * (-1.453152027 + s * 1.061405429))));
  return Math.sign(a) * (1 - series * Math.exp(-x * x));
}

function sinc(a, order) {
  // by a central difference for derivatives: the stability limit needs few digits
  if (order > 0) return (sinc(a + 1e-3, order - 1) - sinc(a - 1e-3, order - 1)) / 2e-3;
  return a === 0 ? 1 : Math.sin(Math.PI * a) / (Math.PI * a);
}

const complex = {
  add: (a, b) => [a[0] + b[0], a[1] + b[1]],
  subtract: (a, b) => [a[0] - b[0], a[1] - b[1]],
  multiply: (a, b) => [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]],
  divide(a, b) {
    const size = b[0] * b[0] + b[1] * b[1];
    return [(a[0] * b[0] + a[1] * b[1]) / size, (a[1] * b[0] - a[0] * b[1]) / size];
  },
  root(a) {
    const size = Math.sqrt(Math.hypot(a[0], a[1])), angle = Math.atan2(a[1], a[0]) / 2;
    return [size * Math.cos(angle), size * Math.sin(angle)];
  },
};

// The coefficients of the characteristic polynomial, the highest power first, by the method of
// Faddeev and Le Verrier.
function characteristic(matrix) {
  const n = matrix.length, result = [[1, 0]];
  let m = matrix.map((row) => row.map(() => [0, 0]));
  for (let k = 1; k <= n; k++) {
    const last = result[k - 1];
    m = matrix.map((row, i) => row.map((_, j) => {
      let sum = i === j ? last : [0, 0];
      if (k > 1) {
        sum = row.reduce((s, a, l) => complex.add(s, complex.multiply(a, m[l][j])), sum);
      }
      return sum;
    }));
    let trace = [0, 0];
    for (let i = 0; i < n; i++) {
      for (let l = 0; l < n; l++) trace = complex.add(trace, complex.multiply(matrix[i][l], m[l][i]));
    }
    result.push([-trace[0] / k, -trace[1] / k]);
  }
  return result;
}

// The eigenvalues of a matrix of at most four rows: in closed form for up to two, otherwise the
// roots of the characteristic polynomial by the simultaneous iteration of Durand and Kerner.
function eigenvalues(matrix) {
  const n = matrix.length;
  if (n === 1) return [matrix[0][0]];
  const polynomial = characteristic(matrix);
  if (n === 2) {
    const half = [-polynomial[1][0] / 2, -polynomial[1][1] / 2];
    const root = complex.root(complex.subtract(complex.multiply(half, half), polynomial[2]));
    return [complex.add(half, root), complex.subtract(half, root)];
  }
  const sizes = polynomial.slice(1).map((c, k) => Math.pow(Math.hypot(c[0], c[1]), 1 / (k + 1)));
  const radius = Math.max(...sizes);
  if (!(radius > 0)) return matrix.map(() => [0, 0]);
  let roots = matrix.map((_, k) => {
    const angle = 2 * Math.PI * k / n + 0.4;
    return [radius * Math.cos(angle), radius * Math.sin(angle)];
  });
  for (let step = 0; step < 60; step++) {
    roots = roots.map((z, k) => {
      let value = [0, 0], others = [1, 0];
      for (const c of polynomial) value = complex.add(complex.multiply(value, z), c);
      roots.forEach((other, l) => {
        if (l !== k) others = complex.multiply(others, complex.subtract(z, other));
      });
      const change = complex.divide(value, others);
      return Number.isFinite(change[0] + change[1]) ? complex.subtract(z, change) : z;
    });
  }
  return roots;
}

function sampleOf(rates) {
  const sizes = rates.map((rate) => Math.hypot(rate[0], rate[1]));
  const real = rates.map((rate) => rate[0]);
  // explicit Euler is stable up to -2 Re(rate) / |rate|^2
  const damped = rates.map((rate, n) => (rate[0] < 0 ? sizes[n] * sizes[n] / -rate[0] : 0));
  return {
    rates,
    growth: Math.max(0, ...real),
    size: Math.max(...sizes),
    measures: [
      Math.max(...sizes), -Math.min(...real), Math.max(...real),
      Math.max(...rates.map((rate) => Math.abs(rate[1]))), Math.max(...damped),
    ],
  };
}

// The samples whose eigenvalues are extreme in some measure, as pdesim selects them.
function extremes(samples) {
  const kept = new Set(), most = 48;
  for (let measure = 0; samples.length && measure < samples[0].measures.length; measure++) {
    const sorted = [...samples].sort((a, b) => b.measures[measure] - a.measures[measure]);
    sorted.slice(0, most).forEach((sample) => kept.add(sample));
  }
  return [...kept];
}

// The time step for given parameters, by von Neumann's condition for the linearised equation.
class StabilityLimit {
  constructor(tables, stepper) {
    this.tables = tables;
    this.stepper = stepper;
  }

  // The polynomial R(z) by which a step multiplies a mode with the eigenvalue z / dt.
  amplification(z) {
    const stages = [[1, 0]];
    this.stepper.factors.forEach((factor, n) => {
      const slope = complex.multiply(z, stages[n]);
      let next = [factor * slope[0], factor * slope[1]];
      this.stepper.weights[n].forEach((w, m) => {
        next = complex.add(next, [w * stages[m][0], w * stages[m][1]]);
      });
      stages.push(next);
    });
    return stages[stages.length - 1];
  }

  // For every sampled cell and wave vector, the eigenvalues of the Jacobian.
  rates(parameters, cells) {
    const result = [], { size, terms, monomials, waves } = this.tables;
    for (const cell of cells) {
      const coefficients = jacobianCoefficients(parameters, cell);
      if (!coefficients.every(Number.isFinite)) continue;
      for (let wave = 0; wave < waves; wave++) {
        const matrix = Array.from({ length: size }, () => Array.from({ length: size }, () => [0, 0]));
        terms.forEach(([i, j, m], n) => {
          const entry = matrix[i][j], [real, imaginary] = monomials[m];
          entry[0] += coefficients[n] * real[wave];
          entry[1] += coefficients[n] * imaginary[wave];
        });
        result.push(eigenvalues(matrix));
      }
    }
    return result;
  }

  isStable(samples, dt, most) {
    return samples.every(({ rates, growth, size }) => {
      const strict = growth * dt, lenient = 1.1 * strict + 0.1 * most * dt;
      const allowed = Math.exp(Math.min(size * dt < 1 ? lenient : strict, 1)) * (1 + 1e-9);
      return rates.every((rate) => {
        const factor = this.amplification([rate[0] * dt, rate[1] * dt]);
        return Math.hypot(factor[0], factor[1]) <= allowed;
      });
    });
  }

  // The largest stable step; infinite if every step up to `longest` is stable.
  largest(parameters, cells, longest) {
    const samples = extremes(this.rates(parameters, cells).map(sampleOf));
    const fastest = Math.max(0, ...samples.map((sample) => sample.size));
    if (!(fastest > 0)) return Infinity;
    const most = Math.max(...samples.map((sample) => sample.growth));
    let lower = 0, upper = 1e-3 / fastest;
    while (upper < longest && this.isStable(samples, upper, most)) {
      lower = upper;
      upper *= upper * fastest < 0.1 ? 2 : 1.3;
    }
    if (upper >= longest) {
      if (this.isStable(samples, longest, most)) return Infinity;
      upper = longest;
    }
    for (let n = 0; n < 20 && lower > 0; n++) {
      const middle = 0.5 * (lower + upper);
      if (this.isStable(samples, middle, most)) lower = middle;
      else upper = middle;
    }
    return lower;
  }

  // The rate of the fastest reaction: the largest eigenvalue for uniform perturbations.
  reaction(parameters, cells) {
    const { size, terms, monomials } = this.tables;
    let fastest = 0;
    for (const cell of cells) {
      const coefficients = jacobianCoefficients(parameters, cell);
      if (!coefficients.every(Number.isFinite)) continue;
      const matrix = Array.from({ length: size }, () => Array.from({ length: size }, () => [0, 0]));
      terms.forEach(([i, j, m], n) => {
        if (this.tables.constant[m]) matrix[i][j][0] += coefficients[n] * monomials[m][0][0];
      });
      for (const rate of eigenvalues(matrix)) {
        fastest = Math.max(fastest, Math.hypot(rate[0], rate[1]));
      }
    }
    return fastest;
  }
}
