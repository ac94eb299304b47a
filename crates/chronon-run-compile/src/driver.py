# Compiles Python sources of a Chronon repo, each in a process of its own, as `compile.py --conf FILE -y` does.
# Arguments: repo, folder of the confs, 1 to overwrite confs that are online, then the sources relative to the repo.
# Prints a line of JSON behind a mark for each source.
import json
import os
import re
import sys
import tempfile
import traceback

MARK = "@@chronon-run "
root, production, force = sys.argv[1], sys.argv[2], sys.argv[3] == "1"
os.chdir(root)
sys.path.insert(0, root)
import ai.chronon.repo.compile as compiler


def where(error):
    """The last line of the repo's own code that the error went through."""
    if isinstance(error, SyntaxError) and error.filename:
        return error.filename, error.lineno or 1
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if os.path.abspath(frame.filename).startswith(root + os.sep)]
    own = [frame for frame in own if "site-packages" not in frame.filename]
    return (own[-1].filename, own[-1].lineno) if own else (None, None)


def compile_one(path):
    arguments = ["--chronon_root", root, "--output_root", production, "--conf", path, "-y"]
    arguments += ["--force-overwrite"] if force else []
    try:
        compiler.extract_and_convert.main(args=arguments, standalone_mode=False)
        return {}
    except SystemExit as error:
        return {"error": "exit", "message": str(error.code)} if error.code else {}
    except BaseException as error:
        # Its printed form is part of what `--verbose` shows.
        traceback.print_exc()
        file, line = where(error)
        message = error.msg if isinstance(error, SyntaxError) else str(error)
        return {"error": type(error).__name__, "message": message, "file": file, "line": line}


def child(path, output, result):
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    result.write(json.dumps(compile_one(path)))
    result.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def text_of(file):
    file.seek(0)
    return file.read().decode("utf-8", "replace")


for path in sys.argv[4:]:
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile("w+") as result:
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            try:
                child(path, output, result)
            finally:
                os._exit(1)
        _, status = os.waitpid(pid, 0)
        result.seek(0)
        said = result.read()
        if said:
            outcome = json.loads(said)
        elif os.WIFSIGNALED(status):
            outcome = {"error": "killed", "message": "ended by signal %d" % os.WTERMSIG(status)}
        else:
            outcome = {"error": "exit", "message": "the interpreter ended with %d" % os.WEXITSTATUS(status)}
        outcome["source"] = path
        outcome["output"] = re.sub(r"\x1b\[[0-9;]*m", "", text_of(output))
        print(MARK + json.dumps(outcome), flush=True)
