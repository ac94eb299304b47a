//! Finding and loading the file.

use std::{
    ffi::OsString,
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
};

use chronon_run_core::{Diagnostic, Location};
use toml::de::DeTable;

use crate::{
    document::{Report, Section},
    model::Workspace,
    read,
};

/// What the file is called.
pub const FILE_NAME: &str = "workspace.toml";

/// The variable that names the state folder, for checkouts whose `workspace.toml` must not be edited.
pub const STATE_VARIABLE: &str = "CHRONON_RUN_STATE";

/// A workspace, and what is to be said about its file.
#[derive(Clone, PartialEq, Debug)]
pub struct Loaded {
    /// What the file says.
    pub workspace: Workspace,
    /// Findings that stop nothing, in file order.
    pub warnings: Vec<Diagnostic>,
    /// The file's text, for showing findings.
    pub text: String,
}

impl Workspace {
    /// The `workspace.toml` of the folder `start` or of the nearest folder above it.
    #[must_use]
    pub fn find(start: &Path) -> Option<PathBuf> {
        let start = std::path::absolute(start).ok()?;
        start
            .ancestors()
            .map(|folder| folder.join(FILE_NAME))
            .find(|file| file.is_file())
    }

    /// The same workspace with the state folder that the environment names, read through `env`; a
    /// relative path starts at the current folder. An empty variable counts as unset.
    ///
    /// # Errors
    /// An [`io::Error`] if the current folder is not known.
    pub fn with_environment(mut self, env: impl Fn(&str) -> Option<OsString>) -> io::Result<Self> {
        if let Some(folder) = env(STATE_VARIABLE).filter(|folder| !folder.is_empty()) {
            self.state_dir = std::path::absolute(folder)?;
        }
        Ok(self)
    }

    /// Loads `file`.
    ///
    /// # Errors
    /// Everything that is wrong with it, warnings included, in file order. At least one of the
    /// findings is an error.
    pub fn load(file: &Path) -> Result<Loaded, Vec<Diagnostic>> {
        let text = read_text(file).map_err(|finding| vec![finding])?;
        let root = folder_of(file).map_err(|error| vec![unreadable(file, &error)])?;
        Self::from_text(file, &root, text)
    }

    /// Loads `target` in place of `file`, which names its folder at `span`.
    fn elsewhere(
        file: &Path,
        target: &Path,
        span: Range<usize>,
    ) -> Result<Loaded, Vec<Diagnostic>> {
        let refused = |message: String| {
            let finding = Diagnostic::error("no-workspace", message);
            let hint = "name a folder with a workspace.toml of its own, relative to this file";
            vec![finding.at(Location::bytes(file, span.clone())).hint(hint)]
        };
        let Ok(text) = fs::read_to_string(target) else {
            let shown = target.display();
            return Err(refused(format!(
                "`workspace.folder`: cannot read `{shown}`"
            )));
        };
        let (document, _) = DeTable::parse_recoverable(&text);
        if only_folder(document.get_ref()).is_some() {
            let shown = target.display();
            let message = format!("`workspace.folder`: `{shown}` names another folder in turn");
            return Err(refused(message));
        }
        Self::load(target)
    }

    fn from_text(file: &Path, root: &Path, text: String) -> Result<Loaded, Vec<Diagnostic>> {
        let (document, broken) = DeTable::parse_recoverable(&text);
        if !broken.is_empty() {
            return Err(broken.iter().map(|error| syntax(file, error)).collect());
        }
        if let Some((folder, span)) = only_folder(document.get_ref()) {
            let target = std::path::absolute(root.join(folder).join(FILE_NAME));
            return Self::elsewhere(file, &target.unwrap_or_default(), span);
        }
        let report = Report::new(file);
        let workspace = Section::file(document.get_ref(), &report, |section| {
            read::workspace(section, file, root)
        });
        let warnings = report.into_findings();
        if warnings.iter().any(Diagnostic::is_error) {
            return Err(warnings);
        }
        drop(document);
        Ok(Loaded {
            workspace,
            warnings,
            text,
        })
    }
}

/// The value of `workspace.folder` and its bytes, if the file has no other key.
fn only_folder<'a>(document: &'a DeTable<'a>) -> Option<(&'a str, Range<usize>)> {
    let mut sections = document.iter();
    let (Some((name, section)), None) = (sections.next(), sections.next()) else {
        return None;
    };
    let mut keys = section.get_ref().as_table()?.iter();
    match (name.get_ref().as_ref(), keys.next(), keys.next()) {
        ("workspace", Some((key, value)), None) if key.get_ref() == "folder" => {
            Some((value.get_ref().as_str()?, value.span()))
        }
        _ => None,
    }
}

fn folder_of(file: &Path) -> io::Result<PathBuf> {
    let file = std::path::absolute(file)?;
    Ok(file.parent().unwrap_or(&file).to_owned())
}

fn read_text(file: &Path) -> Result<String, Diagnostic> {
    let bytes = fs::read(file).map_err(|error| unreadable(file, &error))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Diagnostic::error("broken-toml", "the file is not UTF-8 text")
            .at(Location::bytes(file, at..at + 1))
            .hint("save it as UTF-8")
    })
}

