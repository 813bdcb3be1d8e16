"""The playground: its files, its arithmetic beside Keras's, its widgets."""

import base64
import json
import re

import build_playground as tool
import chromium
import numpy as np
import pytest
from sittings import ROOT

PAGE = (ROOT / "site" / "playground.md").read_text("utf-8")
SCRIPTS = re.findall(r'src="_static/(playground/.+?\.js)"', PAGE)
WIDGETS = re.findall(r'<div class="playground" id="(\w+)"', PAGE)
LIMIT = 1e-5  # numbers around 1; of a 32-bit float at 1 the last place is 1e-7
BYTES = 600_000  # of the page's 1 MB; the rest is the theme's


def test_manifest_names_every_exported_file_with_its_checksum():
    kept = json.loads((tool.FOLDER / "manifest.json").read_text("utf-8"))
    assert kept == tool.manifest()
    assert set(kept) == {f"{name}.js" for name in tool.BUILDERS} | {
        "reference.js"
    }


def test_page_loads_every_model_and_stays_small():
    loaded = {name.removeprefix("playground/") for name in SCRIPTS}
    assert {f"{name}.js" for name in tool.BUILDERS} < loaded
    assert "reference.js" not in loaded, "for the test alone"
    folder = ROOT / "site" / "_static"
    assert sum((folder / name).stat().st_size for name in SCRIPTS) < BYTES


def test_every_widget_has_a_picture_without_scripts_and_names_a_chapter():
    sections = re.split(r"^## ", PAGE, flags=re.M)[1:]
    assert len(sections) == len(WIDGETS) == 7
    for section in sections:
        assert section.splitlines()[0].endswith("?"), "one question a widget"
        assert re.search(r"<noscript>\n```\n!\[.+\]\(docs/images/", section)
        assert "](chapters/" in section


def test_16_bits_are_the_numbers_that_keras_holds():
    values = np.float32([0.1, -2.5, 6e-8, 1000.0])
    found = np.frombuffer(base64.b64decode(tool.packed(values)), "<f2")
    assert found.tolist() == values.astype("float16").tolist()
    assert (np.float32(tool.short(values[None])) == values).all()


def test_digits_are_written_one_character_a_pixel():
    image = np.zeros((1, 8, 8, 1), "float32")
    image[0, 0, :3, 0] = 1.0, 0.5, 0.25
    assert tool.pixels(image) == ["g84" + "0" * 61]


def test_unknown_model_is_refused_by_name(capsys):
    with pytest.raises(SystemExit):
        tool.main(["maps"])
    assert "maps" in capsys.readouterr().err


def test_network_that_branches_is_not_exported():
    import keras

    x = keras.Input((3,))
    wide = keras.layers.Dense(4)(x)
    both = keras.layers.Concatenate()([x, wide])
    with pytest.raises(ValueError, match="follow"):
        tool.exported(keras.Model(x, keras.layers.Dense(2)(both)))


def test_weights_stand_in_the_order_of_the_layers():
    from utils.models import ConditionalVAE

    model = ConditionalVAE.dense((8, 8, 1), 2, num_classes=3, widths=(5,))
    assert tool.exported(model.decoder, "sigmoid")["layers"] == [
        [5, 5, "relu"],
        [5, 64, "sigmoid"],
    ]
    heads = tool.exported(model.encoder)["layers"]
    assert heads == [[67, 5, "relu"], [5, 4, "linear"]]


# --------------------------------------------------------------- in a browser

