//! `chronon-run reference`: the documents that are generated from the types.

use std::path::Path;

use chronon_run_project::{failure::Failure, output::print};
use clap::CommandFactory;

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
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .map_err(|error| Failure::setup(format!("cannot write to {}: {error}", folder.display())))
}
