//! `chronon-run reference`: the documents that are generated from the types.

use clap::CommandFactory;

use crate::{
    cli::{Cli, ReferenceTopic},
    failure::Failure,
    output::print,
};

pub(crate) fn run(topic: ReferenceTopic) -> Result<(), Failure> {
    let text = match topic {
        ReferenceTopic::Cli => clap_markdown::help_markdown_command_custom(
            &Cli::command(),
            &clap_markdown::MarkdownOptions::new().show_footer(false),
        ),
        ReferenceTopic::Workspace => chronon_run_workspace::reference(),
    };
    print(&format!("{}\n", text.trim_end()))
}
