//! `chronon-run compare`: two tables, days or places, row by row.

use chronon_run_project::{
    comparing::{self, Described, Table},
    failure::Failure,
    listing::session::CatalogSession,
    loading::project::Project,
    output::{document, print},
};

use crate::cli::{CompareArgs, Output};

pub(crate) fn run(args: &CompareArgs) -> Result<(), Failure> {
    let context = Project::load()?;
    let right = match (&args.right, args.target.name()) {
        (Some(right), _) => right,
        (None, Some(_)) => &args.left,
        (None, None) => {
            return Err(Failure::hinted(
                "there is nothing to compare with",
                "name a second table, or a target: `chronon-run compare NAME --target dev` compares production with it",
            ));
        }
    };
    let other = args.target.name().map(|_| args.target.project());
    let other = other.transpose()?;
    let warehouse = CatalogSession::look(&context.workspace)?;
    warehouse.check_rows(&context.workspace)?;
    let left = Table::find(&context, &warehouse, &args.left.asset, args.left.ds)?;
    let there = other.as_ref().unwrap_or(&context);
    let right = Table::find(there, &warehouse, &right.asset, right.ds)?;
    let keys = match args.on.as_slice() {
        [] => comparing::keys_of(&context, &left, &right)?,
        given => given.to_vec(),
    };
    let comparing = comparing::prepare(&left, &right, &keys, &args.columns)?;
    let found = comparing::compare(&context, &warehouse, &comparing, args.limit)?;
    comparing::check_keys(&found, &keys, &left, &right)?;
    let shown = Described {
        left: left.text(),
        right: right.text(),
        keys,
        found,
    };
    match args.output {
        Output::Json => print(&document(&shown)?)?,
        Output::Text => shown.page().print()?,
    }
    match args.exit_code && !shown.found.is_equal() {
        true => Err(Failure::Found),
        false => Ok(()),
    }
}
