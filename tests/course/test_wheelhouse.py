"""The stick: what goes on it, and what it says on the wrong machine.

That set-up from it works with the network cut is measured, docs/teaching.md.
"""

import json

import wheelhouse as tool


def test_a_stick_holds_the_course_and_says_for_whom(
    tmp_path, monkeypatch, capsys
):
    calls = []
    monkeypatch.setattr(tool, "pip", lambda *call: calls.append(call) or 0)
    assert tool.fill(tmp_path) == 0
    course = tmp_path / "course"
    for part in ("requirements.lock", "chapters", "tools/lab.py", "utils"):
        assert (course / part).exists()
    for part in (".git", "build", ".venv"):
        assert not (course / part).exists()
    (call,) = calls
    assert call[1] == "wheel"
    assert call[-1] == tool.ROOT / "requirements.lock"
    made = json.loads((tmp_path / "wheels" / tool.KIND).read_text("utf-8"))
    assert made == tool.machine()
    assert "0 wheels" in capsys.readouterr().out


def test_wheels_for_another_machine_are_refused_in_one_sentence(
    tmp_path, capsys
):
    other = {**tool.machine(), "python": "3.2"}
    (tmp_path / tool.KIND).write_text(json.dumps(other), encoding="utf-8")
    assert tool.set_up(tmp_path / "course", tmp_path) == 1
    said = capsys.readouterr().out
    assert "call this program by Python 3.2" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "course").exists()


def test_a_stick_without_wheels_is_refused_in_one_sentence(tmp_path, capsys):
    assert tool.set_up(tmp_path / "course", tmp_path) == 1
    assert "copy the whole stick" in capsys.readouterr().out


def test_a_full_disk_is_refused_before_anything_is_copied(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / tool.KIND).write_text(json.dumps(tool.machine()), "utf-8")
    usage = tool.shutil.disk_usage(tmp_path)._replace(free=10**9)
    monkeypatch.setattr(tool.shutil, "disk_usage", lambda path: usage)
    assert tool.set_up(tmp_path / "course", tmp_path) == 1
    assert "needs 3 GB and 1.0 are free" in capsys.readouterr().out


def test_set_up_asks_no_index(tmp_path, monkeypatch, capsys):
    (tmp_path / tool.KIND).write_text(json.dumps(tool.machine()), "utf-8")
    calls = []
    monkeypatch.setattr(tool, "pip", lambda *call: calls.append(call) or 0)
    monkeypatch.setattr(
        tool.venv, "create", lambda path, **_: path.mkdir(parents=True)
    )
    monkeypatch.setattr(tool.shutil, "copytree", lambda *_, **__: None)
    assert tool.set_up(tmp_path / "course", tmp_path) == 0
    assert len(calls) == 2
    for call in calls:
        assert "--no-index" in call
        assert call[call.index("--find-links") + 1] == tmp_path
    assert "--no-build-isolation" in calls[1]
    assert (tmp_path / "course" / ".venv" / ".installed").exists()