browser = pytest.mark.skipif(
    chromium.find() is None, reason="no Chromium on this machine"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The widgets alone, without Sphinx, opened from a folder."""
    folder = tmp_path_factory.mktemp("playground")
    (folder / "_static").symlink_to(ROOT / "site" / "_static")
    parts = re.findall(r"^```{raw} html\n(.*?)^```$", PAGE, re.M | re.S)
    html = folder / "playground.html"
    style = '<link rel="stylesheet" href="_static/course.css">'
    style += '<meta name="viewport" content="width=device-width">'
    head = f'<!doctype html><html lang="en"><meta charset="utf-8">{style}'
    html.write_text(head + "".join(parts), "utf-8")
    with chromium.Page() as opened:
        opened.address = html.as_uri()
        yield opened


def show(page, state="", width=1280, **look):
    page.look(width, **look)
    page.visit(
        page.address + state,
        "document.documentElement.dataset.playground == 'ready'",
    )
    assert not page.errors
    return page


def words(page, name):
    return page.ask(f"document.querySelector('#{name} .pg-words').textContent")


def box(page, selector):
    """Left, top, width and height of an element that is scrolled to."""
    return page.ask(
        f"(() => {{ const e = document.querySelector('{selector}');"
        "e.scrollIntoView({block: 'center'});"
        "const b = e.getBoundingClientRect();"
        "return [b.x, b.y, b.width, b.height]; })()"
    )


@browser
def test_page_computes_what_keras_computes(page):
    show(page)
    address = page.address.replace("playground.html", "_static/playground/")
    page.ask(
        "new Promise((done) => { const s = document.createElement('script');"
        f"s.src = '{address}reference.js'; s.onload = done;"
        "document.head.append(s); })"
    )
    found = page.ask(
        "Object.entries(playground.known).flatMap(([name, list]) =>"
        "list.map(({network, inputs, outputs}) => {"
        "const own = playground.answers(name, network, inputs).flat();"
        "const theirs = outputs.flat();"
        "return [name + ' ' + network, own.length == theirs.length,"
        "Math.max(...own.map((v, i) => Math.abs(v - theirs[i])"
        " / Math.max(1, Math.abs(theirs[i]))))]; }))"
    )
    assert len(found) == 5 + 1 + len(tool.BETAS) + 2 * len(tool.WIDTHS)
    assert all(same for _, same, _ in found)
    assert {name: error for name, _, error in found if not error <= LIMIT} == {}


@browser
def test_every_widget_speaks_and_asks_no_other_host(page):
    show(page)
    assert all(url.startswith(("file:", "about:")) for url in page.requests)
    for name in WIDGETS:
        assert len(words(page, name)) > 40
        assert "NaN" not in words(page, name) and "undef" not in words(
            page, name
        )


@browser
@pytest.mark.parametrize("name", WIDGETS)
def test_step_changes_the_words_and_reset_brings_them_back(page, name):
    show(page)
    before = words(page, name)
    click = (
        "[...document.querySelectorAll('#{} button')].find((b) => {}).click()"
    )
    page.ask(click.format(name, "b.textContent.startsWith('Step')"))
    page.wait(
        f"document.querySelector('#{name} .pg-words').textContent != "
        f"{json.dumps(before)} && location.hash.length > 1"
    )
    after, address = words(page, name), page.ask("location.hash")
    assert address.startswith(f"#{name}?")
    page.ask(click.format(name, "b.textContent == 'Reset'"))
    page.wait(
        f"document.querySelector('#{name} .pg-words').textContent == "
        f"{json.dumps(before)}"
    )
    show(page, address)
    assert words(page, name) == after, "the address holds the whole state"


@browser
def test_point_of_the_map_is_dragged_by_mouse_keys_and_finger(page):
    def state():
        page.ask("new Promise((done) => setTimeout(done, 250))")
        found = re.search(
            r"map\?z=([-\d.]+),([-\d.]+)", page.ask("location.hash")
        )
        return [float(value) for value in found.groups()]

    show(page)
    left, top, wide, tall = box(page, "#map canvas.pg-plane")
    middle = (left + wide / 2, top + tall / 2)
    page.drag((left + 30, top + 30), middle)
    assert state() == pytest.approx([0, 0], abs=0.05)
    page.press("ArrowRight", 3)
    page.press("ArrowDown")
    assert state() == pytest.approx([0.3, -0.1], abs=0.05)
    show(page, width=390, touch=True)
    left, top, wide, tall = box(page, "#map canvas.pg-plane")
    page.touch((left + 20, top + 20), (left + wide / 4, top + tall / 2))
    assert state() == pytest.approx([-1.3, 0], abs=0.1)


@browser
def test_drawing_raises_an_alarm_and_a_test_digit_does_not(page):
    show(page)
    assert "an alarm" in words(page, "draw")
    text = "document.querySelector('#draw select')"
    page.ask(f"{text}.value = '0'; {text}.onchange()")
    page.wait(
        "document.querySelector('#draw .pg-words').textContent"
        ".includes('no alarm')"
    )
    page.ask(
        "[...document.querySelectorAll('#draw button')]"
        ".find((b) => b.textContent == 'Clear').click()"
    )
    left, top, wide, tall = box(page, "#draw .pg-pad")
    page.drag((left + wide / 2, top + 9), (left + wide / 2, top + tall - 9))
    page.ask("new Promise((done) => setTimeout(done, 250))")
    ink = page.ask("location.hash.match(/ink=(\\w+)/)[1]")
    assert len(ink) == 64 and set(ink[3::8]) == {"g"} and set(ink[::8]) == {"0"}
    page.press("ArrowRight")
    page.press(" ")
    page.ask("new Promise((done) => setTimeout(done, 250))")
    assert page.ask("location.hash.match(/ink=(\\w+)/)[1]")[1] == "g"


@browser
@pytest.mark.parametrize(
    "state, name, said",
    [
        ("walk?beta=2&unit=7", "walk", "it is silent"),
        ("flow?guidance=4", "flow", "guidance 4.0"),
        ("flow?steps=1", "flow", "1 of 1 steps"),
        ("flow?guidance=0&moon=1", "flow", "guidance 0.0"),
        ("game?rule=penalty&moves=100", "game", "come closer"),
        ("game?rule=turn&moves=200", "game", "they circle"),
        ("game?moves=100", "game", "spiral outwards"),
        ("walk?beta=3", "walk", "0 of 8 units"),
        ("width?k=32", "width", "PCA wins"),
        ("width?k=2/game?moves=3", "game", "After 3 moves"),
    ],
)
def test_address_shows_the_point_that_a_chapter_links_to(
    page, state, name, said
):
    assert said in words(show(page, f"#{state}"), name)


@browser
@pytest.mark.parametrize(
    "state", ["map?z=1e9,0", "flow?steps=3&at=-1", "draw?ink=zz", "%", "x?y=1"]
)
def test_address_that_makes_no_sense_shows_the_first_state(page, state):
    show(page)
    before = [words(page, name) for name in WIDGETS]
    show(page, f"#{state}")
    assert [words(page, name) for name in WIDGETS] == before


@browser
def test_nothing_is_wider_than_a_phone(page):
    show(page, width=390, touch=True)
    assert page.ask("document.documentElement.scrollWidth") <= 390
