"""Mutation testing: does a test fail when a line of the library is wrong?

    python tools/mutation.py losses layers        # these modules
    python tools/mutation.py --sample 150 gans    # so many mutants of it
    python tools/mutation.py --report             # the table, from build/

The mutants are those of mutmut 3, and one kind of our own: a call that stands
alone as a statement is left out. What runs them is here, because importing
Keras takes seconds: one process imports the libraries and collects the tests,
then forks a child for each mutant. The child puts the mutated function in the
place of the sound one, in memory, and runs the tests that reach the mutated
statement, quickest first, until one fails. PyTorch is the backend: it needs
no tracing and survives a fork. ``docs/mutation.md`` reports the outcome.
"""

import argparse
import ast
import gc
import inspect
import json
import os
import pathlib
import random
import signal
import sys
import time
import tomllib
import types

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "mutation"
EQUIVALENTS = ROOT / "tools" / "mutation_equivalents.toml"
LIMIT = 60  # seconds of processor time for a mutant
PATIENCE = 1200  # seconds by the clock
PYTEST = ["-s", "-o", "addopts=--strict-markers"]
PYTEST += ["-p", "no:terminal", "-p", "no:cacheprovider"]

# tests: the modules they are for, a module's private parts among them
GROUPS = {
    ("losses", "metrics", "properties"): ("losses", "metrics"),
    ("layers", "random_affine"): ("layers",),
    ("pretraining", "label_efficiency"): ("pretraining", "_classifiers"),
    ("vaes", "contracts_vaes"): ("vaes", "_variational", "_latent_models"),
    ("gans", "course_model"): ("gans", "_adversarial", "_course_model"),
}
MODULES = [name for names in GROUPS.values() for name in names]


# ------------------------------------------------------------------ mutants


def _is_call(node, *names):
    """A call of ``check.<one of the names>``; a name may end in ``*``."""
    import libcst as cst

    if not isinstance(node, cst.Call):
        return False
    function = node.func
    if not isinstance(function, cst.Attribute):
        return False
    owner, name = getattr(function.value, "value", ""), function.attr.value
    return owner == "check" and any(
        name == wanted or (wanted[-1] == "*" and name.startswith(wanted[:-1]))
        for wanted in names
    )


def _descendants(node):
    yield node
    for child in node.children:
        yield from _descendants(child)


def _wording(module):
    """Nodes that word a message, and calls with an argument's name in them."""
    import libcst as cst

    worded, named = set(), {}
    for node in _descendants(module):
        if _is_call(node, "fail") or isinstance(node, cst.Raise):
            worded |= {id(child) for child in _descendants(node)}
        elif _is_call(node, "check_*") and len(node.args) > 1:
            worded |= {id(child) for child in _descendants(node.args[1])}
            named[id(node)] = node.args
        elif isinstance(node, cst.Assign) and any(
            getattr(target.target, "value", "") == "__all__"
            for target in node.targets
        ):
            worded |= {id(child) for child in _descendants(node)}
    return worded, named


def _left_out(node):
    """Our own mutation: a statement that is a call alone does nothing."""
    import libcst as cst

    if isinstance(node.value, cst.Call):
        yield cst.Pass()


def _span(source_lines, position):
    """Offsets of a libcst position in the text."""
    starts = [0]
    for line in source_lines:
        starts.append(starts[-1] + len(line))
    return (
        starts[position.start.line - 1] + position.start.column,
        starts[position.end.line - 1] + position.end.column,
    )


def _bare(module, node):
    """Text of a node as its position counts it: no parentheses, no margin."""
    if getattr(node, "lpar", ()):
        node = node.with_changes(lpar=[], rpar=[])
    return module.code_for_node(node).strip()


def _same(first, second):
    """Whether two texts differ in white space alone."""
    return "".join(first.split()) == "".join(second.split())


def _statement(text, tree, line, change=0):
    """Text of the innermost statement, or of its header, on one line."""
    first, last = statement_lines(tree, line)
    lines = text.splitlines()[first - 1 : last + change]
    return " ".join(part.strip() for part in lines)


