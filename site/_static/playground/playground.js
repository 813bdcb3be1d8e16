"use strict";
// The playground's widgets. Each fills <div class="playground" id=NAME>, keeps
// its whole state in the address after "#NAME?" and says in words what it shows.
// Several states stand behind each other, parted by "/".

(() => {
  // ------------------------------------------------------------- elements

  // element with attributes, properties that begin with "on", and children
  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) made[name] = value;
      else if (value !== undefined) made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }

  const button = (text, onclick) =>
    element("button", { type: "button", onclick }, text);

  // slider with its value beside it; the returned element has show(value)
  function slider(text, [min, max, step], onchange, written = String) {
    const input = element("input", { type: "range", min, max, step });
    const output = element("output");
    input.oninput = () => onchange(Number(input.value));
    const label = element("label", {}, text + " ", input, " ", output);
    label.show = (value) => {
      input.value = value;
      output.textContent = written(value);
      input.setAttribute("aria-valuetext", written(value));
    };
    return label;
  }

  // drop-down list of {value: text}
  function choice(text, options, onchange) {
    const select = element("select");
    for (const [value, name] of options) {
      select.append(element("option", { value }, name));
    }
    select.onchange = () => onchange(select.value);
    const label = element("label", {}, text + " ", select);
    label.show = (value) => (select.value = value);
    return label;
  }

  // colours of the page's scheme, asked for at each drawing
  function colours() {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(`--pst-color-${name}`).trim();
    const dark = document.documentElement.dataset.theme === "dark";
    return {
      text: of("text-base") || "#222",
      muted: of("text-muted") || "#666",
      line: of("border") || "#bbb",
      accent: of("primary") || "#176de8",
      other: of("secondary") || "#a33",
      class: (c) => `hsl(${(c * 137) % 360} 70% ${dark ? 68 : 34}%)`,
    };
  }

  // dark ink on white, as in the figures
  function paint(canvas, image) {
    const context = canvas.getContext("2d");
    const data = context.createImageData(8, 8);
    for (let i = 0; i < 64; i++) {
      const grey = Math.round(255 * (1 - Math.min(Math.max(image[i], 0), 1)));
      data.data.set([grey, grey, grey, 255], 4 * i);
    }
    context.putImageData(data, 0, 0);
  }

  // canvas of a digit of 8 × 8 pixels
  function digit(size = 72) {
    const canvas = element("canvas", { width: 8, height: 8, role: "img" });
    canvas.style.width = canvas.style.height = `${size}px`;
    canvas.className = "pg-digit";
    canvas.show = (image, name) => {
      paint(canvas, image);
      canvas.setAttribute("aria-label", name);
    };
    return canvas;
  }

  const captioned = (text, ...inside) =>
    element("figure", {}, ...inside, element("figcaption", {}, text));

  const LEVELS = "0123456789abcdefg";
  const fromText = (text) =>
    Float32Array.from([...text], (c) => LEVELS.indexOf(c) / 16);
  const toText = (image) =>
    [...image].map((v) => LEVELS[Math.round(16 * v)]).join("");

  // canvas of the plane: draw(context, x → pixels, y → pixels, colours).
  // With `moved` a point of it can be dragged, or moved by the arrow keys.
  function plane(name, size, reach, draw, at, moved) {
    const canvas = element("canvas", { "aria-label": name });
    canvas.className = "pg-plane";
    canvas.style.setProperty("--size", `${size}px`);
    const scale = () => canvas.clientWidth / (2 * reach);
    canvas.show = () => {
      const ratio = window.devicePixelRatio || 1;
      const side = canvas.clientWidth || size;
      canvas.width = canvas.height = Math.round(side * ratio);
      const context = canvas.getContext("2d");
      context.scale(ratio, ratio);
      const k = side / (2 * reach);
      const [x, y] = [(v) => (v + reach) * k, (v) => (reach - v) * k];
      const shown = colours();
      context.strokeStyle = shown.line;
      for (const [a, b, c, d] of [
        [-reach, 0, reach, 0],
        [0, -reach, 0, reach],
      ]) {
        context.beginPath();
        context.moveTo(x(a), y(b));
        context.lineTo(x(c), y(d));
        context.stroke();
      }
      draw(context, x, y, shown);
    };
    if (!moved) {
      canvas.setAttribute("role", "img");
      return canvas;
    }
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    const limit = (v) => Math.round(100 * Math.min(Math.max(v, -reach), reach)) / 100;
    const follow = (event) => {
      const box = canvas.getBoundingClientRect();
      moved([
        limit((event.clientX - box.left) / scale() - reach),
        limit(reach - (event.clientY - box.top) / scale()),
      ]);
    };
    canvas.onpointerdown = (event) => {
      canvas.setPointerCapture(event.pointerId);
      follow(event);
    };
    canvas.onpointermove = (event) => {
      if (canvas.hasPointerCapture(event.pointerId)) follow(event);
    };
    canvas.onkeydown = (event) => {
      const by = {
        ArrowLeft: [-1, 0],
        ArrowRight: [1, 0],
        ArrowUp: [0, 1],
        ArrowDown: [0, -1],
      }[event.key];
      if (!by) return;
      event.preventDefault();
      const step = (event.shiftKey ? 0.5 : 0.1) * (reach > 1.5 ? 1 : 0.5);
      const [a, b] = at();
      moved([limit(a + step * by[0]), limit(b + step * by[1])]);
    };
    return canvas;
  }

  function dot(context, x, y, radius, colour) {
    context.fillStyle = colour;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
  }

  function ring(context, x, y, shown) {
    dot(context, x, y, 7, shown.text);
    dot(context, x, y, 4.5, shown.accent);
  }

  // -------------------------------------------------------------- address

  const widgets = new Map(); // name → {state, defaults, show}
  let last = ""; // the one touched last stands first

  function written(name) {
    const { state, defaults } = widgets.get(name);
    const parts = Object.keys(defaults)
      .filter((key) => String(state[key]) !== String(defaults[key]))
      .map((key) => `${key}=${state[key]}`);
    return parts.length || name === last ? `${name}?${parts.join("&")}` : "";
  }

  let waiting = 0;
  function keep(name) {
    last = name;
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      const others = [...widgets.keys()].filter((other) => other !== last);
      const all = [last, ...others].map(written).filter((text) => text);
      history.replaceState(null, "", "#" + all.join("/"));
    }, 150);
  }

  // value as its default is: number, list of numbers, or text
  function parsed(text, like) {
    if (Array.isArray(like)) {
      const list = text.split(",").map(Number);
      const fits = list.length === like.length && list.every(Number.isFinite);
      return fits ? list : like;
    }
    if (typeof like !== "number") return text;
    return Number.isFinite(Number(text)) ? Number(text) : like;
  }

  // states after "#", by widget; what is not understood is left out
  function asked() {
    const found = new Map();
    let text = location.hash.slice(1);
    try {
      text = decodeURIComponent(text);
    } catch {
      // a "%" that stands for nothing
    }
    for (const part of text.split("/")) {
      const [name, query = ""] = part.split("?");
      if (!widgets.has(name)) continue;
      const { defaults, valid } = widgets.get(name);
      const state = { ...defaults };
      for (const pair of query.split("&").filter((text) => text)) {
        const [key, value = ""] = pair.split("=");
        if (!(key in defaults)) continue;
        const wanted = parsed(value, defaults[key]);
        if (valid(key, wanted)) state[key] = wanted;
      }
      found.set(name, state);
    }
    return found;
  }

  // state of a widget, its words and its buttons "step" and "reset"
  function widget(name, defaults, build, valid = () => true) {
    const root = document.getElementById(name);
    if (!root) return;
    const state = { ...defaults };
    const words = element("p", { role: "status", class: "pg-words" });
    let pending = 0;
    const say = (text) => {
      // read out once the hand rests
      clearTimeout(pending);
      const tell = () => (words.textContent = text);
      if (words.textContent) pending = setTimeout(tell, 200);
      else tell();
    };
    const set = (change) => {
      Object.assign(state, change);
      keep(name);
      show();
    };
    const { stage, controls, step, show: draw } = build(state, set);
    const show = () => say(draw());
    const tools = element("div", { class: "pg-controls" }, ...controls);
    tools.append(button(step.text, step.action));
    tools.append(button("Reset", () => set({ ...defaults })));
    root.setAttribute("role", "group");
    root.replaceChildren(
      element("div", { class: "pg-stage" }, ...stage),
      tools,
      words,
    );
    widgets.set(name, { state, defaults, show, valid });
  }

  const { models, network, judged, flowStep, move } = playground;
  const fixed = (value, digits = 2) =>
    value.toFixed(digits).replace("-", "−").replace(/^−(0\.?0*)$/, "$1");
  const pair = ([a, b]) => `(${fixed(a)}, ${fixed(b)})`;
  const within = (value, low, high) => value >= low && value <= high;
  const near = (value, reach) => value.every((v) => Math.abs(v) <= reach);

  // ---------------------------------------------------------- map of codes

  function mapOfCodes() {
    const { codes, labels, decoder } = models.map;
    const decode = network(decoder);
    const centres = [...Array(10).keys()].map((c) => {
      const own = codes.filter((_, i) => labels[i] === c);
      return [0, 1].map((j) => own.reduce((s, z) => s + z[j], 0) / own.length);
    });
    widget(
      "map",
      { z: [0.4, 0.5], to: 3, show: "points" },
      (state, set) => {
        const big = digit(144);
        const reach = 2.6;
        const sheet = (context, x, y) => {
          const cells = 17;
          const wide = (2 * reach) / cells;
          const small = element("canvas", { width: 8, height: 8 });
          for (let i = 0; i < cells; i++) {
            for (let j = 0; j < cells; j++) {
              const a = -reach + (i + 0.5) * wide;
              const b = -reach + (j + 0.5) * wide;
              paint(small, decode(Float32Array.from([a, b])));
              context.imageSmoothingEnabled = false;
              const side = x(wide) - x(0);
              context.drawImage(
                small, x(a) - side / 2, y(b) - side / 2, side, side,
              );
            }
          }
        };
        const canvas = plane(
          "Map of codes: arrow keys move the point, with Shift further",
          300,
          reach,
          (context, x, y, shown) => {
            if (state.show === "sheet") sheet(context, x, y);
            else {
              context.font = "12px sans-serif";
              context.textAlign = "center";
              context.textBaseline = "middle";
              codes.forEach((z, i) => {
                context.fillStyle = shown.class(labels[i]);
                context.fillText(labels[i], x(z[0]), y(z[1]));
              });
            }
            ring(context, x(state.z[0]), y(state.z[1]), shown);
          },
          () => state.z,
          (z) => set({ z }),
        );
        const target = choice(
          "Walk towards",
          centres.map((_, c) => [c, `the ${c}s`]),
          (value) => set({ to: Number(value) }),
        );
        const behind = choice(
          "Behind the point",
          [
            ["points", "encoded test digits"],
            ["sheet", "what each code decodes to"],
          ],
          (show) => set({ show }),
        );
        const first = slider("Unit 1", [-2.6, 2.6, 0.1], (a) =>
          set({ z: [a, state.z[1]] }), fixed);
        const second = slider("Unit 2", [-2.6, 2.6, 0.1], (b) =>
          set({ z: [state.z[0], b] }), fixed);
        return {
          stage: [captioned("Codes", canvas), captioned("Decoded", big)],
          controls: [first, second, behind, target],
          step: {
            text: "Step",
            action: () => {
              const goal = centres[state.to];
              const by = goal.map((v, j) => v - state.z[j]);
              const share = Math.min(1, 0.25 / Math.hypot(...by));
              const z = state.z.map((v, j) => v + share * by[j]);
              set({ z: z.map((v) => Math.round(100 * v) / 100) });
            },
          },
          show: () => {
            const image = decode(Float32Array.from(state.z));
            big.show(image, `Decoded digit of the code ${pair(state.z)}`);
            first.show(state.z[0]);
            second.show(state.z[1]);
            target.show(state.to);
            behind.show(state.show);
            canvas.show();
            const order = codes
              .map((z, i) => [
                Math.hypot(z[0] - state.z[0], z[1] - state.z[1]), labels[i],
              ])
              .sort((a, b) => a[0] - b[0]);
            const five = order.slice(0, 5).map((entry) => entry[1]);
            const distance = Math.hypot(...state.z);
            const beyond = 100 * Math.exp((-distance * distance) / 2);
            const kinds = new Set(five).size;
            const soft = kinds > 1 ? "so expect a mixture" : "so expect one";
            return (
              `The code ${pair(state.z)}: the five nearest test digits are ` +
              `${five.join(", ")}, ${soft}. ${fixed(beyond, 0)} % of codes ` +
              "drawn from the prior lie further out."
            );
          },
        };
      },
      (key, value) =>
        key === "z"
          ? near(value, 2.6)
          : key === "to"
            ? centres[value] !== undefined
            : ["points", "sheet"].includes(value),
    );
  }

  // ------------------------------------------------------ digits by hand

  const LETTER =
    "0cg000gc" + "0cg000gc" + "0cg000gc" + "0cgggggc" +
    "0cgggggc" + "0cg000gc" + "0cg000gc" + "0cg000gc";

  function drawing() {
    const { digits, threshold, alarms } = models.map;
    widget(
      "draw",
      { ink: LETTER },
      (state, set) => {
        const rebuilt = digit(144);
        const pad = digit(144);
        let cursor = 0;
        pad.classList.add("pg-pad");
        pad.tabIndex = 0;
        pad.setAttribute("role", "application");
        const image = () => fromText(state.ink);
        const marked = () =>
          "Drawing pad: drag to draw; arrow keys move a cursor, Space inks, " +
          `Delete wipes. Row ${1 + (cursor >> 3)}, column ${1 + (cursor & 7)}`;
        // ink a stroke from a to b, in pixels of the pad
        const stroke = (a, b) => {
          const inked = image();
          const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
          const long = dx * dx + dy * dy || 1;
          for (let i = 0; i < 64; i++) {
            const [px, py] = [(i & 7) + 0.5, (i >> 3) + 0.5];
            const along = ((px - a[0]) * dx + (py - a[1]) * dy) / long;
            const t = Math.min(Math.max(along, 0), 1);
            const far = Math.hypot(px - a[0] - t * dx, py - a[1] - t * dy);
            const cover = Math.min(Math.max(1.5 - far, 0), 1);
            inked[i] = Math.max(inked[i], cover);
          }
          set({ ink: toText(inked) });
        };
        const where = (event) => {
          const box = pad.getBoundingClientRect();
          return [
            (8 * (event.clientX - box.left)) / box.width,
            (8 * (event.clientY - box.top)) / box.height,
          ];
        };
        let before = null;
        pad.onpointerdown = (event) => {
          pad.setPointerCapture(event.pointerId);
          before = where(event);
          stroke(before, before);
        };
        pad.onpointermove = (event) => {
          if (!before || !pad.hasPointerCapture(event.pointerId)) return;
          const now = where(event);
          stroke(before, now);
          before = now;
        };
        pad.onpointerup = pad.onpointercancel = () => (before = null);
        pad.onkeydown = (event) => {
          const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -8, ArrowDown: 8 };
          if (event.key in by) cursor = (cursor + by[event.key] + 64) % 64;
          else if (event.key === " " || event.key === "Delete") {
            const inked = image();
            inked[cursor] = event.key === " " ? 1 : 0;
            set({ ink: toText(inked) });
          } else return;
          event.preventDefault();
          show();
          pad.setAttribute("aria-label", marked());
        };
        const examples = choice(
          "Or take",
          [
            ["", "…"],
            ...digits.map((_, c) => [c, `a test digit, ${c}`]),
            ["H", "the letter H"],
          ],
          (value) => {
            if (value) set({ ink: value === "H" ? LETTER : digits[value] });
          },
        );
        const clear = button("Clear", () => set({ ink: "0".repeat(64) }));
        const bar = element("div", { class: "pg-bar", "aria-hidden": "true" });
        const show = () => {
          const drawn = image();
          const found = judged(drawn);
          pad.show(drawn, marked());
          if (document.activeElement === pad) {
            const context = pad.getContext("2d");
            context.fillStyle = "rgb(200 40 40 / 60%)";
            context.fillRect(cursor & 7, cursor >> 3, 1, 1);
          }
          rebuilt.show(found.rebuilt, "What the VAE makes of it");
          const full = Math.max(2.5 * threshold, 1.15 * found.score);
          bar.style.setProperty("--value", `${(100 * found.score) / full}%`);
          bar.style.setProperty("--limit", `${(100 * threshold) / full}%`);
          examples.show("");
          const verdict = found.score > threshold ? "an alarm" : "no alarm";
          const [usual, turned] = alarms.vae;
          return (
            `Anomaly score ${fixed(found.score, 1)} nats, threshold ` +
            `${fixed(threshold, 1)}: ${verdict}. At this threshold ` +
            `${usual} % of test digits raise one, and ${turned} % of digits ` +
            `turned upside down; the distance to the nearest training digit ` +
            `has ${alarms.neighbour[0]} % and ${alarms.neighbour[1]} %.`
          );
        };
        pad.onfocus = pad.onblur = () => show();
        return {
          stage: [
            captioned("Your drawing", pad),
            captioned("What the VAE makes of it", rebuilt),
            captioned("Score (bar) and threshold (line)", bar),
          ],
          controls: [examples, clear],
          step: {
            text: "Step: turn by a quarter",
            action: () => {
              const drawn = image();
              const turned = drawn.map((_, i) =>
                drawn[8 * (7 - (i & 7)) + (i >> 3)]);
              set({ ink: toText(turned) });
            },
          },
          show,
        };
      },
      (key, value) => /^[0-9a-g]{64}$/.test(value),
    );
  }

  // ------------------------------------------------------ noise and a label

  function labelled() {
    const { decoder, recognised } = models.label;
    const decode = network(decoder);
    const drawn = (z, label) => {
      const row = new Float32Array(12);
      row.set(z);
      row[2 + label] = Math.sqrt(10);
      return decode(row);
    };
    widget(
      "label",
      { z: [1.2, -1], label: 4 },
      (state, set) => {
        const big = digit(144);
        const canvas = plane(
          "Map of noise: arrow keys move the point, with Shift further",
          220,
          3,
          (context, x, y, shown) => {
            context.setLineDash([4, 4]);
            for (const radius of [1, 2]) {
              context.beginPath();
              context.arc(x(0), y(0), x(radius) - x(0), 0, 2 * Math.PI);
              context.stroke();
            }
            context.setLineDash([]);
            ring(context, x(state.z[0]), y(state.z[1]), shown);
          },
          () => state.z,
          (z) => set({ z }),
        );
        const row = [...Array(10).keys()].map((label) => {
          const image = digit(44);
          const item = button("", () => set({ label }));
          item.className = "pg-item";
          item.append(image, String(label));
          item.image = image;
          return item;
        });
        const first = slider("Noise 1", [-3, 3, 0.1], (a) =>
          set({ z: [a, state.z[1]] }), fixed);
        const second = slider("Noise 2", [-3, 3, 0.1], (b) =>
          set({ z: [state.z[0], b] }), fixed);
        return {
          stage: [
            captioned("Noise", canvas),
            captioned("Drawn to order", big),
            captioned(
              "The same noise, all ten labels: choose one",
              element("div", { class: "pg-row" }, ...row),
            ),
          ],
          controls: [first, second],
          step: {
            text: "Step: next label",
            action: () => set({ label: (state.label + 1) % 10 }),
          },
          show: () => {
            canvas.show();
            first.show(state.z[0]);
            second.show(state.z[1]);
            const images = row.map((_, label) => drawn(state.z, label));
            row.forEach((item, label) => {
              item.image.show(images[label], "");
              item.image.setAttribute("aria-hidden", "true");
              item.setAttribute("aria-pressed", label === state.label);
            });
            const name = `A ${state.label} drawn from the noise`;
            big.show(images[state.label], `${name} ${pair(state.z)}`);
            // slant: how far the ink moves to the right from row to row, upwards
            const slant = images.map((image) => {
              let [total, x, y, xy, yy] = [0, 0, 0, 0, 0];
              image.forEach((v, i) => {
                const [a, b] = [i & 7, 7 - (i >> 3)];
                total += v; x += v * a; y += v * b; xy += v * a * b;
                yy += v * b * b;
              });
              return (xy - (x * y) / total) / (yy - (y * y) / total);
            });
            const leaning = slant.filter((v) => v > 0.05).length;
            const ink = images.map((im) => im.reduce((s, v) => s + v, 0) / 64);
            const mean = ink.reduce((s, v) => s + v, 0) / 10;
            return (
              `Noise ${pair(state.z)}, label ${state.label}. Of the ten digits ` +
              `with this noise ${leaning} lean${leaning === 1 ? "s" : ""} to ` +
              `the right, and ink covers ${fixed(100 * mean, 0)} % of the ` +
              "picture: the noise says how, the label what. A judge recognises " +
              `${recognised} % of a thousand such digits as what was asked for.`
            );
          },
        };
      },
      (key, value) =>
        key === "z" ? near(value, 3) : Number.isInteger(value) && within(value, 0, 9),
    );
  }

  // -------------------------------------------------- noise flows to a shape

  // numbers from N(0, 1) that depend on the seed alone
  function normals(count, seed) {
    let state = (seed * 2654435761) >>> 0;
    const uniform = () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
    return Float32Array.from({ length: count }, () => {
      const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
      return radius * Math.cos(2 * Math.PI * uniform());
    });
  }

  const PARTICLES = 500;
  const STEPS = [1, 2, 4, 8, 16, 32];

  function flowing() {
    const { cloud, labels } = models.flow;
    widget(
      "flow",
      { steps: 8, at: 8, guidance: 1, moon: "both", seed: 1 },
      (state, set) => {
        let path = [];
        let made = "";
        let told = [];
        // positions after `at` steps; those before are kept
        const positions = () => {
          const key = [state.steps, state.guidance, state.moon, state.seed];
          if (String(key) !== made) {
            made = String(key);
            path = [normals(2 * PARTICLES, state.seed)];
            told = Array.from({ length: PARTICLES }, (_, i) =>
              state.moon === "both" ? i % 2 : state.moon === "none" ? 2
                : Number(state.moon));
          }
          while (path.length <= state.at) {
            const t = 1 - (path.length - 1) / state.steps;
            path.push(
              flowStep(
                path[path.length - 1], t, state.steps, told, state.guidance,
              ),
            );
          }
          return path[state.at];
        };
        const canvas = plane(
          "500 points on their way from noise to two moons",
          300,
          3.2,
          (context, x, y, shown) => {
            const now = positions();
            context.globalAlpha = 0.5;
            for (const z of cloud) {
              dot(context, x(z[0]), y(z[1]), 1.3, shown.muted);
            }
            context.globalAlpha = 0.35;
            for (let i = 0; i < 40; i++) {
              context.strokeStyle = shown.text;
              context.beginPath();
              for (let k = 0; k <= state.at; k++) {
                context.lineTo(x(path[k][2 * i]), y(path[k][2 * i + 1]));
              }
              context.stroke();
            }
            context.globalAlpha = 1;
            for (let i = 0; i < PARTICLES; i++) {
              const colour = [shown.accent, shown.other, shown.text][told[i]];
              dot(context, x(now[2 * i]), y(now[2 * i + 1]), 2, colour);
            }
          },
        );
        const steps = slider(
          "Steps",
          [0, STEPS.length - 1, 1],
          (i) => set({ steps: STEPS[i], at: STEPS[i] }),
          (i) => String(STEPS[i]),
        );
        const at = element("input", { type: "range", min: 0, step: 1 });
        at.oninput = () => set({ at: Number(at.value) });
        const taken = element("output");
        const time = element("label", {}, "Steps taken ", at, " ", taken);
        const guidance = slider("Guidance w", [0, 4, 0.5], (w) =>
          set({ guidance: w }), (w) => fixed(w, 1));
        const moon = choice(
          "Label",
          [
            ["both", "half of each"],
            ["0", "upper moon"],
            ["1", "lower moon"],
            ["none", "none told"],
          ],
          (value) => set({ moon: value }),
        );
        let running = 0;
        const run = button("Run", () => {
          clearInterval(running);
          set({ at: 0 });
          running = setInterval(() => {
            if (state.at >= state.steps) clearInterval(running);
            else set({ at: state.at + 1 });
          }, 1200 / state.steps);
        });
        return {
          stage: [captioned("500 points; grey: data", canvas)],
          controls: [
            steps, time, guidance, moon, run,
            button("Other noise", () => set({ seed: (state.seed % 99) + 1 })),
          ],
          step: {
            text: "Step",
            action: () =>
              set({ at: state.at < state.steps ? state.at + 1 : 0 }),
          },
          show: () => {
            state.at = Math.min(state.at, state.steps);
            steps.show(STEPS.indexOf(state.steps));
            at.max = state.steps;
            at.value = state.at;
            taken.textContent = `${state.at} of ${state.steps}`;
            guidance.show(state.guidance);
            moon.show(state.moon);
            canvas.show();
            const now = positions();
            let close = 0;
            let right = 0;
            for (let i = 0; i < PARTICLES; i++) {
              let [least, own] = [Infinity, 2];
              cloud.forEach((z, j) => {
                const far = Math.hypot(z[0] - now[2 * i], z[1] - now[2 * i + 1]);
                if (far < least) [least, own] = [far, labels[j]];
              });
              close += least < 0.15;
              right += own === told[i];
            }
            const share = (n) => `${fixed((100 * n) / PARTICLES, 0)} %`;
            const asked =
              state.moon === "none"
                ? ""
                : `; ${share(right)} are nearest to the moon that was asked for`;
            return (
              `${state.at} of ${state.steps} steps taken with guidance ` +
              `${fixed(state.guidance, 1)}: ${share(close)} of the points lie ` +
              `within 0.15 of a data point${asked}.`
            );
          },
        };
      },
      (key, value) =>
        ({
          steps: () => STEPS.includes(value),
          at: () => Number.isInteger(value) && within(value, 0, 32),
          guidance: () => within(value, 0, 4),
          moon: () => ["both", "0", "1", "none"].includes(value),
          seed: () => Number.isInteger(value) && within(value, 1, 99),
        })[key](),
    );
  }

  // ------------------------------------------------------------- the game

  function game() {
    const RULES = [
      ["together", "together"],
      ["turn", "in turn"],
      ["penalty", "together, with the penalty R₁"],
    ];
    widget(
      "game",
      { start: [0.8, 0.6], rule: "together", eta: 0.2, moves: 60 },
      (state, set) => {
        const path = () => {
          const found = [state.start];
          for (let k = 0; k < state.moves; k++) {
            found.push(move(found[k], state.rule, state.eta));
          }
          return found;
        };
        const canvas = plane(
          "The game's plane: arrow keys move the start, with Shift further",
          300,
          2.4,
          (context, x, y, shown) => {
            const points = path();
            context.strokeStyle = shown.accent;
            context.beginPath();
            for (const [a, b] of points) context.lineTo(x(a), y(b));
            context.stroke();
            for (const [a, b] of points) dot(context, x(a), y(b), 2, shown.accent);
            context.fillStyle = shown.text;
            context.font = "20px sans-serif";
            context.textAlign = "center";
            context.textBaseline = "middle";
            context.fillText("★", x(0), y(0));
            const [a, b] = state.start;
            context.fillRect(x(a) - 5, y(b) - 5, 10, 10);
            const end = points[points.length - 1];
            ring(context, x(end[0]), y(end[1]), shown);
          },
          () => state.start,
          (start) => set({ start }),
        );
        const rule = choice("The players move", RULES, (value) =>
          set({ rule: value }));
        const eta = slider("Learning rate η", [0.05, 0.5, 0.05], (value) =>
          set({ eta: value }), fixed);
        const moves = slider("Moves", [0, 300, 1], (value) =>
          set({ moves: value }));
        let running = 0;
        const run = button("Run", () => {
          clearInterval(running);
          set({ moves: 0 });
          running = setInterval(() => {
            if (state.moves >= 150) clearInterval(running);
            else set({ moves: state.moves + 1 });
          }, 30);
        });
        return {
          stage: [
            captioned("Right: generator θ; up: discriminator ψ; star: solution",
              canvas),
          ],
          controls: [rule, eta, moves, run],
          step: {
            text: "Step",
            action: () => set({ moves: Math.min(state.moves + 1, 300) }),
          },
          show: () => {
            rule.show(state.rule);
            eta.show(state.eta);
            moves.show(state.moves);
            canvas.show();
            const ends = path();
            const before = Math.hypot(...ends[0]);
            const after = Math.hypot(...ends[ends.length - 1]);
            const grown = after / before;
            const rounds = (state.moves * state.eta) / (4 * Math.PI);
            const verdict =
              grown > 1.08 ? "the players spiral outwards"
                : grown < 0.92 ? "the players come closer"
                  : rounds > 1 ? "they circle" : "about as far as before";
            return (
              `After ${state.moves} moves the distance to the solution went ` +
              `from ${fixed(before)} to ${fixed(after)}: ${verdict}.`
            );
          },
        };
      },
      (key, value) =>
        ({
          start: () => near(value, 2.4),
          rule: () => RULES.some(([name]) => name === value),
          eta: () => within(value, 0.01, 1),
          moves: () => Number.isInteger(value) && within(value, 0, 300),
        })[key](),
    );
  }

  // ------------------------------------------------- along one unit of a code

  function walking() {
    const { betas, models: vaes } = models.beta;
    const STOPS = [-2.5, -1.875, -1.25, -0.625, 0, 0.625, 1.25, 1.875, 2.5];
    widget(
      "walk",
      { beta: 1, unit: 0, digit: 3 },
      (state, set) => {
        const images = STOPS.map(() => digit(52));
        const bars = vaes[0].kl.map((_, unit) => {
          const item = button("", () => set({ unit }));
          item.className = "pg-level";
          return item;
        });
        const beta = slider("β", [0, betas.length - 1, 1], (value) =>
          set({ beta: value }), (value) => String(betas[value]));
        const start = choice(
          "From the code of",
          [...Array(10).keys()].map((c) => [c, `a test digit, ${c}`]),
          (value) => set({ digit: Number(value) }),
        );
        return {
          stage: [
            captioned(
              "What each unit carries, in nats, the most talkative first: " +
                "choose one",
              element("div", { class: "pg-levels" }, ...bars),
            ),
            captioned(
              "The walk: this unit from −2.5 to 2.5, the others as they were",
              element("div", { class: "pg-row" }, ...images),
            ),
          ],
          controls: [beta, start],
          step: {
            text: "Step: next unit",
            action: () => set({ unit: (state.unit + 1) % bars.length }),
          },
          show: () => {
            const { decoder, kl, order, codes, mse } = vaes[state.beta];
            const decode = network(decoder);
            const unit = order[state.unit];
            const top = Math.max(...vaes.flatMap((vae) => vae.kl));
            beta.show(state.beta);
            start.show(state.digit);
            bars.forEach((item, i) => {
              const nats = kl[order[i]];
              item.textContent = fixed(nats, 1);
              item.style.setProperty("--value", nats / top);
              item.setAttribute("aria-pressed", i === state.unit);
              item.title = `Unit ${i + 1}, ${fixed(nats)} nats`;
            });
            const walk = STOPS.map((value) => {
              const code = Float32Array.from(codes[state.digit]);
              code[unit] = value;
              return decode(code);
            });
            walk.forEach((image, i) =>
              images[i].show(image, `Unit at ${fixed(STOPS[i], 1)}`));
            let change = 0;
            for (let i = 0; i < 64; i++) {
              const values = walk.map((image) => image[i]);
              change = Math.max(change, Math.max(...values) - Math.min(...values));
            }
            const speaking = kl.filter((nats) => nats > 0.1).length;
            const verdict = kl[unit] > 0.1 ? "it speaks" : "it is silent";
            return (
              `β = ${betas[state.beta]}: ${speaking} of ${kl.length} units carry ` +
              `more than 0.1 nats, and test digits are rebuilt with an error of ` +
              `${mse}. Unit ${state.unit + 1} carries ${fixed(kl[unit])} nats; ` +
              `along the walk a pixel changes by up to ${fixed(change)} of the ` +
              `way from white to black: ${verdict}.`
            );
          },
        };
      },
      (key, value) =>
        Number.isInteger(value) &&
        within(value, 0, { beta: betas.length - 1, unit: 7, digit: 9 }[key]),
    );
  }

  // ------------------------------------------- PCA and an autoencoder by width

  function widths() {
    const { widths: ks, digits, mean, components, models: coders } = models.width;
    const centre = playground.floats(mean);
    const axes = playground.floats(components);
    const originals = digits.map(fromText);
    const byPca = (image, k) => {
      const found = Float32Array.from(centre);
      for (let c = 0; c < k; c++) {
        const axis = axes.subarray(64 * c, 64 * (c + 1));
        const value = axis.reduce((s, v, i) => s + v * (image[i] - centre[i]), 0);
        axis.forEach((v, i) => (found[i] += value * v));
      }
      return found.map((v) => Math.min(Math.max(v, 0), 1));
    };
    widget(
      "width",
      { k: 2 },
      (state, set) => {
        const rows = ["original", "PCA", "autoencoder"].map((name) => ({
          name,
          images: originals.map(() => digit(44)),
        }));
        const width = slider("Code width k", [0, ks.length - 1, 1], (i) =>
          set({ k: ks[i] }), (i) => String(ks[i]));
        return {
          stage: rows.map(({ name, images }) =>
            captioned(
              name,
              element("div", { class: "pg-row" }, ...images),
            )),
          controls: [width],
          step: {
            text: "Step: next width",
            action: () =>
              set({ k: ks[(ks.indexOf(state.k) + 1) % ks.length] }),
          },
          show: () => {
            const index = ks.indexOf(state.k);
            width.show(index);
            const { encoder, decoder, mse, pca } = coders[index];
            originals.forEach((image, c) => {
              const code = network(encoder)(image);
              const made = [image, byPca(image, state.k), network(decoder)(code)];
              rows.forEach(({ name, images }, i) =>
                images[c].show(made[i], `${c}: ${name}`));
            });
            const winner = mse < pca ? "The autoencoder" : "PCA";
            const ratio = Math.max(mse, pca) / Math.min(mse, pca);
            return (
              `With ${state.k} ${state.k === 1 ? "number" : "numbers"} a digit ` +
              `the test error a pixel is ${pca} for PCA and ${mse} for this ` +
              `autoencoder. ${winner} wins, by a factor of ${fixed(ratio)}.`
            );
          },
        };
      },
      (key, value) => ks.includes(value),
    );
  }

  // --------------------------------------------------------------- the page

  const showAll = () => widgets.forEach(({ show }) => show());

  function follow() {
    const states = asked();
    for (const [name, state] of states) {
      Object.assign(widgets.get(name).state, state);
    }
    showAll();
    const [first] = states.keys();
    if (!first) return;
    const root = document.getElementById(first);
    (root.closest("section") || root).scrollIntoView();
  }

  function begin() {
    for (const build of [
      mapOfCodes, drawing, labelled, flowing, game, walking, widths,
    ]) {
      build();
    }
    follow();
    addEventListener("hashchange", follow);
    addEventListener("resize", showAll);
    new MutationObserver(showAll).observe(document.documentElement, {
      attributeFilter: ["data-theme"],
    });
    document.documentElement.dataset.playground = "ready";
  }

  if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", begin);
  } else begin();
})();
