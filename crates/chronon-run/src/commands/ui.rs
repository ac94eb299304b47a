//! `chronon-run ui`: the workspace as web pages.

use std::{net::TcpListener, sync::Arc};

use chronon_run_core::CommandLine;
use chronon_run_process::{Detached, Stop, User, host_name};
use chronon_run_project::{
    failure::Failure,
    loading::project::Project,
    output::{note, print},
};
use chronon_run_ui::{Guard, Settings, Token, serve};

use crate::{cli::UiArgs, ui::Pages};

/// The user who may read everything anyway.
const ROOT: u32 = 0;

pub(crate) fn run(args: &UiArgs) -> Result<(), Failure> {
    // What is wrong with the workspace is reported here, as by any command.
    drop(Project::load()?);
    let listener = TcpListener::bind((args.host.as_str(), args.port)).map_err(|error| {
        Failure::hinted(
            format!("cannot listen on {} port {}: {error}", args.host, args.port),
            "`--port 0` takes a port that is free",
        )
    })?;
    let address = listener.local_addr()?;
    // Whose the other end is can be told of IPv4 only.
    let is_local = address.ip().is_loopback() && address.is_ipv4();
    let token = match is_local && !args.allow_runs {
        true => None,
        false => Some(Token::new().map_err(Failure::setup)?),
    };
    let host = match address.ip().is_unspecified() {
        true => format!(
            "{}:{}",
            host_name().unwrap_or("localhost".to_owned()),
            address.port()
        ),
        false => address.to_string(),
    };
    let url = match &token {
        Some(token) => format!("http://{host}/?token={}", token.reveal()),
        None => format!("http://{host}/"),
    };
    print(&format!("{url}\n"))?;
    note("Ctrl-C ends it");
    if args.open {
        open(&url);
    }
    let names = host_name().into_iter().chain([args.host.clone()]);
    let settings = Settings {
        guard: Guard {
            // Without a token only names of the loopback interface are answered.
            names: names.filter(|_| token.is_some()).collect(),
            users: match &token {
                Some(_) => Vec::new(),
                None => vec![User::current().uid, ROOT],
            },
            token,
        },
        allow_runs: args.allow_runs,
    };
    let stopped = || Stop::of_process().reason().is_some();
    serve(listener, Arc::new(Pages::default()), settings, stopped).map_err(Failure::setup)
}

fn open(url: &str) {
    let command = CommandLine {
        argv: ["xdg-open", url].map(str::to_owned).to_vec(),
        ..CommandLine::default()
    };
    if Detached::start_unmarked(&command, None, None).is_err() {
        note("no browser was found (`xdg-open`): open the address by hand");
    }
}