def _is_wording(old, new, worded, named):
    """Whether a mutation changes no more than the words of a message."""
    import libcst as cst

    if id(old) in worded:
        return not isinstance(old, cst.Expr)  # left out, it says nothing
    if id(old) in named and isinstance(new, cst.Call):
        kept = len(new.args) == len(old.args)
        return kept and new.args[1] is not old.args[1]
    return False


def mutants_of(path):
    """All mutants: dicts of line, text removed, text added, whole source."""
    import libcst as cst
    from libcst.metadata import PositionProvider
    from mutmut.mutation import file_mutation, mutators
    from mutmut.mutation.pragma_handling import IgnoredCode

    code = path.read_text(encoding="utf-8")
    tree, lines = ast.parse(code), code.splitlines(keepends=True)
    wrapper = cst.MetadataWrapper(cst.parse_module(code))
    visitor = file_mutation.MutationVisitor(
        [*mutators.mutation_operators, (cst.Expr, _left_out)],
        IgnoredCode(set(), set(), set()),
    )
    wrapper.visit(visitor)
    module, positions = wrapper.module, wrapper.resolve(PositionProvider)
    worded, named = _wording(module)
    found, strings = [], set()
    for mutation in visitor.mutations:
        old, new = mutation.original_node, mutation.mutated_node
        if _is_wording(old, new, worded, named) or id(old) in strings:
            continue
        if isinstance(old, cst.SimpleString):
            strings.add(id(old))  # one change of a string is enough
        start, end = _span(lines, positions[old])
        there, added = (_bare(module, node) for node in (old, new))
        if not _same(code[start:end], there):
            start = end - len(there)  # a comparison's operator is left out
        if not _same(code[start:end], there):
            raise RuntimeError(f"{path.name}: lost the place of {there!r}")
        here = code[start:end]
        before = here[: len(here) - len(here.lstrip())]
        after = here[len(here.rstrip()) :]
        source = code[:start] + before + added + after + code[end:]
        line = positions[old].start.line
        change = source.count("\n") - code.count("\n")
        found.append(
            {
                "line": line,
                "removed": _statement(code, tree, line),
                "added": _statement(source, tree, line, change),
                "place": start,
                "source": source,
            }
        )
    return found


# -------------------------------------------- putting a mutant into its place


def statement_lines(tree, line):
    """First and last line of the innermost statement, or of its header."""
    best = (line, line)
    size = None
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            last = max(body[0].lineno - 1, node.lineno) if body else None
            last = last or node.end_lineno
            inside = node.lineno <= line <= last
            if inside and (size is None or last - node.lineno < size):
                best, size = (node.lineno, last), last - node.lineno
    return best


def owners(tree, line):
    """The class, the function and the other statement on top at a line."""
    cls = function = other = None
    body = tree.body
    while body:
        here = [node for node in body if node.lineno <= line <= node.end_lineno]
        body = []
        if here and isinstance(here[0], ast.ClassDef):
            cls, body = here[0], here[0].body
        elif here and isinstance(here[0], ast.FunctionDef):
            function = here[0]
        elif here:
            other = here[0]
    return cls, function, other


def _inner_code(code, name):
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType) and constant.co_name == name:
            return constant
    raise LookupError(name)


