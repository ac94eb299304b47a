//! `chronon-run reference`: the documents that are generated from the types.

use std::{io, path::Path};

use chronon_run_process::replace;
use chronon_run_project::{failure::Failure, output::print};
use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::cli::{Cli, ReferenceTopic};

pub(crate) fn run(topic: ReferenceTopic, out: Option<&Path>) -> Result<(), Failure> {
    let text = match topic {
        ReferenceTopic::Cli => clap_markdown::help_markdown_command_custom(
            &Cli::command(),
            &clap_markdown::MarkdownOptions::new().show_footer(false),
        ),
        ReferenceTopic::Workspace => chronon_run_workspace::reference(),
        ReferenceTopic::Schema => {
            let schema = chronon_run_workspace::schema();
            serde_json::to_string_pretty(&schema).unwrap_or_default()
        }
        ReferenceTopic::Man => return man(out.unwrap_or(Path::new("."))),
    };
    print(&format!("{}\n", text.trim_end()))
}

/// `chronon-run.1` and a page for each command, such as `chronon-run-plan.1`.
fn man(folder: &Path) -> Result<(), Failure> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    std::fs::create_dir_all(folder)
        .and_then(|()| man_pages(&command, folder))
        .map_err(|error| Failure::setup(format!("cannot write to {}: {error}", folder.display())))
}

/// As `clap_mangen::generate_to` does, which writes through symbolic links.
fn man_pages(command: &Command, folder: &Path) -> io::Result<()> {
    let shown = command
        .get_subcommands()
        .filter(|below| !below.is_hide_set());
    for below in shown {
        man_pages(below, folder)?;
    }
    let page = Man::new(command.clone());
    let mut text = Vec::new();
    page.render(&mut text)?;
    replace(&folder.join(page.get_filename()), text)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn a_link_in_place_of_a_page_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (other, page) = (
            folder.path().join("other"),
            folder.path().join("chronon-run-plan.1"),
        );
        fs::write(&other, "precious").unwrap();
        symlink(&other, &page).unwrap();
        man(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
        assert!(!fs::symlink_metadata(&page).unwrap().is_symlink());
        assert!(folder.path().join("chronon-run.1").is_file());
    }
}
