//! Days that a user names: whether they are over.

use chronon_run_core::{Diagnostic, Ds, Location};

use crate::{failure::Failure, loading::project::Project, options::DayArgs, program::now_millis};

/// The days of a command line, refused where one is not over yet and that is not allowed.
pub fn checked(context: &Project, days: &DayArgs) -> Result<DayArgs, Failure> {
    let as_of = context.as_of(days.as_of)?;
    if days.allow_unfinished {
        // The day is asked for, so it counts as closed.
        let last = days.ds.map_or(as_of, |ds| ds.max(as_of));
        let as_of = (last > as_of).then_some(last).or(days.as_of);
        return Ok(DayArgs {
            as_of,
            ..days.clone()
        });
    }
    check_as_of(context, days.as_of)?;
    match days.ds {
        Some(ds) if ds > as_of => Err(refused(&format!("--ds {ds}"), as_of)),
        _ => Ok(days.clone()),
    }
}

/// Fails if the last closed day, as the command line or workspace.toml says it, is not over yet.
pub fn check_as_of(context: &Project, given: Option<Ds>) -> Result<(), Failure> {
    let closed = closed(context)?;
    let (name, as_of) = match (given, context.workspace.as_of) {
        (Some(ds), _) => ("--as-of", ds),
        (None, Some(ds)) => ("`as_of` in workspace.toml:", ds),
        (None, None) => return Ok(()),
    };
    match as_of > closed {
        true => Err(refused(&format!("{name} {as_of}"), closed)),
        false => Ok(()),
    }
}

/// What `check` reports about the last closed day of workspace.toml.
pub fn finding(context: &Project) -> Option<Diagnostic> {
    let as_of = context.workspace.as_of?;
    let closed = closed(context).ok().filter(|closed| as_of > *closed)?;
    let message = format!("`as_of` = {as_of} is not over yet; the last closed day is {closed}");
    let finding = Diagnostic::warning("open-day", message);
    let at = Location::file(&context.workspace.file);
    Some(
        finding
            .at(at)
            .hint("name a day that is over, or remove `as_of`"),
    )
}

/// The last day that is over in the workspace's time zone.
fn closed(context: &Project) -> Result<Ds, Failure> {
    let today = Ds::at(now_millis(), &context.workspace.timezone).map_err(Failure::setup)?;
    Ok(today.plus(-1))
}

fn refused(what: &str, closed: Ds) -> Failure {
    Failure::hinted(
        format!("{what} is not over yet; the last closed day is {closed}"),
        "`--allow-unfinished` plans it all the same",
    )
}