def put_in_place(module, source, line):
    """Replace what a mutated text changes in an imported module."""
    tree = ast.parse(source)
    code = compile(source, module.__file__, "exec")
    cls, function, other = owners(tree, line)
    owner = getattr(module, cls.name) if cls else module
    code = _inner_code(code, cls.name) if cls else code
    if function is None:
        assignment = ast.Module([other], [])
        scope = {} if cls is None else dict(vars(owner))
        exec(compile(assignment, "mutant", "exec"), vars(module), scope)  # noqa: S102
        for target in other.targets:
            setattr(owner, target.id, scope[target.id])
        return
    sound = inspect.getattr_static(owner, function.name)
    sound = getattr(sound, "__func__", getattr(sound, "fget", sound))
    code = _inner_code(code, function.name)
    # only the signature: its defaults are read where the module is
    function.body, function.decorator_list = [ast.Pass()], []
    scope = {}
    shell = ast.fix_missing_locations(ast.Module([function], []))
    exec(compile(shell, "mutant", "exec"), vars(module), scope)  # noqa: S102
    shell = scope[function.name]
    if len(code.co_freevars) == len(sound.__code__.co_freevars):
        sound.__code__ = code
        sound.__defaults__ = shell.__defaults__
        sound.__kwdefaults__ = shell.__kwdefaults__
        return
    cells = dict(
        zip(sound.__code__.co_freevars, sound.__closure__ or (), strict=True)
    )
    made = types.FunctionType(
        code,
        sound.__globals__,
        sound.__name__,
        shell.__defaults__,
        tuple(cells[name] for name in code.co_freevars),
    )
    made.__kwdefaults__ = shell.__kwdefaults__
    setattr(owner, function.name, made)


# ------------------------------------------------------ which tests see what


class Watch:
    """Pytest plugin: times, failures and, if asked, the context of lines."""

    def __init__(self, switch=lambda name: None):
        self.switch = switch
        self.seconds, self.failed, self.current = {}, [], ""

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_fixture_setup(self, fixturedef):
        if fixturedef.scope != "function":
            self.switch(f"fixture {fixturedef.argname}")

    def run(self, items, stop_at_first=True):
        """Run items in order."""
        for item, following in zip(items, [*items[1:], None], strict=True):
            start = time.process_time()
            self.current = item.nodeid
            self.switch(item.nodeid)
            item.config.hook.pytest_runtest_protocol(
                item=item, nextitem=following
            )
            self.seconds[item.nodeid] = time.process_time() - start
            if self.failed and stop_at_first:
                return


def survey(session, paths):
    """Run all tests once, see which lines each of them runs."""
    import coverage
    import pytest

    cover = coverage.Coverage(
        data_file=None, config_file=False, include=[str(p) for p in paths]
    )
    watch = Watch(cover.switch_context)

    class Back:
        @pytest.hookimpl(wrapper=True)
        def pytest_fixture_setup(self):
            result = yield
            cover.switch_context(watch.current)
            return result

    plugins = [watch, Back()]
    for plugin in plugins:
        session.config.pluginmanager.register(plugin)
    cover.start()
    watch.run(session.items, stop_at_first=False)
    cover.stop()
    for plugin in plugins:
        session.config.pluginmanager.unregister(plugin)
    lines = {}
    for path in paths:
        by_line = cover.get_data().contexts_by_lineno(str(path))
        lines[path.stem] = {
            str(line): [
                item.nodeid
                for item in session.items
                if item.nodeid in contexts
                or any(f"fixture {name}" in contexts for name in _names(item))
            ]
            for line, contexts in by_line.items()
        }
    return {"lines": lines, "seconds": watch.seconds, "failed": watch.failed}


def _names(item):
    return getattr(item, "fixturenames", ())


def tests_for(line, tree, lines, seconds, budget):
    """Tests that reach the statement at a line, quickest first."""
    first, last = statement_lines(tree, line)
    chosen = {t for n in range(first, last + 1) for t in lines.get(str(n), ())}
    _, function, _ = owners(tree, line)
    if not chosen:
        if function is not None and line >= function.body[0].lineno:
            return []  # no test reaches this statement
        chosen = set(seconds)  # read at import, a default say: any test
    ordered = sorted(chosen, key=lambda test: seconds[test])
    spent, kept = 0.0, []
    for test in ordered:
        spent += seconds[test]
        if kept and spent > budget:
            break
        kept.append(test)
    return kept


# ------------------------------------------------------------------ running