fn unreadable(file: &Path, error: &io::Error) -> Diagnostic {
    let shown = file.display();
    if error.kind() == io::ErrorKind::NotFound {
        return Diagnostic::error("no-workspace", format!("there is no `{shown}`"))
            .at(Location::file(file))
            .hint(
                "write one with `chronon-run init` in the folder of your Chronon repo, \
                 or say where it is with `-C DIR`",
            );
    }
    Diagnostic::error("unreadable-file", format!("cannot read `{shown}`: {error}"))
        .at(Location::file(file))
        .hint("check that it is a file and that you may read it")
}

fn syntax(file: &Path, error: &toml::de::Error) -> Diagnostic {
    let location = match error.span() {
        Some(span) => Location::bytes(file, span),
        None => Location::file(file),
    };
    Diagnostic::error("broken-toml", error.message().trim().to_owned())
        .at(location)
        .hint("fix the TOML syntax first; the rest of the file is checked after that")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{RepoFacts, init_text};

    const EXAMPLE: &str = include_str!("../../../examples/stays/workspace.toml");

    /// What one character may become.
    const PIECES: [&str; 24] = [
        "",
        "",
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "\"",
        "'",
        "=",
        ".",
        ",",
        "\n",
        "#",
        "-1",
        "99999999999999999999",
        "1e400",
        "2026-02-30",
        "\\",
        "é\u{301}",
        "\u{feff}",
        "..",
        "{table",
    ];

    fn mutated() -> impl Strategy<Value = String> {
        let facts = RepoFacts::default();
        let hash_less = init_text(&facts).replace("\n# ", "\n");
        let bases = vec![EXAMPLE.to_owned(), init_text(&facts), hash_less];
        let edit = (
            any::<prop::sample::Index>(),
            0..40_usize,
            prop::sample::select(&PIECES[..]),
        );
        let edits = prop::collection::vec(edit, 0..6);
        let end = prop::option::of(any::<prop::sample::Index>());
        (prop::sample::select(bases), edits, end).prop_map(|(base, edits, end)| {
            let mut chars: Vec<char> = base.chars().collect();
            for (at, removed, piece) in edits {
                let at = at.index(chars.len() + 1);
                let until = (at + removed / 8).min(chars.len());
                chars.splice(at..until, piece.chars());
            }
            if let Some(end) = end {
                chars.truncate(end.index(chars.len() + 1));
            }
            chars.into_iter().collect()
        })
    }

    fn span(finding: &Diagnostic) -> Option<Range<usize>> {
        finding.location.as_ref()?.span.clone()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn any_text_loads_or_is_refused_at_its_bytes(text in mutated()) {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/stays");
            let file = root.join(FILE_NAME);
            let findings = match Workspace::from_text(&file, &root, text.clone()) {
                Ok(loaded) => {
                    prop_assert!(!loaded.warnings.iter().any(Diagnostic::is_error));
                    loaded.warnings
                }
                Err(findings) => {
                    prop_assert!(findings.iter().any(Diagnostic::is_error));
                    findings
                }
            };
            for finding in findings {
                let span = span(&finding).expect("every finding has a place");
                prop_assert!(text.get(span.clone()).is_some(), "{:?} of {:?}", span, finding);
            }
        }
    }

    /// The repository's own file stands for the example.
    #[test]
    fn a_file_may_name_the_folder_of_another() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let loaded = Workspace::load(&root.join(FILE_NAME)).unwrap();
        assert!(loaded.workspace.repo.ends_with("examples/stays"));
        assert_eq!(loaded.workspace.seeds.len(), 7);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE_NAME);
        let message = |text: &str| {
            fs::write(&file, text).unwrap();
            Workspace::load(&file).unwrap_err()[0].message.clone()
        };
        let missing = message("[workspace]\nfolder = \"nowhere\"\n");
        assert!(missing.contains("cannot read"), "{missing}");
        let circle = message("[workspace]\nfolder = \".\"\n");
        assert!(circle.contains("in turn"), "{circle}");
        let more = message("[workspace]\nfolder = \".\"\nenv = \"dev\"\n");
        assert!(more.contains("the only key"), "{more}");
    }

    #[test]
    fn the_environment_names_the_state_folder() {
        let root = Path::new("/w");
        let workspace = || Workspace::with_defaults(&root.join(FILE_NAME), root);
        let with = |value: &'static str| {
            let env = move |name: &str| (name == STATE_VARIABLE).then(|| value.into());
            workspace().with_environment(env).unwrap().state_dir
        };
        assert_eq!(with("/var/state"), Path::new("/var/state"));
        assert_eq!(with(""), Path::new("/w/.chronon-run"));
        assert!(with("state").is_absolute());
    }

    #[test]
    fn the_example_loads_without_a_warning() {
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/stays/workspace.toml");
        let loaded = Workspace::load(&file).unwrap();
        assert_eq!(loaded.warnings, []);
        let workspace = loaded.workspace;
        assert_eq!(workspace.as_of.unwrap().to_string(), "2026-01-30");
        assert_eq!(workspace.seeds.len(), 7);
        assert_eq!(workspace.seeds[0].empty_partitions, ["2026-01-23"]);
        assert_eq!(workspace.sources.len(), 3);
        assert_eq!(workspace.run.retry_delay.as_secs(), 5);
        assert_eq!(workspace.engine.conf.len(), 1);
    }
}
