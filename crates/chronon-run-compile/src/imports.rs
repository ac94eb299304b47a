//! Which modules a Python file imports, read from its text.

use std::path::{Path, PathBuf};

/// The modules that `text`, the file of module `own` (dotted, `package` if it is an `__init__.py`),
/// imports; of `from a import b` both `a` and `a.b`, because `b` may be a module.
pub(crate) fn imported(text: &str, own: &str, package: bool) -> Vec<String> {
    let mut found = Vec::new();
    for statement in statements(text) {
        if let Some(names) = statement.strip_prefix("import ") {
            found.extend(names.split(',').filter_map(first_word).map(str::to_owned));
        } else if let Some((module, names)) = statement
            .strip_prefix("from ")
            .and_then(|rest| rest.split_once(" import "))
        {
            let module = absolute(module.trim(), own, package);
            let names = names.trim().trim_start_matches('(').trim_end_matches(')');
            let names = names.split(',').filter_map(first_word);
            found.extend(names.map(|name| join(&module, name)));
            found.push(module);
        }
    }
    found
}

/// The files that may hold a module, relative to the repo.
pub(crate) fn files_of(module: &str) -> [PathBuf; 2] {
    let path: PathBuf = module.split('.').collect();
    [path.with_extension("py"), path.join("__init__.py")]
}

/// The dotted name of the module in a file relative to the repo, and whether it is a package.
pub(crate) fn module_of(file: &Path) -> (String, bool) {
    let stem = file.with_extension("");
    let mut parts: Vec<_> = stem.iter().map(|part| part.to_string_lossy()).collect();
    let package = parts.last().is_some_and(|last| last == "__init__");
    if package {
        parts.pop();
    }
    (parts.join("."), package)
}

/// `.b` and `..b` as seen from `own`.
fn absolute(module: &str, own: &str, package: bool) -> String {
    let rest = module.trim_start_matches('.');
    let dots = module.len() - rest.len();
    if dots == 0 {
        return module.to_owned();
    }
    let mut parts: Vec<&str> = own.split('.').filter(|part| !part.is_empty()).collect();
    parts.truncate(parts.len().saturating_sub(dots - usize::from(package)));
    join(&parts.join("."), rest)
}

fn join(module: &str, name: &str) -> String {
    match (module.is_empty(), name.is_empty() || name == "*") {
        (_, true) => module.to_owned(),
        (true, false) => name.to_owned(),
        (false, false) => format!("{module}.{name}"),
    }
}

fn first_word(text: &str) -> Option<&str> {
    text.split_whitespace().next()
}

/// The import statements of the text, each on one line: those within parentheses or with `\` are
/// joined. What only looks like one, in a string, names a module that is not there.
fn statements(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        for part in line.split(';') {
            let start = without_comment(part);
            let begins = ["import ", "from "]
                .iter()
                .any(|word| start.starts_with(word));
            if !begins {
                continue;
            }
            let mut statement = start.to_owned();
            while open(&statement) {
                let Some(next) = lines.next() else { break };
                statement.truncate(statement.trim_end_matches('\\').len());
                statement.push(' ');
                statement.push_str(without_comment(next));
            }
            found.push(statement.replace(['\t', '('], " ").replace(')', ""));
        }
    }
    found
}

fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim()
}

/// Whether a statement goes on with the next line.
fn open(statement: &str) -> bool {
    statement.ends_with('\\') || statement.contains('(') && !statement.contains(')')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_import_is_read() {
        let text = "import a.b as c, d\nfrom group_bys.team import (\n  one,  # first\n  two as t,\n)\n    from . import near\nfrom ..up import far\nfrom x import \\\n   y\nx = 1; import z\nfrom w import *\n";
        let mut found = imported(text, "joins.team.file", false);
        found.sort();
        let expected = [
            "a.b",
            "d",
            "group_bys.team",
            "group_bys.team.one",
            "group_bys.team.two",
            "joins.team",
            "joins.team.near",
            "joins.up",
            "joins.up.far",
            "w",
            "w",
            "x",
            "x.y",
            "z",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_package_is_its_own_parent() {
        assert_eq!(
            imported("from .x import y", "joins.team", true),
            ["joins.team.x.y", "joins.team.x"]
        );
        assert_eq!(
            module_of(Path::new("joins/team/__init__.py")),
            ("joins.team".into(), true)
        );
    }
}
