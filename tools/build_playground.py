"""Train and export the models of the site's playground.

    python tools/build_playground.py             all of them, then the manifest
    python tools/build_playground.py map flow    these alone

Every model is one of the library, trained on bundled data by the course's
recipe. Its weights are rounded to 16 bits, put back into the Keras model and
written as a script that a page loads from any host or from a folder. What the
rounded Keras model answers to fixed inputs goes to ``reference.js``, which only
the test loads: the page's own arithmetic must give the same.
"""

import argparse
import base64
import hashlib
import json
import pathlib
import re
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "site" / "_static" / "playground"
BETAS = (0.25, 1.0, 2.0, 4.0)
UNITS = 8  # code units of the walk
WIDTHS = (1, 2, 4, 8, 16, 32)  # of the code, beside PCA's
SHOWN = 10  # test digits that the page shows, one a class
CLOUD = 400  # data points that the page shows

# ------------------------------------------------------------------- export


def packed(array):
    """Numbers as 16-bit floats in base64, little end first."""
    return base64.b64encode(np.asarray(array, "<f2").tobytes()).decode("ascii")


def rounded(model):
    """Round every weight of a Keras model to 16 bits, in place; return it."""
    model.set_weights(
        [w.astype("float16").astype(w.dtype) for w in model.get_weights()]
    )
    return model


def dense_layers(network):
    """Kernel, bias and activation of each dense layer, first to last.

    The two heads of a variational encoder become one layer: mean, then log
    variance.
    """
    import keras

    found, head = [], None
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            found += dense_layers(layer)
        if not isinstance(layer, keras.layers.Dense):
            continue
        kernel, bias = layer.get_weights()
        if layer.name == "log_var":
            head = kernel, bias
        else:
            name = keras.activations.serialize(layer.activation)
            found.append((kernel, bias, name))
    if head:
        kernel, bias, name = found.pop()
        kernel = np.concatenate([kernel, head[0]], axis=1)
        found.append((kernel, np.concatenate([bias, head[1]]), name))
    return found


def exported(network, last=None):
    """A network of dense layers as the page reads it.

    Args:
        network: Keras model whose dense layers stand in a row.
        last: Activation to put after the last layer, such as a likelihood's
            ``"sigmoid"``; ``None`` leaves it.
    """
    layers = dense_layers(network)
    shapes = [[*kernel.shape, name] for kernel, _, name in layers]
    if last:
        shapes[-1][2] = last
    for (_, wide, _), (narrow, _, _) in zip(shapes, shapes[1:], strict=False):
        if wide != narrow:
            raise ValueError(f"the layers do not follow each other: {shapes}")
    parts = [
        part.ravel() for kernel, bias, _ in layers for part in (kernel, bias)
    ]
    return {"layers": shapes, "weights": packed(np.concatenate(parts))}


def numbers(array, digits=4):
    """Nested lists of rounded numbers."""
    return np.round(np.asarray(array, "float64"), digits).tolist()


def short(rows):
    """Rows of 32-bit floats as nested lists, with the digits that they have."""
    rows = np.reshape(rows, (len(rows), -1)).astype("float32")
    return [[float(f"{value:.9g}") for value in row] for row in rows]


def pixels(images):
    """Digits of 8 × 8 pixels and 17 levels, one character a pixel."""
    levels = np.rint(16 * np.reshape(images, (len(images), -1))).astype(int)
    return ["".join("0123456789abcdefg"[v] for v in row) for row in levels]


# ------------------------------------------------------------------- models


def digits():
    """The small digits, and the first of each class among the test rows."""
    from utils import data

    found = data.load("digits")
    first = [np.flatnonzero(found.y_test == c)[0] for c in range(SHOWN)]
    return found, found.x_test[first]