def fork(task, output):
    """Run ``task()`` in a child; its JSON result goes to a file."""
    pid = os.fork()
    if pid:
        return pid
    import resource

    os.setpgid(0, 0)
    result = {"status": "killed", "by": "the child ended"}
    try:
        log = os.open(output.with_suffix(".log"), os.O_CREAT | os.O_WRONLY)
        os.dup2(log, 1)
        os.dup2(log, 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        result = task()
    except BaseException as error:  # mutated code may raise anything
        result = {"status": "killed", "by": repr(error)}
    finally:
        output.write_text(json.dumps(result), encoding="utf-8")
        os._exit(0)


def run_all(jobs, workers):
    """Fork a child for each job; yields ``(key, result)`` as they end."""
    waiting, running = list(jobs), {}
    while waiting or running:
        while waiting and len(running) < workers:
            key, task, output = waiting.pop(0)
            output.unlink(missing_ok=True)
            running[fork(task, output)] = (key, output, time.monotonic())
        time.sleep(0.01)
        for pid, (key, output, start) in list(running.items()):
            done, _ = os.waitpid(pid, os.WNOHANG)
            if not done and time.monotonic() - start > PATIENCE:
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                done = pid
            if done:
                del running[pid]
                result = {"status": "killed", "by": "time limit"}
                if output.exists():
                    result = json.loads(output.read_text(encoding="utf-8"))
                output.unlink(missing_ok=True)
                output.with_suffix(".log").unlink(missing_ok=True)
                yield key, result


def try_mutant(session, module, mutant, tests):
    """In a child: what becomes of the tests under this mutant."""
    import resource

    if not tests:
        return {"status": "survived", "by": "no test reaches it"}
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT + 5))
    put_in_place(
        sys.modules[f"utils.{module}"], mutant["source"], mutant["line"]
    )
    by_name = {item.nodeid: item for item in session.items}
    watch = Watch()
    session.config.pluginmanager.register(watch)
    watch.run([by_name[test] for test in tests])
    if watch.failed:
        return {"status": "killed", "by": watch.failed[0]}
    return {"status": "survived", "by": f"{len(tests)} tests"}


class Judge:
    """Pytest plugin: instead of the tests, the mutants of some modules."""

    def __init__(self, modules, options):
        self.modules, self.options = modules, options

    def pytest_collection_modifyitems(self, items):
        # a new process would import the sound text
        items[:] = [
            item
            for item in items
            if not {"run_python", "run_process"} & set(_names(item))
        ]

    def pytest_runtestloop(self, session):
        paths = [ROOT / "utils" / f"{module}.py" for module in self.modules]
        Watch().run(session.items[:1])  # what the first test loads, it alone
        seen = survey(session, paths)  # here: the children start warm
        if seen["failed"]:
            raise RuntimeError(f"fails without a mutant: {seen['failed']}")
        gc.collect()
        gc.disable()  # it would write to every page the children share
        gc.freeze()
        for path in paths:
            start = time.monotonic()
            self.run_module(session, path, seen)
            print(f"{path.stem}: {time.monotonic() - start:.0f} s", flush=True)
            print_open(path.stem)
        return True

    def run_module(self, session, path, seen):
        """Try a module's mutants; write what happened to each."""
        module, options = path.stem, self.options
        tree = ast.parse(path.read_text(encoding="utf-8"))
        mutants = mutants_of(path)
        generated = len(mutants)
        if options.sample and options.sample < generated:
            chosen = random.Random(options.seed)
            mutants = chosen.sample(mutants, options.sample)
            mutants.sort(key=lambda mutant: mutant["place"])
        killed = _killed_before(module) if options.again else {}
        jobs, results = [], {}
        for key, mutant in enumerate(mutants):
            name = (mutant["line"], mutant["removed"], mutant["added"])
            if name in killed:
                results[key] = killed[name]
                continue
            tests = tests_for(
                mutant["line"],
                tree,
                seen["lines"][module],
                seen["seconds"],
                options.budget,
            )

            def task(mutant=mutant, tests=tests):
                return try_mutant(session, module, mutant, tests)

            jobs.append((key, task, OUT / f"{module}.{key}.json"))
        for key, result in run_all(jobs, options.workers):
            results[key] = result
            _save(module, generated, mutants, results)


