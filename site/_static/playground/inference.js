"use strict";
// The models of the playground and their arithmetic: dense layers in a row.
// Weights are 16-bit floats; sums are taken in 64 bits, kept in 32.

const playground = (() => {
  const models = {}; // name → what build_playground.py exported
  const cases = {}; // name → inputs and Keras's outputs; only the test has them
  const made = new Map(); // exported network → function

  const ACTIVATIONS = {
    linear: (v) => v,
    relu: (v) => Math.max(v, 0),
    sigmoid: (v) => 1 / (1 + Math.exp(-v)),
    silu: (v) => v / (1 + Math.exp(-v)),
  };

  // base64 of 16-bit floats → Float32Array
  function floats(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const halves = new DataView(bytes.buffer);
    return Float32Array.from({ length: bytes.length / 2 }, (_, i) => {
      const half = halves.getUint16(2 * i, true);
      const sign = half & 0x8000 ? -1 : 1;
      const exponent = (half >> 10) & 31;
      const fraction = (half & 1023) / 1024;
      if (exponent === 0) return sign * 2 ** -14 * fraction;
      return sign * 2 ** (exponent - 15) * (1 + fraction);
    });
  }

  // an exported network → function of n rows, one after the other
  function network(exported) {
    if (made.has(exported)) return made.get(exported);
    const weights = floats(exported.weights);
    let at = 0;
    const layers = exported.layers.map(([inputs, units, name]) => {
      const kernel = weights.subarray(at, (at += inputs * units));
      const bias = weights.subarray(at, (at += units));
      return { inputs, units, kernel, bias, activate: ACTIVATIONS[name] };
    });
    const run = (rows) => {
      let x = rows;
      for (const { inputs, units, kernel, bias, activate } of layers) {
        const n = x.length / inputs;
        const y = new Float32Array(n * units);
        const sum = new Float64Array(units);
        for (let row = 0; row < n; row++) {
          sum.set(bias);
          for (let i = 0; i < inputs; i++) {
            const value = x[row * inputs + i];
            if (value === 0) continue;
            const from = i * units;
            for (let u = 0; u < units; u++) sum[u] += value * kernel[from + u];
          }
          for (let u = 0; u < units; u++) y[row * units + u] = activate(sum[u]);
        }
        x = y;
      }
      return x;
    };
    made.set(exported, run);
    return run;
  }

  // −log p(x | μ) + KL in nats of one image, with its reconstruction
  function judged(image) {
    const heads = network(models.map.encoder)(image);
    const code = heads.slice(0, 2);
    const rebuilt = network(models.map.decoder)(code);
    let score = 0;
    for (let i = 0; i < 2; i++) {
      const [mean, spread] = [heads[i], heads[i + 2]];
      score += 0.5 * (mean * mean + Math.exp(spread) - 1 - spread);
    }
    for (let i = 0; i < 64; i++) {
      const p = Math.min(Math.max(rebuilt[i], 1e-9), 1 - 1e-7);
      score -= image[i] * Math.log(p) + (1 - image[i]) * Math.log(1 - p);
    }
    return { code, rebuilt, score };
  }

  // velocity of points in the plane at time t, told labels (2: none)
  function velocity(points, t, labels, guidance) {
    const { network: exported, rates } = models.flow;
    const run = network(exported);
    const n = labels.length;
    const wide = 2 + 2 * rates.length + 3;
    const given = (told) => {
      const rows = new Float32Array(n * wide);
      for (let i = 0; i < n; i++) {
        const row = rows.subarray(i * wide, (i + 1) * wide);
        row.set([points[2 * i], points[2 * i + 1]]);
        rates.forEach((rate, j) => {
          row[2 + j] = Math.sin(t * rate);
          row[2 + rates.length + j] = Math.cos(t * rate);
        });
        row[wide - 3 + told[i]] = 1;
      }
      return run(rows);
    };
    const found = given(labels);
    if (guidance === 1 || labels.every((label) => label === 2)) return found;
    const plain = given(labels.map(() => 2));
    return found.map((value, i) => plain[i] + guidance * (value - plain[i]));
  }

  // Euler's step from time t to t − 1 / steps
  function flowStep(points, t, steps, labels, guidance) {
    const slope = velocity(points, t, labels, guidance);
    return points.map((value, i) => value - slope[i] / steps);
  }

  // the two-parameter game of chapter 3a: one move of both players
  function move([theta, psi], rule, eta, gamma = 0.3) {
    const sigmoid = ACTIVATIONS.sigmoid;
    const paid = rule === "penalty" ? gamma * psi : 0;
    const next = psi - eta * (sigmoid(psi * theta) * theta + paid);
    const met = rule === "turn" ? next : psi; // the D that G meets
    return [theta + eta * met * sigmoid(met * theta), next];
  }

  // what the test asks: rows as nested lists → rows as nested lists
  function answers(name, part, rows) {
    const flat = (list) => Float32Array.from(list.flat());
    if (part === "score") return rows.map((row) => [judged(flat([row])).score]);
    let found;
    if (part === "path") {
      found = flat(rows);
      const labels = rows.map(() => 1);
      for (let k = 0; k < 8; k++) {
        found = flowStep(found, 1 - k / 8, 8, labels, 2);
      }
    } else {
      const exported = part.split(".").reduce((o, key) => o[key], models[name]);
      found = network(exported)(flat(rows));
    }
    const wide = found.length / rows.length;
    return rows.map((_, i) => [...found.slice(i * wide, (i + 1) * wide)]);
  }

  return {
    add: (name, model) => (models[name] = model),
    cases: (name, list) => (cases[name] = list),
    known: cases,
    models,
    floats,
    network,
    judged,
    flowStep,
    move,
    answers,
  };
})();