def train(model, x, y=None, *, rate, epochs, batch=64, copies=1):
    """Adam, a rate that falls to 0; return the model, its weights rounded."""
    from utils.training import recipes

    x = np.tile(x, (copies, *(1 for _ in x.shape[1:])))
    y = None if y is None else np.tile(y, copies)
    recipes.compile(model, rate, updates=epochs * -(-len(x) // batch))
    model.fit(x, y, batch_size=batch, epochs=epochs, verbose=0)
    return rounded(model)


def posterior(model, x):
    """Mean and log variance of each row, side by side, as the page has them."""
    heads = model.encoder.predict(x, verbose=0)
    return np.concatenate([heads["mean"], heads["log_var"]], axis=1)


def strangeness(model, x):
    """−log p(x | μ) + KL of each row, in nats: the page's anomaly score."""
    heads = posterior(model, x)
    mean, log_var = np.split(heads.astype("float64"), 2, axis=1)
    kl = 0.5 * (mean**2 + np.exp(log_var) - 1 - log_var).sum(axis=1)
    logits = model.decoder.predict(mean.astype("float32"), verbose=0)
    logits, x = (np.reshape(a, (len(x), -1)) for a in (logits, x))
    return (np.logaddexp(0, logits) - x * logits).sum(axis=1) + kl


def build_map():
    """A VAE with two code units: the map, and a judge of drawings."""
    from sklearn.neighbors import NearestNeighbors

    from utils.evaluation.detection import quantile_threshold
    from utils.models import VAE

    data, shown = digits()
    model = VAE.dense((8, 8, 1), 2, widths=(128, 64), seed=0)
    train(model, data.x_train, rate=4e-3, epochs=5, copies=12)
    codes = model.encode(data.x_test)
    nearest = NearestNeighbors(n_neighbors=1).fit(data.flat().x_train)

    def distance(x):
        return nearest.kneighbors(x.reshape(len(x), -1))[0][:, 0]

    upright = np.isin(data.y_test, (2, 3, 4, 5, 7))  # the others look alike
    turned = np.rot90(data.x_test[upright], 2, axes=(1, 2))
    alarms = {}
    for name, score in (
        ("vae", lambda x: strangeness(model, x)),
        ("neighbour", distance),
    ):
        limit = quantile_threshold(score(data.x_val), 0.95)
        alarms[name] = [
            round(100 * float(np.mean(score(x) > limit)), 1)
            for x in (data.x_test, turned)
        ]
    z = np.random.default_rng(0).standard_normal((20, 2)).astype("float32")
    return {
        "encoder": exported(model.encoder),
        "decoder": exported(model.decoder, "sigmoid"),
        "codes": numbers(codes[:300], 2),
        "labels": data.y_test[:300].tolist(),
        "digits": pixels(shown),
        "threshold": round(
            float(quantile_threshold(strangeness(model, data.x_val), 0.95)), 3
        ),
        # alarms in %: test digits, and some of them turned upside down
        "alarms": alarms,
    }, [
        ("map", "decoder", z, model.decode(z)),
        (
            "map",
            "encoder",
            data.x_test[:20],
            posterior(model, data.x_test[:20]),
        ),
        (
            "map",
            "score",
            data.x_test[:20],
            strangeness(model, data.x_test[:20]),
        ),
    ]


def build_label():
    """A VAE that is told the class: noise and a label become a digit."""
    from utils.evaluation.judge import Judge
    from utils.models import ConditionalVAE

    data, _ = digits()
    model = ConditionalVAE.dense(
        (8, 8, 1), 2, num_classes=10, widths=(128,), seed=0
    )
    train(model, data.x_train, data.y_train, rate=5e-3, epochs=5, copies=12)
    asked = np.arange(1000) % 10
    judge = Judge.trained_on(data.x_train, data.y_train)
    drawn = model.sample(1000, asked, seed=1)
    z = np.random.default_rng(0).standard_normal((20, 2)).astype("float32")
    labels = asked[:20]
    told = np.concatenate([z, 10**0.5 * np.eye(10)[labels]], axis=1)
    return {
        "decoder": exported(model.decoder, "sigmoid"),
        "recognised": round(100 * float(judge.accuracy(drawn, asked)), 1),
    }, [("label", "decoder", told, model.decode(z, labels))]


def build_flow():
    """Flow matching from noise to two moons, with labels to be guided by."""
    import keras
    from keras import ops

    from utils import data
    from utils.models.diffusion import Diffusion, TimeFeatures
    from utils.training import recipes

    rows, y = data.make_toy("moons", n=2048, noise=0.05, seed=0)
    centre, scale = rows.mean(axis=0), rows.std()
    x = ((rows - centre) / scale).astype("float32")
    features = TimeFeatures(8, highest=20.0)
    given = {
        "x": keras.Input((2,), name="x"),
        "t": keras.Input((), name="t"),
        "labels": keras.Input((), name="labels", dtype="int32"),
    }
    told = ops.one_hot(given["labels"], 3)
    hidden = ops.concatenate([given["x"], features(given["t"]), told], axis=1)
    keras.utils.set_random_seed(0)
    for _ in range(3):
        hidden = keras.layers.Dense(64, "silu")(hidden)
    network = keras.Model(given, keras.layers.Dense(2)(hidden))
    model = Diffusion(network, num_classes=2, label_dropout=0.2, seed=0)
    steps = 4000
    average = {"use_ema": True, "ema_momentum": 0.99}
    recipes.compile(model, 4e-3, steps, **average)
    epochs = round(steps * 256 / (4 * len(x)))
    x4, y4 = np.tile(x, (4, 1)), np.tile(y, 4)
    model.fit(x4, y4, batch_size=256, epochs=epochs, verbose=0)
    rounded(model)
    rng = np.random.default_rng(0)
    at = rng.standard_normal((30, 2)).astype("float32")
    times = rng.uniform(0, 1, 30).astype("float32")
    label = np.arange(30) % 3
    answers = network.predict(
        {"x": at, "t": times, "labels": label.astype("int32")}, verbose=0
    )
    inputs = np.concatenate(
        [at, np.asarray(features(times)), np.eye(3)[label]], axis=1
    )
    rates = np.geomspace(1.0, features.highest, features.size // 2)
    start = rng.standard_normal((12, 2)).astype("float32")
    ends = start.copy()
    for t in np.linspace(1, 0, 8, endpoint=False):
        ends = ends - model.velocity(ends, t, labels=1, guidance=2.0) / 8
    return {
        "network": exported(network),
        "rates": [float(rate) for rate in rates.astype("float32")],
        "cloud": numbers(x[:CLOUD], 2),
        "labels": y[:CLOUD].tolist(),
    }, [
        ("flow", "network", inputs, answers),
        ("flow", "path", start, ends),
    ]


def build_beta():
    """VAEs that differ in β alone, to walk along one unit of the code."""
    import keras

    from utils.models import VAE

    data, shown = digits()
    written, reference = {"betas": BETAS, "models": []}, []
    model = None
    for index, beta in enumerate(BETAS):
        keras.utils.set_random_seed(0)
        model = VAE.dense((8, 8, 1), UNITS, widths=(64,), beta=beta, seed=0)
        train(model, data.x_train, rate=5e-3, epochs=5, copies=12)
        mean, log_var = np.split(posterior(model, data.x_test), 2, axis=1)
        kl = 0.5 * (mean**2 + np.exp(log_var) - 1 - log_var).mean(axis=0)
        order = np.argsort(-kl)
        rebuilt = model.reconstruct(data.x_test)
        codes = model.encode(shown)
        written["models"].append(
            {
                "decoder": exported(model.decoder, "sigmoid"),
                "kl": numbers(kl, 3),
                "order": order.tolist(),  # the most talkative first
                "codes": numbers(codes, 3),
                "mse": round(float(np.mean((rebuilt - data.x_test) ** 2)), 4),
            }
        )
        reference.append(
            ("beta", f"models.{index}.decoder", codes, model.decode(codes))
        )
    return written, reference


def build_width():
    """Autoencoders of several widths beside PCA, on the same digits."""
    from sklearn.decomposition import PCA

    from utils import metrics
    from utils.models import Autoencoder
    from utils.nn.likelihoods import Bernoulli

    data, shown = digits()
    flat = data.flat()
    pca = PCA(max(WIDTHS), random_state=0).fit(flat.x_train)
    written = {
        "widths": WIDTHS,
        "digits": pixels(shown),
        "mean": packed(pca.mean_),
        "components": packed(pca.components_),
        "models": [],
    }
    reference = []
    for index, k in enumerate(WIDTHS):
        model = Autoencoder.dense(
            (8, 8, 1), k, widths=(64,), seed=0, likelihood=Bernoulli()
        )
        train(model, data.x_train, rate=6e-3, epochs=24, batch=16)
        some = PCA(k, random_state=0).fit(flat.x_train)
        by_pca = some.inverse_transform(some.transform(flat.x_test))
        rebuilt = model.reconstruct(data.x_test)
        written["models"].append(
            {
                "encoder": exported(model.encoder),
                "decoder": exported(model.decoder, "sigmoid"),
                "mse": round(float(metrics.mse(data.x_test, rebuilt)), 4),
                "pca": round(
                    float(metrics.mse(flat.x_test, np.clip(by_pca, 0, 1))), 4
                ),
            }
        )
        codes = model.encode(shown)
        reference += [
            ("width", f"models.{index}.encoder", shown, codes),
            ("width", f"models.{index}.decoder", codes, model.decode(codes)),
        ]
    return written, reference


BUILDERS = {
    "map": build_map,
    "label": build_label,
    "flow": build_flow,
    "beta": build_beta,
    "width": build_width,
}

# ------------------------------------------------------------------- files


def script(call, name, value):
    """A script that hands a value to the page."""
    text = json.dumps(value, separators=(",", ":"))
    return f'playground.{call}("{name}",{text});\n'


def cases_of(path):
    """The reference cases that a script of them holds, by model."""
    if not path.exists():
        return {}
    text = path.read_text("utf-8")
    found = re.findall(r'^playground\.cases\("(\w+)",(.*)\);$', text, re.M)
    return {name: json.loads(cases) for name, cases in found}


def write(name, build, folder=FOLDER):
    """Train, export and keep the reference of one entry of ``BUILDERS``."""
    written, cases = build()
    path = folder / f"{name}.js"
    path.write_text(script("add", name, written), "utf-8", newline="\n")
    known = cases_of(folder / "reference.js")
    known[name] = [
        {
            "network": part,
            "inputs": short(x),
            "outputs": short(y),
        }
        for _, part, x, y in cases
    ]
    lines = [script("cases", key, known[key]) for key in sorted(known)]
    at = folder / "reference.js"
    at.write_text("".join(lines), "utf-8", newline="\n")
    return path


def manifest(folder=FOLDER):
    """Size in bytes and checksum of every exported file."""
    files = sorted([*folder.glob("*.js")])
    made = [path for path in files if path.stem in (*BUILDERS, "reference")]
    return {
        path.name: {
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in made
    }


def main(arguments=None):
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="model")
    names = parser.parse_args(arguments).names
    unknown = sorted(set(names) - set(BUILDERS))
    if unknown:
        parser.error(f"no such model: {unknown}; there are {[*BUILDERS]}")
    from utils import runtime

    runtime.start(seed=0)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in names or BUILDERS:
        path = write(name, BUILDERS[name])
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1e3:.0f} kB")
    text = json.dumps(manifest(), indent=1) + "\n"
    (FOLDER / "manifest.json").write_text(text, "utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