def _killed_before(module):
    path = OUT / f"{module}.json"
    if not path.exists():
        return {}
    rows = json.loads(path.read_text(encoding="utf-8"))["mutants"]
    return {
        (row["line"], row["removed"], row["added"]): {
            "status": "killed",
            "by": row["by"],
        }
        for row in rows
        if row["status"] == "killed"
    }


def _save(module, generated, mutants, results):
    rows = [
        {key: mutants[i][key] for key in ("line", "removed", "added")} | result
        for i, result in sorted(results.items())
    ]
    (OUT / f"{module}.json").write_text(
        json.dumps({"generated": generated, "mutants": rows}, indent=1),
        encoding="utf-8",
    )


def warm_up():
    """Choose the backend and import what is slow."""
    os.environ["KERAS_BACKEND"] = "torch"
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    os.chdir(ROOT)
    import hypothesis
    import keras
    import sklearn.datasets  # noqa: F401

    if keras.backend.backend() != "torch":
        raise SystemExit("Mutation testing wants the PyTorch backend.")
    hypothesis.settings.register_profile(
        "mutation",
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    )  # the first failure is enough: no smaller one is looked for
    hypothesis.settings.load_profile("mutation")


# ------------------------------------------------------------------ reports


def summary(module):
    """Counts of one module's last run, and the mutants left open."""
    result = json.loads((OUT / f"{module}.json").read_text(encoding="utf-8"))
    known = tomllib.loads(EQUIVALENTS.read_text(encoding="utf-8"))
    known = {entry["added"] for entry in known.get(module, [])}
    rows = result["mutants"]
    survived = [row for row in rows if row["status"] == "survived"]
    open_ = [row for row in survived if row["added"] not in known]
    return {
        "generated": result["generated"],
        "run": len(rows),
        "killed": len(rows) - len(survived),
        "equivalent": len(survived) - len(open_),
        "survived": len(open_),
    }, open_


def report(modules):
    """Print the table of the last runs."""
    names = ("generated", "run", "killed", "equivalent", "survived")
    print("| module | " + " | ".join(names) + " | score |")
    print("|---|" + "---:|" * 6)
    total = dict.fromkeys(names, 0)
    for module in [*modules, "all"]:
        row = total
        if module != "all":
            if not (OUT / f"{module}.json").exists():
                continue
            row, _ = summary(module)
            total = {name: total[name] + row[name] for name in names}
        score = row["killed"] / max(1, row["killed"] + row["survived"])
        cells = " | ".join(str(row[name]) for name in names)
        print(f"| `{module}` | {cells} | {score:.1%} |")


def print_open(module):
    """Print the mutants that no test notices and nothing explains."""
    for row in summary(module)[1]:
        print(f"{module}:{row['line']} ({row['by']})")
        print(f"  - {row['removed']}\n  + {row['added']}")


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", help=", ".join(MODULES))
    parser.add_argument("--sample", type=int, default=0, help="0: all of them")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--budget", type=float, default=20.0, help="seconds of tests a mutant"
    )
    parser.add_argument("--again", action="store_true", help="survivors only")
    parser.add_argument("--report", action="store_true", help="of last runs")
    options = parser.parse_args()
    wanted = options.modules or MODULES
    OUT.mkdir(parents=True, exist_ok=True)
    if not options.report:
        warm_up()
        import pytest

        for tests, modules in GROUPS.items():
            modules = [module for module in modules if module in wanted]
            files = [f"tests/test_{name}.py" for name in tests]
            if modules:
                code = pytest.main(
                    [*PYTEST, *files], plugins=[Judge(modules, options)]
                )
                if code:
                    raise SystemExit(f"pytest ended with {code!r}")
    report(wanted)


if __name__ == "__main__":
    main()
